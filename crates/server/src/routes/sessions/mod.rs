//! Sessions.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;

use kernel::Input;
use protocol::SessionId;

use crate::{answer::Answer, error::Problem, extract::Call};

/// No such session.
pub(super) fn missing(id: SessionId) -> Problem {
    Problem::missing(format!("there is no session {id}, or it is deleted"))
}

/// Answers with the session as it is after `input`.
async fn after(call: &Call, input: Input) -> Result<Answer, Problem> {
    let id = call.id("session_id")?;
    let committed = call.engine().commit(call.workspace(), id, input).await?;
    Answer::json(&call.engine().object(&committed.head).await?)
}
