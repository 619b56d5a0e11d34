//! Which threads there are, for a call that names a session or one of its threads.

use protocol::{SessionId, ThreadId, session::SessionThread};

use crate::{call::ApiRequest, error::ApiProblem, routes::sessions::outcome};

/// The session's threads, the primary first.
pub(super) async fn all(call: &ApiRequest, session: SessionId) -> Result<Vec<SessionThread>, ApiProblem> {
    let threads = call.engine().threads(call.workspace(), session).await?;
    threads.ok_or_else(|| outcome::missing(session))
}

/// The thread that the path names, and its session.
pub(super) async fn named(call: &ApiRequest) -> Result<(SessionId, SessionThread), ApiProblem> {
    let session = call.id("session_id")?;
    let id: ThreadId = call.id("thread_id")?;
    if let Some(thread) = call.engine().thread(call.workspace(), session, id).await? {
        return Ok((session, thread));
    }
    // Where the session is missing itself, that is said.
    all(call, session).await?;
    Err(ApiProblem::missing(format!("the session {session} has no thread {id}")))
}
