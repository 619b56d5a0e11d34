//! `DELETE /v1/environments/{environment_id}`: removes an environment; sessions that use it go on.

use serde_json::json;
use store::{Kind, Write};

use super::{current, named};
use crate::{
    answer::Answer,
    document::{self, Change},
    error::Problem,
    extract::Call,
};

/// Answers with the id of what is gone.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let id = named(&call)?;
    current(&call, id).await?;
    let gone = json!({"id": id, "type": "environment_deleted"});
    document::change(&call, || async {
        Ok(Change::Writes(&gone, vec![Write::Drop { kind: Kind::Environment, id: id.bits() }]))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id};
    use serde_json::json;

    #[tokio::test]
    async fn what_is_deleted_is_gone_and_its_sessions_are_not() {
        let house = House::open().await;
        let session = house.session(&[]).await;
        let environment = session["environment_id"].clone();
        let path = format!("/v1/environments/{}", environment.as_str().unwrap_or_default());
        assert_eq!(house.delete(&path).await.ok(), json!({"id": environment, "type": "environment_deleted"}));
        house.get(&path).await.refused(404, "not_found_error", "there is no environment");
        house.delete(&path).await.refused(404, "not_found_error", "there is no environment");
        house.get(&format!("/v1/sessions/{}", id(&session))).await.ok();
    }
}
