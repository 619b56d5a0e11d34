//! Paths, methods and ids, as clients write them.

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use protocol::limits;
use serde_json::{Value, json};

use crate::{
    answer::ApiAnswer,
    operation::{GoodAnswer, Operation, get},
    testing::{KEY, TestServer, id, message, routes},
};

const AGENT: &str = "agent_1111111111111111111112";

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let house = TestServer::open().await;
    for path in ["/v1/agents", "/v1/sessions", "/v1/agents/x"] {
        let (head, get) = tokio::join!(
            house.send(Method::HEAD, path, &[], Body::empty()),
            house.send(Method::GET, path, &[], Body::empty())
        );
        assert_eq!(
            (head.status, head.header("content-type")),
            (get.status, get.header("content-type")),
            "{path}"
        );
        assert!(head.header("request-id").is_some() && head.text().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn another_method_is_told_which_ones_there_are() {
    let house = TestServer::open().await;
    for (method, path, allow) in [
        (Method::OPTIONS, "/v1/agents", "GET,HEAD,POST"),
        (Method::PUT, "/v1/agents", "GET,HEAD,POST"),
        (Method::PATCH, "/v1/environments/x", "GET,HEAD,POST,DELETE"),
        (Method::PATCH, "/v1/agents/x", "GET,HEAD,POST"),
        (Method::GET, "/v1/agents/x/archive", "POST"),
        (Method::POST, "/v1/sessions/x/events/stream", "GET,HEAD"),
        (Method::TRACE, "/v1/sessions/x/threads", "GET,HEAD"),
    ] {
        let told = house.send(method.clone(), path, &[], Body::empty()).await;
        assert_eq!(told.header("allow"), Some(allow), "{method} {path}");
        let right: Vec<_> = allow.split(',').filter(|right| *right != "HEAD").collect();
        let message = format!("{path} does not take {method}; it takes {}", right.join(", "));
        told.refused(405, "invalid_request_error", &message);
    }
    let told = house.delete("/v1/agents/x").await;
    told.refused(404, "not_found_error", "an agent is not deleted; archive it");
}

#[tokio::test]
async fn a_path_is_what_it_says_and_nothing_near_it() {
    let house = TestServer::open().await;
    let made = house.agent().await;
    let id = id(&made);
    for path in [
        format!("/v1/agents/{id}/"),
        "/v1/agents/".to_owned(),
        "/v1//agents".into(),
        "//v1/agents".into(),
        format!("/v1/agents//{id}"),
        "/v1/Agents".into(),
        "/v1/agents;x=1".into(),
        format!("/v1/agents/{id}/versions/"),
        "/v2/agents".into(),
        "/v1/agents/%ff".into(),
    ] {
        house.get(&path).await.refused(404, "not_found_error", "");
    }
    for path in [
        format!("/v1/agents/{id}%2Fversions"),
        format!("/v1/agents/{id}%00"),
        format!("/v1/agents/%20{id}"),
        "/v1/agents/..".into(),
    ] {
        house.get(&path).await.refused(400, "invalid_request_error", "agent_id: ");
    }
    for path in [format!("/v1/agents/{}", id.replace('_', "%5F")), format!("/v1/%61gents/{id}?beta=true#x")] {
        let told = house.get(&path).await;
        // An encoded letter of a fixed part names another path; one of an id is the id's.
        if path.contains("%61") {
            told.refused(404, "not_found_error", "");
        } else {
            assert_eq!(told.ok(), made);
        }
    }
}

#[tokio::test]
async fn every_form_of_an_id_names_the_same_and_one_of_another_kind_names_nothing() {
    let house = TestServer::open().await;
    let session = house.session(&[message("hi")]).await;
    let path = format!("/v1/sessions/{}", id(&session));
    house.settled(&path).await;
    let thread = id(&house.get(&format!("{path}/threads")).await.ok()["data"][0]);
    let event = id(&house.get(&format!("{path}/events?limit=1")).await.ok()["data"][0]);
    let environment = session["environment_id"].as_str().expect("an id").to_owned();
    let digits = |id: &str| id.rsplit('_').next().expect("digits").to_owned();
    for prefix in ["sesn", "sess", "session"] {
        for alias in ["sthr", "thread", "thr"] {
            let path = format!(
                "/v1/sessions/{prefix}_{}/threads/{alias}_{}",
                digits(&id(&session)),
                digits(&thread)
            );
            assert_eq!(house.get(&path).await.ok()["id"], json!(thread), "{path}");
        }
    }
    for prefix in ["env", "environment"] {
        let asked = format!("{prefix}_{}", digits(&environment));
        assert_eq!(house.get(&format!("/v1/environments/{asked}")).await.ok()["id"], json!(environment));
        let body = json!({"agent": session["agent"]["id"], "environment_id": asked});
        assert_eq!(house.post("/v1/sessions", &body).await.ok()["environment_id"], json!(environment));
    }
    house.post(&format!("{path}/archive"), &Value::Null).await.ok();
    for prefix in ["sevt", "evt", "event"] {
        let asked = format!("{path}/events/stream?after_id={prefix}_{}", digits(&event));
        let told = house.get(&asked).await;
        assert_eq!((told.status.as_u16(), told.text().contains("status_terminated")), (200, true), "{asked}");
    }
    for (path, status, named) in [
        (format!("/v1/sessions/{AGENT}"), 404, "session_id: "),
        (format!("/v1/sessions/{}", digits(&id(&session))), 404, "session_id: "),
        (format!("/v1/sessions/SESN_{}", digits(&id(&session))), 404, "session_id: "),
        (format!("/v1/agents/{}", id(&session)), 400, "agent_id: "),
        (format!("/v1/environments/{AGENT}"), 404, "environment_id: "),
        (format!("{path}/threads/{}", id(&session)), 400, "thread_id: "),
        (format!("{path}/threads/{event}/events"), 400, "thread_id: "),
    ] {
        let kind = if status == 400 { "invalid_request_error" } else { "not_found_error" };
        house.get(&path).await.refused(status, kind, named);
    }
}

#[tokio::test]
async fn every_path_of_an_environment_says_by_code_that_it_is_not_there() {
    let house = TestServer::open().await;
    for id in ["env_1111111111111111111112", "env_x", AGENT] {
        let path = format!("/v1/environments/{id}");
        for told in [
            house.get(&path).await,
            house.post(&path, &json!({"name": "n"})).await,
            house.post(&format!("{path}/archive"), &Value::Null).await,
            house.delete(&path).await,
        ] {
            assert_eq!(told.code().as_deref(), Some("environment_not_found"), "{id}");
            told.refused(404, "not_found_error", "");
        }
    }
}

#[tokio::test]
async fn pages_that_nobody_reads_are_bounded_and_further_ones_are_short() {
    const PAGES: &Operation = &get("/pages", "pages", "")
        .gives(GoodAnswer::page::<protocol::agent::Agent>(), |call| {
            Box::pin(async move { Ok(ApiAnswer::Json(Bytes::from(vec![b'x'; call.page_bytes()]))) })
        });
    let house = TestServer::with(routes([PAGES])).await;
    let ask = || Request::get("/pages").header("x-api-key", KEY).body(Body::empty()).expect("a request");
    let bytes = |page: &Response| page.body().size_hint().exact().unwrap_or_default() as usize;
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(house.whole(ask()).await);
        assert_eq!(unread.last().map(Response::status), Some(StatusCode::OK));
    }
    let whole = unread.iter().filter(|page| bytes(page) == limits::PAGE_BYTES).count();
    assert_eq!(whole, limits::ANSWERS_LARGE_BYTES_PER_KEY / limits::PAGE_BYTES - 1);
    assert_eq!(bytes(unread.last().unwrap()), limits::ANSWER_SMALL_BYTES);
    // Who is read makes room.
    drop(unread.remove(0));
    assert_eq!(bytes(&house.whole(ask()).await), limits::PAGE_BYTES);
}
