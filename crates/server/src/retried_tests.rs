//! Retried POSTs at the door.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, Method},
};
use protocol::{Timestamp, WorkspaceId};
use serde_json::{Value, json};
use store::{MemoryStoreFaults, Store};

use super::*;
use crate::{
    auth::CallerKey,
    keys,
    testing::{TestAnswer, TestServer, data, id, message},
};

const TEN_MINUTES: Duration = Duration::from_secs(protocol::limits::RETRIED_POST_S);
const RETRY: [(&str, &str); 1] = [("x-stainless-retry-count", "2")];

async fn again(house: &TestServer, path: &str, body: &Value) -> TestAnswer {
    house.post_with(path, body, &RETRY).await
}

#[tokio::test]
async fn every_post_is_done_once_however_often_it_is_retried() {
    let house = TestServer::open().await;
    let agent = format!("/v1/agents/{}", id(&house.agent().await));
    let (one, two) = (json!({"metadata": {"a": "1"}}), json!({"metadata": {"a": "2"}}));
    let first = house.post(&agent, &one).await;
    house.post(&agent, &two).await.ok();
    let told = again(&house, &agent, &one).await;
    assert_eq!((told.text(), told.json()["version"].as_u64()), (first.text(), Some(2)));
    assert_eq!(house.get(&agent).await.ok()["version"], json!(3));

    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    let body = json!({"events": [message("hi")]});
    let first = house.post(&format!("{session}/events"), &body).await;
    for _ in 0..3 {
        assert_eq!(again(&house, &format!("{session}/events"), &body).await.text(), first.text());
    }
    house.settled(&session).await;
    assert_eq!(data(&house.get(&format!("{session}/events?types[]=user.message")).await.ok()).len(), 1);

    let first = house.post(&format!("{session}/archive"), &Value::Null).await;
    house.delete(&session).await.ok();
    let told = again(&house, &format!("{session}/archive"), &Value::Null).await;
    assert_eq!((told.text(), told.json()["status"].as_str()), (first.text(), Some("terminated")));
    house.post(&format!("{session}/archive"), &Value::Null).await.refused(404, "not_found_error", "");
}

#[tokio::test]
async fn another_key_path_or_body_is_another_post_and_a_count_that_is_none_counts_as_none() {
    let house = TestServer::open().await;
    let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
    let kept = keys::create(store, workspace, "k", Timestamp::from_micros(1), [9; 48]).await.expect("a key");
    let body = json!({"name": "n", "model": "test-1"});
    let first = id(&house.post("/v1/agents", &body).await.ok());
    let path = format!("/v1/agents/{first}");
    let spaced = format!("{body} ");
    let bearer = format!("Bearer {}", kept.1.expose());
    let told = [
        house.post_raw("/v1/agents", spaced, &RETRY).await.ok(),
        house.post_with("/v1/agents", &body, &[("x-stainless-retry-count", "0")]).await.ok(),
        house.post_with("/v1/agents", &body, &[("x-stainless-retry-count", "-1")]).await.ok(),
        house.post_with("/v1/agents", &body, &[("x-stainless-retry-count", "x")]).await.ok(),
    ];
    assert!(told.iter().all(|made| id(made) != first));
    let request = axum::extract::Request::post("/v1/agents").header("authorization", bearer);
    let request = request.header("x-stainless-retry-count", "1").body(Body::from(body.to_string()));
    let (status, _, answer) = house.raw(request.expect("a request")).await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status.as_u16(), told.iter().any(|made| made["id"] == answer["id"])), (200, false));
    assert_ne!(answer["id"], json!(first));
    let other = id(&house.agent().await);
    let change = json!({"name": "m"});
    house.post(&path, &change).await.ok();
    assert_eq!(again(&house, &format!("/v1/agents/{other}"), &change).await.ok()["id"], json!(other));
    let gone = house.send(Method::DELETE, &path, &RETRY, Body::empty()).await;
    assert_eq!(gone.status, 404);
}

/// A POST and its first answer.
struct Sent {
    path: String,
    body: Value,
    answer: String,
}

async fn sent(house: &TestServer, path: &str, body: Value, headers: &[(&str, &str)]) -> Sent {
    let told = house.post_with(path, &body, headers).await;
    let answer = told.text().to_owned();
    told.ok();
    Sent { path: path.to_owned(), body, answer }
}

