//! What a commit made public: its events, as they lie in the log.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, OnceLock};

use kernel::{
    Fact, FactContent, Note,
    fact::decode,
    view::{self, Viewer},
};
use protocol::{ThreadId, event::Event};

use crate::fault::EngineFault;

/// The public part of one commit.
#[derive(Debug)]
pub(crate) struct PublishedCommit {
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) posts: Vec<LoggedEvent>,
    /// What the log takes for it.
    pub(crate) bytes: usize,
}

/// An event of a commit, or an event that was queued by it.
#[derive(Debug, Clone)]
pub(crate) struct LoggedEvent {
    pub(crate) position: u64,
    pub(crate) thread: ThreadId,
    pub(crate) event: Arc<Event>,
    pub(crate) queued: bool,
    written: OnceLock<usize>,
}

impl LoggedEvent {
    /// Bytes of the event as it is written. It takes a while to know, and many ask.
    pub(crate) fn written(&self) -> usize {
        *self.written.get_or_init(|| written(&self.event))
    }

    /// The event as `viewer` sees it, if it does.
    pub(crate) fn seen(&self, viewer: Viewer) -> Option<Arc<Event>> {
        if self.queued {
            return view::waits(self.thread, &self.event, viewer).then(|| Arc::clone(&self.event));
        }
        view::shown(self.thread, &self.event, viewer).map(|shown| match shown {
            Cow::Borrowed(_) => Arc::clone(&self.event),
            Cow::Owned(event) => Arc::new(event),
        })
    }
}

/// Bytes of an event as it is written; they are counted and not kept.
pub(crate) fn written(event: &Event) -> usize {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, event).map_or(0, |()| length.0)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PublishedCommit {
    pub(crate) fn of(first: u64, facts: Vec<Fact>, bytes: usize) -> Self {
        let end = first + facts.len() as u64;
        let post = |(position, fact): (u64, Fact)| {
            let (event, queued) = match fact.what {
                FactContent::Event { event, .. } => (event, false),
                FactContent::Note { note: Note::Queued { event, .. }, .. } => (*event, true),
                FactContent::Note { .. } => return None,
            };
            Some(LoggedEvent {
                position,
                thread: fact.thread,
                event: Arc::new(event),
                queued,
                written: OnceLock::new(),
            })
        };
        Self { first, end, posts: (first..).zip(facts).filter_map(post).collect(), bytes }
    }

    pub(crate) fn read(row: &store::LogRow) -> Result<Self, EngineFault> {
        Ok(Self::of(row.first, decode(&row.body).map_err(EngineFault::unreadable)?, row.body.len()))
    }
}
