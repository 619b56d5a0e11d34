//! Status: derived, never stored. One function compares what is printed before and after an input
//! and makes every status event; nothing else does (docs/rules.md 1).

use alloc::{string::String, vec::Vec};

use protocol::{
    EventId, ThreadId,
    event::{Body, StopReason},
    session::SessionStatus,
};

use crate::{
    fact::ChildEnd,
    session::SessionState,
    thread::{ThreadActivity, ThreadState, TurnStop},
};

/// What a thread or a session prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintedStatus {
    /// It works.
    Running,
    /// Only a retry timer is left.
    Rescheduling,
    /// It rests since its last turn ended so.
    Idle(TurnStop),
    /// It waits for the client on these calls; never empty.
    RequiresAction(Vec<EventId>),
    /// It is over.
    Terminated,
}

impl PrintedStatus {
    /// The status's name.
    pub const fn status(&self) -> SessionStatus {
        match self {
            Self::Running => SessionStatus::Running,
            Self::Rescheduling => SessionStatus::Rescheduling,
            Self::Idle(_) | Self::RequiresAction(_) => SessionStatus::Idle,
            Self::Terminated => SessionStatus::Terminated,
        }
    }

    /// The stop reason of an idle.
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            Self::Idle(stop) => Some(stop.reason()),
            Self::RequiresAction(event_ids) => {
                Some(StopReason::RequiresAction { event_ids: event_ids.clone() })
            }
            Self::Running | Self::Rescheduling | Self::Terminated => None,
        }
    }
}

/// What one thread prints. One that waits for children prints what they do (docs/rules.md 1); waits form a
/// tree.
pub fn thread(session: &SessionState, thread: &ThreadState) -> PrintedStatus {
    let calls = match &thread.doing {
        ThreadActivity::Ended(_) => return PrintedStatus::Terminated,
        ThreadActivity::Asking(..) | ThreadActivity::Due => return PrintedStatus::Running,
        ThreadActivity::Waiting(_) => return PrintedStatus::Rescheduling,
        ThreadActivity::Resting(stop) => return PrintedStatus::Idle(stop.clone()),
        ThreadActivity::Calling(calls) => calls,
    };
    if calls.iter().any(|call| call.state.is_ours()) {
        return PrintedStatus::Running;
    }
    let below: Vec<PrintedStatus> = calls
        .iter()
        .filter_map(|call| session.thread(call.state.waits_for()?))
        .map(|child| self::thread(session, child))
        .collect();
    let busy =
        [PrintedStatus::Running, PrintedStatus::Rescheduling].into_iter().find(|busy| below.contains(busy));
    if let Some(busy) = busy {
        return busy;
    }
    let own = calls.iter().filter(|call| call.state.needs_client()).map(|call| call.id);
    let pending: Vec<EventId> = own.chain(below.iter().flat_map(pending).copied()).collect();
    // A call that nobody is at work on waits for the client, or for a child that does.
    if pending.is_empty() { PrintedStatus::Running } else { PrintedStatus::RequiresAction(pending) }
}

/// What the session prints.
pub fn session(session: &SessionState) -> PrintedStatus {
    if session.archived_at.is_some() {
        return PrintedStatus::Terminated;
    }
    let printed: Vec<PrintedStatus> = session.threads().map(|of| thread(session, of)).collect();
    let busy =
        [PrintedStatus::Running, PrintedStatus::Rescheduling].into_iter().find(|busy| printed.contains(busy));
    if let Some(busy) = busy {
        return busy;
    }
    // Each thread's own: what a parent prints of its children stands there already.
    let calls = session.threads().flat_map(ThreadState::calls);
    let pending: Vec<EventId> = calls.filter(|call| call.state.needs_client()).map(|call| call.id).collect();
    if !pending.is_empty() {
        return PrintedStatus::RequiresAction(pending);
    }
    // The primary comes first; before the first fact there is none.
    printed.into_iter().next().unwrap_or(PrintedStatus::Idle(TurnStop::EndTurn))
}

/// The threads that print running.
pub(crate) fn running(session: &SessionState) -> Vec<ThreadId> {
    let runs = session.threads().filter(|of| thread(session, of) == PrintedStatus::Running);
    runs.map(|thread| thread.id).collect()
}

fn pending(printed: &PrintedStatus) -> &[EventId] {
    match printed {
        PrintedStatus::RequiresAction(calls) => calls,
        PrintedStatus::Running
        | PrintedStatus::Rescheduling
        | PrintedStatus::Idle(_)
        | PrintedStatus::Terminated => &[],
    }
}

/// What the whole session prints at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSnapshot {
    session: PrintedStatus,
    /// In the order of the threads.
    threads: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    thread: ThreadId,
    printed: PrintedStatus,
    agent_name: String,
    depth: u32,
    /// Whether it has ended because its model could not be asked.
    exhausted: bool,
}

