//! What a stream or a list shows of a fact (rules.md 5).

use protocol::{ThreadId, event::Event};

use crate::fact::{Fact, Note, What};

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The session's stream and list: the primary thread and what concerns everybody.
    Session {
        /// The primary thread.
        primary: ThreadId,
    },
    /// A thread's own stream and list.
    Thread(ThreadId),
}

impl Viewer {
    fn sees(self, thread: ThreadId) -> bool {
        match self {
            Self::Session { primary } => primary == thread,
            Self::Thread(own) => own == thread,
        }
    }
}

/// The processed event that `viewer` sees of `fact`.
pub fn event(fact: &Fact, viewer: Viewer) -> Option<&Event> {
    match &fact.what {
        What::Event { event, .. } if viewer.sees(fact.thread) => Some(event),
        What::Event { .. } | What::Note { .. } => None,
    }
}

/// The queued copy that `viewer`'s stream shows of `fact`: no cursor moves with it (rules.md 7).
pub fn queued(fact: &Fact, viewer: Viewer) -> Option<&Event> {
    match &fact.what {
        What::Note { note: Note::Queued { event }, .. } if viewer.sees(fact.thread) => Some(event),
        What::Note { .. } | What::Event { .. } => None,
    }
}
