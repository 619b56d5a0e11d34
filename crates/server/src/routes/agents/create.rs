//! `POST /v1/agents`: saves an agent; MCP servers and skills are not supported yet.

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the agent at version 1.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let body = call.body().await?;
    Ok(verbs::told(call.engine().create_agent(verbs::errand(&call), body).await?))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id, tool};
    use serde_json::json;

    #[tokio::test]
    async fn an_agent_is_saved_and_read_back() {
        let house = TestServer::open().await;
        let body = json!({"name": "n", "model": "test-1", "tools": [tool("t")], "metadata": {"a": "b"}});
        let made = house.post("/v1/agents", &body).await.ok();
        let expected = json!({
            "type": "agent", "id": made["id"], "version": 1, "name": "n", "description": null,
            "model": {"id": "test-1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"},
            "system": null, "tools": [tool("t")], "mcp_servers": [], "skills": [], "multiagent": null,
            "execution_identity": {"type": "service_account"}, "metadata": {"a": "b"},
            "created_at": TIME, "updated_at": TIME, "archived_at": null,
        });
        assert_eq!(made, expected);
        assert_eq!(house.get(&format!("/v1/agents/{}", id(&made))).await.ok(), expected);
    }

    #[tokio::test]
    async fn a_roster_is_pinned_when_it_is_saved_and_whole_in_a_session() {
        let house = TestServer::open().await;
        let helper = house.agent().await;
        let roster = json!({"type": "coordinator", "agents": [helper["id"], {"type": "self"}]});
        let body = json!({"name": "n", "model": "test-1", "multiagent": roster});
        let made = house.post("/v1/agents", &body).await.ok();
        let pinned = json!({"type": "coordinator", "agents": [
            {"type": "agent", "id": helper["id"], "version": 1}, {"type": "agent", "id": made["id"], "version": 1},
        ]});
        assert_eq!(made["multiagent"], pinned);
        house.post(&format!("/v1/agents/{}", id(&helper)), &json!({"name": "other"})).await.ok();
        let agent = json!({"type": "agent_with_overrides", "id": made["id"], "system": "s"});
        let body = json!({"agent": agent, "environment_id": house.environment().await["id"]});
        let session = house.post("/v1/sessions", &body).await.ok();
        let members = session["agent"]["multiagent"]["agents"].as_array().cloned().unwrap_or_default();
        let seen: Vec<_> = members.iter().map(|member| (&member["name"], &member["system"])).collect();
        assert_eq!(seen, [(&json!("an agent"), &json!(null)), (&json!("n"), &json!("s"))]);
        assert!(members.iter().all(|member| member.get("multiagent").is_none()));
    }

    #[tokio::test]
    async fn rosters_nest_as_deep_as_threads_may_lie() {
        let house = TestServer::deep().await;
        let coordinator = house.coordinator().await;
        let over = |member: &serde_json::Value| {
            let roster = json!({"type": "coordinator", "agents": [member["id"]]});
            json!({"name": format!("over {}", id(member)), "model": "test-1", "multiagent": roster})
        };
        let middle = house.post("/v1/agents", &over(&coordinator)).await.ok();
        let top = house.post("/v1/agents", &over(&middle)).await.ok();
        let body = json!({"agent": top["id"], "environment_id": house.environment().await["id"]});
        let session = house.post("/v1/sessions", &body).await.ok();
        let first = &session["agent"]["multiagent"]["agents"][0];
        let second = &first["multiagent"]["agents"][0];
        assert_eq!((&first["id"], &second["id"]), (&middle["id"], &coordinator["id"]));
        assert_eq!(second.get("multiagent"), None);
    }

    #[tokio::test]
    async fn who_may_not_be_in_a_roster_is_named() {
        let house = TestServer::open().await;
        let (helper, coordinator) =
            (house.agent().await["id"].clone(), house.coordinator().await["id"].clone());
        let absent = json!({"type": "agent", "id": helper, "version": 9});
        for (entry, message) in [
            (json!("agent_1111111111111111111111"), "multiagent.agents.0: there is no agent"),
            (absent, "multiagent.agents.0: there is no agent"),
            (
                json!("agent_011CZkYpogX7uDKUyvBTophP"),
                "multiagent.agents.0: no such agent here; ids of another server are unknown",
            ),
            (
                json!({"type": "advisor", "model": "test-1"}),
                "multiagent.agents.0.type: an advisor is not supported yet; save an agent that gives advice",
            ),
            (coordinator, "multiagent.agents.0: the agent"),
        ] {
            let roster = json!({"type": "coordinator", "agents": [entry]});
            let body = json!({"name": "n", "model": "test-1", "multiagent": roster});
            house.post("/v1/agents", &body).await.refused(400, "invalid_request_error", message);
        }
        let roster = json!({"type": "coordinator", "agents": [helper]});
        let made = house
            .post("/v1/agents", &json!({"name": "n", "model": "test-1", "multiagent": roster}))
            .await
            .ok();
        house
            .post(&format!("/v1/agents/{}/archive", helper.as_str().unwrap_or_default()), &json!({}))
            .await
            .ok();
        let body = json!({"agent": made["id"], "environment_id": house.environment().await["id"]});
        let told = house.post("/v1/sessions", &body).await;
        told.refused(400, "invalid_request_error", "agent.multiagent.agents.0: the agent");
    }

    #[tokio::test]
    async fn a_mistake_is_a_400_that_names_the_field() {
        let house = TestServer::open().await;
        let body = json!({"name": "n", "model": "test-1", "tools": [{"type": "custom", "name": "a b"}]});
        house.post("/v1/agents", &body).await.refused(400, "invalid_request_error", "tools.0.name: ");
        let body = json!({"name": "n", "model": "gpt"});
        house.post("/v1/agents", &body).await.refused(400, "invalid_request_error", "model: no route");
    }
}
