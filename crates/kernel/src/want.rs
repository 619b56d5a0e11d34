//! Wants: what the outside should be doing now. Derived from the state, never stored, so that recovery is
//! folding the log and asking again.

use alloc::collections::BTreeSet;

use protocol::{EventId, Stamp, ThreadId};

use crate::{
    session::Session,
    thread::{Doing, Thread},
};

/// Something the outside should be doing now. Derived, never stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// Ask the model and bring the answer, or what went wrong.
    Ask {
        /// The thread that asks.
        thread: ThreadId,
        /// The event that began the request.
        request: EventId,
    },
    /// Come back at this time.
    Wake {
        /// The thread that waits.
        thread: ThreadId,
        /// When.
        at: Stamp,
    },
}

/// What the outside should be doing now for `session`.
pub fn wants(session: &Session) -> BTreeSet<Want> {
    session.threads().filter_map(want).collect()
}

fn want(thread: &Thread) -> Option<Want> {
    match &thread.doing {
        Doing::Asking(request, _) => Some(Want::Ask { thread: thread.id, request: request.id }),
        Doing::Waiting(until) => Some(Want::Wake { thread: thread.id, at: *until }),
        Doing::Resting(_) | Doing::Due | Doing::Calling(_) | Doing::Ended => None,
    }
}
