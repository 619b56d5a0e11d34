//! The folded session: only what may still change. Everything else is in the log.

use alloc::{string::String, sync::Arc, vec::Vec};

use protocol::{
    AgentId, EnvironmentId, EventId, SessionId, ThreadId, Timestamp,
    agent::{RosterMember, SessionAgent},
    event::{Body, Event},
    memory::{list, text},
    model::ModelConfig,
    parse::Metadata,
    roster::DelegationTool,
    session::SessionStats,
    tool::AgentTool,
    usage::{RequestTokens, Usage},
};

use crate::{
    clock::Stopwatch,
    fact::{Fact, FactContent, Note, PrivatePart, ThreadLimits},
    thread::ThreadState,
};

/// A session as its log has made it so far. It cannot be cloned: a decision works on the one copy that it
/// needs, and gives it out.
#[derive(Debug, PartialEq)]
pub struct SessionState {
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
    pub last: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it takes no more events.
    pub archived_at: Option<Timestamp>,
    /// Since when it is gone.
    pub deleted_at: Option<Timestamp>,
    /// How long at least one thread ran.
    pub clock: Stopwatch,
    /// How many threads it may have.
    pub tree: ThreadLimits,
    /// In the order in which they were made: the primary first, a parent before its children.
    threads: Vec<ThreadState>,
}

/// An agent as a thread plays it: what its model is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActingAgent<'a> {
    /// Which agent.
    pub own: AgentId,
    /// Which model.
    pub model: &'a ModelConfig,
    /// Its system prompt.
    pub system: Option<&'a str>,
    /// Its tools.
    pub tools: &'a [AgentTool],
    /// Whom it may call; empty: nobody, and it has no tools for that.
    pub roster: &'a [RosterMember],
    /// Whether it has a parent to report to.
    pub reports: bool,
}

impl ActingAgent<'_> {
    /// Whether it may use this delegation tool.
    pub const fn may(&self, errand: DelegationTool) -> bool {
        match errand {
            DelegationTool::CreateAgent
            | DelegationTool::Agent
            | DelegationTool::SendToAgent
            | DelegationTool::ListAgents => !self.roster.is_empty(),
            DelegationTool::SendToParent => self.reports,
        }
    }
}

impl SessionState {
    /// A session of which no fact has been folded yet. `agent` is the snapshot it works with now.
    pub fn new(id: SessionId, agent: Arc<SessionAgent>) -> Self {
        Self {
            id,
            agent,
            environment: None,
            title: None,
            metadata: Metadata::new(),
            head: 0,
            last: Timestamp::default(),
            created_at: Timestamp::default(),
            archived_at: None,
            deleted_at: None,
            clock: Stopwatch::default(),
            tree: ThreadLimits::default(),
            threads: Vec::new(),
        }
    }

    /// Whether it is archived or deleted: then it takes no more events.
    pub const fn over(&self) -> bool {
        self.archived_at.is_some() || self.deleted_at.is_some()
    }

    /// The primary thread.
    pub fn primary(&self) -> Option<&ThreadState> {
        self.threads.first()
    }

    /// The thread with this id.
    pub fn thread(&self, id: ThreadId) -> Option<&ThreadState> {
        self.threads.iter().find(|thread| thread.id == id)
    }

    fn thread_mut(&mut self, id: ThreadId) -> Option<&mut ThreadState> {
        self.threads.iter_mut().find(|thread| thread.id == id)
    }

    /// Every thread, the primary first, a parent before its children.
    pub fn threads(&self) -> impl DoubleEndedIterator<Item = &ThreadState> {
        self.threads.iter()
    }

    /// The children of a thread, ended ones too, in the order in which they were made.
    pub fn children(&self, of: ThreadId) -> impl Iterator<Item = &ThreadState> {
        self.threads.iter().filter(move |thread| thread.parent == Some(of))
    }

