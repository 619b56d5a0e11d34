//! `POST /v1/sessions/{session_id}/threads/{thread_id}/archive`: ends a child thread.

use kernel::Input;
use protocol::ThreadId;

use super::found::named;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::sessions::outcome};

/// Answers with the thread, terminated. Once more changes nothing. One that works is refused, and so is the
/// primary, which ends with its session.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let committed = if let Some(earlier) = outcome::earlier(&call).await? {
        earlier
    } else {
        let (session, thread) = named(&call).await?;
        let input = Input::ArchiveThread { thread: thread.id };
        call.engine().commit_attempt(call.workspace(), session, input, call.attempt()).await?
    };
    let id: ThreadId = call.id("thread_id")?;
    let archived = call.engine().thread_at(&committed.head, committed.at, id).await?;
    ApiAnswer::json(
        &archived.ok_or_else(|| ApiProblem::internal("an archived thread is not in its session"))?,
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id, types};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_child_that_rests_is_archived_and_once_more_changes_nothing() {
        let house = TestServer::open().await;
        let (path, child) = house.family("call").await;
        house.settled(&path).await;
        let url = format!("{path}/threads/{}", id(&child));
        let archived = house.post(&format!("{url}/archive"), &Value::Null).await.ok();
        let mut expected = house.get(&url).await.ok();
        assert_eq!((&expected["status"], &expected["archived_at"]), (&json!("terminated"), &json!(TIME)));
        assert_eq!(archived, expected);
        expected = house.post(&format!("{url}/archive"), &json!({})).await.ok();
        assert_eq!(archived, expected);
        let listed = house.get(&format!("{path}/events?order=desc&limit=2")).await.ok();
        assert_eq!(types(&listed), ["session.status_idle", "session.usage"]);
        let call = house.get(&format!("{url}/events?order=desc&limit=50")).await.ok();
        let call = call["data"]
            .as_array()
            .and_then(|events| events.iter().find(|event| event["type"] == "agent.custom_tool_use").cloned());
        let late = json!({"type": "user.custom_tool_result", "custom_tool_use_id": call.map(|call| call["id"].clone())});
        let told = house.post(&format!("{path}/events"), &json!({"events": [late]})).await;
        told.refused(400, "invalid_request_error", "events.0.custom_tool_use_id: the thread");
    }

    #[tokio::test]
    async fn a_child_at_work_is_not_archived() {
        let house = TestServer::open().await;
        let (path, child) = house.family("hold").await;
        let told = house.post(&format!("{path}/threads/{}/archive", id(&child)), &Value::Null).await;
        told.refused(400, "invalid_request_error", "cannot archive while the status");
    }

    #[tokio::test]
    async fn the_primary_is_not_archived_by_itself() {
        let house = TestServer::open().await;
        let threads = format!("/v1/sessions/{}/threads", id(&house.session(&[]).await));
        let id = id(&house.get(&threads).await.ok()["data"][0]);
        let told = house.post(&format!("{threads}/{id}/archive"), &Value::Null).await;
        told.refused(400, "invalid_request_error", &id);
        let told = house.post(&format!("{threads}/sthr_1111111111111111111111/archive"), &Value::Null).await;
        told.refused(404, "not_found_error", "the session");
    }
}
