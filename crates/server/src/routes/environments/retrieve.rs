//! `GET /v1/environments/{environment_id}`: one environment.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the environment.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::retrieve::<Environment>(call).await
}

#[cfg(test)]
mod tests {
    use crate::testing::TestServer;

    #[tokio::test]
    async fn what_is_not_there_is_404() {
        let house = TestServer::open().await;
        let told = house.get("/v1/environments/env_1111111111111111111111").await;
        assert_eq!(told.code(), Some("environment_not_found".to_owned()));
        told.refused(404, "not_found_error", "there is no environment");
        house.get("/v1/environments/env_x").await.refused(404, "not_found_error", "environment_id: ");
    }
}
