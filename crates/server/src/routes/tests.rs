//! The rules that hold for every door (docs/rules.md 11, and 4 for retried POSTs).

use std::collections::BTreeSet;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use protocol::{Timestamp, WorkspaceId, limits};
use serde_json::{Value, json};

use super::operations;
use crate::{
    keys,
    operation::{Face, GoodAnswer, Operation, RunOperation, get, post},
    testing::{KEY, TestServer, contract, id, message, routes},
};

const WORKSPACE: &str = "wrkspc_1111111111111111111112";

async fn asked(
    house: &TestServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.raw(request.body(Body::empty()).expect("a request")).await
}

fn kind(body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    body["error"]["type"].clone()
}

fn placed(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

#[test]
fn every_operation_of_the_contract_is_served_or_says_that_it_is_not() {
    let of_the_api = || operations().filter(|operation| operation.face == Face::Claude);
    let known: BTreeSet<_> =
        of_the_api().map(|operation| (operation.method.as_str(), operation.path, operation.name)).collect();
    assert_eq!(known.len(), of_the_api().count());
    assert_eq!(known, contract::operations().into_iter().collect());
}

#[tokio::test]
async fn every_operation_wants_a_key() {
    let house = TestServer::open().await;
    for Operation { method, path, name, .. } in operations() {
        for headers in [vec![], vec![("x-api-key", "wrong")], vec![("authorization", "Basic eA==")]] {
            let (status, _, body) = asked(&house, method.as_str(), &placed(path), &headers).await;
            assert_eq!((status.as_u16(), kind(&body)), (401, json!("authentication_error")), "{name}");
        }
    }
}

#[tokio::test]
async fn every_operation_that_is_served_is_behind_its_door() {
    let house = TestServer::open().await;
    for Operation { method, path, name, .. } in operations().filter(|operation| operation.is_served()) {
        let (status, ..) = asked(&house, method.as_str(), &placed(path), &[("x-api-key", KEY)]).await;
        assert!([200, 400, 404].contains(&status.as_u16()), "{name}: {status}");
    }
}

#[tokio::test]
async fn what_is_not_built_says_so_and_is_not_to_be_retried() {
    let house = TestServer::open().await;
    for Operation { method, path, name: operation, run, .. } in operations() {
        let of_google = match run {
            RunOperation::Served(_) => continue,
            RunOperation::NotBuilt => false,
            RunOperation::OfGoogle => true,
        };
        let (status, headers, body) =
            asked(&house, method.as_str(), &placed(path), &[("x-api-key", KEY)]).await;
        assert_eq!(status, 501, "{operation}");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let message = if of_google {
            format!(
                "{operation} is not supported: it is about data in Google Cloud, and Heddle keeps all data in its \
                 own data directory"
            )
        } else {
            format!("{operation} is not supported yet by this version of Heddle")
        };
        assert_eq!(of_google, operation.starts_with("user_profiles.providers.google."), "{operation}");
        let request = headers["request-id"].to_str().expect("text");
        let error = json!({"type": "not_supported_error", "message": message});
        assert_eq!(body, json!({"type": "error", "error": error, "request_id": request}));
        assert_eq!(headers["x-should-retry"], "false");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_even_without_a_key() {
    let house = TestServer::open().await;
    for (method, path, status, kind_of) in [
        ("GET", "/v1/nothing", 404, "not_found_error"),
        ("GET", "/nothing", 404, "not_found_error"),
        ("DELETE", "/v1/agents/x", 404, "not_found_error"),
        ("DELETE", "/v1/agents/x/archive", 405, "invalid_request_error"),
        ("POST", "/v1/sessions/x/nothing", 404, "not_found_error"),
        ("PUT", "/v1/agents", 405, "invalid_request_error"),
        ("POST", "/v1/sessions/x/events/stream", 405, "invalid_request_error"),
    ] {
        let (told, headers, body) = asked(&house, method, path, &[]).await;
        assert_eq!((told.as_u16(), kind(&body)), (status, json!(kind_of)), "{method} {path}");
        assert!(headers.contains_key("allow") || status != 405, "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_no_version_or_beta_is_asked_for() {
    let house = TestServer::open().await;
    let (bearer, lower) = (format!("Bearer {KEY}"), format!("bearer {KEY}"));
    for headers in [
        vec![("x-api-key", KEY)],
        vec![("authorization", bearer.as_str())],
        vec![("authorization", lower.as_str())],
        vec![("x-api-key", KEY), ("anthropic-version", "2099-01-01"), ("anthropic-beta", "a,b,a")],
        vec![("x-api-key", KEY), ("accept", "text/html")],
    ] {
        let (status, ..) = asked(&house, "GET", "/v1/agents?beta=true", &headers).await;
        assert_eq!(status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_kept_key_opens_until_the_moment_it_is_revoked() {
    let house = TestServer::open().await;
    let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
    let (key, secret) =
        keys::create(store, workspace, "k", Timestamp::from_micros(1), [9; 48]).await.expect("a key");
    let headers = [("x-api-key", secret.expose())];
    assert_eq!(asked(&house, "GET", "/v1/agents", &headers).await.0, 200);
    keys::revoke(store, workspace, key.id, Timestamp::from_micros(2)).await.expect("revoked");
    assert_eq!(asked(&house, "GET", "/v1/agents", &headers).await.0, 401);
}

#[tokio::test]
async fn a_malformed_workspace_is_400_and_another_404_and_the_own_one_is_fine() {
    let house = TestServer::open().await;
    for (workspace, status, kind_of) in [
        (WORKSPACE, 200, Value::Null),
        ("wrkspc_1111111111111111111113", 404, json!("not_found_error")),
        ("wrkspc_011CZkYpogX7uDKUyvBTophP", 404, json!("not_found_error")),
        ("default", 400, json!("invalid_request_error")),
        ("", 400, json!("invalid_request_error")),
        ("wrkspc_1", 400, json!("invalid_request_error")),
        ("sesn_1111111111111111111112", 400, json!("invalid_request_error")),
    ] {
        for (method, path) in [("GET", "/v1/agents"), ("POST", "/v1/vaults"), ("GET", "/metrics")] {
            let headers = [("x-api-key", KEY), ("anthropic-workspace-id", workspace)];
            let (told, _, body) = asked(&house, method, path, &headers).await;
            let fine = if path == "/v1/vaults" { 501 } else { 200 };
            assert_eq!(told, if status == 200 { fine } else { status }, "{method} {path} {workspace:?}");
            if status != 200 {
                assert_eq!(kind(&body), kind_of, "{workspace:?}");
                let text = String::from_utf8_lossy(&body);
                assert!(text.contains("anthropic-workspace-id: ") && text.contains(WORKSPACE), "{text}");
            }
        }
        // Nothing is said of workspaces to who shows no key.
        let headers = [("anthropic-workspace-id", workspace)];
        assert_eq!(asked(&house, "GET", "/v1/agents", &headers).await.0, 401);
    }
}

#[tokio::test]
async fn every_answer_carries_its_request_organization_and_workspace() {
    let house = TestServer::open().await;
    let mut requests = BTreeSet::new();
    for (method, path) in
        [("GET", "/v1/agents"), ("GET", "/v1/nothing"), ("PUT", "/v1/agents"), ("GET", "/healthz")]
    {
        let (_, headers, _) = asked(&house, method, path, &[("x-api-key", KEY)]).await;
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        assert_eq!(
            (header("anthropic-organization-id"), header("anthropic-workspace-id")),
            ("00000000-0000-0000-0000-000000000001".to_owned(), WORKSPACE.to_owned())
        );
        assert!(header("request-id").starts_with("req_"));
        requests.insert(header("request-id"));
    }
    assert_eq!(requests.len(), 4);
}

#[tokio::test]
async fn the_checks_come_in_their_order() {
    let house = TestServer::open().await;
    let post = |key: bool, path: &str, body: Vec<u8>| {
        let mut request = Request::post(path);
        if key {
            request = request.header("x-api-key", KEY);
        }
        house.raw(request.body(Body::from(body)).expect("a request"))
    };
    let huge = || vec![b' '; limits::BODY_BYTES + 1];
    let sessions = "/v1/sessions/sesn_1111111111111111111111/events";
    for (key, path, body, status, kind_of) in [
        (false, "/v1/agents", huge(), 401, "authentication_error"),
        (true, "/v1/agents", huge(), 413, "request_too_large"),
        (true, "/v1/agents", b"{".to_vec(), 400, "invalid_request_error"),
        (true, sessions, b"[]".to_vec(), 400, "invalid_request_error"),
        (true, sessions, message_body(), 404, "not_found_error"),
    ] {
        let (told, _, answer) = post(key, path, body).await;
        assert_eq!((told.as_u16(), kind(&answer)), (status, json!(kind_of)), "{path}");
    }
    let fits =
        [b"{\"name\": \"n\", \"model\": \"test-1\"}".to_vec(), vec![b' '; limits::BODY_BYTES - 64]].concat();
    assert_eq!(post(true, "/v1/agents", fits).await.0, 200);
}

fn message_body() -> Vec<u8> {
    json!({"events": [message("a")]}).to_string().into_bytes()
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_its_path() {
    let house = TestServer::open().await;
    let body = json!({"name": "n", "model": {"id": "test-1", "temperature": 1}});
    let told = house.post("/v1/agents", &body).await;
    told.refused(400, "invalid_request_error", "model.temperature: unknown field");
    let told = house.post("/v1/agents", &Value::Null).await;
    told.refused(400, "invalid_request_error", "name: this field is required");
}

#[tokio::test]
async fn a_list_reads_the_queries_of_every_client() {
    let house = TestServer::open().await;
    for _ in 0..5 {
        house.agent().await;
    }
    let first = house.get("/v1/agents?limit=2").await.ok();
    let second = house
        .get(&format!("/v1/agents?limit=2&page={}", first["next_page"].as_str().expect("a token")))
        .await;
    let second = second.ok();
    let (a, b) = (first["next_page"].as_str().expect("a"), second["next_page"].as_str().expect("b"));
    let third =
        house.get(&format!("/v1/agents?limit[]=2&limit[]=2&limit[]=2&page[]={a}&page[]={b}")).await.ok();
    assert_eq!((third["data"].as_array().map(Vec::len), &third["next_page"]), (Some(1), &Value::Null));
    assert_eq!(house.get("/v1/agents?limit=0").await.ok()["data"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_retried_post_gets_the_first_answer() {
    let house = TestServer::open().await;
    let body = json!({"name": "n", "model": "test-1"});
    let retry = [("x-stainless-retry-count", "1")];
    let first = house.post_with("/v1/agents", &body, &[("x-stainless-retry-count", "0")]).await;
    let second = house.post_with("/v1/agents", &body, &retry).await;
    assert_eq!((second.text(), second.status), (first.text(), first.status));
    assert_ne!(second.header("request-id"), first.header("request-id"));
    assert_eq!(house.get("/v1/agents").await.ok()["data"].as_array().map(Vec::len), Some(1));
    let other = json!({"name": "m", "model": "test-1"});
    house.post_with("/v1/agents", &other, &retry).await.ok();
    house.post("/v1/agents", &body).await.ok();
    assert_eq!(house.get("/v1/agents").await.ok()["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_retried_post_that_failed_is_tried_again() {
    let house = TestServer::open().await;
    let body = json!({"name": "taken"});
    let made = house.post("/v1/environments", &body).await.ok();
    house.post("/v1/environments", &body).await.refused(409, "conflict_error", "name: ");
    house.delete(&format!("/v1/environments/{}", id(&made))).await.ok();
    house.post_with("/v1/environments", &body, &[("x-stainless-retry-count", "1")]).await.ok();
}

#[tokio::test]
async fn a_change_goes_on_when_its_client_goes_away() {
    type Sign = tokio::sync::oneshot::Sender<()>;
    type Signs = (Sign, tokio::sync::oneshot::Receiver<()>, Sign);
    static STEPS: std::sync::Mutex<Option<Signs>> = std::sync::Mutex::new(None);
    const SLOW: &Operation = &post("/slow", "slow", "").gives(GoodAnswer::Object, |_| {
        let steps = STEPS.lock().expect("a lock").take().expect("one call");
        Box::pin(async move {
            let (began, gone, ended) = steps;
            began.send(()).expect("somebody waits");
            gone.await.expect("a sign");
            ended.send(()).expect("somebody waits");
            crate::answer::ApiAnswer::json(&json!({}))
        })
    });
    let (began, begun) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel();
    let (ended, end) = tokio::sync::oneshot::channel();
    *STEPS.lock().expect("a lock") = Some((began, gone, ended));
    let house = TestServer::with(routes([SLOW])).await;
    let told = house.post("/slow", &Value::Null);
    tokio::select! {
        _ = told => panic!("it answered too early"),
        begun = begun => begun.expect("it began"),
    }
    go.send(()).expect("it waits");
    end.await.expect("it ended all the same");
}

#[tokio::test]
async fn a_panic_is_a_500_and_no_more_than_that() {
    const READ: &Operation =
        &get("/boom", "boom", "").gives(GoodAnswer::Object, |_| Box::pin(async { panic!("boom") }));
    const CHANGE: &Operation =
        &post("/boom", "boom", "").gives(GoodAnswer::Object, |_| Box::pin(async { panic!("boom") }));
    let house = TestServer::with(routes([READ, CHANGE])).await;
    house.get("/boom").await.refused(500, "api_error", "the server failed");
    house.post("/boom", &Value::Null).await.refused(500, "api_error", "the server failed");
}
