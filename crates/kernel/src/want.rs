//! Wants: what the outside should be doing now. Derived from the state, never stored, so that recovery is
//! folding the log and asking again.

use alloc::collections::BTreeSet;

use protocol::{EventId, Stamp, ThreadId};

use crate::{
    call::{Call, Runner},
    session::Session,
    thread::Doing,
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
    /// Run a tool and bring what it gave.
    Run {
        /// The thread that called.
        thread: ThreadId,
        /// The event of the call; it holds the input.
        call: EventId,
        /// Who runs it.
        runner: Runner,
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
    let mut wants = BTreeSet::new();
    for thread in session.threads() {
        let id = thread.id;
        match &thread.doing {
            Doing::Asking(request, _) => {
                wants.insert(Want::Ask { thread: id, request: request.id });
            }
            Doing::Calling(calls) => {
                let run = |call: &Call| {
                    call.state.running().map(|runner| Want::Run { thread: id, call: call.id, runner })
                };
                wants.extend(calls.iter().filter_map(run));
            }
            Doing::Waiting(until) => {
                wants.insert(Want::Wake { thread: id, at: *until });
            }
            Doing::Resting(_) | Doing::Due | Doing::Ended(_) => {}
        }
    }
    wants
}
