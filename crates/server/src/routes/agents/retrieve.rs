//! `GET /v1/agents/{agent_id}[?version=N]`: one agent, now or as it was.

use protocol::agent::Agent;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the agent. Whether it is archived is the same for all its versions.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = verbs::named::<Agent>(&call)?;
    let version = call.query.read::<u64>("version", "a whole number")?;
    let (engine, workspace) = (call.engine(), call.workspace());
    if let Some(agent) = engine.document_in::<Agent>(workspace, id, version).await? {
        return ApiAnswer::json(&agent);
    }
    engine.document::<Agent>(workspace, id).await?;
    let version = version.unwrap_or_default();
    Err(ApiProblem::missing(format!("version: the agent {id} has no version {version}")))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn each_version_is_read_by_its_number() {
        let house = TestServer::open().await;
        let first = house.agent().await;
        let path = format!("/v1/agents/{}", id(&first));
        let second = house.post(&path, &json!({"name": "other"})).await.ok();
        assert_eq!(house.get(&format!("{path}?version=1")).await.ok(), first);
        assert_eq!(house.get(&format!("{path}?version=2")).await.ok(), second);
        assert_eq!(house.get(&path).await.ok(), second);
        house.get(&format!("{path}?version=3")).await.refused(404, "not_found_error", "version: ");
        house.get(&format!("{path}?version=x")).await.refused(400, "invalid_request_error", "version: ");
    }

    #[tokio::test]
    async fn an_old_version_of_an_archived_agent_is_archived() {
        let house = TestServer::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        house.post(&path, &json!({"name": "other"})).await.ok();
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        assert!(house.get(&format!("{path}?version=1")).await.ok()["archived_at"].is_string());
    }

    #[tokio::test]
    async fn what_is_not_there_is_404_and_what_is_no_agents_id_400() {
        let house = TestServer::open().await;
        for (id, status, kind, message) in [
            ("agent_1111111111111111111111", 404, "not_found_error", "there is no agent"),
            (
                "agent_011CZkYpogX7uDKUyvBTophP",
                404,
                "not_found_error",
                "agent_id: no such agent here; ids of another server are unknown; got `agent_011CZk",
            ),
            ("agent_x", 400, "invalid_request_error", "agent_id: expected an agent's id, `agent_` and 22 "),
            ("sesn_1111111111111111111111", 400, "invalid_request_error", "agent_id: expected an agent's id"),
        ] {
            for rest in ["", "/versions"] {
                house.get(&format!("/v1/agents/{id}{rest}")).await.refused(status, kind, message);
            }
            house
                .post(&format!("/v1/agents/{id}"), &json!({"name": "n"}))
                .await
                .refused(status, kind, message);
            house
                .post(&format!("/v1/agents/{id}/archive"), &Value::Null)
                .await
                .refused(status, kind, message);
        }
    }
}
