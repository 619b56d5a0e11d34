//! Why an input may not happen: the client's fault, or the moment's.

use alloc::{format, string::String, vec::Vec};

use protocol::{EventId, Invalid, SessionId, ThreadId, limits, session::SessionStatus};

/// Why an input was refused. Nothing of it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The outcome of a job that nobody wants any more. Not an error: the job was late.
    Stale,
    /// The session is archived and takes no more events.
    Terminated,
    /// A message while the session waits for the client (docs/rules.md 4).
    RequiresAction {
        /// Which event of the request.
        event: usize,
        /// What it waits for.
        pending: Vec<EventId>,
    },
    /// An answer to a call that this session never made.
    UnknownCall {
        /// Which event of the request.
        event: usize,
        /// The field that named it.
        field: &'static str,
        /// The id it named.
        call: EventId,
    },
    /// A result for a call that a client has answered with another.
    Answered {
        /// Which event of the request.
        event: usize,
        /// The id it named.
        call: EventId,
    },
    /// A result for a call that the server answers itself.
    NotYours {
        /// Which event of the request.
        event: usize,
        /// The id it named.
        call: EventId,
    },
    /// A confirmation of a call that was not asked about.
    NotAsked {
        /// Which event of the request.
        event: usize,
        /// The id it named.
        call: EventId,
    },
    /// An interrupt of a thread that the session does not have.
    UnknownThread {
        /// Which event of the request.
        event: usize,
        /// The id it named.
        thread: ThreadId,
    },
    /// An interrupt of a thread that is over.
    ThreadTerminated {
        /// Which event of the request.
        event: usize,
        /// The id it named.
        thread: ThreadId,
    },
    /// An answer to a call of a thread that is over.
    ThreadOver {
        /// Which event of the request.
        event: usize,
        /// The field that named the call.
        field: &'static str,
        /// The thread.
        thread: ThreadId,
    },
    /// There is no such thread to archive.
    NoSuchThread {
        /// The id that was named.
        thread: ThreadId,
    },
    /// The primary thread is not archived by itself.
    PrimaryThread {
        /// The thread.
        thread: ThreadId,
        /// The session it ends with.
        session: SessionId,
    },
    /// A thread must rest first, and all below it.
    ThreadBusy {
        /// The one that is at work.
        thread: ThreadId,
        /// What it is doing.
        status: SessionStatus,
    },
    /// A change whose result is not allowed.
    Invalid(Invalid),
    /// Too much is queued already (429).
    QueueFull,
    /// The session must rest first.
    Busy {
        /// What was to be done: archive, delete or update.
        verb: &'static str,
        /// What the session is doing.
        status: SessionStatus,
    },
}

impl Refusal {
    /// The field that is at fault, as `events.0`.
    pub fn path(&self) -> Option<String> {
        match self {
            Self::RequiresAction { event, .. } => Some(format!("events.{event}")),
            Self::UnknownCall { event, field, .. } | Self::ThreadOver { event, field, .. } => {
                Some(format!("events.{event}.{field}"))
            }
            Self::Answered { event, .. } | Self::NotYours { event, .. } => {
                Some(format!("events.{event}.custom_tool_use_id"))
            }
            Self::NotAsked { event, .. } => Some(format!("events.{event}.tool_use_id")),
            Self::UnknownThread { event, .. } | Self::ThreadTerminated { event, .. } => {
                Some(format!("events.{event}.session_thread_id"))
            }
            Self::Invalid(wrong) => Some(wrong.path.clone()),
            Self::Stale
            | Self::Terminated
            | Self::QueueFull
            | Self::Busy { .. }
            | Self::NoSuchThread { .. }
            | Self::PrimaryThread { .. }
            | Self::ThreadBusy { .. } => None,
        }
    }

    /// What to tell the client: what is wrong and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Stale => "the session has moved on".into(),
            Self::Terminated => {
                "the session is archived and takes no more events; create a new session".into()
            }
            Self::RequiresAction { pending, .. } => {
                let ids: Vec<_> = pending.iter().map(|id| format!("{id}")).collect();
                format!(
                    "waiting on responses to events [{}]; answer these first, or send user.interrupt",
                    ids.join(", ")
                )
            }
            Self::UnknownCall { field, call, .. } => format!(
                "{call} does not match any {} event in this session; answer the ids in the \
                 `stop_reason.event_ids` of its last session.status_idle",
                field.trim_end_matches("_id")
            ),
            Self::Answered { call, .. } => format!(
                "{call} has been answered with another result, and the first one counts; send that one again, or none"
            ),
            Self::NotYours { call, .. } => format!(
                "{call} does not match any custom_tool_use event in this session: the server runs it itself; send \
                 user.tool_confirmation if it was asked about, and no result"
            ),
            Self::NotAsked { call, .. } => format!(
                "{call} was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation"
            ),
            Self::UnknownThread { thread, .. } | Self::NoSuchThread { thread } => {
                format!("this session has no thread {thread}")
            }
            Self::ThreadTerminated { thread, .. } => format!("the thread {thread} is terminated"),
            Self::ThreadOver { thread, .. } => {
                format!("the thread {thread} that made this call is terminated and takes no answers")
            }
            Self::PrimaryThread { thread, session } => {
                format!("{thread} is the primary thread and ends with its session: archive {session} instead")
            }
            Self::ThreadBusy { thread, status } => format!(
                "cannot archive while the status of thread {thread} is `{}`: only idle threads can be archived. Send \
                 user.interrupt with its session_thread_id, or wait until it is idle",
                status.name()
            ),
            Self::Invalid(wrong) => wrong.message.clone(),
            Self::QueueFull => format!(
                "the session's queue is full ({} events or {} MiB); wait until the agent has taken some",
                limits::QUEUED_EVENTS,
                limits::QUEUED_BYTES / (1024 * 1024)
            ),
            Self::Busy { verb, status } => {
                let status = status.name();
                format!(
                    "cannot {verb} this session while its status is `{status}`: only pending or idle sessions allow \
                     that. Send user.interrupt, or wait until it is idle"
                )
            }
        }
    }
}