/// One POST of every kind that there is, each with its first answer; and what came after them.
async fn one_of_each(house: &TestServer, headers: &[(&str, &str)]) -> Vec<Sent> {
    let key = std::cell::Cell::new(0);
    let sent = async |path: &str, body: Value| {
        key.set(key.get() + 1);
        let own = key.get().to_string();
        let headers: Vec<_> = headers.iter().map(|(name, _)| (*name, &*own)).collect();
        sent(house, path, body, &headers).await
    };
    let made = |sent: &Sent| serde_json::from_str::<Value>(&sent.answer).expect("JSON")["id"].clone();
    let mut all = Vec::new();
    all.push(sent("/v1/agents", json!({"name": "a", "model": "test-1"})).await);
    let agent = format!("/v1/agents/{}", made(&all[0]).as_str().expect("an id"));
    all.push(sent(&agent, json!({"name": "b"})).await);
    all.push(sent("/v1/environments", json!({"name": "e"})).await);
    let environment = made(&all[2]);
    let place = format!("/v1/environments/{}", environment.as_str().expect("an id"));
    all.push(sent(&place, json!({"description": "d"})).await);
    let opening =
        json!({"agent": made(&all[0]), "environment_id": environment, "initial_events": [message("hi")]});
    all.push(sent("/v1/sessions", opening.clone()).await);
    let mut used = opening;
    used["title"] = json!("used");
    let session = format!("/v1/sessions/{}", id(&house.post("/v1/sessions", &used).await.ok()));
    house.settled(&session).await;
    all.push(sent(&session, json!({"title": "t"})).await);
    all.push(sent(&format!("{session}/events"), json!({"events": [message("one"), message("two")]})).await);
    house.settled(&session).await;
    let stop = json!({"events": [{"type": "user.interrupt"}, message("three")]});
    all.push(sent(&format!("{session}/events"), stop).await);
    house.settled(&session).await;
    all.push(sent(&session, json!({"title": "u", "agent": {"tools": []}})).await);
    let (family, child) = house.family("call").await;
    house.settled(&family).await;
    all.push(sent(&format!("{family}/threads/{}/archive", id(&child)), json!({})).await);
    house.settled(&family).await;
    all.push(sent(&format!("{session}/archive"), json!({})).await);
    all.push(sent(&format!("{agent}/archive"), json!({})).await);
    // What came after them.
    house.post(&place, &json!({"description": "later"})).await.ok();
    all.push(sent(&format!("{place}/archive"), json!({})).await);
    all
}

/// How many there are of everything.
async fn many(house: &TestServer) -> Vec<usize> {
    let mut many = Vec::new();
    for list in ["/v1/agents?", "/v1/environments?", "/v1/sessions?"] {
        let all = house.get(&format!("{list}limit=100&include_archived=true")).await.ok();
        many.push(data(&all).len());
        for one in data(&all) {
            let list = format!("{}/{}/events?limit=1000", list.trim_end_matches('?'), id(&one));
            if list.starts_with("/v1/sessions") {
                many.push(data(&house.get(&list).await.ok()).len());
            }
        }
    }
    many
}

#[tokio::test]
async fn every_post_is_done_once_though_the_server_ended_in_between() {
    let house = TestServer::open().await;
    let all = one_of_each(&house, &[]).await;
    let before = many(&house).await;
    let house = house.next().await;
    for round in 0..2 {
        for Sent { path, body, answer } in &all {
            assert_eq!(again(&house, path, body).await.text(), answer, "{path}, {round}");
        }
        assert_eq!(many(&house).await, before);
    }
    // Each is still a request that can be meant again.
    let archived = json!({"events": [message("one"), message("two")]});
    house.post(&all[6].path, &archived).await.refused(
        400,
        "invalid_request_error",
        "the session is archived",
    );
    house.post("/v1/agents", &all[0].body).await.ok();
    assert_eq!(many(&house).await[0], before[0] + 1);
}

#[tokio::test]
async fn every_post_with_a_key_is_done_once_though_the_server_ended_in_between() {
    let house = TestServer::open().await;
    let all = one_of_each(&house, &[("idempotency-key", "")]).await;
    let before = many(&house).await;
    let house = house.next().await;
    for (number, Sent { path, body, answer }) in (1_usize..).zip(&all) {
        let key: &str = &number.to_string();
        let told = house.post_with(path, body, &[("idempotency-key", key)]).await;
        assert_eq!(told.text(), answer, "{path}");
        for (path, body) in [(path.as_str(), json!({"name": "other"})), ("/v1/agents", body.clone())] {
            if (path, &body) == (all[number - 1].path.as_str(), &all[number - 1].body) {
                continue;
            }
            let told = house.post_with(path, &body, &[("idempotency-key", key)]).await;
            assert_eq!(told.header("x-should-retry"), Some("false"));
            told.refused(409, "conflict_error", "Idempotency-Key: this key came with another request");
        }
    }
    assert_eq!(many(&house).await, before);
}

