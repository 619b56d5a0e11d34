//! The one door of the law: an input, the state, a moment; facts or a refusal.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use protocol::{
    EnvironmentId, EventId, SessionId, ThreadId, Timestamp,
    agent::SessionAgent,
    content::ContentBlock,
    event::Body,
    input::ClientEvent,
    parse::{self, GivenField, Metadata, MetadataPatch},
    prompt::{ModelAnswer, ModelFailure},
    session::SessionStatus,
    tool::AgentTool,
};

use crate::{
    answer,
    call::{CallState, OpenCall},
    client,
    delegation::{self, ChildHappening},
    draft::{Decision, DecisionDraft},
    fact::{ChildEnd, Note, PrivatePart, ThreadLimits, TranscriptPiece},
    made::KnownCall,
    mail,
    moment::Moment,
    refusal::Refusal,
    rules,
    session::SessionState,
    status,
    thread::{ModelRequest, ThreadActivity},
    turn,
};

/// What may happen to a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A client sent events: all are accepted, or none.
    Client {
        /// The events of one request, in order.
        events: Vec<ClientEvent>,
        /// Calls that the log is known to hold, whether or not they are open; the engine looks up what a
        /// [`Refusal::UnknownCall`] names and asks again.
        made: BTreeMap<EventId, KnownCall>,
    },
    /// A model answered.
    Answered {
        /// The thread that asked.
        thread: ThreadId,
        /// The event that began the request.
        request: EventId,
        /// The answer.
        answer: ModelAnswer,
        /// As in [`Input::Failed`], for an answer that says nothing.
        attempts: u32,
    },
    /// A model request failed.
    Failed {
        /// The thread that asked.
        thread: ThreadId,
        /// The event that began the request.
        request: EventId,
        /// What went wrong.
        failure: ModelFailure,
        /// What the provider names as what it refuses, as [`crate::Transcript::pieces`] finds it.
        named: Vec<TranscriptPiece>,
        /// How often the request is made in all while it fails for a time, as its route says.
        attempts: u32,
    },
    /// A call has its place in a sandbox and is about to run: it may if this is accepted, and only then.
    Begins {
        /// The thread that called.
        thread: ThreadId,
        /// The event of the call.
        call: EventId,
    },
    /// A tool ran, or could not be run at all.
    Ran {
        /// The thread that called it.
        thread: ThreadId,
        /// The event of the call.
        call: EventId,
        /// What it gave; may be empty.
        content: Vec<ContentBlock>,
        /// Whether it failed.
        is_error: bool,
    },
    /// The time of a retry has come.
    Woke {
        /// The thread that waited.
        thread: ThreadId,
        /// Until when.
        until: Timestamp,
    },
    /// A follower took the session over: whatever ran, runs no more (docs/rules.md 2).
    Recovered,
    /// The owner changes the session.
    Update(SessionChange),
    /// The owner archives the session.
    Archive,
    /// The owner archives a child thread.
    ArchiveThread {
        /// Which.
        thread: ThreadId,
    },
    /// The owner deletes the session.
    Delete,
}

impl Input {
    /// Whether a client brings something new with it, which a server that is short of room may refuse. What
    /// was begun comes to its end, and what only stops, ends or deletes is always taken.
    pub fn is_new(&self) -> bool {
        match self {
            Self::Client { events, .. } => events.iter().any(|event| match event {
                ClientEvent::Interrupt { .. } => false,
                ClientEvent::Message { .. }
                | ClientEvent::Confirmation { .. }
                | ClientEvent::CustomResult { .. } => true,
            }),
            Self::Update(_) => true,
            Self::Answered { .. }
            | Self::Failed { .. }
            | Self::Begins { .. }
            | Self::Ran { .. }
            | Self::Woke { .. }
            | Self::Recovered
            | Self::Archive
            | Self::ArchiveThread { .. }
            | Self::Delete => false,
        }
    }
}

/// A change to a session (docs/rules.md 18).
#[derive(Debug, Clone, PartialEq)]
pub struct SessionChange {
    /// The title; null clears it.
    pub title: GivenField<String>,
    /// Keys to set or remove; null and absent keep all.
    pub metadata: GivenField<MetadataPatch>,
    /// The agent's tools for this session, replaced whole; needs an idle session.
    pub tools: GivenField<Vec<AgentTool>>,
}

/// A session to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionOpening {
    /// Its id.
    pub session: SessionId,
    /// Its primary thread.
    pub thread: ThreadId,
    /// The agent, overrides included.
    pub agent: Arc<SessionAgent>,
    /// Where its tools run.
    pub environment: EnvironmentId,
    /// What it is called.
    pub title: Option<String>,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// How many threads it may have.
    pub tree: ThreadLimits,
    /// What it begins with; empty for an idle session.
    pub events: Vec<ClientEvent>,
}

