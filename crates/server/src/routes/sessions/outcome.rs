//! What comes of a call about a session: it is not there, or it is as it was after a change.

use engine::Committed;
use kernel::Input;
use protocol::SessionId;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// No such session.
pub(crate) fn missing(id: SessionId) -> ApiProblem {
    ApiProblem::missing(format!("there is no session {id}, or it is deleted"))
}

/// Answers with the session as it is after `input`.
pub(super) async fn after(call: &ApiRequest, input: Input) -> Result<ApiAnswer, ApiProblem> {
    let id = call.id("session_id")?;
    let committed = call.engine().commit_attempt(call.workspace(), id, input, call.attempt()).await?;
    told(call, &committed).await
}

/// What came of the request when it was sent before: what was right then may not be so any more.
pub(crate) async fn earlier(call: &ApiRequest) -> Result<Option<Committed>, ApiProblem> {
    let Some(attempt) = call.attempt().filter(|attempt| attempt.may_repeat()) else { return Ok(None) };
    Ok(call.engine().earlier(call.workspace(), call.id("session_id")?, attempt).await?)
}

/// The session as it was after this.
pub(super) async fn told(call: &ApiRequest, committed: &Committed) -> Result<ApiAnswer, ApiProblem> {
    ApiAnswer::json(&call.engine().object_at(&committed.head, committed.at).await?)
}
