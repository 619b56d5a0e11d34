//! `POST /v1/agents`: saves an agent.

use kernel::rules::agent;
use store::Write;

use super::{roster, row};
use crate::{
    answer::Answer,
    document::{self, Change},
    error::Problem,
    extract::Call,
};

/// Answers with the agent at version 1.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let engine = call.engine();
    let (agent, sent) = agent::create(call.body()?, engine.routes(), engine.mint(), engine.now())?;
    let agent = match sent {
        None => agent,
        Some(sent) => {
            let found = roster::named(&call, &sent).await?;
            agent::enlist(agent, &sent, &found, roster::nested(&call))?
        }
    };
    let saved = document::change(&call, || async {
        Ok(Change::Writes(&agent, vec![Write::Create(row(call.workspace(), &agent)?)]))
    });
    Answer::json(saved.await?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, TIME, id, tool};
    use serde_json::json;

    #[tokio::test]
    async fn an_agent_is_saved_and_read_back() {
        let house = House::open().await;
        let body = json!({"name": "n", "model": "test-1", "tools": [tool("t")], "metadata": {"a": "b"}});
        let made = house.post("/v1/agents", &body).await.ok();
        let expected = json!({
            "type": "agent", "id": made["id"], "version": 1, "name": "n", "description": null,
            "model": {"id": "test-1", "effort": null, "inference_geo": null, "speed": "standard"},
            "system": null, "tools": [tool("t")], "mcp_servers": [], "skills": [], "multiagent": null,
            "execution_identity": {"type": "service_account"}, "metadata": {"a": "b"},
            "created_at": TIME, "updated_at": TIME, "archived_at": null,
        });
        assert_eq!(made, expected);
        assert_eq!(house.get(&format!("/v1/agents/{}", id(&made))).await.ok(), expected);
    }

    #[tokio::test]
    async fn a_mistake_is_a_400_that_names_the_field() {
        let house = House::open().await;
        let body = json!({"name": "n", "model": "test-1", "tools": [{"type": "custom", "name": "a b"}]});
        house.post("/v1/agents", &body).await.refused(400, "invalid_request_error", "tools.0.name: ");
        let body = json!({"name": "n", "model": "gpt"});
        house.post("/v1/agents", &body).await.refused(400, "invalid_request_error", "model: no route");
    }
}
