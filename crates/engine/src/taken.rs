//! What an input came to, while it is not durable, and what is told of it then.

use std::borrow::Cow;

use kernel::{Fact, view::Viewer};
use protocol::{EventId, Timestamp, event::Event};

use crate::{attempt::said, live::Committed};

/// See the file.
pub(crate) struct TakenInput {
    pub(crate) accepted: AcceptedEvents,
    pub(crate) head: store::SessionHead,
    pub(crate) at: Timestamp,
}

/// The client's events in it.
pub(crate) enum AcceptedEvents {
    /// Their facts lie in the last of so many commits of the batch.
    Now { ids: Vec<EventId>, commits: usize },
    /// They were sent before, and taken so.
    Before(Vec<Event>),
}

/// One commit of a batch.
pub(crate) struct WrittenCommit {
    pub(crate) first: u64,
    pub(crate) facts: Vec<Fact>,
    /// Bytes of it in the log.
    pub(crate) bytes: usize,
}

impl TakenInput {
    pub(crate) fn told(self, written: &[WrittenCommit], viewer: Option<Viewer>) -> Committed {
        let Self { accepted, head, at } = self;
        let accepted = match accepted {
            AcceptedEvents::Before(events) => events,
            AcceptedEvents::Now { ids, commits } => {
                let own = commits.checked_sub(1).and_then(|last| written.get(last));
                let facts = own.map(|own| own.facts.as_slice()).unwrap_or_default();
                let shown = |fact| viewer.and_then(|viewer| said(fact, viewer));
                let told = |id: &EventId| {
                    facts.iter().filter_map(shown).find(|event| event.id == *id).map(Cow::into_owned)
                };
                ids.iter().filter_map(told).collect()
            }
        };
        Committed { accepted, head, at }
    }
}
