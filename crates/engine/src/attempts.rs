//! POSTs that are sent again: what each leaves in the batch of what it changes, and the first answer made of
//! that once more.
//!
//! A first attempt cannot be told from one that will be sent again, so each leaves a receipt. What goes into
//! a session's log has it in the row of its commit, where it is looked for among the newest rows. What makes
//! a document or a session, and whatever comes with a key of its client's, has a row of its own.

use std::borrow::Cow;

use kernel::{fact, view::Viewer};
use protocol::{SessionId, Timestamp, WorkspaceId, session::Session};
use store::LogRow;

use crate::{
    Engine,
    attempt::{
        ANSWER, AttemptKey, COMMIT, CommitPlace, EVENTS, KEPT, PostAttempt, RecalledAttempts, RequestHash,
        STATE, said,
    },
    fault::{CommitError, EngineFault},
    live::Committed,
    log,
    summary::{SessionSummary, SnapshotHash},
};

/// Receipts removed in one batch.
const FORGOTTEN_AT_ONCE: usize = 1_000;

impl Engine {
    /// What is known of a POST that may have been sent before. What went into a session's log without a key
    /// is found by who commits it again.
    pub async fn recall(&self, attempt: &mut PostAttempt) -> Result<RecalledAttempts, EngineFault> {
        let Some(receipt) = self.store().receipt(&attempt.name, self.now()).await? else {
            return Ok(RecalledAttempts::Nothing);
        };
        if receipt.print != attempt.print {
            return Ok(RecalledAttempts::Another);
        }
        if attempt.kind != AttemptKey::Key && receipt.until <= self.answered().after(KEPT) {
            return Ok(RecalledAttempts::Nothing);
        }
        match receipt.made.split_first() {
            Some((&ANSWER, answer)) => Ok(RecalledAttempts::Answer(answer.to_vec())),
            Some((&COMMIT, place)) => {
                attempt.made = Some(CommitPlace::read(place).ok_or(WRONG)?);
                Ok(RecalledAttempts::Commit)
            }
            Some(_) | None => Err(WRONG),
        }
    }

    /// What this POST came to when it was sent to the session before; `None`: nothing is known of that.
    pub async fn earlier(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        attempt: &PostAttempt,
    ) -> Result<Option<Committed>, EngineFault> {
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
        attempt: &PostAttempt,
    ) -> Result<Option<Session>, CommitError> {
        let Some(CommitPlace { session, .. }) = attempt.made else { return Ok(None) };
        let is_keyed = attempt.kind == AttemptKey::Key;
        if !is_keyed && self.was_used(workspace, session).await? {
            return Ok(None);
        }
        let earlier = self.earlier(workspace, session, attempt).await?.ok_or(CommitError::NotFound)?;
        Ok(Some(self.object_at(&earlier.head, earlier.at).await?))
    }

    /// Whether a client has done something with a session since it made it.
    async fn was_used(&self, workspace: WorkspaceId, session: SessionId) -> Result<bool, EngineFault> {
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
    fn answered(&self) -> Timestamp {
        self.0.lease.answered
    }

    /// Lets go of receipts whose time is over.
    pub(crate) async fn forget(&self) -> Result<(), EngineFault> {
        while self.store().forget(self.now(), FORGOTTEN_AT_ONCE).await? >= FORGOTTEN_AT_ONCE {}
        Ok(())
    }
}

const WRONG: EngineFault = EngineFault::Corrupt("a receipt");

impl CommitPlace {
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
    attempt: &PostAttempt,
) -> Result<Option<LogRow>, EngineFault> {
    let own = |row: &LogRow| row.receipt.as_ref().is_some_and(|receipt| receipt.starts_with(&attempt.name));
    if let Some(place) = attempt.made {
        if place.session != session {
            return Err(WRONG);
        }
        let rows = engine.store().read(session, place.first, 1).await?;
        return Ok(rows.into_iter().next().filter(own));
    }
    if attempt.kind != AttemptKey::Again {
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
pub(crate) async fn told(
    engine: &Engine,
    head: store::SessionHead,
    row: &LogRow,
) -> Result<Committed, EngineFault> {
    let left = row.receipt.as_deref().and_then(|receipt| receipt.get(size_of::<RequestHash>()..));
    match left.and_then(<[u8]>::split_first) {
        Some((&EVENTS, places)) => {
            let primary = SessionSummary::read(&head.body)?.primary().ok_or(WRONG)?;
            let facts = fact::decode(&row.body).map_err(EngineFault::unreadable)?;
            let (places, _) = places.as_chunks::<4>();
            let at = |place: &[u8; 4]| {
                let fact = facts.get(u32::from_le_bytes(*place) as usize)?;
                said(fact, Viewer::Session { primary }).map(Cow::into_owned)
            };
            Ok(Committed { accepted: places.iter().filter_map(at).collect(), head, at: row.at })
        }
        Some((&STATE, snapshot)) => {
            let snapshot = SnapshotHash::try_from(snapshot).map_err(|_| WRONG)?;
            let agent = engine.agent(&snapshot).await?;
            let end = row.first + u64::from(row.count);
            let folded = log::fold(engine, head.session, agent, end, |_| {}).await?;
            let head = engine.head_row(&folded, head.workspace, &snapshot)?;
            Ok(Committed { accepted: Vec::new(), head, at: row.at })
        }
        Some(_) | None => Err(WRONG),
    }
}
