//! `POST /v1/sessions`: opens a session; resources, vaults and budgets are not supported yet.

use kernel::rules::session;
use protocol::Invalid;
use serde_json::Value;

use crate::{
    answer::{self, ApiAnswer},
    call::ApiRequest,
    error::ApiProblem,
};

/// Answers with the session: `running` when it begins with events, else `idle`.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let (engine, workspace) = (call.engine(), call.workspace());
    if let Some(attempt) = call.attempt()
        && let Some(session) = engine.opened(workspace, attempt).await?
    {
        return ApiAnswer::json(&session);
    }
    let request = call.read(request).await?;
    let session = engine.open_session(workspace, request, call.attempt()).await?;
    answer::made(session.id);
    ApiAnswer::json(&session)
}

/// What a body asks for, with pictures that a model can be shown.
fn request(body: Value) -> Result<session::SessionRequest, Invalid> {
    let request = session::create(body)?;
    engine::shown(&request.events, "initial_events")?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id, message, tool};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_session_is_opened_and_read_back() {
        let house = TestServer::open().await;
        let (agent, environment) = (house.agent().await, house.environment().await);
        let body = json!({
            "agent": agent["id"], "environment_id": environment["id"], "title": "t", "metadata": {"a": "b"},
        });
        let made = house.post("/v1/sessions", &body).await.ok();
        let expected = json!({
            "type": "session", "id": made["id"],
            "agent": {
                "type": "agent", "id": agent["id"], "version": 1, "name": "an agent", "description": null,
                "model": {"id": "test-1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"},
                "system": null, "tools": [tool("look_up")], "mcp_servers": [], "skills": [], "multiagent": null,
                "execution_identity": {"type": "service_account"},
            },
            "environment_id": environment["id"], "title": "t", "metadata": {"a": "b"}, "resources": [],
            "vault_ids": [], "budget": null, "deployment_id": null, "outcome_evaluations": [],
            "stats": made["stats"], "usage": made["usage"], "status": "idle",
            "created_at": TIME, "updated_at": TIME, "archived_at": null,
        });
        assert_eq!(made, expected);
        assert_eq!(made["stats"]["active_seconds"], json!(0.0));
        let read = house.get(&format!("/v1/sessions/{}", id(&made))).await.ok();
        assert_eq!((&read["agent"], &read["status"]), (&expected["agent"], &json!("idle")));
    }

    #[tokio::test]
    async fn one_that_begins_with_events_is_running_at_once() {
        let house = TestServer::open().await;
        assert_eq!(house.session(&[message("hold")]).await["status"], json!("running"));
    }

    #[tokio::test]
    async fn an_agent_is_named_plainly_pinned_or_overridden() {
        let house = TestServer::open().await;
        let agent = house.agent().await;
        let environment = house.environment().await;
        house.post(&format!("/v1/agents/{}", id(&agent)), &json!({"name": "second"})).await.ok();
        let id = &agent["id"];
        for (reference, version, name, system) in [
            (json!(id), 2, "second", Value::Null),
            (json!({"type": "agent", "id": id}), 2, "second", Value::Null),
            (json!({"type": "agent", "id": id, "version": 1}), 1, "an agent", Value::Null),
            (
                json!({"type": "agent_with_overrides", "id": id, "version": 1, "system": "s", "tools": null}),
                1,
                "an agent",
                json!("s"),
            ),
        ] {
            let body = json!({"agent": reference, "environment_id": environment["id"]});
            let made = house.post("/v1/sessions", &body).await.ok();
            let seen = (&made["agent"]["version"], &made["agent"]["name"], &made["agent"]["system"]);
            assert_eq!(seen, (&json!(version), &json!(name), &system));
        }
    }

    #[tokio::test]
    async fn what_is_missing_or_archived_is_named() {
        let house = TestServer::open().await;
        let (agent, environment) =
            (house.agent().await["id"].clone(), house.environment().await["id"].clone());
        let nobody = "agent_1111111111111111111111";
        let nowhere = "env_1111111111111111111111";
        let absent = json!({"type": "agent", "id": agent, "version": 9});
        let theirs = "agent_011CZkYpogX7uDKUyvBTophP";
        let foreign = json!({"type": "agent", "id": theirs});
        let unknown = "no such agent here; ids of another server are unknown";
        for (agent, environment, status, kind, path) in [
            (&json!(nobody), &environment, 404, "not_found_error", "agent: "),
            (&absent, &environment, 404, "not_found_error", "agent.version: "),
            (&json!(theirs), &environment, 404, "not_found_error", &format!("agent: {unknown}")),
            (&foreign, &environment, 404, "not_found_error", &format!("agent.id: {unknown}")),
            (&agent, &json!(nowhere), 404, "not_found_error", "environment_id: "),
            (&agent, &json!("x"), 400, "invalid_request_error", "environment_id: "),
            (&json!(null), &environment, 400, "invalid_request_error", "agent: "),
        ] {
            let told =
                house.post("/v1/sessions", &json!({"agent": agent, "environment_id": environment})).await;
            told.refused(status, kind, path);
        }
        let body = json!({"agent": agent, "environment_id": environment});
        let path = format!("/v1/environments/{}/archive", environment.as_str().unwrap_or_default());
        house.post(&path, &Value::Null).await.ok();
        let told = house.post("/v1/sessions", &body).await;
        assert_eq!(told.code(), Some("environment_archived".to_owned()));
        told.refused(400, "invalid_request_error", "environment_id: ");
        house
            .post(&format!("/v1/agents/{}/archive", agent.as_str().unwrap_or_default()), &Value::Null)
            .await
            .ok();
        house.post("/v1/sessions", &body).await.refused(400, "invalid_request_error", "agent: the agent");
    }

    #[tokio::test]
    async fn one_bad_initial_event_opens_nothing() {
        let house = TestServer::open().await;
        let (agent, environment) = (house.agent().await, house.environment().await);
        let events = json!([message("a"), {"type": "user.interrupt"}]);
        let body =
            json!({"agent": agent["id"], "environment_id": environment["id"], "initial_events": events});
        let told = house.post("/v1/sessions", &body).await;
        told.refused(400, "invalid_request_error", "initial_events.1.type: ");
        assert_eq!(house.get("/v1/sessions").await.ok()["data"], json!([]));
    }
}
