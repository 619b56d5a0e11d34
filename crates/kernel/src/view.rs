//! What a stream or a list shows of a fact (docs/rules.md 5).

use alloc::borrow::Cow;

use protocol::{
    ThreadId,
    event::{Body, CallPermission, Event},
};

use crate::fact::{Fact, FactContent, Note};

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The session's stream and list: the primary thread, what concerns everybody, and of the other threads
    /// what a client must know to follow and answer them.
    Session {
        /// The primary thread.
        primary: ThreadId,
    },
    /// A thread's own stream and list.
    Thread(ThreadId),
}

/// The processed event that `viewer` sees of `fact`.
pub fn event(fact: &Fact, viewer: Viewer) -> Option<Cow<'_, Event>> {
    match &fact.what {
        FactContent::Event { event, .. } => shown(fact.thread, event, viewer),
        FactContent::Note { .. } => None,
    }
}

/// The same, taken out of the fact.
pub fn into_event(fact: Fact, viewer: Viewer) -> Option<Event> {
    let other = match event(&fact, viewer)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(event) => Some(event),
    };
    match fact.what {
        FactContent::Event { event, .. } => Some(other.unwrap_or(event)),
        FactContent::Note { .. } => None,
    }
}

/// The queued copy that `viewer`'s stream shows of `fact`: no cursor moves with it (docs/rules.md 7).
pub fn queued(fact: &Fact, viewer: Viewer) -> Option<&Event> {
    match &fact.what {
        FactContent::Note { note: Note::Queued { event, .. }, .. } => {
            waits(fact.thread, event, viewer).then_some(event)
        }
        FactContent::Note { .. } | FactContent::Event { .. } => None,
    }
}

/// Whether `viewer` sees that an event waits for `thread`. Only what a client has sent is shown so.
pub fn waits(thread: ThreadId, event: &Event, viewer: Viewer) -> bool {
    let (Viewer::Session { primary: own } | Viewer::Thread(own)) = viewer;
    own == thread && matches!(event.body, Body::UserMessage { .. })
}

/// A processed event of `thread` as `viewer` sees it: one of another thread names that thread.
pub fn shown(thread: ThreadId, event: &Event, viewer: Viewer) -> Option<Cow<'_, Event>> {
    // Where the session is gone every stream ends.
    let everywhere = event.body == Body::SessionDeleted;
    match viewer {
        Viewer::Thread(own) => (own == thread || everywhere).then_some(Cow::Borrowed(event)),
        Viewer::Session { primary } if primary == thread => Some(Cow::Borrowed(event)),
        Viewer::Session { .. } => crosses(thread, event),
    }
}

/// What the session's stream shows of another thread's event.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty kinds")]
fn crosses(thread: ThreadId, event: &Event) -> Option<Cow<'_, Event>> {
    match &event.body {
        Body::SessionThreadCreated { .. }
        | Body::SessionThreadStatusRunning { .. }
        | Body::SessionThreadStatusIdle { .. }
        | Body::SessionThreadStatusRescheduled { .. }
        | Body::SessionThreadStatusTerminated { .. }
        | Body::UserInterrupt { .. } => return Some(Cow::Borrowed(event)),
        Body::AgentToolUse { evaluated_permission: Some(CallPermission::Ask), .. }
        | Body::AgentMcpToolUse { evaluated_permission: Some(CallPermission::Ask), .. }
        | Body::AgentCustomToolUse { .. }
        | Body::UserToolConfirmation { .. }
        | Body::UserCustomToolResult { .. }
        | Body::UserToolResult { .. } => {}
        _ => return None,
    }
    let mut event = event.clone();
    match &mut event.body {
        Body::AgentToolUse { session_thread_id, .. }
        | Body::AgentMcpToolUse { session_thread_id, .. }
        | Body::AgentCustomToolUse { session_thread_id, .. }
        | Body::UserToolConfirmation { session_thread_id, .. }
        | Body::UserCustomToolResult { session_thread_id, .. }
        | Body::UserToolResult { session_thread_id, .. } => *session_thread_id = Some(thread),
        _ => {}
    }
    Some(Cow::Owned(event))
}
