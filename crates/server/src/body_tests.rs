//! What bodies may be like: their bytes, their time, their JSON, their unknown fields.

use std::convert::Infallible;

use axum::{body::Body, http::HeaderMap};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestAnswer, TestServer, id, message, tool};

fn refused(body: impl AsRef<[u8]>) -> String {
    json(body.as_ref()).expect_err("a mistake").message
}

#[test]
fn an_empty_body_is_an_empty_object_and_a_byte_order_mark_is_nothing() {
    for body in ["", " \r\n\t", "\u{feff}", "\u{feff} ", "{}", "\u{feff}{}"] {
        assert_eq!(json(body.as_bytes()), Ok(json!({})), "{body:?}");
    }
}

#[test]
fn what_is_no_json_says_what_is_wrong() {
    for (body, message) in [
        (&b"{"[..], "the body is not valid JSON: EOF while parsing an object at line 1 column 1"),
        (b"{} {}", "the body is not valid JSON: trailing characters"),
        (b"{'a': 1}", "the body is not valid JSON: key must be a string"),
        (b"{\"a\": NaN}", "the body is not valid JSON: expected"),
        (b"{\"a\": 1e999}", "the body is not valid JSON: number out of range"),
        (b"{\"a\": 01}", "the body is not valid JSON: invalid number"),
        (b"{\"a\": \"\\ud800\"}", "the body is not valid JSON: "),
        (b"{\"a\": \"\\ud800x\\udc00\"}", "the body is not valid JSON: "),
        (b"{\"a\": \"\n\"}", "the body is not valid JSON: control character"),
        (b"{\"a\": \"\xff\"}", "the body is not UTF-8 from byte 7 on"),
        (b"\xff\xfe{\x00}\x00", "the body is not UTF-8 from byte 0 on"),
    ] {
        assert!(refused(body).starts_with(message), "{}", refused(body));
    }
}

#[tokio::test]
async fn a_form_is_told_that_json_is_wanted() {
    let house = TestServer::open().await;
    let parts = "--x\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nn\r\n--x--\r\n";
    let form = "it was sent as a form: send JSON, with `content-type: application/json`";
    for (kind, body, is_form) in [
        ("application/x-www-form-urlencoded", "name=x&model=test-1", true),
        ("multipart/form-data; boundary=x", parts, true),
        ("Application/X-WWW-Form-URLencoded ; charset=utf-8", "{", true),
        ("application/json", "name=x", false),
        ("text/plain", "name=x", false),
    ] {
        let told = house.post_raw("/v1/agents", body, &[("content-type", kind)]).await;
        let message = told.json()["error"]["message"].as_str().expect("text").to_owned();
        assert_eq!(message.ends_with(form), is_form, "{kind}: {message}");
        told.refused(400, "invalid_request_error", "the body is not valid JSON: ");
    }
    // What curl says of every body is no mistake.
    let body = r#"{"name": "n", "model": "test-1"}"#;
    let told = house.post_raw("/v1/agents", body, &[("content-type", "application/x-www-form-urlencoded")]);
    told.await.ok();
}

#[test]
fn nesting_is_bounded_and_brackets_in_strings_are_none() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(nested(limits::BODY_DEPTH).as_bytes()).is_ok());
    let message = "objects and arrays of the body lie in each other more than 64 deep";
    for body in [nested(limits::BODY_DEPTH + 1), nested(10_000), "{\"a\":".repeat(1_000_000)] {
        assert_eq!(refused(body), message);
    }
    let flat = format!("[{}]", vec!["{\"a\": []}"; 1_000].join(","));
    let quoted = format!("[\"{}\", \"\\\"{}\\\\\"]", "[".repeat(999), "{".repeat(999));
    assert!(json(flat.as_bytes()).is_ok() && json(quoted.as_bytes()).is_ok());
}

