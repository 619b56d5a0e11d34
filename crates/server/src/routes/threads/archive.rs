//! `POST /v1/sessions/{session_id}/threads/{thread_id}/archive`: ends a child thread.

use protocol::error::ErrorKind;

use super::named;
use crate::{answer::Answer, error::Problem, extract::Call};

/// Refuses: every session has only its primary thread so far, and that one ends with the session.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let (session, thread) = named(&call).await?;
    let id = thread.id;
    let message = format!("{id} is the primary thread and ends with its session: archive {session} instead");
    Err(Problem::new(ErrorKind::InvalidRequest, message))
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
