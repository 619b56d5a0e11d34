//! What newcomers get wrong, each tried at the public doors: the answer says what to change.

use axum::{body::Body, extract::Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    keys,
    testing::{KEY, TestServer},
};

/// One slip: what is asked, with which key, and what the answer is to say.
struct Slip {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    key: Option<&'static str>,
    body: Value,
    status: u16,
    says: &'static [&'static str],
}

const fn slip(
    what: &'static str,
    (method, path): (&'static str, &'static str),
    status: u16,
    says: &'static [&'static str],
) -> Slip {
    Slip { what, method, path, key: Some(KEY), body: Value::Null, status, says }
}

const OFF: &[&str] = &["take it off the end of the base URL", "ask for /v1/agents"];
const NO_MODELS: &[&str] = &["does not pass requests on to models", "create an agent and a session"];
const QODER: &[&str] = &["not supported yet", "take `/api/v1/cloud` off the base URL"];
const NOT_OURS: &[&str] = &["ids of another server are unknown"];
const OWN_KEYS: &[&str] = &["a key of a model's provider", "`heddle keys create NAME`"];

fn slips() -> Vec<Slip> {
    let provider = Some("sk-ant-api03-secret");
    let opening = |agent: &str, environment: &str| json!({"agent": agent, "environment_id": environment});
    let (ours, nowhere) = ("agent_1111111111111111111112", "env_1111111111111111111112");
    let theirs = "agent_011CZkYpogX7uDKUyvBTophP";
    let sessions = ("POST", "/v1/sessions");
    vec![
        slip("a base URL that ends in /v1", ("GET", "/v1/v1/agents"), 404, OFF),
        slip("a browser", ("GET", "/"), 200, &["How to begin", "base URL"]),
        slip("a client of the Messages API", ("POST", "/v1/messages"), 404, NO_MODELS),
        slip("its counting of tokens", ("POST", "/v1/messages/count_tokens"), 404, NO_MODELS),
        slip("a chat client", ("POST", "/v1/chat/completions"), 404, NO_MODELS),
        Slip { key: provider, ..slip("the provider's key", ("GET", "/v1/agents"), 401, OWN_KEYS) },
        Slip {
            key: Some("hdl_old"),
            ..slip("a key that was cut", ("GET", "/v1/agents"), 401, &["is not whole", "`heddle keys create"])
        },
        Slip { key: None, ..slip("no key", ("GET", "/v1/agents"), 401, &["send it as `x-api-key: KEY`"]) },
        Slip {
            body: json!({"name": "n", "model": "gpt-5"}),
            ..slip(
                "a model that nothing answers for",
                ("POST", "/v1/agents"),
                400,
                &["`gpt-5`", "heddle.toml"],
            )
        },
        Slip {
            body: opening(theirs, nowhere),
            ..slip("an agent of another server", sessions, 404, NOT_OURS)
        },
        Slip {
            body: opening(ours, "env_011CZkZ9X2dpNyB7HsEFoRfW"),
            ..slip("an environment of another server", sessions, 404, NOT_OURS)
        },
        slip(
            "a session of another",
            ("GET", "/v1/sessions/session_01CZkYpogX7uDKUyvBTophPAB"),
            404,
            NOT_OURS,
        ),
        slip("no ?beta", ("GET", "/v1/agents"), 200, &["\"data\":[]"]),
        slip("a wrong method", ("PATCH", "/v1/agents/x"), 405, &["does not take PATCH; it takes GET, POST"]),
    ]
}

/// Slips of the path alone.
fn paths() -> Vec<Slip> {
    vec![
        slip("the other API", ("POST", "/api/v1/cloud/agents"), 404, QODER),
        slip("a slash too much", ("GET", "/v1/agents/"), 404, &["none at its end; ask for /v1/agents"]),
        slip("two slashes", ("GET", "//v1//agents"), 404, &["ask for /v1/agents"]),
        slip("no /v1", ("GET", "/agents"), 404, &["paths begin with /v1; ask for /v1/agents"]),
        slip(
            "a path before it",
            ("GET", "/heddle-api/v1/agents"),
            404,
            &["take `/heddle-api` off the base URL"],
        ),
        slip("a misspelled page", ("GET", "/v1/agents?after=x"), 400, &["after: unknown", "`page`"]),
        slip(
            "the end of a base URL",
            ("GET", "/v1/agents/v1/agents"),
            404,
            &["take `/v1/agents` off the base"],
        ),
        slip("a singular", ("POST", "/v1/agent"), 404, &["did you mean /v1/agents?"]),
        slip("another", ("GET", "/v1/environment/env_1"), 404, &["did you mean /v1/environments/env_1?"]),
        slip("a third", ("GET", "/v1/session/x/event"), 404, &["did you mean /v1/sessions/x/events?"]),
        slip(
            "a slip of a key",
            ("GET", "/v1/agnets/x/versoins"),
            404,
            &["did you mean /v1/agents/x/versions?"],
        ),
        slip(
            "the stream",
            ("GET", "/v1/sessions/x/stream"),
            404,
            &["did you mean /v1/sessions/x/events/stream?"],
        ),
        slip("messages", ("POST", "/v1/sessions/x/messages"), 404, &["did you mean /v1/sessions/x/events?"]),
        slip(
            "messages of a thread",
            ("GET", "/v1/session/x/threads/y/messages"),
            404,
            &["did you mean /v1/sessions/x/threads/y/events?"],
        ),
        slip(
            "the whole server",
            ("OPTIONS", "*"),
            404,
            &["`*` is the whole server", "GET /openapi.json lists"],
        ),
        slip("what never was there", ("GET", "/v1/things"), 404, &["GET /openapi.json lists what there is"]),
        slip(
            "nor below an agent",
            ("GET", "/v1/agents/x/stream"),
            404,
            &["GET /openapi.json lists what there is"],
        ),
    ]
}