#[test]
fn the_values_of_a_body_are_bounded_and_what_is_in_strings_is_none() {
    let zeros = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(json(zeros(limits::BODY_VALUES - 1).as_bytes()).is_ok());
    let message = "the body holds more than 250000 values; send what it says in several requests";
    let objects = format!("[{}]", vec!["{\"a\":0}"; limits::BODY_VALUES].join(","));
    for body in [zeros(limits::BODY_VALUES), objects, format!("[{}", ",".repeat(limits::BODY_VALUES))] {
        assert_eq!(refused(body), message);
    }
    let quoted = format!("[\"{}\"]", "[{,\\\"".repeat(limits::BODY_VALUES));
    assert!(json(quoted.as_bytes()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_turn_is_refused_and_read_to_its_end() {
    let bodies = BodiesUnderWay::default();
    let key = CallerKey([1; 32]);
    let _turns = [bodies.turn(key, limits::BODY_BYTES).await, bodies.turn(key, limits::BODY_BYTES).await];
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&read);
    let body = stream::iter((0..32).map(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; 8 * 1024]))
    }));
    let told = whole(&bodies, key, &HeaderMap::new(), Body::from_stream(body)).await.expect_err("no turn");
    assert_eq!((told.status.as_u16(), told.wait_s), (429, Some(limits::BODY_WAIT_S)));
    assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), 32);
}

#[test]
fn texts_come_as_they_were_sent_and_of_two_keys_the_last_holds() {
    let sent = r#"{"a": 1, "b": "\u0000e\u0301\ud801\udc37\u00e9", "a": 2}"#;
    assert_eq!(json(sent.as_bytes()), Ok(json!({"a": 2, "b": "\0e\u{301}\u{10437}\u{e9}"})));
}

#[tokio::test]
async fn nothing_of_a_body_is_read_before_its_key_is_known() {
    let house = TestServer::open().await;
    for (name, key) in [("x-none", ""), ("x-api-key", "unknown")] {
        let read = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
            panic!("a byte of it is read")
        });
        let request = axum::extract::Request::post("/v1/agents").header(name, key);
        let (status, ..) = house.raw(request.body(Body::from_stream(read)).expect("a request")).await;
        assert_eq!(status, 401, "{name}");
    }
}

fn chunks(pause: Duration, count: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(0..count).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok(Bytes::from_static(b" "))
    })
}

