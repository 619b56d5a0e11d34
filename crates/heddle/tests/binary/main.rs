//! The binary as a newcomer meets it: the demo, the first start, a directory that is taken, the way down.
#![expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod ground;
mod house;
mod log;
mod provider;
mod restart;
mod routes;
mod settings;
mod shell;
mod terminal;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use house::{ask, heddle, id, post, send, serve, serving, start, status, text};
use provider::Provider;

#[test]
fn the_demo_lets_agents_work_kills_its_server_and_loses_nothing() {
    // Who uses the SDKs with a server of ours has its key in the provider's variable.
    let (mut demo, provider) = (heddle(&["demo"]), Provider::open());
    demo.env("ANTHROPIC_API_KEY", "hdl_open-sesame-and-more").env("HEDDLE_ANTHROPIC_BASE_URL", &provider.url);
    let output = demo.output().expect("it runs");
    let (out, wrong) = text(&output);
    assert!(output.status.success(), "{out}\n{wrong}");
    assert!(out.contains("the model is heddle-demo") && out.contains("never sent to a provider"), "{out}");
    assert_eq!(provider.calls(), 0);
    let place = |part: &str| out.find(part).unwrap_or_else(|| panic!("no `{part}` in\n{out}"));
    let order = [
        "starts       writer",
        "starts       reader",
        "writer         result       note.txt is written",
        "reader         result       woven by two threads",
        "kill -9",
        "coordinator       no answer",
        "the first of the two is archived",
        "writer         ends",
        "nothing lost, nothing twice",
        "coordinator       idle; worked",
        "writer         terminated, archived; worked",
        "reader         idle; worked",
    ];
    assert!(order.map(place).is_sorted(), "{order:?} in\n{out}");
}

