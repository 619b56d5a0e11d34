//! Mail between threads: it is taken at once or waits, and in the end it is delivered or cancelled, once
//! (docs/rules.md 3, 4).

use alloc::vec::Vec;

use protocol::{EventId, ThreadId, content::ContentBlock, event::Body, limits};

use crate::{draft::DecisionDraft, fact::Note, session::SessionState, thread::QueuedInput};

/// Whether a session's queue takes `bytes` more.
pub(crate) fn has_room(session: &SessionState, bytes: usize) -> bool {
    let held: usize = session.threads().map(|thread| thread.queued_bytes).sum();
    session.queued().count() < limits::QUEUED_EVENTS && held + bytes <= limits::QUEUED_BYTES
}

/// Shows on the sender's side that something was sent.
pub(crate) fn say_sent(
    draft: &mut DecisionDraft<'_>,
    from: ThreadId,
    to: ThreadId,
    content: Vec<ContentBlock>,
) {
    // The coordinator is not named to (docs/rules.md 5).
    let child = draft.session.thread(to).filter(|thread| thread.parent.is_some());
    let to_agent_name = child.map(|thread| thread.agent_name.clone());
    draft.say(from, Body::AgentThreadMessageSent { to_session_thread_id: to, to_agent_name, content });
}

/// The event that the receiver of a message from `from` will have.
pub(crate) fn envelope(session: &SessionState, from: ThreadId, content: &[ContentBlock]) -> Option<Body> {
    let sender = session.thread(from)?;
    Some(Body::AgentThreadMessageReceived {
        from_session_thread_id: from,
        from_agent_name: Some(sender.agent_name.clone()),
        content: content.to_vec(),
    })
}

/// Takes all that is queued, in log order.
pub(crate) fn take(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    for QueuedInput { event, private } in queue(draft, thread) {
        draft.say_as(thread, event.id, event.body, private);
    }
}

/// Writes queued mail into the history of a thread that is being stopped, unless a person's message waits
/// with it: then that takes it along (docs/rules.md 4).
pub(crate) fn file(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    let spoken = |queued: &QueuedInput| matches!(queued.event.body, Body::UserMessage { .. });
    if !queue(draft, thread).iter().any(spoken) {
        take(draft, thread);
    }
}

/// Cancels the mail that a thread will never take, one note each. A person's messages stay as they are.
pub(crate) fn cancel(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    for QueuedInput { event, .. } in queue(draft, thread) {
        if !matches!(event.body, Body::UserMessage { .. }) {
            draft.note(thread, Note::Cancelled { event: event.id });
        }
    }
}

fn queue(draft: &DecisionDraft<'_>, thread: ThreadId) -> Vec<QueuedInput> {
    draft.session.thread(thread).map(|state| state.queue.iter().cloned().collect()).unwrap_or_default()
}

/// Answers a delegation call.
pub(crate) fn answer(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    call: EventId,
    content: Vec<ContentBlock>,
    is_error: bool,
) {
    let id = draft.mint();
    draft.note(thread, Note::Settled { id, call, content, is_error });
}