    /// How many child threads there are, of all parents, that have not ended: the slots in use.
    pub fn slots(&self) -> usize {
        self.threads.iter().filter(|thread| thread.parent.is_some() && !thread.ended()).count()
    }

    /// The agent of a child thread.
    pub fn member(&self, thread: &ThreadState) -> Option<&RosterMember> {
        self.roster(self.thread(thread.parent?)?).get(thread.member?)
    }

    /// The roster of a thread's agent; empty without one.
    pub fn roster(&self, thread: &ThreadState) -> &[RosterMember] {
        if thread.parent.is_none() {
            return self.agent.members();
        }
        let own = self.member(thread).and_then(|member| member.multiagent.as_ref());
        own.map(|roster| roster.agents.as_slice()).unwrap_or_default()
    }

    /// What a thread's agent is, for its model.
    pub fn cast(&self, thread: ThreadId) -> Option<ActingAgent<'_>> {
        let thread = self.thread(thread)?;
        let agent = match self.member(thread) {
            Some(member) => &member.agent.definition,
            None => &self.agent.definition,
        };
        let leads = thread.depth < self.tree.max_depth;
        Some(ActingAgent {
            own: agent.id,
            model: &agent.model,
            system: agent.system.as_deref(),
            tools: &agent.tools,
            roster: if leads { self.roster(thread) } else { &[] },
            reports: thread.parent.is_some(),
        })
    }

    /// The thread in which this call waits for its answer.
    pub fn thread_of_call(&self, call: EventId) -> Option<&ThreadState> {
        self.threads.iter().find(|thread| thread.calls().iter().any(|open| open.id == call))
    }

    /// What is queued, of every thread.
    pub fn queued(&self) -> impl Iterator<Item = &Event> {
        self.threads.iter().flat_map(|thread| &thread.queue).map(|queued| &queued.event)
    }

    /// A copy to decide on.
    pub(crate) fn copied(&self) -> Self {
        Self {
            id: self.id,
            agent: Arc::clone(&self.agent),
            environment: self.environment,
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            head: self.head,
            last: self.last,
            created_at: self.created_at,
            archived_at: self.archived_at,
            deleted_at: self.deleted_at,
            clock: self.clock,
            tree: self.tree,
            threads: self.threads.clone(),
        }
    }

    /// Becomes again what it is a copy of; only what was changed since is copied once more.
    pub(crate) fn go_back(&mut self, to: &Self) {
        let Self {
            id,
            agent,
            environment,
            title,
            metadata,
            head,
            last,
            created_at,
            archived_at,
            deleted_at,
            clock,
            tree,
            threads,
        } = to;
        self.agent.clone_from(agent);
        (self.id, self.environment) = (*id, *environment);
        (self.head, self.last, self.created_at) = (*head, *last, *created_at);
        (self.archived_at, self.deleted_at) = (*archived_at, *deleted_at);
        (self.clock, self.tree) = (*clock, *tree);
        if self.title != *title {
            self.title.clone_from(title);
        }
        if self.metadata != *metadata {
            self.metadata.clone_from(metadata);
        }
        // A fact adds a thread at the end, and removes none.
        self.threads.truncate(threads.len());
        for (thread, before) in self.threads.iter_mut().zip(threads) {
            if thread != before {
                thread.clone_from(before);
            }
        }
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
            FactContent::Note { at, note } => self.apply_note(fact.thread, *at, note),
            FactContent::Event { event, private } => self.apply_event(fact.thread, event, private.as_ref()),
        }
        let last = self.last;
        if let Some(thread) = self.thread_mut(fact.thread) {
            thread.updated_at = last;
        }
    }

    /// All of them in place, in order.
    pub fn apply_all(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.apply(fact);
        }
    }

    fn apply_note(&mut self, thread: ThreadId, at: Timestamp, note: &Note) {
        match note {
            Note::Opened { environment, title, metadata, tree } => {
                self.environment = Some(*environment);
                self.title.clone_from(title);
                self.metadata.clone_from(metadata);
                self.created_at = at;
                self.tree = *tree;
                self.threads.push(ThreadState::primary(thread, self.agent.definition.name.clone(), at));
            }
            Note::Archived => {
                self.archived_at = Some(at);
                self.threads.iter_mut().for_each(|thread| thread.evolve_note(at, note));
            }
            Note::Queued { .. }
            | Note::Cancelled { .. }
            | Note::Retry { .. }
            | Note::Began { .. }
            | Note::Delegated { .. }
            | Note::Settled { .. }
            | Note::Kept { .. }
            | Note::LeftOut { .. }
            | Note::Blamed { .. }
            | Note::Ended { .. } => {
                if let Some(thread) = self.thread_mut(thread) {
                    thread.evolve_note(at, note);
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty kinds")]
    fn apply_event(&mut self, thread: ThreadId, event: &Event, private: Option<&PrivatePart>) {
        let at = event.processed_at.unwrap_or(self.last);
        if let Some(thread) = self.thread_mut(thread) {
            thread.evolve_event(event, private);
        }
        match &event.body {
            Body::SessionThreadCreated { session_thread_id, .. } => {
                if let Some(PrivatePart::Child { member, call, waits }) = private {
                    self.child(thread, *session_thread_id, *member, waits.then_some(*call), at);
                }
            }
            Body::UserInterrupt { session_thread_id: None } => {
                self.threads.iter_mut().for_each(ThreadState::interrupted);
            }
            Body::SessionStatusRunning => self.clock.start(at),
            Body::SessionStatusRescheduled | Body::SessionStatusIdle { .. } => self.clock.stop(at),
            Body::SessionStatusTerminated => self.clock.end(at),
            Body::SessionDeleted => self.deleted_at = Some(at),
            Body::SessionUpdated { agent, metadata, title } => {
                if let Some(agent) = agent {
                    self.agent = Arc::new(SessionAgent::clone(agent));
                }
                if let Some(PrivatePart::Cleared { title, metadata }) = private {
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

    fn child(
        &mut self,
        parent: ThreadId,
        id: ThreadId,
        member: usize,
        waits: Option<EventId>,
        at: Timestamp,
    ) {
        let Some(thread) = self.thread(parent) else { return };
        let Some(agent) = self.roster(thread).get(member) else { return };
        let child = thread.child(id, member, agent.agent.definition.name.clone(), at);
        self.threads.push(child);
        if let (Some(call), Some(parent)) = (waits, self.thread_mut(parent)) {
            parent.wait(call, id);
        }
    }

    /// About how many bytes of memory it takes, without its agent: sessions share those.
    pub fn bytes(&self) -> usize {
        let pair = |(key, value): (&String, &String)| 2 * size_of::<String>() + text(key) + text(value);
        let metadata: usize = self.metadata.iter().map(pair).sum();
        let title = self.title.as_deref().map_or(0, text);
        size_of::<Self>() + title + metadata + list(&self.threads, ThreadState::bytes)
    }

    /// What every thread together used.
    pub fn tokens(&self) -> RequestTokens {
        self.threads.iter().fold(RequestTokens::default(), |sum, thread| sum.plus(thread.tokens))
    }

    /// The session's usage at `now` (docs/rules.md 18: `active_seconds` is live while it runs).
    pub fn usage(&self, now: Timestamp) -> Usage {
        Usage::of(self.tokens(), seconds(self.clock.active(now)))
    }

    /// How long the session has worked by `now`; frozen when it is archived.
    pub fn stats(&self, now: Timestamp) -> SessionStats {
        let end = self.clock.ended.unwrap_or(now);
        let active = self.threads.iter().map(|thread| thread.clock.active(end)).sum();
        SessionStats {
            active_seconds: Some(seconds(active)),
            duration_seconds: Some(seconds(end.since(self.created_at).as_micros() as u64)),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