#[tokio::test]
async fn each_slip_is_answered_with_what_to_change() {
    let house = TestServer::open().await;
    for Slip { what, method, path, key, body, status, says } in slips().into_iter().chain(paths()) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let (told, _, answer) = house.raw(request.body(body).expect("a request")).await;
        let answer = String::from_utf8(answer.to_vec()).expect("UTF-8");
        assert_eq!(told, status, "{what}: {answer}");
        let text = match serde_json::from_str::<Value>(&answer) {
            Ok(error) if error["type"] == "error" => {
                error["error"]["message"].as_str().expect("text").to_owned()
            }
            Ok(_) | Err(_) => answer,
        };
        for says in says {
            assert!(text.contains(says), "{what}: {text}");
        }
        assert!(!text.contains("secret") && !text.contains("starts with `"), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_key_sent_wrong_is_told_how_and_is_not_repeated() {
    let house = TestServer::open().await;
    let (_, secret) = keys::make("k", protocol::Timestamp::from_micros(1), [7; 48]);
    let whole = secret.expose();
    let (cut, mistyped) = (&whole[..whole.len() - 9], whole.replacen("hdl_", "hdl_0", 1));
    let twice = format!("Bearer {whole}");
    let quoted = [format!("\"{whole}\""), format!("'{whole}"), format!("{whole}`")];
    let (own, bearer) = ("x-api-key", "authorization");
    let id = "apikey_1111111111111111111112";
    let mut sent: Vec<(&str, String, &str)> = vec![
        (own, whole.into(), "is unknown or revoked"),
        (own, "sesame".into(), "is unknown or revoked"),
        (own, cut.into(), "is not whole"),
        (bearer, format!("Bearer {cut}"), "is not whole"),
        (own, mistyped, "is not whole"),
        (own, "hdl_...".into(), "is not whole"),
        (own, format!("hdl_{}", "z".repeat(10_000)), "is not whole"),
        (own, twice.clone(), "sent with `Bearer` in front"),
        (bearer, format!("Bearer {twice}"), "sent with `Bearer` in front"),
        (own, "$HEDDLE_KEY".into(), "name of a variable"),
        (bearer, "Bearer ${KEY}".into(), "name of a variable"),
        (own, id.into(), "is the id of one"),
        (own, "hdl_…".into(), "not ASCII"),
        (bearer, "Bearer hdl_…".into(), "not ASCII"),
        (bearer, whole.into(), "does not begin with `Bearer`"),
        (bearer, "Basic aGk6aGk=".into(), "does not begin with `Bearer`"),
        (bearer, "Bearer".into(), "no API key: send it as"),
    ];
    sent.extend(quoted.map(|quoted| (own, quoted, "sent in quotes")));
    for (name, value, says) in sent {
        let asked = Request::get("/v1/agents").header(name, value.as_bytes()).body(Body::empty());
        let (status, _, answer) = house.raw(asked.expect("a request")).await;
        let told: Value = serde_json::from_slice(&answer).expect("JSON");
        let message = told["error"]["message"].as_str().expect("text");
        assert_eq!(
            (status.as_u16(), &told["error"]["type"]),
            (401, &json!("authentication_error")),
            "{value}"
        );
        assert!(message.contains(says), "{value}: {message}");
        let word = value.rsplit(' ').next().expect("a word");
        assert!(!message.contains(word) || word == "Bearer", "{value}: {message}");
    }
}

#[tokio::test]
async fn a_client_that_speaks_tls_is_told_over_its_socket() {
    let house = TestServer::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = crate::serve(listener, house.router(), 10, async { stopped.await.expect("a sign") });
    let client = async {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await.expect("written");
        let mut told = String::new();
        client.read_to_string(&mut told).await.expect("the connection ends");
        assert!(told.ends_with(&format!("\r\n\r\n{}\n", super::tls::TOLD)), "{told}");
        stop.send(()).expect("it serves");
    };
    tokio::join!(server, client);
}
