//! What comes out of the verbs at a terminal: nothing that steers it, and nothing at all once nobody reads.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use crate::house::{Server, Terminal, ask, heddle, id, post, serve, serving, text};

/// Clears the screen, fills the clipboard, rings, recolours by one byte, turns what follows, and hides.
const STEERS: &str = "\u{1b}[2J\u{1b}]52;c;cm0=\u{7} \u{9b}31m \u{202e}txt.exe \u{2066}a\u{200b}b";
const SHOWN: &str = r"\u001b[2J\u001b]52;c;cm0=\u0007 \u009b31m \u202etxt.exe \u2066a\u200bb";

/// A server with a session of one message, and the words that lead a verb to it.
fn session(server: &Server, key: &str, name: &str, said: &str) -> String {
    let call = |path: &str, body: serde_json::Value| post(&server.url, key, path, &body.to_string());
    let agent = id(&call("/v1/agents", json!({"name": name, "model": "heddle-demo"})), "agent");
    let environment = id(&call("/v1/environments", json!({"name": "e"})), "env");
    let message = json!({"type": "user.message", "content": [{"type": "text", "text": said}]});
    let body = json!({"agent": agent, "environment_id": environment, "initial_events": [message]});
    id(&call("/v1/sessions", body), "sesn")
}

#[test]
fn what_agents_and_people_said_cannot_steer_the_terminal() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let session = session(&server, &key, "name\u{202e}d", STEERS);
    let place = ["--url", &server.url, "--key", &key];
    let run = |arguments: &[&str]| {
        let output = heddle(&[arguments, &place[..]].concat()).output().expect("it runs");
        let (out, wrong) = text(&output);
        for char in out.chars().chain(wrong.chars()) {
            assert!(
                char == '\n' || !(char.is_control() || "\u{202e}\u{2066}\u{200b}".contains(char)),
                "{out:?}{wrong:?}"
            );
        }
        (out, wrong)
    };
    let mut tail = heddle(&[&["tail", &session], &place[..]].concat());
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut said = String::new();
    while !said.contains("end_turn") {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended too early: {said}");
    }
    tail.kill().and_then(|()| tail.wait()).expect("it ends");
    // Without the time, and without the sum of the thread's work.
    let lines = |out: &str| out.lines().take(3).map(|line| line[11..].to_owned()).collect::<Vec<_>>();
    let told = lines(&said);
    assert_eq!(told[0], format!(r"name\u202ed       you          {SHOWN}"));
    assert!(told[1].starts_with(r"name\u202ed       says         "), "{told:?}");
    assert_eq!(told[2], r"name\u202ed       rests        end_turn");
    for verb in [&["tail", "--once", &session][..], &["show", &session]] {
        assert_eq!(lines(&run(verb).0), told, "{verb:?}");
    }
    let prompt: serde_json::Value =
        serde_json::from_str(&run(&["show", &session, "--prompt"]).0).expect("JSON");
    assert!(prompt.to_string().contains(&json!(STEERS).to_string()), "the same value: {prompt}");
    let (_, wrong) = run(&["show", "sesn_\u{1b}[2J\u{9b}31m"]);
    let said = format!("heddle: the server at {} answered 404: ", server.url);
    assert!(wrong.starts_with(&said), "{wrong}");
}

/// A `tail` that has shown the end of a session's turn, and what it shows from then on.
fn followed_to_rest(server: &Server, key: &str, session: &str) -> (Child, BufReader<ChildStdout>) {
    let mut tail = heddle(&["tail", session, "--url", &server.url, "--key", key]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut said = String::new();
    while !said.contains("end_turn") {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended too early: {said}");
    }
    (tail, out)
}

#[test]
fn nobody_reading_is_a_reason_to_end_and_no_mistake() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let session = session(&server, &key, "a", "hello");
    let place = ["--url", &server.url, "--key", &key];
    let (mut tail, out) = followed_to_rest(&server, &key, &session);
    // As `head` does when it has seen enough.
    drop(out);
    let message = r#"{"events":[{"type":"user.message","content":[{"type":"text","text":"more"}]}]}"#;
    post(&server.url, &key, &format!("/v1/sessions/{session}/events"), message);
    let mut wrong = String::new();
    tail.stderr.take().expect("an output").read_to_string(&mut wrong).expect("text");
    assert_eq!((tail.wait().expect("it ends").code(), wrong.as_str()), (Some(0), ""));

    let doctor = [
        "doctor",
        "--sandbox=off",
        "--listen=127.0.0.1:0",
        "--data",
        data.path().to_str().expect("a plain path"),
    ];
    for verb in [&["show", &session][..], &["show", &session, "--prompt"], &["demo"], &["config"], &doctor] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let more = if verb[0] == "show" { &place[..] } else { &[] };
        let output = heddle(&[verb, more].concat()).stdout(writer).output().expect("it runs");
        assert_eq!((output.status.code(), text(&output).1.as_str()), (Some(0), ""), "{verb:?}");
    }
}

#[test]
fn a_session_at_rest_is_followed_no_longer_than_somebody_reads() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let session = session(&server, &key, "a", "hello");
    let (tail, out) = followed_to_rest(&server, &key, &session);
    drop(out);
    // Nothing happens any more.
    let output = tail.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output).1.as_str()), (Some(0), ""));
}

