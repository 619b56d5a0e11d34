//! `GET /v1/sessions/{session_id}/threads/{thread_id}`: one thread.

use super::found::named;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the thread.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let (_, thread) = named(&call).await?;
    ApiAnswer::json(&thread)
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};

    #[tokio::test]
    async fn a_thread_is_found_in_its_own_session_only() {
        let house = TestServer::open().await;
        let (mine, other) = (house.session(&[]).await, house.session(&[]).await);
        let threads = format!("/v1/sessions/{}/threads", id(&mine));
        let listed = house.get(&threads).await.ok();
        let thread = id(&listed["data"][0]);
        assert_eq!(house.get(&format!("{threads}/{thread}")).await.ok(), listed["data"][0]);
        let told = house.get(&format!("/v1/sessions/{}/threads/{thread}", id(&other))).await;
        told.refused(404, "not_found_error", "the session");
        let malformed = "thread_id: expected a thread's id, `sthr_` and 22 letters and digits";
        house.get(&format!("{threads}/x")).await.refused(400, "invalid_request_error", malformed);
        let elsewhere = "/v1/sessions/sesn_1111111111111111111111/threads";
        house.get(&format!("{elsewhere}/x")).await.refused(400, "invalid_request_error", malformed);
        house.get(&format!("{elsewhere}/{thread}")).await.refused(
            404,
            "not_found_error",
            "there is no session",
        );
        let foreign = "thread_id: no such thread here; ids of another server are unknown";
        let told = house.get(&format!("{threads}/sthr_011CZkYpogX7uDKUyvBTophP")).await;
        told.refused(404, "not_found_error", foreign);
    }
}
