//! The log, as the real binary writes it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::house::{ask, header, heddle, id, post, send, serving, start};
use crate::provider::Provider;

const KEY: &str = "key-of-the-test-run";

/// A line of the log without what no test can know: the time, and how long it took.
fn bare(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    let object = line.as_object_mut().expect("an object");
    assert!(object.remove("timestamp").is_some_and(|time| time.is_string()), "{object:?}");
    assert!(object.remove("milliseconds").is_none_or(|took| took.is_u64()), "{object:?}");
    line
}

fn answered(level: &str, request_id: &str, method: &str, route: &str, status: u16) -> Value {
    json!({
        "level": level, "target": "server::answer", "message": "answered", "status": status,
        "span": {"name": "request", "request_id": request_id, "method": method, "route": route},
    })
}

#[test]
fn the_log_the_header_and_the_body_of_an_error_name_one_id() {
    let data = tempfile::tempdir().expect("a directory");
    let mut serve = serving(data.path(), &["--log-format", "json", "--log", "server=debug"]);
    let mut server = start(serve.env("HEDDLE_API_KEY", KEY).stderr(Stdio::piped()));
    let key = format!("x-api-key: {KEY}");
    for (method, path, route, level, status) in [
        ("GET", "/v1/agents?limit=1", "/v1/agents", "DEBUG", 200),
        ("POST", "/v1/agents", "/v1/agents", "INFO", 400),
        ("GET", "/v1/agents/agent_1", "/v1/agents/{agent_id}", "DEBUG", 400),
        ("GET", "/nowhere/at/all", "", "DEBUG", 404),
        ("PUT", "/v1/agents", "/v1/agents", "DEBUG", 405),
        ("GET", "/v1/skills", "/v1/skills", "INFO", 501),
    ] {
        let answer = ask(&server.url, method, path, &[&key], "");
        let request_id = header(&answer, "request-id");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        if status >= 400 {
            let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(body["request_id"], *request_id);
        }
        assert_eq!(bare(&server.logged()), answered(level, &request_id, method, route, status));
    }
}

