//! One POST, as it is told from others, and what it leaves in the batch of what it changes.

use std::borrow::Cow;
use std::time::Duration;

use kernel::{
    Fact,
    view::{self, Viewer},
};
use protocol::{EventId, SessionId, Stamp, event::Event, limits};
use store::{Receipt, Write};

use crate::summary::Hash;

/// A hash of who asks and for what.
pub type Print = [u8; 16];

/// How long a POST is known by what it asks.
pub(crate) const KEPT: Duration = Duration::from_secs(limits::RETRIED_POST_S);
/// How long one is known by its key.
const KEYED: Duration = Duration::from_secs(limits::IDEMPOTENCY_KEY_S);

/// One POST, as it is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub(crate) name: Print,
    pub(crate) print: Print,
    pub(crate) kind: Known,
    /// The commit that it made when it was sent before.
    pub(crate) made: Option<Place>,
}

/// What a POST is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// What it asks, for its client says that it has sent it before.
    Again,
    /// Nothing yet: it is a first attempt.
    First,
    /// The key that its client gave it.
    Key,
}

/// Where a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) session: SessionId,
    pub(crate) first: u64,
}

/// What is known of a POST beside what sessions' logs hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing.
    Nothing,
    /// It was answered with this.
    Answer(Vec<u8>),
    /// It made a commit, which the [`Attempt`] now knows.
    Commit,
    /// Its key belongs to another request.
    Another,
}

impl Attempt {
    /// One without a key; `again`: its client says that it has sent it before.
    pub fn plain(print: Print, again: bool) -> Self {
        let kind = if again { Known::Again } else { Known::First };
        Self { name: print, print, kind, made: None }
    }

    /// One whose client gave it a key, of which `name` is a hash.
    pub fn keyed(name: Print, print: Print) -> Self {
        Self { name, print, kind: Known::Key, made: None }
    }

    /// The same where it is known that the one before it left nothing.
    pub fn anew(self) -> Self {
        match self.kind {
            Known::Again | Known::First => Self { kind: Known::First, ..self },
            Known::Key => self,
        }
    }

    /// What finds it.
    pub fn name(&self) -> Print {
        self.name
    }

    /// Whether it may have been sent before.
    pub fn may_repeat(&self) -> bool {
        match self.kind {
            Known::Again | Known::Key => true,
            Known::First => false,
        }
    }

    /// Keeps its answer; goes into the batch of what it changes.
    pub fn answered(&self, answer: &[u8], now: Stamp) -> Write {
        self.receipt([&[ANSWER][..], answer].concat(), now)
    }

    /// Says where what it made stands.
    pub(crate) fn led_to(&self, session: SessionId, first: u64, now: Stamp) -> Write {
        self.receipt([&[COMMIT][..], &session.to_bytes(), &first.to_le_bytes()].concat(), now)
    }

    /// The same, where that is not looked for in the session's log.
    pub(crate) fn led_apart(&self, session: SessionId, first: u64, now: Stamp) -> Option<Write> {
        (self.kind == Known::Key).then(|| self.led_to(session, first, now))
    }

    fn receipt(&self, made: Vec<u8>, now: Stamp) -> Write {
        // Without a key a request may be meant twice; then the newest counts.
        let (kept, over) = match self.kind {
            Known::Key => (KEYED, now),
            Known::Again | Known::First => (KEPT, Stamp::from_micros(i64::MAX)),
        };
        let receipt = Receipt { name: self.name, print: self.print, until: now.after(kept), made };
        Write::PutReceipt { receipt, over }
    }

    /// What the row of its commit keeps of it; `accepted` events as `viewer` sees them.
    pub(crate) fn kept(&self, facts: &[Fact], accepted: &[EventId], viewer: Option<Viewer>) -> Vec<u8> {
        let mut kept = self.name.to_vec();
        kept.push(EVENTS);
        for id in accepted {
            let is_said = |fact: &Fact| {
                viewer.and_then(|viewer| said(fact, viewer)).is_some_and(|event| event.id == *id)
            };
            let place = facts.iter().position(is_said).and_then(|place| u32::try_from(place).ok());
            kept.extend(place.unwrap_or(u32::MAX).to_le_bytes());
        }
        kept
    }

    /// What the row of a commit without events of the client's keeps of it.
    pub(crate) fn kept_of(&self, snapshot: &Hash) -> Vec<u8> {
        [&self.name[..], &[STATE], snapshot].concat()
    }
}

/// What the first byte of what a receipt says means.
pub(crate) const ANSWER: u8 = 0;
pub(crate) const COMMIT: u8 = 1;
/// The same of what stands behind the name in a row of a log: places of events in the commit, four bytes
/// each, or the snapshot of the agent that the session had after it.
pub(crate) const EVENTS: u8 = 0;
pub(crate) const STATE: u8 = 1;

/// A fact as the answer to the request that made it shows it: processed, else as queued.
pub(crate) fn said(fact: &Fact, viewer: Viewer) -> Option<Cow<'_, Event>> {
    view::event(fact, viewer).or_else(|| view::queued(fact, viewer).map(Cow::Borrowed))
}