#[test]
fn a_session_is_followed_to_its_end_and_its_prompt_is_shown() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let call = |path: &str, body: &str| post(&server.url, key.trim(), path, body);
    let agent =
        id(&call("/v1/agents", r#"{"name": "a", "model": "heddle-demo", "system": "Be brief."}"#), "agent");
    let environment = id(&call("/v1/environments", r#"{"name": "e"}"#), "env");
    let message = r#"{"type": "user.message", "content": [{"type": "text", "text": "hello"}]}"#;
    let body = format!(
        r#"{{"agent": "{agent}", "environment_id": "{environment}", "initial_events": [{message}]}}"#
    );
    let session = id(&call("/v1/sessions", &body), "sesn");
    let place = ["--url", &server.url, "--key", key.trim()];
    let mut tail = heddle(&[&["tail", &session], &place[..]].concat());
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut said = String::new();
    while !said.contains("rests        end_turn") {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended too early: {said}");
    }
    call(&format!("/v1/sessions/{session}/archive"), "{}");
    out.read_to_string(&mut said).expect("text");
    assert!(tail.wait().expect("it ends").success());
    let order =
        ["you          hello", "says         I am heddle-demo", "rests", "ends", "terminated, archived"];
    let place_of = |part: &str| said.find(part).unwrap_or_else(|| panic!("no `{part}` in\n{said}"));
    assert!(order.map(place_of).is_sorted(), "{order:?} in\n{said}");

    let run = |arguments: &[&str]| {
        let output = heddle(&[arguments, &place[..]].concat()).output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    assert_eq!(run(&["tail", "--once", &session]), said);
    assert_eq!(run(&["show", &session]), said);
    let prompt = run(&["show", &session, "--prompt"]);
    for part in [r#""model": "heddle-demo""#, r#""text": "Be brief.""#, r#""text": "hello""#] {
        assert!(prompt.contains(part), "no {part} in {prompt}");
    }
}

#[test]
fn the_first_start_makes_a_key_that_opens_and_later_starts_do_not() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let file = data.path().join("first-key");
    let block = |url: &str, key: &str| {
        let data = data.path().display();
        format!(
            "heddle {}\n  data      {data}\n  address   {url}\n  sandbox   one jail a session, no network\n  models    \
             heddle-demo, claude-* (ANTHROPIC_API_KEY is not set)\n  sessions  none was at work\n  key       {key}\n",
            env!("CARGO_PKG_VERSION")
        )
    };
    let told = format!("the first API key is in {}: read it there, then remove the file", file.display());
    assert_eq!(server.said.concat(), block(&server.url, &told));
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).expect("text");
    let get = |key: &str| format!("GET /v1/agents HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\n\r\n");
    assert_eq!(status(&server.url, &get(&key)), "HTTP/1.1 200 OK");
    assert_eq!(status(&server.url, &get("wrong")), "HTTP/1.1 401 Unauthorized");
    drop(server);
    std::fs::remove_file(&file).expect("read");
    let server = serve(data.path());
    let told = "one is live; `heddle keys` lists, makes and revokes them, also while this runs";
    assert_eq!(server.said.concat(), block(&server.url, told));
    assert!(!file.exists());
}

#[test]
fn keys_are_made_and_revoked_beside_a_running_server() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let path = data.path().to_str().expect("a plain path");
    let keys = |arguments: &[&str]| {
        let output = heddle(&[&["keys", "--data", path], arguments].concat()).output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    let made = keys(&["create", "ci"]);
    let (name, secret) = made.trim().split_once('\n').expect("two lines");
    let get = format!("GET /v1/agents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {secret}\r\n\r\n");
    assert_eq!(status(&server.url, &get), "HTTP/1.1 200 OK");
    let key = name.split(' ').next().expect("an id");
    assert_eq!(keys(&["revoke", key]), format!("revoked {key} ci\n"));
    let again = keys(&["revoke", key]);
    assert!(again.starts_with(&format!("{key} ci was revoked already, at 20")), "{again}");
    let wrong = heddle(&["keys", "--data", path, "revoke", "a"]).output().expect("it runs");
    let (_, wrong) = text(&wrong);
    assert!(
        wrong.starts_with("heddle: `a` is no key's id") && wrong.contains("`heddle keys list`"),
        "{wrong}"
    );
    assert_eq!(status(&server.url, &get), "HTTP/1.1 401 Unauthorized");
    assert!(!keys(&["list"]).contains(secret));
}

#[test]
fn a_start_says_nothing_of_a_first_key_that_is_revoked_and_says_so_if_none_is_left() {
    let data = tempfile::tempdir().expect("a directory");
    let path = data.path().to_str().expect("a plain path");
    let keys = |arguments: &[&str]| {
        let output = heddle(&[&["keys", "--data", path], arguments].concat()).output().expect("it runs");
        text(&output).0
    };
    drop(serve(data.path()));
    let first = keys(&["list"]).split(' ').next().expect("an id").to_owned();
    keys(&["create", "first"]);
    keys(&["revoke", &first]);
    let said = serve(data.path()).said.concat();
    assert!(data.path().join("first-key").exists() && !said.contains("first-key"), "{said}");
    assert!(said.contains("  key       one is live; "), "{said}");
    let second = keys(&["list"]).split(' ').next().expect("an id").to_owned();
    keys(&["revoke", &second]);
    let said = serve(data.path()).said.concat();
    assert!(said.contains("  key       every API key is revoked: `heddle keys create` makes one"), "{said}");
}

#[test]
fn tail_says_that_its_server_is_gone_and_that_it_is_back() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let call = |path: &str, body: &str| post(&server.url, &key, path, body);
    let agent = id(&call("/v1/agents", r#"{"name": "a", "model": "heddle-demo"}"#), "agent");
    let environment = id(&call("/v1/environments", r#"{"name": "e"}"#), "env");
    let body = format!(r#"{{"agent": "{agent}", "environment_id": "{environment}"}}"#);
    let session = id(&call("/v1/sessions", &body), "sesn");
    let message = r#"{"type": "user.message", "content": [{"type": "text", "text": "hello"}]}"#;
    let events = format!("/v1/sessions/{session}/events");
    call(&events, &format!(r#"{{"events": [{message}]}}"#));
    let url = server.url.clone();
    let mut tail = heddle(&["tail", &session, "--url", &url, "--key", &key]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut until = |part: &str| {
        let mut said = String::new();
        while !said.contains(part) {
            assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended too early: {said}");
        }
        said
    };
    until("rests        end_turn");
    drop(server);
    until("           -- the server is gone; trying again for a minute\n");
    let listen = url.trim_start_matches("http://");
    let path = data.path().to_str().expect("a plain path");
    let mut command = heddle(&["serve", "--listen", listen, "--data", path]);
    let server = start(command.stderr(Stdio::null()));
    until("           -- the server is back; the session goes on after the last event you saw\n");
    post(&server.url, &key, &events, r#"{"events": [{"type": "user.interrupt"}]}"#);
    assert_eq!(until("interrupt").matches("the server is").count(), 0, "each is said once");
    drop(tail.kill());
    drop(tail.wait());
}

#[test]
fn a_call_that_waits_for_a_word_is_stopped_though_its_session_is_idle() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let call = |path: &str, body: &str| post(&server.url, &key, path, body);
    let ask_first = r#"{"type":"agent_toolset_20260401","configs":[{"name":"bash","permission_policy":{"type":"always_ask"}}]}"#;
    let agent = format!(r#"{{"name":"a","model":"heddle-demo","tools":[{ask_first}]}}"#);
    let agent = id(&call("/v1/agents", &agent), "agent");
    let environment = id(&call("/v1/environments", r#"{"name":"e"}"#), "env");
    let session = format!(r#"{{"agent":"{agent}","environment_id":"{environment}"}}"#);
    let session = id(&call("/v1/sessions", &session), "sesn");
    let stream =
        format!("GET /v1/sessions/{session}/events/stream HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\n\r\n");
    let mut stream = send(&server.url, &stream);
    let events =
        r#"{"events":[{"type":"user.message","content":[{"type":"text","text":"run echo hello"}]}]}"#;
    call(&format!("/v1/sessions/{session}/events"), events);
    let mut line = String::new();
    while !line.contains("session.status_idle") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("it streams"), 0, "the stream ended too early");
    }
    assert!(line.contains("requires_action"), "{line}");
    let output = heddle(&["stop", &session, "--url", &server.url, "--key", &key]).output().expect("it runs");
    assert_eq!(text(&output).0, format!("interrupted {session}\n"));
}

#[test]
fn what_goes_on_after_a_kill_is_counted_at_the_next_start() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let environment = id(&post(&server.url, &key, "/v1/environments", r#"{"name":"e"}"#), "env");
    let agent = id(&post(&server.url, &key, "/v1/agents", r#"{"name":"a","model":"heddle-demo"}"#), "agent");
    let said = "many words ".repeat(400);
    let session = format!(
        r#"{{"agent":"{agent}","environment_id":"{environment}","initial_events":[{{"type":"user.message","content":[{{"type":"text","text":"{said}"}}]}}]}}"#
    );
    post(&server.url, &key, "/v1/sessions", &session);
    drop(server);
    let said = serve(data.path()).said.concat();
    assert!(said.contains("\n  sessions  one was at work and goes on\n"), "{said}");
}

#[test]
fn nobody_is_asked_but_the_providers_of_the_routes() {
    // Whoever is asked is asked through it.
    let proxy = Provider::open();
    let told = |key: &str| {
        let (data, before) = (tempfile::tempdir().expect("a directory"), proxy.calls());
        let mut serve = serving(data.path(), &[]);
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            serve.env(name, &proxy.url);
        }
        serve.env("HEDDLE_ANTHROPIC_BASE_URL", "http://provider.invalid").env("ANTHROPIC_API_KEY", key);
        let mut server = start(serve.stderr(Stdio::null()));
        let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
        let call = |path: &str, body: &str| post(&server.url, &key, path, body);
        let agent = id(&call("/v1/agents", r#"{"name":"a","model":"heddle-demo"}"#), "agent");
        let environment = id(&call("/v1/environments", r#"{"name":"e"}"#), "env");
        let message = r#"{"type":"user.message","content":[{"type":"text","text":"hello"}]}"#;
        let body =
            format!(r#"{{"agent":"{agent}","environment_id":"{environment}","initial_events":[{message}]}}"#);
        let session = id(&call("/v1/sessions", &body), "sesn");
        ask(&server.url, "GET", "/v1/models", &[&format!("x-api-key: {key}")], "");
        let tail =
            heddle(&["stop", &session, "--url", &server.url, "--key", &key]).output().expect("it runs");
        assert!(tail.status.success(), "{:?}", text(&tail));
        server.signal("TERM");
        assert!(server.child.wait().expect("it ends").success());
        proxy.calls() - before
    };
    assert_eq!(told(""), 0);
    assert_ne!(told("key-of-the-model"), 0, "who is asked is seen");
}

#[test]
fn a_directory_that_is_served_is_refused_to_a_second_server() {
    let data = tempfile::tempdir().expect("a directory");
    let _first = serve(data.path());
    let path = data.path().to_str().expect("a plain path");
    let output = heddle(&["serve", "--listen", "127.0.0.1:0", "--data", path]).output().expect("it runs");
    let (_, wrong) = text(&output);
    assert!(!output.status.success() && wrong.contains("another heddle serves"), "{wrong}");
}

#[test]
fn what_only_the_server_starts_is_suggested_to_nobody() {
    let output = heddle(&["tial"]).output().expect("it runs");
    let (_, wrong) = text(&output);
    assert!(wrong.contains("'tail'") && !wrong.contains("jail"), "{wrong}");
}

#[test]
fn room_on_the_disk_is_measured_at_the_start() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let metrics = counted(&server.url);
    let free = metrics.lines().find_map(|line| line.strip_prefix("heddle_disk_free_bytes "));
    assert_ne!(free.expect("it is there").parse(), Ok(0_u64), "{metrics}");
}

/// All that a server counts.
fn counted(url: &str) -> String {
    let mut answer = String::new();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    send(url, request).read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_mistake_in_the_file_names_its_line() {
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("heddle.toml");
    std::fs::write(&file, "\nlisten = \"127.0.0.1:0\"\nroute = 1\n").expect("written");
    let output =
        heddle(&["serve", "--config", file.to_str().expect("a plain path")]).output().expect("it runs");
    let (_, wrong) = text(&output);
    let expected =
        format!("heddle: {}:3: unknown key `route`; did you mean `routes`? Known are ", file.display());
    assert!(!output.status.success() && wrong.starts_with(&expected), "{wrong}");
}

#[test]
fn sigterm_ends_streams_and_exits_with_success_and_stop_interrupts_what_runs() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let environment = id(&post(&server.url, &key, "/v1/environments", r#"{"name":"e"}"#), "env");
    let agent = r#"{"name":"a","model":"heddle-demo"}"#;
    let agent = id(&post(&server.url, &key, "/v1/agents", agent), "agent");
    // The built-in script speaks slowly enough to be still at it when the interrupt comes.
    let said = "many words ".repeat(400);
    let session = format!(
        r#"{{"agent":"{agent}","environment_id":"{environment}","initial_events":[{{"type":"user.message","content":[{{"type":"text","text":"{said}"}}]}}]}}"#
    );
    let session = id(&post(&server.url, &key, "/v1/sessions", &session), "sesn");

    let stream =
        format!("GET /v1/sessions/{session}/events/stream HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\n\r\n");
    let mut stream = send(&server.url, &stream);
    let mut line = String::new();
    stream.read_line(&mut line).expect("it answers");
    assert_eq!(line.trim(), "HTTP/1.1 200 OK");

    let place = ["--url", &server.url, "--key", &key];
    let stop = |what: &str| heddle(&[&["stop", what], &place[..]].concat()).output().expect("it runs");
    assert_eq!(text(&stop("--all")).0, format!("interrupted {session}\n"));
    while !line.contains("session.status_idle") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("it streams"), 0, "the stream ended too early");
    }
    let events = || {
        ask(
            &server.url,
            "GET",
            &format!("/v1/sessions/{session}/events"),
            &[&format!("x-api-key: {key}")],
            "",
        )
    };
    let count = || events().matches("\"type\":\"user.interrupt\"").count();
    assert_eq!(count(), 1);
    assert_eq!(text(&stop(&session)).0, format!("{session} is idle: nothing to interrupt\n"));
    assert_eq!(text(&stop("--all")).0, "nothing is running\n");
    assert_eq!(count(), 1, "nothing was appended");

    let term = Command::new("kill").arg(server.child.id().to_string()).status().expect("it runs");
    assert!(term.success());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the stream ends");
    assert!(server.child.wait().expect("it ends").success());
    assert_eq!(server.out.read_line(&mut line).expect("text"), 0);
}