#[tokio::test]
async fn what_was_answered_is_told_until_its_session_is_purged_and_what_a_key_made_is_not_made_again() {
    let house = TestServer::open().await;
    let (agent, environment) = (house.agent().await, house.environment().await);
    let opening = json!({"agent": agent["id"], "environment_id": environment["id"]});
    let key = [("idempotency-key", "k")];
    let opened = sent(&house, "/v1/sessions", opening, &key).await;
    let session = format!("/v1/sessions/{}", id(&house.get("/v1/sessions").await.ok()["data"][0]));
    let said = sent(&house, &format!("{session}/events"), json!({"events": [message("hi")]}), &[]).await;
    house.settled(&session).await;
    house.delete(&session).await.ok();
    let house = house.next().await;
    let told = async |sent: &Sent| {
        let headers = if sent.path == "/v1/sessions" { key } else { RETRY };
        house.post_with(&sent.path, &sent.body, &headers).await
    };
    for sent in [&opened, &said] {
        assert_eq!(told(sent).await.text(), sent.answer, "{}", sent.path);
    }
    let later = Timestamp::from_micros(i64::MAX);
    assert_eq!(house.engine().store().purge(later, 9).await.expect("a purge"), 1);
    for sent in [&opened, &said, &opened] {
        told(sent).await.refused(404, "not_found_error", "there is no such session");
    }
    assert_eq!(data(&house.get("/v1/sessions").await.ok()), Vec::<Value>::new());
}

#[tokio::test]
async fn a_session_that_was_used_archived_or_deleted_since_is_no_repeats_own() {
    let house = TestServer::open().await;
    let (agent, environment) = (house.agent().await, house.environment().await);
    let opening = json!({"agent": agent["id"], "environment_id": environment["id"]});
    let mut last = house.post("/v1/sessions", &opening).await.ok();
    for (verb, body) in [
        ("/events", json!({"events": [message("hi")]})),
        ("", json!({"title": "t"})),
        ("/archive", Value::Null),
    ] {
        let path = format!("/v1/sessions/{}", id(&last));
        assert_eq!(again(&house, "/v1/sessions", &opening).await.ok(), last, "before {verb}");
        house.post(&format!("{path}{verb}"), &body).await.ok();
        let next = again(&house, "/v1/sessions", &opening).await.ok();
        assert_ne!(next["id"], last["id"], "after {verb}");
        last = next;
    }
    house.delete(&format!("/v1/sessions/{}", id(&last))).await.ok();
    assert_ne!(again(&house, "/v1/sessions", &opening).await.ok()["id"], last["id"]);
}

#[tokio::test]
async fn what_nobody_sends_again_is_not_remembered_as_refused() {
    let house = TestServer::open().await;
    let body = json!({"name": "here"});
    let first = house.post("/v1/environments", &body).await.ok();
    house.post("/v1/environments", &body).await.refused(409, "conflict_error", "name: ");
    assert_eq!(again(&house, "/v1/environments", &body).await.ok(), first);
}

#[tokio::test]
async fn what_failed_is_tried_anew_and_uses_up_no_key() {
    let house = TestServer::open().await;
    let body = json!({"name": "e"});
    let first = house.post("/v1/environments", &body).await.ok();
    let key = [("idempotency-key", "k")];
    let taken = house.post_with("/v1/environments", &body, &key).await;
    taken.refused(409, "conflict_error", "name: ");
    again(&house, "/v1/environments", &json!({"name": ""})).await.refused(
        400,
        "invalid_request_error",
        "name",
    );
    house.delete(&format!("/v1/environments/{}", id(&first))).await.ok();
    let second = house.post_with("/v1/environments", &body, &key).await.ok();
    assert_ne!(second["id"], first["id"]);
    // The first attempt without a key was the first of all, and what it made is gone; so is nothing new made.
    assert_eq!(again(&house, "/v1/environments", &body).await.ok()["id"], first["id"]);
    assert_eq!(data(&house.get("/v1/environments").await.ok()).len(), 1);
}

#[tokio::test]
async fn a_repeat_of_what_was_refused_is_not_taken_for_that_of_an_older_one() {
    let house = TestServer::open().await;
    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    let events = format!("{session}/events");
    let body = json!({"events": [message("hi")]});
    let first = house.post(&events, &body).await.ok();
    house.settled(&session).await;
    // The queue of a thread that is held is full; then there is room again.
    house.post(&events, &json!({"events": [message("hold")]})).await.ok();
    let many = json!({"events": vec![message("hi"); 50]});
    while house.post(&events, &many).await.status == 200 {}
    while house.post(&events, &body).await.status == 200 {}
    let stop = json!({"events": [{"type": "user.interrupt"}]});
    house.post(&events, &stop).await.ok();
    house.settled(&session).await;
    let second = again(&house, &events, &body).await.ok();
    assert_ne!(second["data"][0]["id"], first["data"][0]["id"]);
    assert_eq!(again(&house, &events, &body).await.ok(), second);
}

