//! `GET /heddle/sessions/{session_id}/threads/{thread_id}/prompt`: what a thread's model was sent last.
//! Not of the API: Heddle's own, for whoever wonders why an agent does what it does.

use super::found::named;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the body of the last request, as the provider was sent it.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let (session, thread) = named(&call).await?;
    let body = call.engine().last_request(call.workspace(), session, thread.id).await?;
    let none =
        || ApiProblem::missing(format!("the model of thread {} has not been asked anything yet", thread.id));
    Ok(ApiAnswer::Json(body.ok_or_else(none)?.into()))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::json;

    #[tokio::test]
    async fn what_the_model_was_asked_last_is_shown() {
        let house = TestServer::open().await;
        let session = house.session(&[message("hi")]).await;
        let path = format!("/v1/sessions/{}", id(&session));
        house.settled(&path).await;
        let thread = id(&house.get(&format!("{path}/threads")).await.ok()["data"][0]);
        let prompt =
            house.get(&format!("/heddle/sessions/{}/threads/{thread}/prompt", id(&session))).await.ok();
        assert_eq!(prompt, json!({"model": "test-1", "messages": 1, "said": "hi"}));
    }

    #[tokio::test]
    async fn a_model_that_was_not_asked_yet_was_sent_nothing() {
        let house = TestServer::open().await;
        let session = id(&house.session(&[]).await);
        let thread = id(&house.get(&format!("/v1/sessions/{session}/threads")).await.ok()["data"][0]);
        let told = house.get(&format!("/heddle/sessions/{session}/threads/{thread}/prompt")).await;
        told.refused(404, "not_found_error", "the model of thread");
    }
}
