//! Reading a session's log: the state it folds to, one event of it, a thread's history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel::{CallSearch, Fact, FactContent, KnownCall, PrivatePart, SessionState, Transcript, fact};
use protocol::{
    EventId, SessionId, ThreadId, agent::SessionAgent, event::Body, input::ClientEvent, prompt::Prompt,
};

use crate::{
    Engine, blobs,
    fault::{CommitError, EngineFault},
    live::{CachedTranscript, LiveSession, LoadedSession},
    lock::lock,
    published::{LoggedEvent, PublishedCommit},
    summary::SessionSummary,
};

/// Bytes of log read at once.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Folds the session's whole log.
pub(crate) async fn load(engine: &Engine, session: SessionId) -> Result<LoadedSession, CommitError> {
    let head = engine.store().head_of(session).await?.filter(|head| head.deleted_at.is_none());
    let head = head.ok_or(CommitError::NotFound)?;
    let summary = SessionSummary::read(&head.body)?;
    let snapshot = summary.hash()?;
    let agent = engine.agent(&snapshot).await?;
    let folded = fold(engine, session, agent, head.position, |_| {}).await?;
    engine.counters().folded();
    Ok(LoadedSession::new(folded, head.workspace, snapshot))
}

/// Folds the first `end` facts of a session's log; `each` hears of every one of them.
pub(crate) async fn fold(
    engine: &Engine,
    session: SessionId,
    agent: Arc<SessionAgent>,
    end: u64,
    mut each: impl FnMut(&Fact) + Send,
) -> Result<SessionState, EngineFault> {
    let mut folded = SessionState::new(session, agent);
    while folded.head < end {
        let rows = engine.store().read(session, folded.head, CHUNK).await?;
        if rows.is_empty() {
            return Err(lost(session, folded.head));
        }
        for row in rows {
            for fact in fact::decode(&row.body).map_err(EngineFault::unreadable)? {
                if folded.head < end {
                    folded.apply(&fact);
                    each(&fact);
                }
            }
        }
    }
    Ok(folded)
}

/// A log that ends before its head says.
fn lost(session: SessionId, position: u64) -> EngineFault {
    store::StoreFault::Damaged(store::DamagedPart::Log { session, position }).into()
}

/// Where the last post below `before` stands that is `wanted`.
pub(crate) async fn last(
    engine: &Engine,
    session: SessionId,
    mut before: u64,
    wanted: impl Fn(&LoggedEvent) -> bool + Send + Sync,
) -> Result<Option<u64>, EngineFault> {
    loop {
        let _turn = engine.reading().turn().await;
        let rows = engine.store().read_back(session, before, CHUNK).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        before = last.first;
        for row in &rows {
            if let Some(post) = PublishedCommit::read(row)?.posts.iter().rev().find(|post| wanted(post)) {
                return Ok(Some(post.position));
            }
        }
    }
}

/// Finds an event by its id: as processed if it has been, else as queued. The id says from where to read.
pub(crate) async fn find(
    engine: &Engine,
    session: SessionId,
    event: EventId,
) -> Result<Option<LoggedEvent>, store::StoreFault> {
    let mut queued = None;
    let mut next = event.minted_at();
    loop {
        let _turn = engine.reading().turn().await;
        let rows = engine.store().read(session, next, CHUNK).await?;
        engine.counters().searched(rows.len());
        let Some(last) = rows.last() else { return Ok(queued) };
        next = last.first + u64::from(last.count);
        for row in &rows {
            let commit =
                PublishedCommit::read(row).map_err(|_| store::StoreFault::Corrupt("a commit of the log"))?;
            for post in commit.posts {
                if post.event.id == event {
                    if !post.queued {
                        return Ok(Some(post));
                    }
                    queued = Some(post);
                }
            }
        }
    }
}

