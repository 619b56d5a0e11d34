//! The folded session: only what may still change. Everything else is in the log.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use protocol::{
    EnvironmentId, EventId, SessionId, Stamp, ThreadId,
    agent::SessionAgent,
    event::{Body, Event},
    parse::Metadata,
    session::SessionStats,
    usage::{Tokens, Usage},
};

use crate::{
    fact::{Fact, Note, Private, What},
    thread::{Clock, Thread},
};

/// A session as its log has made it so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The agent it works with now.
    pub agent: Arc<SessionAgent>,
    /// Where its tools run; `None` before the first fact.
    pub environment: Option<EnvironmentId>,
    /// What it is called.
    pub title: Option<String>,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// How many facts the log holds: the position of the next one.
    pub head: u64,
    /// The stamp of the last fact.
    pub last: Stamp,
    /// When it was made.
    pub created_at: Stamp,
    /// Since when it takes no more events.
    pub archived_at: Option<Stamp>,
    /// Since when it is gone.
    pub deleted_at: Option<Stamp>,
    /// How long at least one thread ran.
    pub clock: Clock,
    primary: Option<ThreadId>,
    threads: BTreeMap<ThreadId, Thread>,
}

impl Session {
    /// A session of which no fact has been folded yet. `agent` is the snapshot it works with now.
    pub fn new(id: SessionId, agent: Arc<SessionAgent>) -> Self {
        Self {
            id,
            agent,
            environment: None,
            title: None,
            metadata: Metadata::new(),
            head: 0,
            last: Stamp::default(),
            created_at: Stamp::default(),
            archived_at: None,
            deleted_at: None,
            clock: Clock::default(),
            primary: None,
            threads: BTreeMap::new(),
        }
    }

    /// Whether it is archived or deleted: then it takes no more events.
    pub const fn over(&self) -> bool {
        self.archived_at.is_some() || self.deleted_at.is_some()
    }

    /// The primary thread.
    pub fn primary(&self) -> Option<&Thread> {
        self.primary.and_then(|id| self.threads.get(&id))
    }

    /// The thread with this id.
    pub fn thread(&self, id: ThreadId) -> Option<&Thread> {
        self.threads.get(&id)
    }

    /// Every thread, the primary first.
    pub fn threads(&self) -> impl Iterator<Item = &Thread> {
        let children = self.threads.values().filter(|thread| Some(thread.id) != self.primary);
        self.primary().into_iter().chain(children)
    }

    /// The thread in which this call waits for its answer.
    pub fn thread_of_call(&self, call: EventId) -> Option<&Thread> {
        self.threads.values().find(|thread| thread.calls().iter().any(|open| open.id == call))
    }

    /// What is queued, in the order in which it came.
    pub fn queued(&self) -> Vec<&Event> {
        self.threads().flat_map(|thread| &thread.queue).collect()
    }

    /// What a fact means. Total: it never refuses, and a fact that does not fit changes only the head.
    #[must_use]
    pub fn evolve(mut self, fact: &Fact) -> Self {
        self.apply(fact);
        self
    }

    /// The same in place.
    pub fn apply(&mut self, fact: &Fact) {
        self.head += 1;
        self.last = fact.at().unwrap_or(self.last).max(self.last);
        match &fact.what {
            What::Note { at, note } => self.apply_note(fact.thread, *at, note),
            What::Event { event, private } => self.apply_event(fact.thread, event, private.as_ref()),
        }
    }

    /// All of them in place, in order.
    pub fn apply_all(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.apply(fact);
        }
    }

    fn apply_note(&mut self, thread: ThreadId, at: Stamp, note: &Note) {
        match note {
            Note::Opened { environment, title, metadata } => {
                self.environment = Some(*environment);
                self.title.clone_from(title);
                self.metadata.clone_from(metadata);
                self.created_at = at;
                self.primary = Some(thread);
                self.threads.insert(thread, Thread::new(thread, None, self.agent.name.clone()));
            }
            Note::Archived => {
                self.archived_at = Some(at);
                self.threads.values_mut().for_each(|thread| thread.evolve_note(note));
            }
            Note::Queued { .. } | Note::Retry { .. } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    thread.evolve_note(note);
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty kinds")]
    fn apply_event(&mut self, thread: ThreadId, event: &Event, private: Option<&Private>) {
        let at = event.processed_at.unwrap_or(self.last);
        if let Some(thread) = self.threads.get_mut(&thread) {
            thread.evolve_event(event, private);
        }
        match &event.body {
            Body::SessionStatusRunning => self.clock.start(at),
            Body::SessionStatusRescheduled => self.clock.stop(at),
            Body::SessionStatusIdle { .. } => self.clock.rest(at),
            Body::SessionStatusTerminated => self.clock.end(at),
            Body::SessionDeleted => self.deleted_at = Some(at),
            Body::SessionUpdated { agent, metadata, title } => {
                if let Some(agent) = agent {
                    self.agent = Arc::new(SessionAgent::clone(agent));
                }
                if let Some(Private::Cleared { title, metadata }) = private {
                    if *title {
                        self.title = None;
                    }
                    if *metadata {
                        self.metadata.clear();
                    }
                }
                if let Some(metadata) = metadata {
                    self.metadata.clone_from(metadata);
                }
                if title.is_some() {
                    self.title.clone_from(title);
                }
            }
            // The rest concerns its thread alone.
            _ => {}
        }
    }

    /// What every thread together used.
    pub fn tokens(&self) -> Tokens {
        self.threads.values().fold(Tokens::default(), |sum, thread| sum.plus(thread.tokens))
    }

    /// The session's usage at `now` (spec/recorded.md: `active_seconds` is live while it runs).
    pub fn usage(&self, now: Stamp) -> Usage {
        Usage::of(self.tokens(), seconds(self.clock.active(now)))
    }

    /// How long the session has worked by `now`; frozen when it is archived.
    pub fn stats(&self, now: Stamp) -> SessionStats {
        let end = self.clock.ended.unwrap_or(now);
        let active = self.threads.values().map(|thread| thread.clock.active(end)).sum();
        SessionStats {
            active_seconds: Some(seconds(active)),
            duration_seconds: Some(seconds(end.since(self.created_at).as_micros() as u64)),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
