//! What newcomers get wrong, each tried at the public doors: the answer says what to change.

use axum::{body::Body, extract::Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::testing::{House, KEY};

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
            ..slip("a key of before", ("GET", "/v1/agents"), 401, &["`heddle keys list`"])
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
        slip("what never was there", ("GET", "/v1/agentz"), 404, &["GET /openapi.json lists what there is"]),
    ]
}

#[tokio::test]
async fn each_slip_is_answered_with_what_to_change() {
    let house = House::open().await;
    for Slip { what, method, path, key, body, status, says } in slips() {
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
async fn a_client_that_speaks_tls_is_told_over_its_socket() {
    let house = House::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = crate::serve(listener, house.router(), 10, async { stopped.await.expect("a sign") });
    let client = async {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await.expect("written");
        let mut told = String::new();
        client.read_to_string(&mut told).await.expect("the connection ends");
        assert!(told.ends_with(&format!("\r\n\r\n{}\n", super::TLS)), "{told}");
        stop.send(()).expect("it serves");
    };
    tokio::join!(server, client);
}