/// Reads the board of `session`.
pub fn board(session: &SessionState) -> StatusSnapshot {
    let line = |of: &ThreadState| Line {
        thread: of.id,
        printed: thread(session, of),
        agent_name: of.agent_name.clone(),
        depth: of.depth,
        exhausted: of.doing == ThreadActivity::Ended(ChildEnd::Exhausted),
    };
    StatusSnapshot { session: self::session(session), threads: session.threads().map(line).collect() }
}

/// The status events that lead from one board to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusAnnouncement {
    /// The session begins to run.
    pub starts: Option<StatusChange>,
    /// Threads that begin to run: a parent before its children.
    pub running: Vec<StatusChange>,
    /// Threads that are idle, rescheduled or terminated: the deepest first, the primary last.
    pub resting: Vec<StatusChange>,
    /// The session stops running.
    pub stops: Option<StatusChange>,
}

/// One status event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// What is printed now.
    pub printed: PrintedStatus,
    /// Of which thread; `None`: of the session.
    pub thread: Option<ThreadId>,
    /// The thread's agent.
    pub agent_name: String,
    /// How deep the thread lies.
    pub depth: u32,
}

impl StatusChange {
    fn session(printed: &PrintedStatus) -> Self {
        Self { printed: printed.clone(), thread: None, agent_name: String::new(), depth: 0 }
    }

    /// The event's body.
    pub fn body(self) -> Body {
        let details = match &self.printed {
            PrintedStatus::Idle(TurnStop::Refused(details)) => Some(details.clone()),
            PrintedStatus::Running
            | PrintedStatus::Rescheduling
            | PrintedStatus::Idle(TurnStop::EndTurn | TurnStop::Exhausted)
            | PrintedStatus::RequiresAction(_)
            | PrintedStatus::Terminated => None,
        };
        let stop = self.printed.stop_reason();
        let agent_name = self.agent_name;
        match (self.printed, stop, self.thread) {
            (_, Some(stop_reason), None) => Body::SessionStatusIdle { stop_reason, stop_details: details },
            (_, Some(stop_reason), Some(session_thread_id)) => Body::SessionThreadStatusIdle {
                session_thread_id,
                agent_name,
                stop_reason,
                stop_details: details,
            },
            (PrintedStatus::Rescheduling, None, None) => Body::SessionStatusRescheduled,
            (PrintedStatus::Rescheduling, None, Some(session_thread_id)) => {
                Body::SessionThreadStatusRescheduled { session_thread_id, agent_name }
            }
            (PrintedStatus::Terminated, None, None) => Body::SessionStatusTerminated,
            (PrintedStatus::Terminated, None, Some(session_thread_id)) => {
                Body::SessionThreadStatusTerminated { session_thread_id, agent_name }
            }
            (
                PrintedStatus::Running | PrintedStatus::Idle(_) | PrintedStatus::RequiresAction(_),
                None,
                None,
            ) => Body::SessionStatusRunning,
            (
                PrintedStatus::Running | PrintedStatus::Idle(_) | PrintedStatus::RequiresAction(_),
                None,
                Some(session_thread_id),
            ) => Body::SessionThreadStatusRunning { session_thread_id, agent_name },
        }
    }
}

/// Compares two boards. With `flash`, an input that changed nothing on an idle session shows as the empty
/// pair of running and idle (docs/rules.md 4, a second result).
pub fn status_events(
    old: &StatusSnapshot,
    new: &StatusSnapshot,
    flash: Option<ThreadId>,
) -> StatusAnnouncement {
    let flash = flash.filter(|_| old == new && new.session.status() == SessionStatus::Idle);
    let mut said = StatusAnnouncement::default();
    let runs = old.session != new.session && new.session == PrintedStatus::Running;
    said.starts = (runs || flash.is_some()).then(|| StatusChange::session(&PrintedStatus::Running));
    let rests = old.session != new.session && new.session != PrintedStatus::Running;
    said.stops = (rests || flash.is_some()).then(|| StatusChange::session(&new.session));

    // A new thread is at rest until it says otherwise.
    let rest = PrintedStatus::Idle(TurnStop::EndTurn);
    let mut lines: Vec<&Line> = new.threads.iter().collect();
    lines.sort_by_key(|line| line.depth);
    let differs = |line: &Line| {
        let was = old.threads.iter().find(|was| was.thread == line.thread);
        was.map_or(&rest, |was| &was.printed) != &line.printed
    };
    for line in &lines {
        let runs = line.printed == PrintedStatus::Running && differs(line);
        if runs || flash == Some(line.thread) {
            said.running.push(line.says(&PrintedStatus::Running));
        }
    }
    for line in lines.iter().rev() {
        let rests = line.printed != PrintedStatus::Running && differs(line);
        if rests && line.exhausted {
            said.resting.push(line.says(&PrintedStatus::Idle(TurnStop::Exhausted)));
        }
        if rests || flash == Some(line.thread) {
            said.resting.push(line.says(&line.printed));
        }
    }
    said
}

impl Line {
    fn says(&self, printed: &PrintedStatus) -> StatusChange {
        let (printed, agent_name) = (printed.clone(), self.agent_name.clone());
        StatusChange { printed, thread: Some(self.thread), agent_name, depth: self.depth }
    }
}
