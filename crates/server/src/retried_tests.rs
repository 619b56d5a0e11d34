//! Retried POSTs at the door.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, body::Body, http::Method};
use protocol::{Stamp, WorkspaceId};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    answer::Answer,
    extract::{Call, post},
    keys,
    testing::{House, Told, data, id, message},
};

const RETRY: [(&str, &str); 1] = [("x-stainless-retry-count", "2")];

async fn again(house: &House, path: &str, body: &Value) -> Told {
    house.post_with(path, body, &RETRY).await
}

#[tokio::test]
async fn every_post_is_done_once_however_often_it_is_retried() {
    let house = House::open().await;
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
    let house = House::open().await;
    let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
    let kept = keys::create(store, workspace, "k", Stamp::from_micros(1), [9; 48]).await.expect("a key");
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

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_a_retry_is_a_new_request() {
    let house = House::still().await;
    let body = json!({"name": "n", "model": "test-1"});
    let first = house.post("/v1/agents", &body).await;
    tokio::time::advance(KEPT * 9 / 10).await;
    assert_eq!(again(&house, "/v1/agents", &body).await.text(), first.text());
    tokio::time::advance(KEPT / 10).await;
    let second = again(&house, "/v1/agents", &body).await;
    assert_ne!(second.text(), first.text());
    assert_eq!(again(&house, "/v1/agents", &body).await.text(), second.text());
}

#[tokio::test]
async fn a_retry_that_overtakes_its_answer_waits_for_it() {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&runs));
    let slow = move |_: Call| {
        let (opened, run) = (Arc::clone(&opened), counted.fetch_add(1, Ordering::Relaxed));
        async move {
            opened.acquire().await.expect("an open gate").forget();
            Answer::json(&json!({"run": run}))
        }
    };
    let house = House::with(Router::new().route("/slow", post(slow))).await;
    let body = json!({});
    let mut told = Box::pin(futures_util::future::join3(
        house.post("/slow", &body),
        again(&house, "/slow", &body),
        again(&house, "/slow", &body),
    ));
    while runs.load(Ordering::Relaxed) == 0 {
        assert!(futures_util::poll!(&mut told).is_pending());
        tokio::task::yield_now().await;
    }
    gate.add_permits(3);
    let (first, second, third) = told.await;
    assert_eq!((first.text(), second.text(), third.text()), (r#"{"run":0}"#, r#"{"run":0}"#, r#"{"run":0}"#));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}
