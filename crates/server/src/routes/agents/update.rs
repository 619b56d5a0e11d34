//! `POST /v1/agents/{agent_id}`: the next version of an agent.

use kernel::rules::agent;
use store::{Kind, Write};

use super::{current, roster, row};
use crate::{
    answer::Answer,
    document::{self, Change},
    error::Problem,
    extract::Call,
};

/// Answers with the new version, or with the old one when nothing changes.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let id = call.id("agent_id")?;
    let body = call.body().await?;
    document::change(&call, || async {
        let stored = current(&call, id).await?.value;
        let engine = call.engine();
        let change = agent::Change::read(body.clone(), engine.routes())?;
        let found = roster::named(&call, change.named()).await?;
        let nested = roster::nested(&call);
        let Some(next) = agent::revise(&stored, change, &found, nested, engine.now())? else {
            return Ok(Change::Nothing(stored));
        };
        let live = Write::ExpectLive { kind: Kind::Agent, id: id.bits(), version: None };
        let document = row(call.workspace(), &next)?;
        let revise = Write::Revise { document, expected: stored.definition.version, keep_history: true };
        Ok(Change::Writes(next, vec![live, revise]))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, TIME, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_change_makes_the_next_version_and_no_change_none() {
        let house = House::open().await;
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
        let house = House::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        house.post(&path, &json!({"name": "b"})).await.ok();
        let told = house.post(&path, &json!({"name": "b", "version": 1})).await;
        assert_eq!(told.header("x-should-retry"), Some("false"));
        told.refused(409, "invalid_request_error", "version: concurrent modification");
    }

    #[tokio::test]
    async fn an_archived_agent_is_not_changed() {
        let house = House::open().await;
        let path = format!("/v1/agents/{}", id(&house.agent().await));
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        let told = house.post(&path, &json!({"name": "b"})).await;
        told.refused(400, "invalid_request_error", "the agent");
    }

    #[tokio::test]
    async fn racing_changes_are_all_kept() {
        let house = House::open().await;
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
