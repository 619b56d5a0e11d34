//! `GET /v1/sessions/{session_id}`: one session.

use super::outcome::missing;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the session.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = call.id("session_id")?;
    let found = call.engine().session(call.workspace(), id).await?;
    ApiAnswer::json(&found.ok_or_else(|| missing(id))?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};

    #[tokio::test]
    async fn every_form_of_an_id_is_read_and_an_unknown_one_is_404() {
        let house = TestServer::open().await;
        let session = house.session(&[]).await;
        let id = id(&session);
        let digits = id.trim_start_matches("sesn_");
        for alias in ["sesn_", "session_", "sess_"] {
            let read = house.get(&format!("/v1/sessions/{alias}{digits}")).await.ok();
            assert_eq!(read["id"], session["id"]);
        }
        for id in ["sesn_1111111111111111111111", "x"] {
            house.get(&format!("/v1/sessions/{id}")).await.refused(404, "not_found_error", "");
        }
    }
}