/// What a verb shows on a terminal of so many columns.
fn on_a_terminal(columns: u16, arguments: &[&str]) -> String {
    let terminal = Terminal::open(columns);
    let mut child = heddle(arguments).stdout(terminal.line()).spawn().expect("it runs");
    let shown = terminal.rest();
    assert!(child.wait().expect("it ends").success(), "{shown}");
    shown
}

#[test]
fn what_is_told_fits_the_terminal_and_a_pipe_has_one_line_for_each_event() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let said = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
    let session = session(&server, &key, "an agent whose name is long", said);
    let place = ["--url", &server.url, "--key", &key];
    let mut tail = heddle(&[&["tail", &session], &place[..]].concat());
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut out = BufReader::new(tail.stdout.take().expect("an output"));
    let mut piped = String::new();
    while !piped.contains("end_turn") {
        assert_ne!(out.read_line(&mut piped).expect("text"), 0, "it ended too early: {piped}");
    }
    tail.kill().and_then(|()| tail.wait()).expect("it ends");
    assert_eq!(piped.lines().count(), 3, "{piped}");
    assert!(piped.lines().next().is_some_and(|line| line.ends_with(said)), "{piped}");
    for verb in [&["show", &session][..], &["tail", "--once", &session]] {
        for columns in [200, 80, 60, 40] {
            let shown = on_a_terminal(columns, &[verb, &place[..]].concat());
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= usize::from(columns), "{widest} columns of {columns}: {shown}");
            let words: Vec<&str> = shown.split_whitespace().collect();
            assert!(words.join(" ").contains(said), "nothing of it is missing: {shown}");
        }
        let mut piped = heddle(&[verb, &place[..]].concat());
        let piped = text(&piped.env("COLUMNS", "80").output().expect("it runs")).0;
        assert!(piped.lines().all(|line| line.chars().count() <= 80), "{piped}");
    }
}

#[test]
fn the_log_is_coloured_on_a_terminal_that_knows_colours_unless_somebody_says_no() {
    let log = |name: &str, value: &str| {
        let data = tempfile::tempdir().expect("a directory");
        let mut terminal = Terminal::open(80);
        let mut serve = serving(data.path(), &["--sandbox=off"]);
        serve.env(name, value).stdout(Stdio::null()).stderr(terminal.line());
        let mut child = serve.spawn().expect("it runs");
        let shown = terminal.until("the sandbox is OFF");
        child.kill().and_then(|()| child.wait()).expect("it ends");
        shown
    };
    for (name, value, coloured) in
        [("NO_COLOR", "", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false), ("TERM", "xterm", true)]
    {
        assert_eq!(log(name, value).contains('\u{1b}'), coloured, "{name}={value}");
    }
}

#[test]
fn a_first_start_on_a_terminal_shows_its_key_and_says_each_thing_once() {
    let data = tempfile::tempdir().expect("a directory");
    let mut terminal = Terminal::open(80);
    let mut serve = serving(data.path(), &["--sandbox=off"]);
    let mut child = serve.stdout(terminal.line()).stderr(terminal.line()).spawn().expect("it runs");
    let shown = terminal.until("listening on ");
    let url = shown.trim().rsplit(' ').next().expect("an address").to_owned();
    assert!(shown.contains("  key       the first API key is below; it is shown once\n"), "{shown}");
    assert_eq!(shown.matches("the sandbox is OFF").count(), 1, "{shown}");
    let key = shown.lines().map(str::trim).find(|line| line.starts_with("hdl_")).expect("a key").to_owned();
    for line in [
        format!("anthropic.Anthropic(base_url=\"{url}\", api_key=\"{key}\")"),
        format!("heddle      HEDDLE_API_KEY={key} heddle tail SESSION --url {url}"),
    ] {
        assert!(shown.contains(&line), "no {line} in {shown}");
    }
    assert!(!data.path().join("first-key").exists(), "it is kept nowhere");
    // The line that it shows for the other verbs is true.
    let mut stop = heddle(&["stop", "--all", "--url", &url]);
    let output = stop.env("HEDDLE_API_KEY", &key).output().expect("it runs");
    child.kill().and_then(|()| child.wait()).expect("it ends");
    assert_eq!(text(&output), ("nothing is running\n".to_owned(), String::new()));
}

#[test]
fn a_session_that_is_deleted_while_it_is_followed_is_no_mistake() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let session = session(&server, &key, "a", "hello");
    let (mut tail, mut out) = followed_to_rest(&server, &key, &session);
    ask(&server.url, "DELETE", &format!("/v1/sessions/{session}"), &[&format!("x-api-key: {key}")], "");
    let mut said = String::new();
    out.read_to_string(&mut said).expect("text");
    let mut wrong = String::new();
    tail.stderr.take().expect("an output").read_to_string(&mut wrong).expect("text");
    assert_eq!((tail.wait().expect("it ends").code(), wrong.as_str()), (Some(0), ""), "{said}");
    let end = "deleted\n           -- the session is deleted, and with it what there was to sum up\n";
    assert!(said.ends_with(end), "{said}");
}
