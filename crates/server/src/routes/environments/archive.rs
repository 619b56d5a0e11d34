//! `POST /v1/environments/{environment_id}/archive`: no new session may use it; those that run go on.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the environment, archived now or before.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::archive::<Environment>(call).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::Value;

    #[tokio::test]
    async fn archive_keeps_its_time_when_it_is_repeated() {
        let house = TestServer::open().await;
        let path = format!("/v1/environments/{}/archive", id(&house.environment().await));
        let first = house.post(&path, &Value::Null).await;
        let second = house.post(&path, &Value::Null).await;
        assert_eq!(first.times(), second.times());
        let (first, second) = (first.ok(), second.ok());
        assert!(first["archived_at"].is_string());
        assert_eq!(first, second);
    }
}
