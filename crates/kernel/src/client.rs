//! What a client's events do: message, interrupt, confirmation, result (rules.md 4).

use alloc::{boxed::Box, collections::BTreeSet};

use protocol::{
    EventId, ThreadId,
    event::{Body, Event},
    input::ClientEvent,
    limits,
};

use crate::{
    draft::Draft,
    fact::Note,
    refusal::Refusal,
    status::{self, Printed},
    thread::{AnsweredBy, Doing, Thread},
    turn,
};

/// One client event, decided against the state that the earlier ones left. `event` is its place in the
/// request, `made` the calls that the log is known to hold beside the open ones.
pub(crate) fn accept(
    draft: &mut Draft,
    event: usize,
    said: ClientEvent,
    made: &BTreeSet<EventId>,
) -> Result<EventId, Refusal> {
    let primary = draft.session.primary().map(|thread| thread.id).ok_or(Refusal::Terminated)?;
    if draft.session.over() {
        return Err(Refusal::Terminated);
    }
    match said {
        ClientEvent::Message { .. } => message(draft, primary, event, said),
        ClientEvent::Interrupt { thread } => interrupt(draft, primary, event, thread),
        // No tool asks yet, so there is nothing to confirm.
        ClientEvent::Confirmation { call, .. } => Err(Refusal::NotAsked { event, call }),
        ClientEvent::CustomResult { call, content, is_error } => {
            let body = Body::UserCustomToolResult {
                custom_tool_use_id: call,
                content,
                is_error,
                session_thread_id: None,
            };
            match open_call(draft, call) {
                Some(thread) => {
                    let id = draft.say(thread, body);
                    turn::go_on(draft, thread);
                    Ok(id)
                }
                None if made.contains(&call) => Ok(turn::record_again(draft, primary, body)),
                None => Err(Refusal::UnknownCall { event, call }),
            }
        }
    }
}

fn open_call(draft: &Draft, call: EventId) -> Option<ThreadId> {
    let thread = draft.session.thread_of_call(call)?;
    let open = thread.calls().iter().find(|open| open.id == call)?;
    match open.answered_by {
        AnsweredBy::Client => Some(thread.id),
        AnsweredBy::Nobody => None,
    }
}

fn message(
    draft: &mut Draft,
    primary: ThreadId,
    event: usize,
    said: ClientEvent,
) -> Result<EventId, Refusal> {
    if let Printed::RequiresAction(pending) = status::session(&draft.session) {
        return Err(Refusal::RequiresAction { event, pending });
    }
    let weight = said.weight();
    let ClientEvent::Message { content } = said else { return Err(Refusal::Stale) };
    let body = Body::UserMessage { content };
    let resting =
        draft.session.thread(primary).is_some_and(|thread| matches!(thread.doing, Doing::Resting(_)));
    if resting {
        let id = draft.say(primary, body);
        turn::go_on(draft, primary);
        return Ok(id);
    }
    let waiting = draft.session.queued().len();
    let bytes: usize = draft.session.threads().map(|thread| thread.queued_bytes).sum();
    if waiting >= limits::QUEUED_EVENTS || bytes + weight > limits::QUEUED_BYTES {
        return Err(Refusal::QueueFull);
    }
    let id = draft.mint();
    let event = Box::new(Event { id, processed_at: None, body });
    draft.note(primary, Note::Queued { event });
    Ok(id)
}

fn interrupt(
    draft: &mut Draft,
    primary: ThreadId,
    event: usize,
    named: Option<ThreadId>,
) -> Result<EventId, Refusal> {
    let threads = match named {
        None => draft.session.threads().filter(|thread| !thread.ended()).map(|thread| thread.id).collect(),
        Some(id) => match draft.session.thread(id) {
            None => return Err(Refusal::UnknownThread { event, thread: id }),
            Some(thread) if thread.ended() => return Err(Refusal::ThreadTerminated { event, thread: id }),
            Some(_) => alloc::vec![id],
        },
    };
    // What the request said before this happened first, and shows so.
    draft.settle();
    for thread in &threads {
        turn::stop(draft, *thread);
    }
    let id = draft.say(named.unwrap_or(primary), Body::UserInterrupt { session_thread_id: named });
    draft.settle();
    for thread in threads {
        let waits = draft.session.thread(thread).is_some_and(has_mail);
        if waits {
            turn::go_on(draft, thread);
        }
    }
    Ok(id)
}

fn has_mail(thread: &Thread) -> bool {
    !thread.queue.is_empty()
}
