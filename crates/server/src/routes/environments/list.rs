//! `GET /v1/environments`: the environments, newest first.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with a page of environments.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::list::<Environment>(call, false).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::Value;

    #[tokio::test]
    async fn pages_hold_every_live_environment_once_newest_first() {
        let house = TestServer::open().await;
        let gone = house.environment().await;
        let mut made = vec![house.environment().await, house.environment().await, house.environment().await];
        made.reverse();
        let archived =
            house.post(&format!("/v1/environments/{}/archive", id(&gone)), &Value::Null).await.ok();
        assert_eq!(house.pages("/v1/environments?limit=2", &[2, 1]).await, made);
        made.push(archived);
        assert_eq!(house.pages("/v1/environments?limit=2&include_archived=true", &[2, 2]).await, made);
        let told = house.get("/v1/environments?include_archived=maybe").await;
        told.refused(400, "invalid_request_error", "include_archived: ");
    }
}
