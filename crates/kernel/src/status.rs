//! Status: derived, never stored. One function compares what is printed before and after an input
//! and makes every status event; nothing else does (rules.md 1).

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use protocol::{
    EventId, ThreadId,
    event::{Body, StopReason},
    session::Status,
};

use crate::{
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

/// What one thread prints.
pub fn thread(thread: &Thread) -> Printed {
    match &thread.doing {
        Doing::Ended => Printed::Terminated,
        Doing::Asking(..) | Doing::Due => Printed::Running,
        Doing::Waiting(_) => Printed::Rescheduling,
        Doing::Resting(stop) => Printed::Idle(stop.clone()),
        Doing::Calling(calls) => {
            let pending: Vec<EventId> =
                calls.iter().filter(|call| call.state.needs_client()).map(|call| call.id).collect();
            if pending.is_empty() || calls.iter().any(|call| call.state.is_ours()) {
                Printed::Running
            } else {
                Printed::RequiresAction(pending)
            }
        }
    }
}

/// What the session prints.
pub fn session(session: &Session) -> Printed {
    if session.archived_at.is_some() {
        return Printed::Terminated;
    }
    let printed: Vec<Printed> = session.threads().map(thread).collect();
    if printed.contains(&Printed::Running) {
        return Printed::Running;
    }
    if printed.contains(&Printed::Rescheduling) {
        return Printed::Rescheduling;
    }
    let pending: Vec<EventId> = printed.iter().flat_map(pending).copied().collect();
    if !pending.is_empty() {
        return Printed::RequiresAction(pending);
    }
    // The primary comes first; before the first fact there is none.
    printed.into_iter().next().unwrap_or(Printed::Idle(Stop::EndTurn))
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
    /// By thread, with its agent's name and how deep it lies.
    threads: BTreeMap<ThreadId, (Printed, String, usize)>,
}

/// Reads the board of `session`.
pub fn board(session: &Session) -> Board {
    let line = |of: &Thread| (of.id, (thread(of), of.agent_name.clone(), depth(session, of)));
    Board { session: self::session(session), threads: session.threads().map(line).collect() }
}

fn depth(session: &Session, thread: &Thread) -> usize {
    core::iter::successors(thread.parent, |id| session.thread(*id).and_then(|parent| parent.parent)).count()
}

/// The status events that lead from one board to the next: those that go before the input's own facts and
/// those that go after. `None` as thread stands for the session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// Running: the session first, then the primary, then the children.
    pub before: Vec<(Option<ThreadId>, Change)>,
    /// Idle, rescheduled, terminated: the deepest thread first, the primary, then the session.
    pub after: Vec<(Option<ThreadId>, Change)>,
}

/// One status event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is printed now.
    pub printed: Printed,
    /// The thread's agent.
    pub agent_name: String,
}

impl Change {
    /// The event's body, for a thread or (`None`) the session.
    pub fn body(self, thread: Option<ThreadId>) -> Body {
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
        match (self.printed, stop, thread) {
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
/// pair of running and idle (rules.md 4, a second result).
pub fn announce(old: &Board, new: &Board, flash: Option<ThreadId>) -> Announcement {
    let mut said = Announcement::default();
    let mut lines: Vec<_> = new.threads.iter().collect();
    lines.sort_by_key(|(_, (_, _, depth))| *depth);
    let change = |printed: &Printed, agent_name: &str| Change {
        printed: printed.clone(),
        agent_name: agent_name.into(),
    };
    // A new thread is at rest until it says otherwise.
    let rest = Printed::Idle(Stop::EndTurn);
    let differs =
        |id: &ThreadId, printed: &Printed| old.threads.get(id).map_or(&rest, |(was, ..)| was) != printed;
    let flashing = flash.is_some() && old == new && new.session.status() == Status::Idle;

    if flashing || (old.session != new.session && new.session == Printed::Running) {
        said.before.push((None, change(&Printed::Running, "")));
    }
    for (id, (printed, name, _)) in &lines {
        if *printed == Printed::Running && differs(id, printed) || flashing && flash == Some(**id) {
            said.before.push((Some(**id), change(&Printed::Running, name)));
        }
    }
    for (id, (printed, name, _)) in lines.iter().rev() {
        if *printed != Printed::Running && (differs(id, printed) || flashing && flash == Some(**id)) {
            said.after.push((Some(**id), change(printed, name)));
        }
    }
    if flashing || (old.session != new.session && new.session != Printed::Running) {
        said.after.push((None, change(&new.session, "")));
    }
    said
}
