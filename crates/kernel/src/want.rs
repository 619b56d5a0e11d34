//! Wants: what the outside should be doing now. Derived from the state, never stored, so that recovery is
//! folding the log and asking again.

use alloc::collections::BTreeSet;

use protocol::{EventId, ThreadId, Timestamp};

use crate::{
    call::{CallRunner, OpenCall},
    session::SessionState,
    thread::ThreadActivity,
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
        runner: CallRunner,
    },
    /// Come back at this time.
    Wake {
        /// The thread that waits.
        thread: ThreadId,
        /// When.
        at: Timestamp,
    },
}

/// What the outside should be doing now for `session`.
pub fn wants(session: &SessionState) -> BTreeSet<Want> {
    let mut wants = BTreeSet::new();
    for thread in session.threads() {
        let id = thread.id;
        match &thread.doing {
            ThreadActivity::Asking(request, _) => {
                wants.insert(Want::Ask { thread: id, request: request.id });
            }
            ThreadActivity::Calling(calls) => {
                let run = |call: &OpenCall| {
                    call.state.running().map(|runner| Want::Run { thread: id, call: call.id, runner })
                };
                wants.extend(calls.iter().filter_map(run));
            }
            ThreadActivity::Waiting(until) => {
                wants.insert(Want::Wake { thread: id, at: *until });
            }
            ThreadActivity::Resting(_) | ThreadActivity::Due | ThreadActivity::Ended(_) => {}
        }
    }
    wants
}
