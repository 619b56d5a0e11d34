//! `POST /v1/sessions/{session_id}`: title, metadata, and the tools of an idle session.

use kernel::{Input, rules::session};
use protocol::{environment::Environment, parse::GivenField, tool::AgentTool};

use super::outcome::{after, earlier, told};
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the session as it is now.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let change = call.read(session::update).await?;
    if let Some(earlier) = earlier(&call).await? {
        return told(&call, &earlier).await;
    }
    if let GivenField::Value(tools) = &change.tools {
        reachable(&call, tools).await?;
    }
    after(&call, Input::Update(change)).await
}

/// Refuses web tools that are to reach more than the session's environment does, if that is still there.
async fn reachable(call: &ApiRequest, tools: &[AgentTool]) -> Result<(), ApiProblem> {
    let Some(session) = call.engine().session(call.workspace(), call.id("session_id")?).await? else {
        return Ok(());
    };
    let id = session.environment_id;
    match call.engine().document_in::<Environment>(call.workspace(), id, None).await? {
        None => Ok(()),
        Some(environment) => Ok(session::reachable(tools, &environment.config, "agent.tools")?),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_change_is_seen_and_told_and_no_change_is_not() {
        let house = TestServer::open().await;
        let session = house.session(&[]).await;
        let path = format!("/v1/sessions/{}", id(&session));
        let body = json!({"title": "new", "metadata": {"a": "b"}, "agent": {"tools": []}});
        for _ in 0..2 {
            let told = house.post(&path, &body).await.ok();
            let seen = (&told["title"], &told["metadata"], &told["agent"]["tools"]);
            assert_eq!(seen, (&json!("new"), &json!({"a": "b"}), &json!([])));
        }
        let events = house.get(&format!("{path}/events?types[]=session.updated")).await.ok();
        assert_eq!(events["data"].as_array().map(Vec::len), Some(1));
        let told = house.post(&path, &json!({"title": null, "metadata": {"a": null}})).await.ok();
        assert_eq!((&told["title"], &told["metadata"]), (&Value::Null, &json!({})));
    }

    #[tokio::test]
    async fn web_tools_stay_within_the_environments_network() {
        let house = TestServer::open().await;
        let networking = json!({"type": "limited", "allowed_hosts": ["*.example.com"]});
        let config = json!({"type": "cloud", "networking": networking});
        let environment = house.post("/v1/environments", &json!({"name": "n", "config": config})).await.ok();
        let tools = |domain: &str| {
            let fetch = json!({"name": "web_fetch", "allowed_domains": [domain]});
            json!({"tools": [{"type": "agent_toolset_20260401", "configs": [fetch]}]})
        };
        let message = "agent.tools.0.configs.0.allowed_domains.0: `b.example` is not among";
        let mut agent = tools("b.example");
        agent["type"] = json!("agent_with_overrides");
        agent["id"] = house.agent().await["id"].clone();
        let body = json!({"agent": agent, "environment_id": environment["id"]});
        house.post("/v1/sessions", &body).await.refused(400, "invalid_request_error", message);
        agent["tools"] = tools("a.example.com")["tools"].clone();
        let body = json!({"agent": agent, "environment_id": environment["id"]});
        let path = format!("/v1/sessions/{}", id(&house.post("/v1/sessions", &body).await.ok()));
        let told = house.post(&path, &json!({"agent": tools("b.example")})).await;
        told.refused(400, "invalid_request_error", message);
        house.post(&path, &json!({"agent": tools("b.a.example.com")})).await.ok();
        house.delete(&format!("/v1/environments/{}?force=true", id(&environment))).await.ok();
        house.post(&path, &json!({"agent": tools("b.example")})).await.ok();
    }

    #[tokio::test]
    async fn a_mistake_a_busy_agent_and_an_unknown_session_are_refused() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hold")]).await));
        let told = house.post(&path, &json!({"vault_ids": ["vlt_1"]})).await;
        told.refused(400, "invalid_request_error", "vault_ids: ");
        let told = house.post(&path, &json!({"agent": {"tools": []}})).await;
        told.refused(400, "invalid_request_error", "cannot update the agent of");
        house.post(&path, &json!({"title": "while it runs"})).await.ok();
        let same = house.get(&path).await.ok()["agent"]["tools"].clone();
        house.post(&path, &json!({"agent": {"tools": same, "mcp_servers": null}, "budget": null})).await.ok();
        let told = house.post("/v1/sessions/sesn_1111111111111111111111", &json!({"title": "x"})).await;
        told.refused(404, "not_found_error", "there is no such session");
    }
}
