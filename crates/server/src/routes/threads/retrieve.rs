//! `GET /v1/sessions/{session_id}/threads/{thread_id}`: one thread.

use super::named;
use crate::{answer::Answer, error::Problem, extract::Call};

/// Answers with the thread.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let (_, thread) = named(&call).await?;
    Answer::json(&thread)
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id};

    #[tokio::test]
    async fn a_thread_is_found_in_its_own_session_only() {
        let house = House::open().await;
        let (mine, other) = (house.session(&[]).await, house.session(&[]).await);
        let threads = format!("/v1/sessions/{}/threads", id(&mine));
        let listed = house.get(&threads).await.ok();
        let thread = id(&listed["data"][0]);
        assert_eq!(house.get(&format!("{threads}/{thread}")).await.ok(), listed["data"][0]);
        let told = house.get(&format!("/v1/sessions/{}/threads/{thread}", id(&other))).await;
        told.refused(404, "not_found_error", "the session");
        house.get(&format!("{threads}/x")).await.refused(404, "not_found_error", "thread_id: ");
    }
}
