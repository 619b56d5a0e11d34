//! One POST, as it is told from others, and what it leaves in the batch of what it changes.

use std::borrow::Cow;
use std::time::Duration;

use kernel::{
    Fact,
    view::{self, Viewer},
};
use protocol::{EventId, SessionId, Timestamp, event::Event, limits};
use store::{BatchWrite, PostReceipt};

use crate::summary::SnapshotHash;

/// A hash of who asks and for what.
pub type RequestHash = [u8; 16];

/// How long a POST is known by what it asks.
pub(crate) const KEPT: Duration = Duration::from_secs(limits::RETRIED_POST_S);
/// How long one is known by its key.
const KEYED: Duration = Duration::from_secs(limits::IDEMPOTENCY_KEY_S);

/// One POST, as it is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAttempt {
    pub(crate) name: RequestHash,
    pub(crate) print: RequestHash,
    pub(crate) kind: AttemptKey,
    /// The commit that it made when it was sent before.
    pub(crate) made: Option<CommitPlace>,
}

/// What a POST is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptKey {
    /// What it asks, for its client says that it has sent it before.
    Again,
    /// Nothing yet: it is a first attempt.
    First,
    /// The key that its client gave it.
    Key,
}

/// Where a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitPlace {
    pub(crate) session: SessionId,
    pub(crate) first: u64,
}

/// What is known of a POST beside what sessions' logs hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecalledAttempts {
    /// Nothing.
    Nothing,
    /// It was answered with this.
    Answer(Vec<u8>),
    /// It made a commit, which the [`PostAttempt`] now knows.
    Commit,
    /// Its key belongs to another request.
    Another,
}

impl PostAttempt {
    /// One without a key; `again`: its client says that it has sent it before.
    pub fn plain(print: RequestHash, again: bool) -> Self {
        let kind = if again { AttemptKey::Again } else { AttemptKey::First };
        Self { name: print, print, kind, made: None }
    }

    /// One whose client gave it a key, of which `name` is a hash.
    pub fn keyed(name: RequestHash, print: RequestHash) -> Self {
        Self { name, print, kind: AttemptKey::Key, made: None }
    }

    /// The same where it is known that the one before it left nothing.
    pub fn anew(self) -> Self {
        match self.kind {
            AttemptKey::Again | AttemptKey::First => Self { kind: AttemptKey::First, ..self },
            AttemptKey::Key => self,
        }
    }

    /// What finds it.
    pub fn name(&self) -> RequestHash {
        self.name
    }

    /// Whether it may have been sent before.
    pub fn may_repeat(&self) -> bool {
        match self.kind {
            AttemptKey::Again | AttemptKey::Key => true,
            AttemptKey::First => false,
        }
    }

    /// Keeps its answer; goes into the batch of what it changes.
    pub fn answered(&self, answer: &[u8], now: Timestamp) -> BatchWrite {
        self.receipt([&[ANSWER][..], answer].concat(), now)
    }

    /// Says where what it made stands.
    pub(crate) fn led_to(&self, session: SessionId, first: u64, now: Timestamp) -> BatchWrite {
        self.receipt([&[COMMIT][..], &session.to_bytes(), &first.to_le_bytes()].concat(), now)
    }

    /// The same, where that is not looked for in the session's log.
    pub(crate) fn led_apart(&self, session: SessionId, first: u64, now: Timestamp) -> Option<BatchWrite> {
        (self.kind == AttemptKey::Key).then(|| self.led_to(session, first, now))
    }

    fn receipt(&self, made: Vec<u8>, now: Timestamp) -> BatchWrite {
        // Without a key a request may be meant twice; then the newest counts.
        let (kept, over) = match self.kind {
            AttemptKey::Key => (KEYED, now),
            AttemptKey::Again | AttemptKey::First => (KEPT, Timestamp::from_micros(i64::MAX)),
        };
        let receipt = PostReceipt { name: self.name, print: self.print, until: now.after(kept), made };
        BatchWrite::PutReceipt { receipt, over }
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
    pub(crate) fn kept_of(&self, snapshot: &SnapshotHash) -> Vec<u8> {
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
