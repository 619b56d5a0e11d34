//! `POST /v1/sessions/{session_id}/threads/{thread_id}/archive`: ends a child thread.

use kernel::Input;

use super::named;
use crate::{answer::Answer, error::Problem, extract::Call};

/// Answers with the thread, terminated. Once more changes nothing. One that works is refused, and so is the
/// primary, which ends with its session.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let (session, thread) = named(&call).await?;
    let input = Input::ArchiveThread { thread: thread.id };
    call.engine().commit(call.workspace(), session, input).await?;
    let (_, thread) = named(&call).await?;
    Answer::json(&thread)
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id};
    use serde_json::Value;

    #[tokio::test]
    async fn the_primary_is_not_archived_by_itself() {
        let house = House::open().await;
        let threads = format!("/v1/sessions/{}/threads", id(&house.session(&[]).await));
        let id = id(&house.get(&threads).await.ok()["data"][0]);
        let told = house.post(&format!("{threads}/{id}/archive"), &Value::Null).await;
        told.refused(400, "invalid_request_error", &id);
        let told = house.post(&format!("{threads}/sthr_1111111111111111111111/archive"), &Value::Null).await;
        told.refused(404, "not_found_error", "the session");
    }
}
