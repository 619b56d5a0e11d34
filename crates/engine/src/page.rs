//! Lists: events of a session or a thread, a page at a time (docs/rules.md 7).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use kernel::{
    thread::QueuedInput,
    view::{self, Viewer},
};
use protocol::{EventId, SessionId, ThreadId, Timestamp, WorkspaceId, event::Event};

use crate::{
    Engine, blobs,
    fault::{CommitError, EngineFault},
    live::LoadedSession,
    log::CHUNK,
    summary::SessionSummary,
};

pub use store::ListOrder;

/// Which events of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this thread's own view; `None`: of the session's.
    pub thread: Option<ThreadId>,
    /// Which way.
    pub order: ListOrder,
    /// Where the page before ended.
    pub after: Option<EventCursor>,
    /// How many at most.
    pub limit: usize,
    /// Bytes of them at most; but the first one always comes.
    pub bytes: usize,
    /// Only these types; empty: all.
    pub types: BTreeSet<&'static str>,
    /// Only processed in this time.
    pub created: TimeRange,
}

/// A range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// Later than.
    pub gt: Option<Timestamp>,
    /// At or later than.
    pub gte: Option<Timestamp>,
    /// Earlier than.
    pub lt: Option<Timestamp>,
    /// At or earlier than.
    pub lte: Option<Timestamp>,
}

impl TimeRange {
    /// Whether nothing bounds it.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it holds this moment.
    pub fn holds(&self, stamp: Timestamp) -> bool {
        self.gt.is_none_or(|bound| stamp > bound)
            && self.gte.is_none_or(|bound| stamp >= bound)
            && self.lt.is_none_or(|bound| stamp < bound)
            && self.lte.is_none_or(|bound| stamp <= bound)
    }
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    /// The next position of the log to look at: upwards in asc, everything below it in desc.
    pub position: u64,
    /// The last event of the queue that was shown.
    pub queued: Option<EventId>,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events; those that wait in the queue come last in asc and first in desc.
    pub events: Vec<Arc<Event>>,
    /// For each of them, where the next page begins if this one ends with it.
    pub ends: Vec<EventCursor>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<EventCursor>,
}

/// A page being filled.
struct Page<'a> {
    query: &'a EventQuery,
    viewer: Viewer,
    found: Vec<(Arc<Event>, EventCursor)>,
    /// Bytes of the log behind what was found.
    bytes: usize,
}

impl Engine {
    /// One page of a session's or a thread's events; `None`: there is no such session or thread.
    pub async fn events(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        query: EventQuery,
    ) -> Result<Option<EventPage>, EngineFault> {
        let head = self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none());
        let Some(head) = head else { return Ok(None) };
        let summary = SessionSummary::read(&head.body)?;
        let Some(primary) = summary.primary().filter(|_| query.thread.is_none_or(|id| summary.has(id)))
        else {
            return Ok(None);
        };
        let viewer = query.thread.map_or(Viewer::Session { primary }, Viewer::Thread);
        // The folded state is the one place that knows the queue whole; most sessions have none.
        let state = if summary.queued > 0 { self.state(session).await? } else { None };
        let end = state.as_ref().map_or(head.position, |state| state.session.head);
        let queued = state.as_deref().map(|state| queue(state, &query, viewer)).unwrap_or_default();

        let mut page = Page { query: &query, viewer, found: Vec::new(), bytes: 0 };
        match query.order {
            ListOrder::Ascending => {
                page.upwards(self, session, end).await?;
                page.queued(queued, end);
            }
            ListOrder::Descending => {
                page.queued(queued, end);
                page.downwards(self, session, end).await?;
            }
        }
        let EventPage { events, ends, next } = page.cut();
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            shown.push(blobs::shown(self, session, event).await);
        }
        Ok(Some(EventPage { events: shown, ends, next }))
    }

    async fn state(&self, session: SessionId) -> Result<Option<Arc<LoadedSession>>, EngineFault> {
        let live = self.work(session);
        if live.current().is_none() {
            match self.touch(session).await {
                Ok(()) | Err(CommitError::NotFound | CommitError::Stopping) => {}
                Err(CommitError::Fault(fault)) => return Err(fault),
                Err(CommitError::Refused(_) | CommitError::Conflict { .. }) => return Err(EngineFault::Died),
            }
        }
        Ok(live.current())
    }
}

