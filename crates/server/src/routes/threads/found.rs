//! Which threads there are, for a call that names a session or one of its threads.

use protocol::{SessionId, ThreadId, session::Thread};

use crate::{call::Call, error::Problem, routes::sessions::outcome};

/// The session's threads, the primary first.
pub(super) async fn all(call: &Call, session: SessionId) -> Result<Vec<Thread>, Problem> {
    let threads = call.engine().threads(call.workspace(), session).await?;
    threads.ok_or_else(|| outcome::missing(session))
}

/// The thread that the path names, and its session.
pub(super) async fn named(call: &Call) -> Result<(SessionId, Thread), Problem> {
    let session = call.id("session_id")?;
    let id: ThreadId = call.id("thread_id")?;
    if let Some(thread) = call.engine().thread(call.workspace(), session, id).await? {
        return Ok((session, thread));
    }
    // Where the session is missing itself, that is said.
    all(call, session).await?;
    Err(Problem::missing(format!("the session {session} has no thread {id}")))
}