/// Opens a session.
pub fn open(opening: SessionOpening, moment: Moment) -> Result<Decision, Refusal> {
    let SessionOpening { session, thread, agent, environment, title, metadata, tree, events } = opening;
    let blank = SessionState::new(session, agent);
    let mut draft = DecisionDraft::of(&blank, moment);
    draft.note(thread, Note::Opened { environment, title, metadata, tree });
    draft.settle();
    let accepted = accept(&mut draft, events, &BTreeMap::new())?;
    Ok(draft.finish(accepted))
}

/// Whether `input` may happen to `session` now, and which facts it makes.
///
/// # Errors
/// The [`Refusal`]; nothing of the input happened then.
pub fn decide(session: &SessionState, input: Input, moment: Moment) -> Result<Decision, Refusal> {
    let mut draft = DecisionDraft::of(session, moment);
    let mut accepted = Vec::new();
    match input {
        Input::Client { events, made } => accepted = accept(&mut draft, events, &made)?,
        Input::Answered { thread, request, answer, attempts } => {
            let request = asked(session, thread, request)?;
            answer::accept(&mut draft, thread, request, answer, attempts);
        }
        Input::Failed { thread, request, failure, named, attempts } => {
            asked(session, thread, request)?;
            turn::failed(&mut draft, thread, &failure, named, attempts);
        }
        Input::Begins { thread, call } => begins(&mut draft, thread, call)?,
        Input::Ran { thread, call, content, is_error } => {
            let running = open_call(session, thread, call).and_then(|call| call.state.running());
            let runner = running.ok_or(Refusal::Stale)?;
            draft.say(thread, runner.result(call, Some(content), is_error));
            turn::go_on(&mut draft, thread);
        }
        Input::Woke { thread, until } => {
            let doing = session.thread(thread).map(|state| &state.doing).ok_or(Refusal::Stale)?;
            if *doing != ThreadActivity::Waiting(until) || moment.at < until {
                return Err(Refusal::Stale);
            }
            turn::ask(&mut draft, thread);
        }
        Input::Recovered => {
            for thread in session.threads() {
                turn::recover(&mut draft, thread.id);
            }
        }
        Input::Update(change) => update(&mut draft, change)?,
        Input::Archive => archive(&mut draft)?,
        Input::ArchiveThread { thread } => archive_thread(&mut draft, thread)?,
        Input::Delete => delete(&mut draft)?,
    }
    delegation::conclude(&mut draft);
    Ok(draft.finish(accepted))
}

fn accept(
    draft: &mut DecisionDraft<'_>,
    events: Vec<ClientEvent>,
    made: &BTreeMap<EventId, KnownCall>,
) -> Result<Vec<EventId>, Refusal> {
    let accept = |(event, said)| {
        let id = client::accept(draft, event, said, made)?;
        delegation::conclude(draft);
        Ok(id)
    };
    events.into_iter().enumerate().map(accept).collect()
}

/// The open request that an outcome belongs to.
fn asked(session: &SessionState, thread: ThreadId, request: EventId) -> Result<ModelRequest, Refusal> {
    let open = session.thread(thread).and_then(crate::ThreadState::request);
    open.filter(|open| open.id == request).ok_or(Refusal::Stale)
}

/// A call that waits for its answer.
fn open_call(session: &SessionState, thread: ThreadId, call: EventId) -> Option<&OpenCall> {
    session.thread(thread)?.calls().iter().find(|open| open.id == call)
}

/// A call begins once: whoever comes second, also from another life of the server, may not run it. One that
/// only reads may begin again and again, and nothing is written down of it; neither is it of a call in the
/// log of an earlier version, which counts as begun from its turn on, so that another life answers it.
fn begins(draft: &mut DecisionDraft<'_>, thread: ThreadId, call: EventId) -> Result<(), Refusal> {
    let open = open_call(&draft.session, thread, call).ok_or(Refusal::Stale)?;
    if matches!(open.state, CallState::Turn(_)) {
        draft.note(thread, Note::Began { call });
        return Ok(());
    }
    let again = open.state.begun().is_some_and(|runner| runner.only_reads() || !open.noted);
    if again { Ok(()) } else { Err(Refusal::Stale) }
}