/// What waits in the queue and belongs on this page, in the list's order.
fn queue(state: &LoadedSession, query: &EventQuery, viewer: Viewer) -> Vec<Arc<Event>> {
    if !query.created.is_open() {
        return Vec::new();
    }
    let waiting = state.session.threads().flat_map(|thread| {
        let shown = |queued: &&QueuedInput| view::waits(thread.id, &queued.event, viewer);
        thread.queue.iter().filter(shown).map(|queued| &queued.event)
    });
    let mut waiting: VecDeque<Arc<Event>> = waiting
        .filter(|event| query.types.is_empty() || query.types.contains(event.body.name()))
        .map(|event| Arc::new(event.clone()))
        .collect();
    if query.order == ListOrder::Descending {
        waiting = waiting.into_iter().rev().collect();
        // The pages below the queue do not go back to it.
        if query.after.is_some_and(|after| after.queued.is_none()) {
            waiting.clear();
        }
    }
    if let Some(shown) = query.after.and_then(|after| after.queued)
        && let Some(place) = waiting.iter().position(|event| event.id == shown)
    {
        waiting.drain(..=place);
    }
    waiting.into()
}

impl Page<'_> {
    /// Whether one more than the page holds has been found, or enough bytes.
    fn full(&self) -> bool {
        self.found.len() > self.query.limit || (self.bytes > self.query.bytes && self.found.len() > 1)
    }

    fn queued(&mut self, waiting: Vec<Arc<Event>>, end: u64) {
        for event in waiting {
            if self.full() {
                return;
            }
            let cursor = EventCursor { position: end, queued: Some(event.id) };
            self.found.push((event, cursor));
        }
    }

    async fn upwards(&mut self, engine: &Engine, session: SessionId, end: u64) -> Result<(), EngineFault> {
        let mut next = self.query.after.map_or(0, |after| after.position);
        while next < end && !self.full() {
            let rows = engine.store().read(session, next, CHUNK).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let from = next;
            next = last.first + u64::from(last.count);
            for row in &rows {
                let facts = self.read(row)?;
                for (position, event) in
                    facts.into_iter().filter(|(position, _)| (from..end).contains(position))
                {
                    let cursor = EventCursor { position: position + 1, queued: None };
                    self.keep(event, cursor);
                }
            }
        }
        Ok(())
    }

    async fn downwards(&mut self, engine: &Engine, session: SessionId, end: u64) -> Result<(), EngineFault> {
        let mut before = self.query.after.map_or(end, |after| after.position.min(end));
        while before > 0 && !self.full() {
            let rows = engine.store().read_back(session, before, CHUNK).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let below = before;
            before = last.first;
            for row in &rows {
                let facts = self.read(row)?;
                for (position, event) in facts.into_iter().rev().filter(|(position, _)| *position < below) {
                    let cursor = EventCursor { position, queued: None };
                    self.keep(event, cursor);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, row: &store::LogRow) -> Result<Vec<(u64, Arc<Event>)>, EngineFault> {
        if !self.full() {
            self.bytes += row.body.len();
        }
        let facts = kernel::fact::decode(&row.body).map_err(EngineFault::unreadable)?;
        let shown = |(position, fact)| Some((position, Arc::new(view::into_event(fact, self.viewer)?)));
        Ok((row.first..).zip(facts).filter_map(shown).collect())
    }

    fn keep(&mut self, event: Arc<Event>, cursor: EventCursor) {
        let wanted = self.query.types.is_empty() || self.query.types.contains(event.body.name());
        let created = event.processed_at.is_some_and(|stamp| self.query.created.holds(stamp));
        if wanted && created && !self.full() {
            self.bytes += blobs::extra_bytes(&event);
            self.found.push((event, cursor));
        }
    }

    /// The page without what was found only to know that there is more.
    fn cut(mut self) -> EventPage {
        let more = self.full();
        if more {
            self.found.pop();
        }
        let (events, ends): (Vec<_>, Vec<_>) = self.found.into_iter().unzip();
        let next = ends.last().copied().filter(|_| more);
        EventPage { events, ends, next }
    }
}