#[tokio::test]
async fn a_key_is_its_callers_and_one_that_is_none_is_refused() {
    let house = TestServer::open().await;
    let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
    let other = keys::create(store, workspace, "k", Timestamp::from_micros(1), [9; 48]).await.expect("a key");
    let body = json!({"name": "n", "model": "test-1"});
    let first = id(&house.post_with("/v1/agents", &body, &[("idempotency-key", "k")]).await.ok());
    let request = axum::extract::Request::post("/v1/agents").header("x-api-key", other.1.expose());
    let request =
        request.header("idempotency-key", "k").body(Body::from(r#"{"name": "m", "model": "test-1"}"#));
    let (status, _, answer) = house.raw(request.expect("a request")).await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((status.as_u16(), answer["id"] == json!(first)), (200, false));
    let long = "k".repeat(256);
    for key in ["", "   ", "a\tb", &long] {
        let told = house.post_with("/v1/agents", &body, &[("idempotency-key", key)]).await;
        told.refused(400, "invalid_request_error", "Idempotency-Key: must be sent once");
    }
    for key in ["a b", "\tk2\t"] {
        house.post_with("/v1/agents", &body, &[("idempotency-key", key)]).await.ok();
    }
    // Only a POST has one.
    house.get_with("/v1/agents", "idempotency-key", "").await.ok();
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_a_retry_is_a_new_request_and_after_a_day_a_key_is_new() {
    let house = TestServer::still().await;
    let body = json!({"name": "n", "model": "test-1"});
    let keyed = || house.post_with("/v1/agents", &body, &[("idempotency-key", "k")]);
    let (first, under_key) = (house.post("/v1/agents", &body).await, keyed().await);
    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    let events = (format!("{session}/events"), json!({"events": [message("hi")]}));
    let said = house.post(&events.0, &events.1).await;
    house.settled(&session).await;
    tokio::time::advance(TEN_MINUTES * 9 / 10).await;
    assert_eq!(again(&house, "/v1/agents", &body).await.text(), first.text());
    assert_eq!(again(&house, &events.0, &events.1).await.text(), said.text());
    tokio::time::advance(TEN_MINUTES / 10 + Duration::from_secs(2)).await;
    let second = again(&house, "/v1/agents", &body).await;
    assert_ne!(second.text(), first.text());
    assert_eq!(again(&house, "/v1/agents", &body).await.text(), second.text());
    assert_ne!(again(&house, &events.0, &events.1).await.text(), said.text());
    assert_eq!(keyed().await.text(), under_key.text());
    tokio::time::advance(TEN_MINUTES * 6 * 24).await;
    assert_ne!(keyed().await.text(), under_key.text());
}

#[tokio::test(start_paused = true)]
async fn receipts_whose_time_is_over_are_swept() {
    let house = TestServer::still().await;
    let body = json!({"name": "n", "model": "test-1"});
    house.post("/v1/agents", &body).await.ok();
    let caller = CallerKey(keys::hash(crate::testing::KEY));
    let told = AttemptHeaders::of(caller, &HeaderMap::new()).expect("no key");
    let name = told.attempt(caller, "/v1/agents", body.to_string().as_bytes()).name();
    let kept =
        async || house.engine().store().receipt(&name, Timestamp::from_micros(0)).await.expect("a look");
    assert!(kept().await.is_some());
    tokio::time::sleep(TEN_MINUTES.saturating_sub(Duration::from_secs(1))).await;
    assert!(kept().await.is_some());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(kept().await, None);
}

#[tokio::test]
async fn a_retry_that_overtakes_its_answer_waits_for_it() {
    let faults = MemoryStoreFaults::default();
    let house = TestServer::on(Store::memory_with(faults.clone())).await;
    let session = format!("/v1/sessions/{}/events", id(&house.session(&[]).await));
    let before = many(&house).await;
    for (path, body) in [
        ("/v1/agents", json!({"name": "n", "model": "test-1"})),
        (session.as_str(), json!({"events": [message("hold")]})),
    ] {
        faults.stall();
        let mut told = Box::pin(futures_util::future::join3(
            house.post(path, &body),
            again(&house, path, &body),
            again(&house, path, &body),
        ));
        while faults.waiting() == 0 {
            assert!(futures_util::poll!(&mut told).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert!(futures_util::poll!(&mut told).is_pending());
            tokio::task::yield_now().await;
        }
        faults.sync();
        let (first, second, third) = told.await;
        assert_eq!((second.text(), third.text()), (first.text(), first.text()));
        first.good();
    }
    let after = many(&house).await;
    assert_eq!(after[0], before[0] + 1);
    let said = house.get(&format!("{session}?types[]=user.message")).await.ok();
    assert_eq!(data(&said).len(), 1);
}
