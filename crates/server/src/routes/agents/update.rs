//! `POST /v1/agents/{agent_id}`: the next version of an agent.

use protocol::agent::Agent;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the new version, or with the old one when nothing changes.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = verbs::named::<Agent>(&call)?;
    let body = call.body().await?;
    Ok(verbs::told(call.engine().update_agent(verbs::errand(&call), id, body).await?))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_change_makes_the_next_version_and_no_change_none() {
        let house = TestServer::open().await;
        let made = house.agent().await;
        let path = format!("/v1/agents/{}", id(&made));
        let mut expected = made;
        expected["version"] = json!(2);
        expected["system"] = json!("s");
        expected["updated_at"] = json!(TIME);
        let body = json!({"system": "s", "version": 1});
        assert_eq!(house.post(&path, &body).await.ok(), expected);
        assert_eq!(house.post(&path, &json!({"system": "s"})).await.ok(), expected);
        assert_eq!(house.post(&path, &Value::Null).await.ok(), expected);
    }

    #[tokio::test]
    async fn a_stale_version_is_409_and_not_to_be_retried() {
        let house = TestServer::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        house.post(&path, &json!({"name": "b"})).await.ok();
        let told = house.post(&path, &json!({"name": "b", "version": 1})).await;
        assert_eq!(told.header("x-should-retry"), Some("false"));
        told.refused(409, "invalid_request_error", "version: concurrent modification");
    }

    #[tokio::test]
    async fn an_archived_agent_is_not_changed() {
        let house = TestServer::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        let told = house.post(&path, &json!({"name": "b"})).await;
        told.refused(400, "invalid_request_error", "the agent");
    }

    #[tokio::test]
    async fn racing_changes_are_all_kept() {
        let house = TestServer::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        let patches: Vec<_> = (0..16).map(|key| json!({"metadata": {key.to_string(): "x"}})).collect();
        let told = futures_util::future::join_all(patches.iter().map(|patch| house.post(&path, patch))).await;
        for told in told {
            told.ok();
        }
        let agent = house.get(&path).await.ok();
        let kept = agent["metadata"].as_object().map(serde_json::Map::len);
        assert_eq!((&agent["version"], kept), (&json!(17), Some(16)));
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod life;