/// What the log holds of the calls that these events answer and that are not open, and behind it `unwritten`:
/// in one pass, whatever the ids. An id carries the position at which its request was made, and a call stands
/// before the end of its request; so an id that points to no request is unknown after one row, and one that
/// points behind the log after none. Of a call of the client's it is read on up to what answered it.
pub(crate) async fn calls(
    engine: &Engine,
    session: &SessionState,
    events: &[ClientEvent],
    unwritten: impl Iterator<Item = &Fact>,
) -> Result<BTreeMap<EventId, KnownCall>, EngineFault> {
    let mut search = CallSearch::of(session, events);
    let mut ids = search.sought().clone();
    let (mut open, mut next) = (BTreeSet::new(), 0);
    ids.retain(|id| id.minted_at() < session.head);
    loop {
        let goes_on = !open.is_empty() || search.goes_on();
        if !goes_on {
            let Some(least) = ids.iter().map(|id| id.minted_at()).min() else { break };
            next = least.max(next);
        }
        let bytes = if goes_on { CHUNK } else { 1 };
        let rows = engine.store().read(session.id, next, bytes).await?;
        engine.counters().searched(rows.len());
        let Some(last) = rows.last() else { break };
        next = last.first + u64::from(last.count);
        for row in &rows {
            for fact in fact::decode(&row.body).map_err(EngineFault::unreadable)? {
                search.see(&fact);
                let FactContent::Event { event, private } = &fact.what else { continue };
                if let Some(PrivatePart::Request { position, .. }) = private
                    && ids.iter().any(|id| id.minted_at() == *position)
                {
                    open.insert(event.id);
                } else if let Body::SpanModelRequestEnd { model_request_start_id, .. } = &event.body {
                    open.remove(model_request_start_id);
                }
                ids.remove(&event.id);
            }
        }
        if open.is_empty() {
            // Whatever began in these rows has ended in them.
            ids.retain(|id| id.minted_at() >= next);
        }
    }
    unwritten.for_each(|fact| search.see(fact));
    Ok(search.made())
}

/// What the thread's model is asked next. Reads only what the history in memory does not hold yet.
pub(crate) async fn prompt(
    engine: &Engine,
    live: &LiveSession,
    thread: ThreadId,
) -> Result<Prompt, EngineFault> {
    let toolbox = engine.hands().toolbox(live.id);
    loop {
        let state = live.current().ok_or(EngineFault::Corrupt("a job without a session"))?;
        let from = {
            let mut scrolls = lock(&live.scrolls);
            let fresh = || CachedTranscript { head: 0, transcript: Transcript::new(thread) };
            let scroll = scrolls.entry(thread).or_insert_with(fresh);
            if scroll.head >= state.session.head {
                let cast = state.session.cast(thread).ok_or(EngineFault::Corrupt("a job of no thread"))?;
                return Ok(scroll.transcript.prompt(&cast, &toolbox));
            }
            scroll.head
        };
        let rows = engine.store().read(live.id, from, CHUNK).await?;
        if rows.is_empty() {
            return Err(lost(live.id, from));
        }
        let mut facts = Vec::new();
        for row in rows {
            facts.extend((row.first..).zip(fact::decode(&row.body).map_err(EngineFault::unreadable)?));
        }
        if let Some(scroll) = lock(&live.scrolls).get_mut(&thread) {
            for (position, fact) in facts {
                if position == scroll.head {
                    scroll.transcript.apply(&fact);
                    scroll.head += 1;
                }
            }
        }
    }
}

/// What the thread's model was asked last, from the log; `None` if it never was. The agent's tools are those
/// that the session has now, if they were changed since.
pub(crate) async fn last_prompt(
    engine: &Engine,
    head: &store::SessionHead,
    agent: Arc<SessionAgent>,
    thread: ThreadId,
) -> Result<Option<Prompt>, EngineFault> {
    let session = head.session;
    let begins = |post: &LoggedEvent| post.thread == thread && post.event.body == Body::SpanModelRequestStart;
    let Some(last) = last(engine, session, head.position, begins).await? else { return Ok(None) };
    let mut transcript = Transcript::new(thread);
    let folded = fold(engine, session, agent, last + 1, |fact| transcript.apply(fact)).await?;
    let cast = folded.cast(thread).ok_or(EngineFault::Corrupt("a request of no thread"))?;
    let mut prompt = transcript.prompt(&cast, &engine.hands().toolbox(session));
    blobs::fill(engine, session, &mut prompt).await;
    Ok(Some(prompt))
}
