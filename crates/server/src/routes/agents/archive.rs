//! `POST /v1/agents/{agent_id}/archive`: no new session may use it; those that run go on.

use protocol::agent::Agent;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the agent, archived now or before.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::archive::<Agent>(call).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn archive_keeps_its_time_when_it_is_repeated() {
        let house = TestServer::open().await;
        let made = house.agent().await;
        let path = format!("/v1/agents/{}", id(&made));
        let first = house.post(&format!("{path}/archive"), &Value::Null).await;
        let times = first.times();
        let mut expected = made;
        expected["archived_at"] = json!(TIME);
        assert_eq!(first.ok(), expected);
        let second = house.post(&format!("{path}/archive"), &json!({})).await;
        assert_eq!(second.times(), times);
        assert_eq!(second.ok(), expected);
        let unknown = "/v1/agents/agent_1111111111111111111111/archive";
        house.post(unknown, &Value::Null).await.refused(404, "not_found_error", "there is no agent");
    }
}
