//! Sessions that are over, and what of them is taken away at once.

use kernel::{Fact, Note, What};
use protocol::{SessionId, event::Body};

use crate::Engine;

/// How a session came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Over {
    Archived,
    Deleted,
}

impl Over {
    pub(crate) fn of(fact: &Fact) -> Option<Self> {
        match &fact.what {
            What::Note { note: Note::Archived, .. } => Some(Self::Archived),
            What::Event { event, .. } if event.body == Body::SessionDeleted => Some(Self::Deleted),
            What::Note { .. } | What::Event { .. } => None,
        }
    }
}

/// Takes the sandbox of a session that is over. One that a crash leaves behind is swept at the next start.
pub(crate) async fn part(engine: Engine, session: SessionId, over: Over) {
    match over {
        Over::Archived => engine.hands().end(session).await,
        Over::Deleted => engine.hands().remove(session).await,
    }
}
