//! A reading of the log: the threads of a session, what each is doing and what it must print, folded from
//! lines alone with a writing of its own of docs/rules.md 1. Referees look into it before each line.

use std::collections::{BTreeMap, VecDeque};

use protocol::{EventId, ThreadId, Timestamp};

use super::alike::alike;
use super::line::TeamLine;
use crate::call_ledger::CallLedger;

/// What something prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrintedThread {
    Running,
    Rescheduling,
    /// It rests since its last turn ended so.
    Idle(String),
    /// It waits for the client on these calls.
    Needs(Vec<EventId>),
    Terminated,
}

impl PrintedThread {
    /// Whether it runs, or will.
    pub(crate) const fn busy(&self) -> bool {
        matches!(self, Self::Running | Self::Rescheduling)
    }

    /// The status as a model or a client is told.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Rescheduling => "rescheduling",
            Self::Idle(_) | Self::Needs(_) => "idle",
            Self::Terminated => "terminated",
        }
    }
}

/// An `Agent` call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentWait {
    pub(crate) call: EventId,
    pub(crate) child: ThreadId,
}

/// A thread by its log.
#[derive(Debug, Clone)]
pub(crate) struct ThreadReading {
    pub(crate) id: ThreadId,
    pub(crate) parent: Option<ThreadId>,
    pub(crate) depth: usize,
    /// Its agent's place in its parent's roster.
    pub(crate) member: usize,
    pub(crate) agent: String,
    pub(crate) asking: Option<EventId>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) stop: String,
    /// Its calls; a delegation call stands there as one that never runs.
    pub(crate) desk: CallLedger,
    pub(crate) waits: Vec<AgentWait>,
    /// What waits for it: the event and its type.
    pub(crate) queue: VecDeque<(EventId, String)>,
    /// Model requests since a message was last taken.
    pub(crate) requests: u32,
    /// Whether it has what it needs for the next request.
    pub(crate) due: bool,
    pub(crate) ended: bool,
    pub(crate) archived: bool,
}

impl ThreadReading {
    /// Whether nothing is being done and nobody waited for.
    pub(crate) fn rests(&self) -> bool {
        self.asking.is_none()
            && self.until.is_none()
            && self.desk.open().is_empty()
            && !self.due
            && !self.ended
    }

    fn new(id: ThreadId, parent: Option<&Self>, member: usize, agent: &str) -> Self {
        Self {
            id,
            parent: parent.map(|parent| parent.id),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            member,
            agent: agent.to_owned(),
            asking: None,
            until: None,
            stop: "end_turn".into(),
            desk: CallLedger::default(),
            waits: Vec::new(),
            queue: VecDeque::new(),
            requests: 0,
            due: false,
            ended: false,
            archived: false,
        }
    }

    fn stopped(&mut self) {
        let worked =
            self.asking.is_some() || self.until.is_some() || self.due || !self.desk.open().is_empty();
        if worked {
            self.stop = "end_turn".into();
        }
        (self.until, self.due) = (None, false);
    }
}

/// See the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct TeamReading {
    /// The primary first, a parent before its children.
    pub(crate) threads: Vec<ThreadReading>,
    pub(crate) archived: bool,
    pub(crate) deleted: bool,
    /// Delegation calls that are open: whose, the tool, its input.
    pub(crate) errands: BTreeMap<EventId, DelegationCall>,
}

/// A delegation call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DelegationCall {
    pub(crate) thread: ThreadId,
    pub(crate) name: String,
    pub(crate) input: serde_json::Value,
}

