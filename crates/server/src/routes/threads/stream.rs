//! `GET /v1/sessions/{session_id}/threads/{thread_id}/stream`: what happens on one thread.

use super::found::named;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::events::follow::follow, sse};

/// Answers with the thread's stream, from behind `Last-Event-ID` or `after_id`, else from now.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let (session, thread) = named(&call).await?;
    let feed = follow(&call, session, Some(thread.id)).await?;
    Ok(ApiAnswer::Stream(sse::told(feed, call.records())))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::Value;

    #[tokio::test]
    async fn a_childs_stream_ends_when_it_is_archived_and_again_for_who_comes_late() {
        let house = TestServer::open().await;
        let (path, child) = house.family("call").await;
        house.settled(&path).await;
        let url = format!("{path}/threads/{}", id(&child));
        let mut open = house.stream(&format!("{url}/stream")).await;
        house.post(&format!("{url}/archive"), &Value::Null).await.ok();
        assert_eq!(open.next().await.data()["type"], "user.custom_tool_result");
        let end = open.next().await.data();
        assert_eq!(end["type"], "session.thread_status_terminated");
        assert!(open.ended().await);
        let mut late = house.stream(&format!("{url}/stream")).await;
        assert_eq!(late.next().await.data(), end);
        assert!(late.ended().await);
    }

    #[tokio::test]
    async fn a_threads_stream_ends_with_the_thread() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hi")]).await));
        house.settled(&path).await;
        let thread = id(&house.get(&format!("{path}/threads")).await.ok()["data"][0]);
        let first = house.get(&format!("{path}/events?limit=1")).await.ok();
        let url = format!("{path}/threads/{thread}/stream?after_id={}", id(&first["data"][0]));
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        let told = house.get(&url).await;
        let records = told.text().matches("\n\n").count();
        let last = told.text().rsplit("event: message").next().unwrap_or_default();
        assert_eq!(records, 9);
        assert!(last.contains("session.thread_status_terminated"), "{last}");
        let told = house.get(&format!("{path}/threads/{thread}/stream?event_deltas[]=x")).await;
        told.refused(400, "invalid_request_error", "event_deltas: ");
        let told = house.get(&format!("{path}/threads/sthr_1111111111111111111111/stream")).await;
        told.refused(404, "not_found_error", "the session");
    }
}
