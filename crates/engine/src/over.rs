//! Sessions that are over, and what of them is taken away at once.

use kernel::{Fact, FactContent, Note};
use protocol::{SessionId, event::Body};

use crate::Engine;

/// How a session came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SessionEnding {
    Archived,
    Deleted,
}

impl SessionEnding {
    pub(crate) fn of(fact: &Fact) -> Option<Self> {
        match &fact.what {
            FactContent::Note { note: Note::Archived, .. } => Some(Self::Archived),
            FactContent::Event { event, .. } if event.body == Body::SessionDeleted => Some(Self::Deleted),
            FactContent::Note { .. } | FactContent::Event { .. } => None,
        }
    }
}

/// Takes the sandbox of a session that is over. One that a crash leaves behind is swept at the next start.
pub(crate) async fn release_sandbox(engine: Engine, session: SessionId, over: SessionEnding) {
    match over {
        SessionEnding::Archived => engine.hands().end(session).await,
        SessionEnding::Deleted => engine.hands().remove(session).await,
    }
}
