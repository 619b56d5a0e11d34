//! `POST /v1/environments/{environment_id}/archive`: no new session may use it; those that run go on.

use kernel::rules::environment;
use store::Write;

use super::{current, named, row};
use crate::{
    answer::Answer,
    document::{self, Change},
    error::Problem,
    extract::Call,
};

/// Answers with the environment, archived now or before.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let id = named(&call)?;
    document::change(&call, || async {
        let stored = current(&call, id).await?;
        let Some(next) = environment::archive(&stored.value, call.engine().now()) else {
            return Ok(Change::Nothing(stored.value));
        };
        let expected = stored.row.version;
        let document = row(&call, &next, expected + 1)?;
        Ok(Change::Writes(next, vec![Write::Revise { document, expected, keep_history: false }]))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id};
    use serde_json::Value;

    #[tokio::test]
    async fn archive_keeps_its_time_when_it_is_repeated() {
        let house = House::open().await;
        let path = format!("/v1/environments/{}/archive", id(&house.environment().await));
        let first = house.post(&path, &Value::Null).await;
        let second = house.post(&path, &Value::Null).await;
        assert_eq!(first.times(), second.times());
        let (first, second) = (first.ok(), second.ok());
        assert!(first["archived_at"].is_string());
        assert_eq!(first, second);
    }
}
