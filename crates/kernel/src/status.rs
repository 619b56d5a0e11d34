//! Status: derived, never stored. One function compares what is printed before and after an input
//! and makes every status event; nothing else does (docs/rules.md 1).

use alloc::{string::String, vec::Vec};

use protocol::{
    EventId, ThreadId,
    event::{Body, StopReason},
    session::Status,
};

use crate::{
    fact::End,
    session::Session,
    thread::{Doing, Stop, Thread},
};

/// What a thread or a session prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// It works.
    Running,
    /// Only a retry timer is left.
    Rescheduling,
    /// It rests since its last turn ended so.
    Idle(Stop),
    /// It waits for the client on these calls; never empty.
    RequiresAction(Vec<EventId>),
    /// It is over.
    Terminated,
}

impl Printed {
    /// The status's name.
    pub const fn status(&self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Rescheduling => Status::Rescheduling,
            Self::Idle(_) | Self::RequiresAction(_) => Status::Idle,
            Self::Terminated => Status::Terminated,
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
pub fn thread(session: &Session, thread: &Thread) -> Printed {
    let calls = match &thread.doing {
        Doing::Ended(_) => return Printed::Terminated,
        Doing::Asking(..) | Doing::Due => return Printed::Running,
        Doing::Waiting(_) => return Printed::Rescheduling,
        Doing::Resting(stop) => return Printed::Idle(stop.clone()),
        Doing::Calling(calls) => calls,
    };
    if calls.iter().any(|call| call.state.is_ours()) {
        return Printed::Running;
    }
    let below: Vec<Printed> = calls
        .iter()
        .filter_map(|call| session.thread(call.state.waits_for()?))
        .map(|child| self::thread(session, child))
        .collect();
    let busy = [Printed::Running, Printed::Rescheduling].into_iter().find(|busy| below.contains(busy));
    if let Some(busy) = busy {
        return busy;
    }
    let own = calls.iter().filter(|call| call.state.needs_client()).map(|call| call.id);
    let pending: Vec<EventId> = own.chain(below.iter().flat_map(pending).copied()).collect();
    // A call that nobody is at work on waits for the client, or for a child that does.
    if pending.is_empty() { Printed::Running } else { Printed::RequiresAction(pending) }
}

/// What the session prints.
pub fn session(session: &Session) -> Printed {
    if session.archived_at.is_some() {
        return Printed::Terminated;
    }
    let printed: Vec<Printed> = session.threads().map(|of| thread(session, of)).collect();
    let busy = [Printed::Running, Printed::Rescheduling].into_iter().find(|busy| printed.contains(busy));
    if let Some(busy) = busy {
        return busy;
    }
    // Each thread's own: what a parent prints of its children stands there already.
    let calls = session.threads().flat_map(Thread::calls);
    let pending: Vec<EventId> = calls.filter(|call| call.state.needs_client()).map(|call| call.id).collect();
    if !pending.is_empty() {
        return Printed::RequiresAction(pending);
    }
    // The primary comes first; before the first fact there is none.
    printed.into_iter().next().unwrap_or(Printed::Idle(Stop::EndTurn))
}

/// The threads that print running.
pub(crate) fn running(session: &Session) -> Vec<ThreadId> {
    let runs = session.threads().filter(|of| thread(session, of) == Printed::Running);
    runs.map(|thread| thread.id).collect()
}

fn pending(printed: &Printed) -> &[EventId] {
    match printed {
        Printed::RequiresAction(calls) => calls,
        Printed::Running | Printed::Rescheduling | Printed::Idle(_) | Printed::Terminated => &[],
    }
}

/// What the whole session prints at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    session: Printed,
    /// In the order of the threads.
    threads: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    thread: ThreadId,
    printed: Printed,
    agent_name: String,
    depth: u32,
    /// Whether it has ended because its model could not be asked.
    exhausted: bool,
}

/// Reads the board of `session`.
pub fn board(session: &Session) -> Board {
    let line = |of: &Thread| Line {
        thread: of.id,
        printed: thread(session, of),
        agent_name: of.agent_name.clone(),
        depth: of.depth,
        exhausted: of.doing == Doing::Ended(End::Exhausted),
    };
    Board { session: self::session(session), threads: session.threads().map(line).collect() }
}

/// The status events that lead from one board to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// The session begins to run.
    pub starts: Option<Change>,
    /// Threads that begin to run: a parent before its children.
    pub running: Vec<Change>,
    /// Threads that are idle, rescheduled or terminated: the deepest first, the primary last.
    pub resting: Vec<Change>,
    /// The session stops running.
    pub stops: Option<Change>,
}