fn update(draft: &mut DecisionDraft<'_>, change: SessionChange) -> Result<(), Refusal> {
    let primary = live_primary(&draft.session)?;
    let session = &draft.session;
    let title = match change.title {
        GivenField::Absent => session.title.clone(),
        GivenField::Null => None,
        GivenField::Value(title) => Some(title),
    };
    let metadata = match change.metadata {
        GivenField::Absent | GivenField::Null => session.metadata.clone(),
        GivenField::Value(patch) => {
            parse::patched(&session.metadata, patch, false, "metadata").map_err(Refusal::Invalid)?
        }
    };
    let tools = match change.tools {
        GivenField::Absent => session.agent.definition.tools.clone(),
        GivenField::Null => Vec::new(),
        GivenField::Value(tools) => tools,
    };
    let agent = if tools == session.agent.definition.tools {
        None
    } else {
        idle(session, "update the agent of")?;
        if session.agent.multiagent.is_some() {
            rules::roster::free_of_conflict(&tools, "agent.tools").map_err(Refusal::Invalid)?;
        }
        let mut agent = SessionAgent::clone(&session.agent);
        agent.definition.tools = tools;
        Some(alloc::boxed::Box::new(agent))
    };
    let cleared = PrivatePart::Cleared {
        title: title.is_none() && session.title.is_some(),
        metadata: metadata.is_empty() && !session.metadata.is_empty(),
    };
    let metadata = (metadata != session.metadata).then_some(metadata).filter(|kept| !kept.is_empty());
    let title = title.filter(|title| Some(title) != session.title.as_ref());
    let nothing = PrivatePart::Cleared { title: false, metadata: false };
    let private = (cleared != nothing).then_some(cleared);
    if agent.is_some() || metadata.is_some() || title.is_some() || private.is_some() {
        draft.say_with(primary, Body::SessionUpdated { agent, metadata, title }, private);
    }
    Ok(())
}

fn archive(draft: &mut DecisionDraft<'_>) -> Result<(), Refusal> {
    if draft.session.archived_at.is_some() && draft.session.deleted_at.is_none() {
        return Ok(());
    }
    let primary = live_primary(&draft.session)?;
    idle(&draft.session, "archive")?;
    let threads: Vec<ThreadId> = draft.session.threads().map(|thread| thread.id).collect();
    for thread in threads {
        mail::cancel(draft, thread);
    }
    draft.note(primary, Note::Archived);
    Ok(())
}

/// Ends a child that prints idle, and all below it (docs/rules.md 1, 3). Once more changes nothing.
fn archive_thread(draft: &mut DecisionDraft<'_>, thread: ThreadId) -> Result<(), Refusal> {
    let session = &draft.session;
    if session.deleted_at.is_some() {
        return Err(Refusal::Terminated);
    }
    let state = session.thread(thread).ok_or(Refusal::NoSuchThread { thread })?;
    if state.parent.is_none() {
        return Err(Refusal::PrimaryThread { thread, session: session.id });
    }
    if state.archived_at.is_some() {
        return Ok(());
    }
    let below = session.threads().filter(|other| lies_below(session, other, thread));
    let busy = below.chain([state]).find_map(|other| match status::thread(session, other).status() {
        SessionStatus::Idle | SessionStatus::Terminated => None,
        status @ (SessionStatus::Running | SessionStatus::Rescheduling) => Some((other.id, status)),
    });
    if let Some((thread, status)) = busy {
        return Err(Refusal::ThreadBusy { thread, status });
    }
    delegation::end(draft, thread, ChildEnd::Archived);
    delegation::tell(draft, thread, &ChildHappening::Archived);
    Ok(())
}

fn lies_below(session: &SessionState, thread: &crate::ThreadState, above: ThreadId) -> bool {
    let parents = core::iter::successors(thread.parent, |id| session.thread(*id).and_then(|up| up.parent));
    parents.into_iter().any(|id| id == above)
}

fn delete(draft: &mut DecisionDraft<'_>) -> Result<(), Refusal> {
    let primary = draft.session.primary().map(|thread| thread.id).ok_or(Refusal::Terminated)?;
    if draft.session.deleted_at.is_some() {
        return Err(Refusal::Terminated);
    }
    if draft.session.archived_at.is_none() {
        idle(&draft.session, "delete")?;
    }
    draft.say(primary, Body::SessionDeleted);
    Ok(())
}

fn live_primary(session: &SessionState) -> Result<ThreadId, Refusal> {
    match session.primary() {
        Some(thread) if !session.over() => Ok(thread.id),
        Some(_) | None => Err(Refusal::Terminated),
    }
}

fn idle(session: &SessionState, verb: &'static str) -> Result<(), Refusal> {
    match status::session(session).status() {
        SessionStatus::Idle => Ok(()),
        status @ (SessionStatus::Running | SessionStatus::Rescheduling | SessionStatus::Terminated) => {
            Err(Refusal::Busy { verb, status })
        }
    }
}
