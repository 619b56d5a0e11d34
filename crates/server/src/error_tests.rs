//! Every named error that can be met, as the SDKs dispatch on it: status, `error_code`, and the field first.

use serde_json::{Value, json};

use crate::testing::{TestServer, id, message, tool};

#[tokio::test]
async fn every_named_error_has_its_status_its_code_and_its_field() {
    let house = TestServer::open().await;
    let agent = house.agent().await;
    let environment = house.environment().await;
    let archived = house.environment().await;
    let gone = format!("/v1/environments/{}", id(&archived));
    house.post(&format!("{gone}/archive"), &Value::Null).await.ok();
    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    let (agents, environments, sessions) = ("/v1/agents", "/v1/environments", "/v1/sessions");
    let own = format!("/v1/agents/{}", id(&agent));
    let place = format!("/v1/environments/{}", id(&environment));
    let long = "k".repeat(65);
    let over = json!({"type": "agent_with_overrides", "id": agent["id"], "model": null});
    let (missing, foreign) = ("env_1111111111111111111112", "env_011CZkZ9X2dpNyB7HsEFoRfW");
    let opened = |agent: &Value, environment: &Value| json!({"agent": agent, "environment_id": environment});
    for (path, body, status, code, message) in [
        (&*gone, json!({"name": "x"}), 400, "environment_archived", "the environment"),
        (sessions, opened(&agent["id"], &archived["id"]), 400, "environment_archived", "environment_id: "),
        (sessions, opened(&agent["id"], &json!(missing)), 404, "environment_not_found", "environment_id: "),
        (
            sessions,
            opened(&agent["id"], &json!(foreign)),
            404,
            "environment_not_found",
            "environment_id: no such ",
        ),
        (sessions, opened(&over, &environment["id"]), 400, "agent_model_required", "agent.model: "),
        (
            &place,
            json!({"config": {"type": "self_hosted"}}),
            400,
            "invalid_config_type_change",
            "config.type: ",
        ),
        (&own, json!({"metadata": {&long: "v"}}), 400, "invalid_metadata", &format!("metadata.{long}: ")),
        (
            agents,
            json!({"name": "n", "model": "test-1", "metadata": {"k": 1}}),
            400,
            "invalid_metadata",
            "metadata.k: ",
        ),
        (
            environments,
            json!({"name": "n", "metadata": {"k": null}}),
            400,
            "invalid_metadata",
            "metadata.k: ",
        ),
        (&session, json!({"metadata": 7}), 400, "invalid_metadata", "metadata: "),
        (&session, json!({"budget": {"type": "limit"}}), 400, "budget_create_only", "budget: "),
    ] {
        let told = house.post(path, &body).await;
        assert_eq!(told.code().as_deref(), Some(code), "{path} {body}");
        assert_eq!(told.header("x-should-retry"), None, "{path} {body}");
        told.refused(
            status,
            "invalid_request_error".replace("invalid_request", kind(status)).as_str(),
            message,
        );
    }
}

#[tokio::test]
async fn a_name_that_a_tool_may_not_have_is_refused_by_its_field_and_without_a_code() {
    let house = TestServer::open().await;
    let roster = json!({"type": "coordinator", "agents": [{"type": "self"}]});
    for (name, roster) in
        [("bash", &Value::Null), ("mcp__a", &Value::Null), ("ant__a", &Value::Null), ("Agent", &roster)]
    {
        let body = json!({"name": "n", "model": "test-1", "tools": [tool(name)], "multiagent": roster});
        let told = house.post("/v1/agents", &body).await;
        assert_eq!(told.code(), None, "{name}");
        told.refused(400, "invalid_request_error", "tools.0.name: ");
    }
}

fn kind(status: u16) -> &'static str {
    if status == 404 { "not_found" } else { "invalid_request" }
}

#[tokio::test]
async fn what_a_session_comes_to_is_bounded_not_what_is_sent() {
    let house = TestServer::open().await;
    let many = |from: usize, to: usize| {
        let pairs = (from..to).map(|n| (n.to_string(), json!("v")));
        json!({"metadata": pairs.collect::<serde_json::Map<_, _>>()})
    };
    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    for path in [session, format!("/v1/agents/{}", id(&house.agent().await))] {
        house.post(&path, &many(0, 16)).await.ok();
        house.post(&path, &many(3, 16)).await.ok();
        let told = house.post(&path, &many(16, 17)).await;
        assert_eq!(told.code().as_deref(), Some("invalid_metadata"));
        told.refused(400, "invalid_request_error", "metadata: must have at most 16 pairs, has 17");
        let swapped = json!({"metadata": {"0": null, "ключ": ""}});
        let metadata = house.post(&path, &swapped).await.ok()["metadata"].clone();
        assert_eq!(
            (metadata.as_object().map(serde_json::Map::len), &metadata["ключ"]),
            (Some(16), &json!(""))
        );
    }
}

#[tokio::test]
async fn what_comes_again_however_often_it_is_tried_says_so() {
    let house = TestServer::open().await;
    let body = json!({"name": "taken"});
    house.post("/v1/environments", &body).await.ok();
    let other = format!("/v1/environments/{}", id(&house.environment().await));
    let agent = format!("/v1/agents/{}", id(&house.agent().await));
    for (path, body, kind) in [
        ("/v1/environments", &body, "conflict_error"),
        (&other, &body, "conflict_error"),
        (&agent, &json!({"version": 2}), "invalid_request_error"),
    ] {
        let told = house.post(path, body).await;
        assert_eq!(told.header("x-should-retry"), Some("false"));
        told.refused(409, kind, "");
    }
    let told = house.post("/v1/vaults", &json!({})).await;
    assert_eq!((told.status.as_u16(), told.header("x-should-retry")), (501, Some("false")));
}

#[tokio::test]
async fn what_an_archived_session_no_longer_takes_is_400() {
    let house = TestServer::open().await;
    let session = format!("/v1/sessions/{}", id(&house.session(&[]).await));
    house.post(&format!("{session}/archive"), &Value::Null).await.ok();
    for (path, body) in [
        (session.clone(), json!({"title": "t"})),
        (session.clone(), json!({"metadata": {"a": "b"}})),
        (format!("{session}/events"), json!({"events": [message("hi")]})),
    ] {
        house.post(&path, &body).await.refused(400, "invalid_request_error", "the session is archived");
    }
}