async fn read(
    body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Result<usize, ApiProblem> {
    let whole =
        whole(&BodiesUnderWay::default(), CallerKey([1; 32]), &HeaderMap::new(), Body::from_stream(body))
            .await;
    whole.map(|whole| whole.bytes.len())
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_waited_for_and_a_silent_one_is_not() {
    assert_eq!(read(chunks(SILENCE * 9 / 10, 2)).await, Ok(2));
    let began = Instant::now();
    let told = read(chunks(SILENCE + Duration::from_secs(1), 3)).await.expect_err("too silent");
    assert_eq!((told.status.as_u16(), told.code), (400, Some("request_body_timeout")));
    assert_eq!(began.elapsed(), SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_ends_after_ten_minutes_and_a_small_one_after_one() {
    let began = Instant::now();
    let told = read(chunks(Duration::from_secs(1), 1_200)).await.expect_err("it never ends");
    assert_eq!((told.code, began.elapsed()), (Some("request_body_timeout"), WHOLE_SMALL));
    let large = Bytes::from(vec![b' '; limits::BODY_LARGE_BYTES + 1]);
    let began = Instant::now();
    let slow = stream::iter([Ok(large)]).chain(chunks(Duration::from_secs(1), 1_200));
    let told = read(slow).await.expect_err("it never ends");
    assert_eq!((told.code, began.elapsed()), (Some("request_body_timeout"), WHOLE));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_told_at_the_door() {
    let house = TestServer::open().await;
    let half = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{\"name\""))]).chain(stream::pending());
    let told = house.post_raw("/v1/agents", Body::from_stream(half), &[]).await;
    assert_eq!(told.code().as_deref(), Some("request_body_timeout"));
    told.refused(400, "invalid_request_error", "the body did not come in time");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_by_its_length_and_by_its_chunks() {
    let house = TestServer::open().await;
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let chunked = |count: usize| {
        let chunk = chunk.clone();
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
    };
    for (body, length) in [(chunked(33), None), (chunked(70), None), (chunked(1), Some("99999999999"))] {
        let headers: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        let told = house.post_raw("/v1/agents", body, &headers).await;
        told.refused(413, "request_too_large", "the body is larger than 32 MiB");
    }
    house.post_raw("/v1/agents", chunked(32), &[]).await.refused(400, "invalid_request_error", "name: ");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_to_come_again() {
    let house = TestServer::open().await;
    let broken = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
    let told = house.post_raw("/v1/agents", Body::from_stream(stream::iter(broken)), &[]).await;
    told.refused(400, "invalid_request_error", "the body ended before it was whole");
}

#[tokio::test]
async fn an_encoded_body_and_another_charset_are_refused_and_any_content_type_is_taken() {
    let house = TestServer::open().await;
    let body = || json!({"name": "n", "model": "test-1"}).to_string();
    for (header, value, code) in [
        ("content-encoding", "gzip", "request_body_encoding_unsupported"),
        ("content-encoding", "identity, ZSTD", "request_body_encoding_unsupported"),
        ("content-type", "application/json; charset=latin1", "unsupported_charset"),
        ("content-type", "text/plain;charset=\"UTF-16\"", "unsupported_charset"),
    ] {
        let told = house.post_raw("/v1/agents", body(), &[(header, value)]).await;
        assert_eq!(told.code().as_deref(), Some(code), "{value}");
        told.refused(400, "invalid_request_error", header);
    }
    for (header, value) in [
        ("content-encoding", ""),
        ("content-encoding", "Identity"),
        ("content-type", "application/json; charset=UTF-8"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf8"),
        ("content-type", "text/plain"),
        ("content-type", "; x"),
    ] {
        house.post_raw("/v1/agents", body(), &[(header, value)]).await.ok();
    }
    house
        .send(axum::http::Method::GET, "/v1/agents", &[("content-encoding", "gzip")], Body::empty())
        .await
        .ok();
}

#[tokio::test]
async fn what_the_door_takes_the_rooms_behind_it_can_read_back() {
    let house = TestServer::deep().await;
    let mut schema = json!({"type": "object"});
    let deepest = limits::BODY_DEPTH - 4;
    let nest = (0..deepest - 1).fold(json!([]), |inner, _| json!([inner]));
    schema["x"] = nest;
    let tools = json!([{"type": "custom", "name": "t", "description": "d", "input_schema": schema}]);
    let helper = json!({"name": "h", "model": "test-1", "tools": tools});
    let helper = house.post("/v1/agents", &helper).await.ok();
    let over = |name: &str, member: &Value| {
        let roster = json!({"type": "coordinator", "agents": [member["id"]]});
        json!({"name": name, "model": "test-1", "tools": tools, "multiagent": roster})
    };
    let middle = house.post("/v1/agents", &over("m", &helper)).await.ok();
    let top = house.post("/v1/agents", &over("t", &middle)).await.ok();
    let events = [message("hi")];
    let environment = house.environment().await;
    let body = json!({"agent": top["id"], "environment_id": environment["id"], "initial_events": events});
    let made = house.post("/v1/sessions", &body).await.ok();
    let path = format!("/v1/sessions/{}", id(&made));
    house.settled(&path).await;
    assert_eq!(house.get(&path).await.ok()["agent"], made["agent"]);
    let mut fewer = tools.clone();
    fewer[0]["input_schema"]["x"] = tools[0]["input_schema"]["x"][0].clone();
    house.post(&path, &json!({"agent": {"tools": fewer}})).await.ok();
    let updated = house.get(&format!("{path}/events?types[]=session.updated")).await.ok();
    assert_eq!(updated["data"][0]["agent"]["tools"], fewer);
    house.post(&format!("{path}/events"), &json!({"events": [message("again")]})).await.ok();
    house.settled(&path).await;
    let mut deeper = tools;
    deeper[0]["input_schema"]["x"] = json!([deeper[0]["input_schema"]["x"]]);
    let told = house.post("/v1/agents", &json!({"name": "n", "model": "test-1", "tools": deeper})).await;
    told.refused(400, "invalid_request_error", "objects and arrays of the body");
}

/// Every object of `body`, by its path; those that may hold any key are left out.
fn objects(body: &Value, path: &str, found: &mut Vec<String>) {
    let free = path.ends_with("metadata") || path.ends_with("input_schema");
    match body {
        Value::Object(_) if free => {}
        Value::Object(object) => {
            found.push(path.to_owned());
            for (key, value) in object {
                objects(value, &parse::join(path, key), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &parse::join(path, &index.to_string()), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn knows_every_field(house: &TestServer, path: &str, body: &Value) {
    let mut found = Vec::new();
    objects(body, "", &mut found);
    for at in found {
        let mut wrong = body.clone();
        let pointer = if at.is_empty() { String::new() } else { format!("/{}", at.replace('.', "/")) };
        wrong.pointer_mut(&pointer).expect("an object")["kind"] = json!(1);
        let told = house.post(path, &wrong).await;
        told.refused(400, "invalid_request_error", &format!("{}: unknown field", parse::join(&at, "kind")));
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_its_path_however_deep_it_lies() {
    let house = TestServer::open().await;
    let only = json!({"type": "only", "tools": [{"type": "tool_reference", "name": "a"}]});
    let ask = json!({"type": "always_ask"});
    let tools = json!([tool("a"), tool("b"), {
        "type": "agent_toolset_20260401", "default_config": {"permission_policy": ask}, "configs": [
            {"name": "bash", "permission_policy": ask},
            {"name": "web_fetch", "url_sources": {
                "client_tool_results": only, "user_input": {"type": "all"},
            }},
            {"name": "web_search", "user_location": {"type": "approximate"}},
        ],
    }]);
    let helper = house.agent().await;
    let roster = json!({"type": "coordinator", "agents": [
        {"type": "agent", "id": helper["id"], "version": 1}, {"type": "self"},
    ]});
    let agent = json!({
        "name": "n", "model": {"id": "test-1"}, "tools": tools, "multiagent": roster, "metadata": {"a": "b"},
        "execution_identity": {"type": "service_account"},
    });
    knows_every_field(&house, "/v1/agents", &agent).await;
    let made = house.post("/v1/agents", &agent).await.ok();
    knows_every_field(&house, &format!("/v1/agents/{}", id(&made)), &agent).await;

    let config =
        json!({"type": "cloud", "networking": {"type": "limited"}, "packages": {"type": "packages"}});
    let environment = json!({"name": "n", "config": config, "metadata": {"a": "b"}});
    knows_every_field(&house, "/v1/environments", &environment).await;
    let place = house.post("/v1/environments", &environment).await.ok();
    knows_every_field(&house, &format!("/v1/environments/{}", id(&place)), &environment).await;

    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjcKJSVFT0YK"});
    let said = json!({"type": "user.message", "content": [
        {"type": "text", "text": "hi"}, {"type": "document", "source": pdf},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
    ]});
    let model = json!({"id": "test-2"});
    let over = json!({"type": "agent_with_overrides", "id": helper["id"], "model": model, "tools": tools});
    let session =
        json!({"agent": over, "environment_id": house.environment().await["id"], "initial_events": [said]});
    knows_every_field(&house, "/v1/sessions", &session).await;
    let path = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    knows_every_field(&house, &path, &json!({"title": "t", "agent": {"tools": tools}})).await;
    let found = json!({
        "type": "search_result", "citations": {"enabled": true}, "source": "s", "title": "t",
        "content": [{"type": "text", "text": "x"}],
    });
    let call = "sevt_1111111111111111111112";
    let events = json!({"events": [
        said, {"type": "user.interrupt"},
        {"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"},
        {"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": [found]},
    ]});
    knows_every_field(&house, &format!("{path}/events"), &events).await;
}

#[tokio::test]
async fn older_clients_may_say_which_thread_an_answer_is_for() {
    let house = TestServer::open().await;
    let path = format!("/v1/sessions/{}", id(&house.session(&[message("call")]).await));
    house.settled(&path).await;
    let calls = house.get(&format!("{path}/events?types[]=agent.custom_tool_use")).await.ok();
    let result = json!({
        "type": "user.custom_tool_result", "custom_tool_use_id": calls["data"][0]["id"],
        "session_thread_id": "anything",
    });
    house.post(&format!("{path}/events"), &json!({"events": [result]})).await.ok();
}

async fn named(house: &TestServer, name: &str) -> TestAnswer {
    house.post("/v1/agents", &json!({"name": name, "model": "test-1"})).await
}

#[tokio::test]
async fn names_are_counted_in_characters_and_echoed_as_they_were_sent() {
    let house = TestServer::open().await;
    let long = "𐐷".repeat(256);
    for name in
        [" ", "\t\n", "a\0b", "\u{1b}[31m", "e\u{301}", "é", "\u{feff}x", "\u{202e}evil", long.as_str()]
    {
        let made = named(&house, name).await.ok();
        assert_eq!(made["name"], json!(name));
        assert_eq!(house.get(&format!("/v1/agents/{}", id(&made))).await.ok()["name"], json!(name));
        let place = house
            .post("/v1/environments", &json!({"name": name, "metadata": {name_key(name): name}}))
            .await
            .ok();
        assert_eq!(place["name"], json!(name));
        let agent = json!({"agent": made["id"], "environment_id": place["id"], "title": name});
        assert_eq!(house.post("/v1/sessions", &agent).await.ok()["title"], json!(name));
    }
    let told = named(&house, &"𐐷".repeat(257)).await;
    told.refused(400, "invalid_request_error", "name: must have at most 256 characters, has 257");
    named(&house, "").await.refused(
        400,
        "invalid_request_error",
        "name: must have at least 1 character, has 0",
    );
}

fn name_key(name: &str) -> String {
    name.chars().take(limits::METADATA_KEY_CHARS).collect()
}

#[tokio::test]
async fn a_wrong_kind_of_value_is_named_with_what_it_is() {
    let house = TestServer::open().await;
    let path = format!("/v1/agents/{}", id(&house.agent().await));
    for (body, message) in [
        (json!([]), "expected an object, got an array"),
        (json!("x"), "expected an object, got a string"),
        (json!({"version": "1"}), "version: expected a whole number, got a string"),
        (json!({"version": 0}), "version: must be a whole number, at least 1, is 0"),
        (json!({"version": -1}), "version: must be a whole number, at least 1, is -1"),
        (json!({"version": 1.5}), "version: must be a whole number, at least 1, is 1.5"),
        (json!({"version": 1e30}), "version: must be a whole number, at least 1, is 1e+30"),
        (json!({"name": 7}), "name: expected a string, got a number"),
        (json!({"tools": {}}), "tools: expected an array, got an object"),
        (json!({"metadata": []}), "metadata: expected an object, got an array"),
        (json!({"metadata": {"k": true}}), "metadata.k: expected a string, got a boolean"),
    ] {
        let told = house.post(&path, &body).await;
        told.refused(400, "invalid_request_error", message);
    }
    let long = "x".repeat(5_000_000);
    let told = house.post(&path, &json!({long.as_str(): 1})).await;
    assert!(told.text().len() < 1_000, "{} bytes", told.text().len());
}