impl TeamReading {
    /// Sees the next line. `primary` is the name of the primary's agent.
    pub(crate) fn see(&mut self, line: &TeamLine, primary: &str) {
        let Some(id) = line.thread else { return };
        match line.kind() {
            "note.opened" => self.threads.push(ThreadReading::new(id, None, 0, primary)),
            "session.thread_created" => {
                let Some((child, parent)) = line.peer.zip(self.thread(id)) else { return };
                let made = ThreadReading::new(child, Some(parent), line.member, &line.agent);
                self.threads.push(made);
                if let (Some(call), true, Some(parent)) = (line.call, line.waits, self.thread_mut(id)) {
                    parent.waits.push(AgentWait { call, child });
                }
            }
            "note.delegated" => {
                if let Some(call) = line.call {
                    let (name, input) = (line.plain.name.clone(), line.input.clone());
                    self.errands.insert(call, DelegationCall { thread: id, name, input });
                }
            }
            "note.settled" => {
                if let Some(call) = line.call {
                    self.errands.remove(&call);
                    if let Some(thread) = self.thread_mut(id) {
                        thread.waits.retain(|wait| wait.call != call);
                    }
                }
            }
            "note.archived" => {
                self.archived = true;
                for thread in &mut self.threads {
                    (thread.ended, thread.archived) = (true, true);
                    thread.waits.clear();
                }
                self.errands.clear();
            }
            "session.deleted" => self.deleted = true,
            "user.interrupt" if line.peer.is_none() => {
                self.threads.iter_mut().filter(|thread| !thread.ended).for_each(ThreadReading::stopped);
            }
            _ => {}
        }
        if let Some(thread) = self.thread_mut(id) {
            thread.see(line);
        }
    }

    pub(crate) fn thread(&self, id: ThreadId) -> Option<&ThreadReading> {
        self.threads.iter().find(|thread| thread.id == id)
    }

    fn thread_mut(&mut self, id: ThreadId) -> Option<&mut ThreadReading> {
        self.threads.iter_mut().find(|thread| thread.id == id)
    }

    /// Whether the session takes no more events.
    pub(crate) const fn over(&self) -> bool {
        self.archived || self.deleted
    }

    pub(crate) fn children(&self, of: ThreadId) -> impl Iterator<Item = &ThreadReading> {
        self.threads.iter().filter(move |thread| thread.parent == Some(of))
    }

    /// Children that have not ended, of the whole tree.
    pub(crate) fn slots(&self) -> usize {
        self.threads.iter().filter(|thread| thread.parent.is_some() && !thread.ended).count()
    }

    /// The parent and the call that wait for this child.
    pub(crate) fn waiter(&self, child: ThreadId) -> Option<(ThreadId, EventId)> {
        self.threads.iter().find_map(|thread| {
            let wait = thread.waits.iter().find(|wait| wait.child == child)?;
            Some((thread.id, wait.call))
        })
    }

    /// This thread and all below it.
    pub(crate) fn tree(&self, id: ThreadId) -> Vec<ThreadId> {
        let mut tree = vec![id];
        for thread in &self.threads {
            if thread.parent.is_some_and(|parent| tree.contains(&parent)) {
                tree.push(thread.id);
            }
        }
        tree
    }

    /// What a thread must print.
    pub(crate) fn printed(&self, id: ThreadId) -> PrintedThread {
        let Some(thread) = self.thread(id) else { return PrintedThread::Terminated };
        if thread.ended {
            return PrintedThread::Terminated;
        }
        // In the middle of a commit: it is carrying out a call of its own.
        let errs = |(call, errand): (&EventId, &DelegationCall)| {
            errand.thread == id && !thread.waits.iter().any(|wait| wait.call == *call)
        };
        if thread.asking.is_some() || thread.due || thread.desk.works() || self.errands.iter().any(errs) {
            return PrintedThread::Running;
        }
        if thread.until.is_some() {
            return PrintedThread::Rescheduling;
        }
        let below: Vec<PrintedThread> = thread.waits.iter().map(|wait| self.printed(wait.child)).collect();
        for busy in [PrintedThread::Running, PrintedThread::Rescheduling] {
            if below.contains(&busy) {
                return busy;
            }
        }
        let mut needs = thread.desk.pending();
        for printed in below {
            if let PrintedThread::Needs(more) = printed {
                needs.extend(more);
            }
        }
        if !needs.is_empty() {
            return PrintedThread::Needs(needs);
        }
        if thread.rests() { PrintedThread::Idle(thread.stop.clone()) } else { PrintedThread::Running }
    }