/// One status event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is printed now.
    pub printed: Printed,
    /// Of which thread; `None`: of the session.
    pub thread: Option<ThreadId>,
    /// The thread's agent.
    pub agent_name: String,
    /// How deep the thread lies.
    pub depth: u32,
}

impl Change {
    fn session(printed: &Printed) -> Self {
        Self { printed: printed.clone(), thread: None, agent_name: String::new(), depth: 0 }
    }

    /// The event's body.
    pub fn body(self) -> Body {
        let details = match &self.printed {
            Printed::Idle(Stop::Refused(details)) => Some(details.clone()),
            Printed::Running
            | Printed::Rescheduling
            | Printed::Idle(Stop::EndTurn | Stop::Exhausted)
            | Printed::RequiresAction(_)
            | Printed::Terminated => None,
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
            (Printed::Rescheduling, None, None) => Body::SessionStatusRescheduled,
            (Printed::Rescheduling, None, Some(session_thread_id)) => {
                Body::SessionThreadStatusRescheduled { session_thread_id, agent_name }
            }
            (Printed::Terminated, None, None) => Body::SessionStatusTerminated,
            (Printed::Terminated, None, Some(session_thread_id)) => {
                Body::SessionThreadStatusTerminated { session_thread_id, agent_name }
            }
            (Printed::Running | Printed::Idle(_) | Printed::RequiresAction(_), None, None) => {
                Body::SessionStatusRunning
            }
            (
                Printed::Running | Printed::Idle(_) | Printed::RequiresAction(_),
                None,
                Some(session_thread_id),
            ) => Body::SessionThreadStatusRunning { session_thread_id, agent_name },
        }
    }
}

/// Compares two boards. With `flash`, an input that changed nothing on an idle session shows as the empty
/// pair of running and idle (docs/rules.md 4, a second result).
pub fn announce(old: &Board, new: &Board, flash: Option<ThreadId>) -> Announcement {
    let flash = flash.filter(|_| old == new && new.session.status() == Status::Idle);
    let mut said = Announcement::default();
    let runs = old.session != new.session && new.session == Printed::Running;
    said.starts = (runs || flash.is_some()).then(|| Change::session(&Printed::Running));
    let rests = old.session != new.session && new.session != Printed::Running;
    said.stops = (rests || flash.is_some()).then(|| Change::session(&new.session));

    // A new thread is at rest until it says otherwise.
    let rest = Printed::Idle(Stop::EndTurn);
    let mut lines: Vec<&Line> = new.threads.iter().collect();
    lines.sort_by_key(|line| line.depth);
    let differs = |line: &Line| {
        let was = old.threads.iter().find(|was| was.thread == line.thread);
        was.map_or(&rest, |was| &was.printed) != &line.printed
    };
    for line in &lines {
        let runs = line.printed == Printed::Running && differs(line);
        if runs || flash == Some(line.thread) {
            said.running.push(line.says(&Printed::Running));
        }
    }
    for line in lines.iter().rev() {
        let rests = line.printed != Printed::Running && differs(line);
        if rests && line.exhausted {
            said.resting.push(line.says(&Printed::Idle(Stop::Exhausted)));
        }
        if rests || flash == Some(line.thread) {
            said.resting.push(line.says(&line.printed));
        }
    }
    said
}

impl Line {
    fn says(&self, printed: &Printed) -> Change {
        let (printed, agent_name) = (printed.clone(), self.agent_name.clone());
        Change { printed, thread: Some(self.thread), agent_name, depth: self.depth }
    }
}
