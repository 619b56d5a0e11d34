//! Events as they happen: which of a session, or of one of its threads, a client asks for, and from where on.

use engine::{Feed, FollowError, Previews};
use protocol::{EventId, SessionId, ThreadId, limits};

use crate::{call::ApiRequest, error::ApiProblem};

/// What a client says with where it wants to go on.
const HEADER: &str = "Last-Event-ID";
const QUERY: &str = "after_id";

/// What happens in a session, or in this thread of it, as the client asked for it.
pub(crate) async fn follow(
    call: &ApiRequest,
    session: SessionId,
    thread: Option<ThreadId>,
) -> Result<Feed, ApiProblem> {
    let (said_with, after) = after(call)?;
    let feed = call.engine().follow(call.workspace(), session, thread, after, previews(call)?).await;
    feed.map_err(|wrong| match wrong {
        FollowError::NotFound => ApiProblem::missing("there is no such session or thread, or it is deleted"),
        FollowError::UnknownCursor => ApiProblem::parameter(
            said_with,
            "this stream has no such event; open it without one, then list the events",
        ),
        FollowError::Fault(fault) => fault.into(),
    })
}

/// Where the client wants to go on, and what it says that with: the header, else the query.
fn after(call: &ApiRequest) -> Result<(&'static str, Option<EventId>), ApiProblem> {
    let unknown = || ApiProblem::parameter(HEADER, "expected the id of an event of this stream");
    match call.headers.get(HEADER) {
        Some(id) if !id.is_empty() => {
            let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            id.map(|id| (HEADER, Some(id))).ok_or_else(unknown)
        }
        Some(_) | None => Ok((QUERY, call.query.id(QUERY)?)),
    }
}

/// Which previews the client wants: `event_deltas[]`.
fn previews(call: &ApiRequest) -> Result<Previews, ApiProblem> {
    let known = ["agent.message", "agent.thinking"];
    let wanted = call.query.few("event_deltas", &known, limits::EVENT_DELTAS)?;
    Ok(Previews { message: wanted.contains(&"agent.message"), thinking: wanted.contains(&"agent.thinking") })
}
