//! POSTs that are sent again: what each leaves in the batch of what it changes, and the first answer made of
//! that once more.
//!
//! A first attempt cannot be told from one that will be sent again, so each leaves a receipt. What goes into
//! a session's log has it in the row of its commit, where it is looked for among the newest rows. What makes
//! a document or a session, and whatever comes with a key of its client's, has a row of its own.

use std::borrow::Cow;
use std::time::Duration;

use kernel::{
    Fact, fact,
    view::{self, Viewer},
};
use protocol::{EventId, SessionId, Stamp, WorkspaceId, event::Event, limits, session::Session};
use store::{Receipt, Row, Write};

use crate::{
    Engine,
    fault::{CommitError, Fault},
    live::{Committed, State},
    log,
    summary::{Hash, Summary},
};

/// A hash of who asks and for what.
pub type Print = [u8; 16];

/// How long a POST is known by what it asks.
const KEPT: Duration = Duration::from_secs(limits::RETRIED_POST_S);
/// How long one is known by its key.
const KEYED: Duration = Duration::from_secs(limits::IDEMPOTENCY_KEY_S);
/// Receipts removed in one batch.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// One POST, as it is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    name: Print,
    print: Print,
    kind: Known,
    /// The commit that it made when it was sent before.
    made: Option<Place>,
}

/// What a POST is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// What it asks, for its client says that it has sent it before.
    Again,
    /// Nothing yet: it is a first attempt.
    First,
    /// The key that its client gave it.
    Key,
}

/// Where a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    session: SessionId,
    first: u64,
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

    /// What the row of its commit keeps of it.
    pub(crate) fn kept(&self, facts: &[Fact], accepted: &[EventId], state: &State) -> Vec<u8> {
        let mut kept = self.name.to_vec();
        if accepted.is_empty() {
            kept.push(STATE);
            kept.extend(state.snapshot);
            return kept;
        }
        kept.push(EVENTS);
        let viewer = state.session.primary().map(|primary| Viewer::Session { primary: primary.id });
        for id in accepted {
            let is_said = |fact: &Fact| {
                viewer.and_then(|viewer| said(fact, viewer)).is_some_and(|event| event.id == *id)
            };
            let place = facts.iter().position(is_said).and_then(|place| u32::try_from(place).ok());
            kept.extend(place.unwrap_or(u32::MAX).to_le_bytes());
        }
        kept
    }

    /// The same of the commit that begins a session.
    pub(crate) fn kept_of(&self, snapshot: &Hash) -> Vec<u8> {
        [&self.name[..], &[STATE], snapshot].concat()
    }
}

/// What the first byte of what a receipt says means.
const ANSWER: u8 = 0;
const COMMIT: u8 = 1;
/// The same of what stands behind the name in a row of a log: places of events in the commit, four bytes
/// each, or the snapshot of the agent that the session had after it.
const EVENTS: u8 = 0;
const STATE: u8 = 1;

/// A fact as the answer to the request that made it shows it: processed, else as queued.
pub(crate) fn said(fact: &Fact, viewer: Viewer) -> Option<Cow<'_, Event>> {
    view::event(fact, viewer).or_else(|| view::queued(fact, viewer).map(Cow::Borrowed))
}

impl Engine {
    /// What is known of a POST that may have been sent before. What went into a session's log without a key
    /// is found by who commits it again.
    pub async fn recall(&self, attempt: &mut Attempt) -> Result<Recalled, Fault> {
        let Some(receipt) = self.store().receipt(&attempt.name, self.now()).await? else {
            return Ok(Recalled::Nothing);
        };
        if receipt.print != attempt.print {
            return Ok(Recalled::Another);
        }
        if attempt.kind != Known::Key && receipt.until <= self.answered().after(KEPT) {
            return Ok(Recalled::Nothing);
        }
        match receipt.made.split_first() {
            Some((&ANSWER, answer)) => Ok(Recalled::Answer(answer.to_vec())),
            Some((&COMMIT, place)) => {
                attempt.made = Some(Place::read(place).ok_or(WRONG)?);
                Ok(Recalled::Commit)
            }
            Some(_) | None => Err(WRONG),
        }
    }

