//! `GET /v1/agents`: the agents, newest first.

use protocol::agent::Agent;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with a page of agents.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::list::<Agent>(call, true).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn pages_hold_every_agent_once_newest_first() {
        let house = TestServer::open().await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(house.agent().await);
        }
        made.reverse();
        let listed = house.pages("/v1/agents?limit=2", &[2, 2, 1]).await;
        assert_eq!(listed, made);
    }

    #[tokio::test]
    async fn archived_ones_are_left_out_until_asked_for() {
        let house = TestServer::open().await;
        let path = format!("/v1/agents/{}/archive", id(&house.agent().await));
        let gone = house.post(&path, &Value::Null).await.ok();
        assert_eq!(house.get("/v1/agents").await.ok(), json!({"data": [], "next_page": null}));
        let all = house.get("/v1/agents?include_archived=true").await.ok();
        assert_eq!(all, json!({"data": [gone], "next_page": null}));
    }

    #[tokio::test]
    async fn the_time_of_creation_filters() {
        let house = TestServer::open().await;
        let made = house.agent().await;
        for (query, found) in [
            ("created_at[gte]=2026-01-01T00:00:00Z", vec![&made]),
            ("created_at%5Blte%5D=2026-01-01T00:00:00Z", vec![]),
        ] {
            let listed = house.get(&format!("/v1/agents?{query}")).await.ok();
            assert_eq!(listed, json!({"data": found, "next_page": null}));
        }
        let told = house.get("/v1/agents?created_at[gte]=yesterday").await;
        told.refused(400, "invalid_request_error", "created_at[gte]: ");
    }

    #[tokio::test]
    async fn a_token_of_another_list_and_one_too_many_are_refused() {
        let house = TestServer::open().await;
        for _ in 0..2 {
            house.agent().await;
        }
        let page = house.get("/v1/agents?limit=1").await.ok();
        let token = page["next_page"].as_str().unwrap_or_default();
        let told = house.get(&format!("/v1/environments?page={token}")).await;
        told.refused(400, "invalid_request_error", "page: this page token belongs to another list");
        let told = house.get(&format!("/v1/agents?page={token}&created_at[lte]=2026-01-01T00:00:00Z")).await;
        told.refused(400, "invalid_request_error", "page: the created_at filter");
        house.get("/v1/agents?limit=101").await.refused(400, "invalid_request_error", "limit: ");
    }
}