    /// What the session must print.
    pub(crate) fn session(&self) -> PrintedThread {
        if self.archived {
            return PrintedThread::Terminated;
        }
        let printed: Vec<PrintedThread> = self.threads.iter().map(|thread| self.printed(thread.id)).collect();
        for busy in [PrintedThread::Running, PrintedThread::Rescheduling] {
            if printed.contains(&busy) {
                return busy;
            }
        }
        let live = self.threads.iter().filter(|thread| !thread.ended);
        let needs: Vec<EventId> = live.flat_map(|thread| thread.desk.pending()).collect();
        if needs.is_empty() {
            printed.into_iter().next().unwrap_or(PrintedThread::Idle("end_turn".into()))
        } else {
            PrintedThread::Needs(needs)
        }
    }
}

impl ThreadReading {
    fn see(&mut self, line: &TeamLine) {
        let plain = &line.plain;
        let answers = plain.about.or(line.call).and_then(|call| self.desk.call(call));
        // A second answer changes nothing.
        let first = answers.is_some_and(|call| !call.answered);
        if let Some(alike) = alike(line) {
            self.desk.see(&alike);
        }
        match line.kind() {
            "note.queued" => self.queue.extend(plain.id.map(|id| (id, line.queued.clone()))),
            "note.cancelled" => self.queue.retain(|(id, _)| Some(*id) != line.call),
            "user.message" => self.taken(plain.id),
            "agent.thread_message_received" if line.told != "result" => self.taken(plain.id),
            "note.settled" | "agent.tool_result" | "user.custom_tool_result" => {
                self.due |= first && self.desk.open().is_empty();
            }
            "span.model_request_start" => {
                self.requests += 1;
                (self.asking, self.until, self.due) = (plain.id, None, false);
            }
            "span.model_request_end" => {
                self.asking = None;
                let open = !self.desk.open().is_empty();
                match plain.how.as_str() {
                    "answered" if !open => self.stop = "end_turn".into(),
                    "refused" => self.stop = "refusal".into(),
                    "paused" => self.due = !open,
                    "cut" | "failed" => self.due = true,
                    _ => {}
                }
            }
            "note.retry" => (self.until, self.due) = (plain.until, false),
            "session.error" if plain.error[1] == "exhausted" => {
                (self.until, self.due) = (None, false);
                self.stop = "retries_exhausted".into();
            }
            "user.interrupt" => self.stopped(),
            "note.ended" => {
                self.ended = true;
                self.archived |= line.end == "archived";
                self.waits.clear();
            }
            _ => {}
        }
    }

    fn taken(&mut self, id: Option<EventId>) {
        self.queue.retain(|(queued, _)| Some(*queued) != id);
        self.requests = 0;
        if self.until.is_none() && self.asking.is_none() && self.desk.open().is_empty() {
            self.due = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{begun, ends, event, id, spawned, thread};
    use super::*;

    #[test]
    fn a_wait_prints_what_its_child_does_and_a_parent_that_goes_on_does_not() {
        let read = |name: &str| {
            let mut reading = TeamReading::default();
            let calls = vec![event(2, 50, "agent.custom_tool_use"), ends(2, 30, "answered")];
            for line in [begun(), spawned(name), calls].concat() {
                reading.see(&line, "weaver");
            }
            (reading.printed(thread(2)), reading.printed(thread(1)), reading.session())
        };
        let needs = || PrintedThread::Needs(vec![id(50)]);
        assert_eq!(read("Agent"), (needs(), needs(), needs()));
        assert_eq!(read("create_agent"), (needs(), PrintedThread::Running, PrintedThread::Running));
    }
}