    /// What this POST came to when it was sent to the session before; `None`: nothing is known of that.
    pub async fn earlier(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        attempt: &Attempt,
    ) -> Result<Option<Committed>, Fault> {
        let Some(head) = self.store().head(workspace, session).await? else { return Ok(None) };
        match find(self, session, head.position, attempt).await? {
            Some(row) => told(self, head, &row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The session that this POST made when it was sent before, as it was then; `None`: it made none. A
    /// session that was used since, archived or deleted was made by another request of the same words, for
    /// whoever uses it has its answer; a key says that it was this one.
    ///
    /// # Errors
    /// [`CommitError::NotFound`] when the session that its key made is gone.
    pub async fn opened(
        &self,
        workspace: WorkspaceId,
        attempt: &Attempt,
    ) -> Result<Option<Session>, CommitError> {
        let Some(Place { session, .. }) = attempt.made else { return Ok(None) };
        let is_keyed = attempt.kind == Known::Key;
        if !is_keyed && self.was_used(workspace, session).await? {
            return Ok(None);
        }
        let earlier = self.earlier(workspace, session, attempt).await?.ok_or(CommitError::NotFound)?;
        Ok(Some(self.object_at(&earlier.head, earlier.at).await?))
    }

    /// Whether a client has done something with a session since it made it.
    async fn was_used(&self, workspace: WorkspaceId, session: SessionId) -> Result<bool, Fault> {
        let Some(head) = self.store().head(workspace, session).await? else { return Ok(true) };
        if head.archived_at.or(head.deleted_at).is_some() {
            return Ok(true);
        }
        let mut first = 0;
        loop {
            let rows = self.store().read(session, first, log::CHUNK).await?;
            if rows.iter().any(|row| row.first > 0 && row.receipt.is_some()) {
                return Ok(true);
            }
            let Some(last) = rows.last() else { return Ok(false) };
            first = last.first + u64::from(last.count);
        }
    }

    /// What was committed until then was answered, by a process before this one.
    fn answered(&self) -> Stamp {
        self.0.lease.answered
    }

    /// Lets go of receipts whose time is over.
    pub(crate) async fn forget(&self) -> Result<(), Fault> {
        while self.store().forget(self.now(), FORGOTTEN_AT_ONCE).await? >= FORGOTTEN_AT_ONCE {}
        Ok(())
    }
}

const WRONG: Fault = Fault::Corrupt("a receipt");

impl Place {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (session, first) = bytes.split_first_chunk()?;
        let session = SessionId::from_bits(u128::from_be_bytes(*session));
        Some(Self { session, first: u64::from_le_bytes(first.try_into().ok()?) })
    }
}

/// The row in front of `end` that the POST left in the session's log, if it may have been sent before.
pub(crate) async fn find(
    engine: &Engine,
    session: SessionId,
    end: u64,
    attempt: &Attempt,
) -> Result<Option<Row>, Fault> {
    let own = |row: &Row| row.receipt.as_ref().is_some_and(|receipt| receipt.starts_with(&attempt.name));
    if let Some(place) = attempt.made {
        if place.session != session {
            return Err(WRONG);
        }
        let rows = engine.store().read(session, place.first, 1).await?;
        return Ok(rows.into_iter().next().filter(own));
    }
    if attempt.kind != Known::Again {
        return Ok(None);
    }
    let now = engine.now();
    let mut before = end;
    while before > 0 {
        let rows = engine.store().read_back(session, before, log::CHUNK).await?;
        engine.counters().searched(rows.len());
        let Some(last) = rows.last() else { break };
        before = last.first;
        for row in rows {
            if row.at.after(KEPT) <= now || row.at <= engine.answered() {
                return Ok(None);
            }
            if own(&row) {
                return Ok(Some(row));
            }
        }
    }
    Ok(None)
}

/// What the commit of this row was answered with. Of one of a client's events `head` is told as it is.
pub(crate) async fn told(engine: &Engine, head: store::Head, row: &Row) -> Result<Committed, Fault> {
    let left = row.receipt.as_deref().and_then(|receipt| receipt.get(size_of::<Print>()..));
    match left.and_then(<[u8]>::split_first) {
        Some((&EVENTS, places)) => {
            let primary = Summary::read(&head.body)?.primary().ok_or(WRONG)?;
            let facts = fact::decode(&row.body).map_err(Fault::unreadable)?;
            let (places, _) = places.as_chunks::<4>();
            let at = |place: &[u8; 4]| {
                let fact = facts.get(u32::from_le_bytes(*place) as usize)?;
                said(fact, Viewer::Session { primary }).map(Cow::into_owned)
            };
            Ok(Committed { accepted: places.iter().filter_map(at).collect(), head, at: row.at })
        }
        Some((&STATE, snapshot)) => {
            let snapshot = Hash::try_from(snapshot).map_err(|_| WRONG)?;
            let agent = engine.agent(&snapshot).await?;
            let end = row.first + u64::from(row.count);
            let folded = log::fold(engine, head.session, agent, end, |_| {}).await?;
            let head = engine.head_row(&folded, head.workspace, &snapshot)?;
            Ok(Committed { accepted: Vec::new(), head, at: row.at })
        }
        Some(_) | None => Err(WRONG),
    }
}
