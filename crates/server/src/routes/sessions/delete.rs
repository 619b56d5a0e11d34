//! `DELETE /v1/sessions/{session_id}`: removes a session and its history.

use protocol::SessionId;
use serde_json::json;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the id of what is gone.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id: SessionId = call.id("session_id")?;
    call.engine().delete(call.workspace(), id).await?;
    ApiAnswer::json(&json!({"id": id, "type": "session_deleted"}))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::json;

    #[tokio::test]
    async fn what_is_deleted_is_gone() {
        let house = TestServer::open().await;
        let session = house.session(&[]).await;
        let path = format!("/v1/sessions/{}", id(&session));
        let told = house.delete(&path).await.ok();
        assert_eq!(told, json!({"id": session["id"], "type": "session_deleted"}));
        for gone in [
            path.clone(),
            format!("{path}/events"),
            format!("{path}/threads"),
            format!("{path}/events/stream"),
        ] {
            house.get(&gone).await.refused(404, "not_found_error", "");
        }
        house.delete(&path).await.refused(404, "not_found_error", "");
        assert_eq!(house.get("/v1/sessions?include_archived=true").await.ok()["data"], json!([]));
    }

    #[tokio::test]
    async fn a_running_session_is_not_deleted() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hold")]).await));
        let told = house.delete(&path).await;
        told.refused(
            400,
            "invalid_request_error",
            "cannot delete this session while its status is `running`",
        );
    }
}
