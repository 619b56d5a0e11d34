//! `POST /v1/sessions/{session_id}/archive`: ends a session for good; its history stays.

use kernel::Input;

use super::outcome::after;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the session, terminated.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    after(&call, Input::Archive).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn an_idle_session_is_ended_once() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[]).await));
        let first = house.post(&format!("{path}/archive"), &Value::Null).await;
        let times = first.times();
        let archived = first.ok();
        assert_eq!(archived["status"], json!("terminated"));
        assert!(archived["archived_at"].is_string());
        assert_eq!(house.post(&format!("{path}/archive"), &Value::Null).await.times(), times);
        let told = house.post(&format!("{path}/events"), &json!({"events": [message("a")]})).await;
        told.refused(400, "invalid_request_error", "the session is archived");
    }

    #[tokio::test]
    async fn a_running_session_is_not_archived() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hold")]).await));
        let told = house.post(&format!("{path}/archive"), &Value::Null).await;
        told.refused(
            400,
            "invalid_request_error",
            "cannot archive this session while its status is `running`",
        );
    }
}