#[test]
fn changes_failures_and_streams_are_told_and_reads_are_not() {
    let data = tempfile::tempdir().expect("a directory");
    std::fs::write(data.path().join("heddle.toml"), "[log]\nformat = \"json\"\nfilter = \"server=info\"\n")
        .expect("written");
    let file = data.path().join("heddle.toml");
    let mut serve = serving(data.path(), &["--config", file.to_str().expect("a plain path")]);
    let mut server = start(serve.env("HEDDLE_API_KEY", KEY).stderr(Stdio::piped()));
    let key = format!("x-api-key: {KEY}");
    let agent = id(&post(&server.url, KEY, "/v1/agents", r#"{"name":"a","model":"heddle-demo"}"#), "agent");
    let environment = id(&post(&server.url, KEY, "/v1/environments", r#"{"name":"e"}"#), "env");
    let session = format!(r#"{{"agent":"{agent}","environment_id":"{environment}"}}"#);
    let session = id(&post(&server.url, KEY, "/v1/sessions", &session), "sesn");
    for path in ["/v1/agents", "/v1/agents/agent_1", "/v1/skills", "/healthz"] {
        ask(&server.url, "GET", path, &[&key], "");
    }
    let stream = format!("/v1/sessions/{session}/events/stream");
    let mut open = send(&server.url, &format!("GET {stream} HTTP/1.1\r\nHost: h\r\n{key}\r\n\r\n"));
    let mut line = String::new();
    open.read_line(&mut line).expect("it answers");
    assert_eq!(line.trim(), "HTTP/1.1 200 OK");
    server.signal("TERM");
    open.read_to_string(&mut line).expect("it ends");
    let (log, code) = server.ended();
    assert_eq!(code, Some(0));
    let told: Vec<String> = log
        .lines()
        .map(|line| {
            let line = bare(line);
            let text = |pointer| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (method, route) = (text("/span/method"), text("/span/route"));
            let more = format!("{} {} {}", line["status"], line["by"], text("/message"));
            format!("{method} {route} {more}").replace("null ", "").replace('"', "")
        })
        .collect();
    let stream = "GET /v1/sessions/{session_id}/events/stream";
    assert_eq!(
        told,
        [
            "POST /v1/agents 200 answered".to_owned(),
            "POST /v1/environments 200 answered".to_owned(),
            "POST /v1/sessions 200 answered".to_owned(),
            "GET /v1/skills 501 answered".to_owned(),
            format!("{stream} a stream opens"),
            format!("{stream} the server a stream ended"),
        ]
    );
}

#[test]
fn a_stream_that_its_client_leaves_is_told_so() {
    let data = tempfile::tempdir().expect("a directory");
    let mut serve = serving(data.path(), &["--log-format=json", "--log=server=info"]);
    let mut server = start(serve.env("HEDDLE_API_KEY", KEY).stderr(Stdio::piped()));
    let agent = id(&post(&server.url, KEY, "/v1/agents", r#"{"name":"a","model":"heddle-demo"}"#), "agent");
    let environment = id(&post(&server.url, KEY, "/v1/environments", r#"{"name":"e"}"#), "env");
    let session = format!(r#"{{"agent":"{agent}","environment_id":"{environment}"}}"#);
    let session = id(&post(&server.url, KEY, "/v1/sessions", &session), "sesn");
    let stream = format!("/v1/sessions/{session}/events/stream");
    let mut open =
        send(&server.url, &format!("GET {stream} HTTP/1.1\r\nHost: h\r\nx-api-key: {KEY}\r\n\r\n"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(open.read_line(&mut head).expect("it answers"), 0);
    }
    drop(open);
    let request_id = header(&head, "request-id");
    let span = json!({
        "name": "request", "request_id": request_id, "method": "GET",
        "route": "/v1/sessions/{session_id}/events/stream", "session": session,
    });
    let told = |more: Value| {
        let mut line = json!({"level": "INFO", "target": "server::answer", "span": span});
        line.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        line
    };
    let lines = [(); 5].map(|()| bare(&server.logged()));
    let expected =
        [json!({"message": "a stream opens"}), json!({"message": "a stream ended", "by": "the client"})];
    assert_eq!(lines[3..], expected.map(told));
}

#[test]
fn a_line_names_the_things_that_its_request_was_about_and_repeats_no_word_that_is_no_id() {
    let data = tempfile::tempdir().expect("a directory");
    let mut serve = serving(data.path(), &["--log-format=json", "--log=server=debug"]);
    let mut server = start(serve.env("HEDDLE_API_KEY", KEY).stderr(Stdio::piped()));
    let key = format!("x-api-key: {KEY}");
    let agent = id(&post(&server.url, KEY, "/v1/agents", r#"{"name":"a","model":"heddle-demo"}"#), "agent");
    let environment = id(&post(&server.url, KEY, "/v1/environments", r#"{"name":"e"}"#), "env");
    let session = format!(r#"{{"agent":"{agent}","environment_id":"{environment}"}}"#);
    let session = id(&post(&server.url, KEY, "/v1/sessions", &session), "sesn");
    let get = |path: &str| ask(&server.url, "GET", path, &[&key], "");
    let thread = id(&get(&format!("/v1/sessions/{session}/threads")), "sthr");
    let nobody = format!("{}x", &session[..session.len() - 1]);
    for path in [
        format!("/v1/agents/{agent}"),
        format!("/v1/environments/{environment}"),
        format!("/v1/sessions/{session}/threads/{thread}/events"),
        format!("/v1/sessions/{nobody}"),
        "/v1/sessions/open-sesame".to_owned(),
    ] {
        get(&path);
    }
    let told = [(); 9].map(|()| {
        let line = bare(&server.logged());
        let span = |name: &str| line["span"][name].as_str().map(|id| format!("{name}={id}"));
        ["session", "thread", "agent", "environment"]
            .into_iter()
            .filter_map(span)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let of = |name: &str, id: &str| format!("{name}={id}");
    assert_eq!(
        told,
        [
            // What a request has made is told where it is a session.
            String::new(),
            String::new(),
            of("session", &session),
            of("session", &session),
            of("agent", &agent),
            of("environment", &environment),
            [of("session", &session), of("thread", &thread)].join(" "),
            of("session", &nobody),
            String::new(),
        ]
    );
}

#[test]
fn a_model_request_that_fails_is_a_line_with_what_an_operator_needs_and_with_nobodys_words() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let (url, file) = (&provider.url, folder.path().join("heddle.toml"));
    let routes = ["broken", "denied", "empty"].map(|name| {
        format!("[routes.m-{name}]\nprovider = \"messages\"\nbase_url = \"{url}/{name}\"\nattempts = 2\n")
    });
    std::fs::write(&file, routes.concat()).expect("written");
    let file = file.to_str().expect("a plain path");
    let mut serve = serving(&folder.path().join("data"), &["--log-format=json", "--config", file]);
    let mut server = start(serve.env("HEDDLE_API_KEY", KEY).stderr(Stdio::piped()));
    let environment = id(&post(&server.url, KEY, "/v1/environments", r#"{"name":"e"}"#), "env");
    let mut expected = Vec::new();
    for (name, class, status) in
        [("broken", "unavailable", Some(500)), ("denied", "denied", Some(401)), ("empty", "empty", None)]
    {
        let agent = format!(r#"{{"name":"a","model":"m-{name}"}}"#);
        let agent = id(&post(&server.url, KEY, "/v1/agents", &agent), "agent");
        let message = r#"{"type":"user.message","content":[{"type":"text","text":"in-the-body"}]}"#;
        let session =
            format!(r#"{{"agent":"{agent}","environment_id":"{environment}","initial_events":[{message}]}}"#);
        let session = id(&post(&server.url, KEY, "/v1/sessions", &session), "sesn");
        let path = format!("/v1/sessions/{session}/threads");
        let thread = id(&ask(&server.url, "GET", &path, &[&format!("x-api-key: {KEY}")], ""), "sthr");
        for attempt in 1..=if class == "denied" { 1 } else { 2 } {
            let mut line = json!({
                "level": "INFO", "target": "engine::jobs", "message": "a model request failed",
                "session": session, "thread": thread, "route": format!("m-{name}"), "class": class,
                "attempt": attempt,
            });
            let line_object = line.as_object_mut().expect("an object");
            line_object.extend(status.map(|code: u16| ("status".into(), code.into())));
            expected.push(line);
        }
        rests(&server.url, &session);
    }
    server.signal("TERM");
    let (log, code) = server.ended();
    assert_eq!(code, Some(0));
    assert!(!log.contains("in-the-body") && !log.contains("invalid x-api-key"), "{log}");
    let failed = log.lines().filter(|line| line.contains("a model request failed"));
    assert!(failed.clone().all(|line| line.contains("\"milliseconds\":")), "{log}");
    assert_eq!(failed.map(bare).collect::<Vec<_>>(), expected);
}

/// Returns once the turn of a session has ended.
fn rests(url: &str, session: &str) {
    let mut tail = heddle(&["tail", session, "--url", url, "--key", KEY]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut said = String::new();
    while !said.contains("  rests  ") {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended too early: {said}");
    }
    tail.kill().and_then(|()| tail.wait()).expect("it ends");
}

#[test]
fn no_secret_is_in_the_log_however_much_is_logged() {
    let secrets = ["open-sesame", "in-the-query", "in-the-body", "key-of-the-model", "in-a-cookie", KEY];
    for format in ["text", "json"] {
        let data = tempfile::tempdir().expect("a directory");
        let provider = Provider::open();
        // Of libraries too, which a level alone would leave out.
        let libraries = ["axum", "h2", "hyper", "mio", "reqwest", "rustls", "tokio", "tower", "want"];
        let filter = ["trace", &libraries.map(|library| format!("{library}=trace")).join(",")].join(",");
        let mut serve = serving(data.path(), &["--log", &filter, "--log-format", format]);
        serve.env("HEDDLE_API_KEY", KEY).env("ANTHROPIC_API_KEY", "key-of-the-model");
        serve.env("HEDDLE_ANTHROPIC_BASE_URL", &provider.url);
        let log = tempfile::NamedTempFile::new().expect("a file");
        let mut server = start(serve.stderr(log.reopen().expect("a file")));
        for more in ["x-api-key: open-sesame", "Authorization: Bearer open-sesame", "Cookie: in-a-cookie"] {
            let path = "/v1/agents?api_key=in-the-query&in-the-query";
            ask(&server.url, "GET", path, &[more], "");
            ask(&server.url, "POST", path, &[more], r#"{"in-the-body": "in-the-body"#);
        }
        let agent = r#"{"name":"a","model":"claude-x","system":"in-the-body"}"#;
        let agent = id(&post(&server.url, KEY, "/v1/agents?beta=in-the-query", agent), "agent");
        let environment = id(&post(&server.url, KEY, "/v1/environments", r#"{"name":"e"}"#), "env");
        let session = format!(r#"{{"agent":"{agent}","environment_id":"{environment}"}}"#);
        let session = id(&post(&server.url, KEY, "/v1/sessions", &session), "sesn");
        let path = format!("/v1/sessions/{session}/events");
        let stream = format!("GET {path}/stream HTTP/1.1\r\nHost: h\r\nx-api-key: {KEY}\r\n\r\n");
        let (mut stream, mut line) = (send(&server.url, &stream), String::new());
        stream.read_line(&mut line).expect("it opens");
        let content = r#"[{"type":"text","text":"in-the-body"}]"#;
        let events = format!(r#"{{"events":[{{"type":"user.message","content":{content}}}]}}"#);
        post(&server.url, KEY, &path, &events);
        while !line.contains("session.status_idle") {
            assert_ne!(stream.read_line(&mut line).expect("text"), 0, "the stream ended too early: {line}");
        }
        assert_eq!(provider.calls(), 1);
        server.signal("TERM");
        assert!(server.child.wait().expect("it ends").success());
        let log = std::fs::read_to_string(log.path()).expect("text");
        assert!(log.contains("/v1/agents") && log.contains("DEBUG"), "much is logged: {log}");
        assert!(log.contains("hyper"), "libraries too: {log}");
        for secret in secrets {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in a {format} log");
        }
    }
}

#[test]
fn a_level_alone_is_for_what_is_ours() {
    let (data, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let mut serve = serving(data.path(), &["--log", "trace", "--log-format", "json"]);
    serve.env("HEDDLE_API_KEY", KEY).env("ANTHROPIC_API_KEY", "key-of-the-model");
    serve.env("HEDDLE_ANTHROPIC_BASE_URL", &provider.url);
    let mut server = start(serve.stderr(Stdio::piped()));
    // Asks the provider, of which the libraries of HTTP would tell much.
    ask(&server.url, "GET", "/v1/models", &[&format!("x-api-key: {KEY}")], "");
    assert_eq!(provider.calls(), 1);
    server.signal("TERM");
    let (log, code) = server.ended();
    assert_eq!(code, Some(0));
    let targets: std::collections::BTreeSet<String> = log
        .lines()
        .map(|line| {
            bare(line)["target"].as_str().expect("a target").split(':').next().expect("a part").to_owned()
        })
        .collect();
    let ours = ["engine", "heddle", "models", "sandbox", "server", "store", "tools"];
    assert!(
        targets.contains("server") && targets.iter().all(|target| ours.contains(&target.as_str())),
        "{targets:?}"
    );
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_anybody() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = start(serving(data.path(), &["--log-format=json"]).stderr(Stdio::piped()));
    // A request whose body does not come holds a server up that ends politely.
    let head = "POST /v1/agents HTTP/1.1\r\nHost: h\r\nx-api-key: k\r\nContent-Length: 9\r\n";
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let mut slow = send(
        &server.url,
        &format!("{}Expect: 100-continue\r\n\r\n", head.replace(": k", &format!(": {key}"))),
    );
    let mut line = String::new();
    slow.read_line(&mut line).expect("it is asked for its body");
    assert_eq!(line.trim(), "HTTP/1.1 100 Continue");
    server.signal("INT");
    while !server.logged().contains("stopping") {}
    // What comes at the same instant as the first is no second one.
    while server.child.try_wait().expect("ours").is_none() {
        server.signal("INT");
    }
    let (log, code) = server.ended();
    assert!(log.contains("heddle: ended at once, at the second signal"), "{log}");
    assert_eq!(code, Some(1));
    // The lock is gone with it, and the next start finds all as it should be.
    let mut server = start(serving(data.path(), &[]).stderr(Stdio::piped()));
    server.signal("INT");
    assert_eq!(server.ended().1, Some(0));
    drop(slow.get_mut().flush());
}

#[test]
fn signals_that_come_at_once_are_one() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = start(serving(data.path(), &["--log-format=json"]).stderr(Stdio::piped()));
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    // A request whose body does not come holds a server up that ends politely.
    let head = format!("POST /v1/agents HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\nContent-Length: 9\r\n");
    let mut slow = send(&server.url, &format!("{head}Expect: 100-continue\r\n\r\n"));
    let mut line = String::new();
    slow.read_line(&mut line).expect("it is asked for its body");
    // As `timeout` does: the process and then its group.
    let twice = format!("kill -s TERM {0}; kill -s INT {0}", server.child.id());
    assert!(std::process::Command::new("sh").args(["-c", &twice]).status().expect("it runs").success());
    while !server.logged().contains("stopping") {}
    slow.get_mut().write_all(b"{\"no\": 1}").expect("it reads");
    drop(slow);
    let (log, code) = server.ended();
    assert_eq!(code, Some(0), "{log}");
}
