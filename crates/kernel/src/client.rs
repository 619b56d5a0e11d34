//! What a client's events do: message, interrupt, confirmation, result (docs/rules.md 4).

use alloc::collections::BTreeMap;

use protocol::{EventId, ThreadId, event::Body, input::ClientEvent};

use crate::{
    call::CallState,
    delegation::{self, ChildHappening},
    draft::DecisionDraft,
    fact::PrivatePart,
    made::{GivenResult, KnownCall, KnownCallKind},
    mail,
    refusal::Refusal,
    status::{self, PrintedStatus},
    thread::ThreadState,
    turn,
};

/// One client event, decided against the state that the earlier ones left. `event` is its place in the
/// request, `made` the calls that the log is known to hold beside the open ones.
pub(crate) fn accept(
    draft: &mut DecisionDraft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, KnownCall>,
) -> Result<EventId, Refusal> {
    let primary = draft.session.primary().map(|thread| thread.id).ok_or(Refusal::Terminated)?;
    if draft.session.over() {
        return Err(Refusal::Terminated);
    }
    match said {
        ClientEvent::Message { .. } => message(draft, primary, event, said),
        ClientEvent::Interrupt { thread } => interrupt(draft, primary, event, thread),
        ClientEvent::Confirmation { .. } => confirmation(draft, event, said, made),
        ClientEvent::CustomResult { .. } => custom_result(draft, event, said, made),
    }
}

/// The thread of an open call, and the call's state.
fn open_call(draft: &DecisionDraft<'_>, call: EventId) -> Option<(ThreadId, CallState)> {
    let thread = draft.session.thread_of_call(call)?;
    let open = thread.calls().iter().find(|open| open.id == call)?;
    Some((thread.id, open.state.clone()))
}

fn custom_result(
    draft: &mut DecisionDraft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, KnownCall>,
) -> Result<EventId, Refusal> {
    let ClientEvent::CustomResult { call, content, is_error } = said else { return Err(Refusal::Stale) };
    let body =
        Body::UserCustomToolResult { custom_tool_use_id: call, content, is_error, session_thread_id: None };
    if let Some((thread, CallState::Client)) = open_call(draft, call) {
        let id = draft.say_answer(thread, body, Some(PrivatePart::ByClient));
        turn::settled(draft, thread);
        return Ok(id);
    }
    let (thread, other) = if let Some((thread, first)) = draft.answered(call) {
        (thread, first.is_some_and(|first| *first != body))
    } else {
        let earlier = earlier(draft, made, event, "custom_tool_use_id", call)?;
        match earlier.kind {
            KnownCallKind::Custom { answer } => {
                (earlier.thread, answer.is_some_and(|first| GivenResult::of(&body) != Some(first)))
            }
            KnownCallKind::Asked | KnownCallKind::Unasked => return Err(Refusal::NotYours { event, call }),
        }
    };
    if other {
        return Err(Refusal::Answered { event, call });
    }
    // The same again; or a late one for a call that the server closed, so that nobody fails by a stop.
    Ok(turn::record_again(draft, thread, body))
}

fn confirmation(
    draft: &mut DecisionDraft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, KnownCall>,
) -> Result<EventId, Refusal> {
    let ClientEvent::Confirmation { call, verdict: result, deny_message } = said else {
        return Err(Refusal::Stale);
    };
    let body =
        Body::UserToolConfirmation { tool_use_id: call, result, deny_message, session_thread_id: None };
    if let Some((thread, CallState::Asked(_))) = open_call(draft, call) {
        let id = draft.say_answer(thread, body, None);
        turn::settled(draft, thread);
        return Ok(id);
    }
    if draft.answered(call).is_some() {
        return Err(Refusal::NotAsked { event, call });
    }
    let earlier = earlier(draft, made, event, "tool_use_id", call)?;
    match earlier.kind {
        KnownCallKind::Asked => Ok(turn::record_again(draft, earlier.thread, body)),
        KnownCallKind::Custom { .. } | KnownCallKind::Unasked => Err(Refusal::NotAsked { event, call }),
    }
}

/// The call that the log holds under an id that no open call has; one of a thread that is over takes no
/// answer any more.
fn earlier(
    draft: &DecisionDraft<'_>,
    made: &BTreeMap<EventId, KnownCall>,
    event: usize,
    field: &'static str,
    call: EventId,
) -> Result<KnownCall, Refusal> {
    let made = made.get(&call).copied().ok_or(Refusal::UnknownCall { event, field, call })?;
    match draft.session.thread(made.thread) {
        Some(thread) if thread.ended() => Err(Refusal::ThreadOver { event, field, thread: made.thread }),
        Some(_) | None => Ok(made),
    }
}

fn message(
    draft: &mut DecisionDraft<'_>,
    primary: ThreadId,
    event: usize,
    said: ClientEvent,
) -> Result<EventId, Refusal> {
    if let PrintedStatus::RequiresAction(pending) = status::session(&draft.session) {
        return Err(Refusal::RequiresAction { event, pending });
    }
    let weight = said.weight();
    let ClientEvent::Message { content } = said else { return Err(Refusal::Stale) };
    let rests = draft.session.thread(primary).is_some_and(ThreadState::rests);
    if !rests && !mail::has_room(&draft.session, weight) {
        return Err(Refusal::QueueFull);
    }
    Ok(turn::hand_over(draft, primary, Body::UserMessage { content }, None))
}

fn interrupt(
    draft: &mut DecisionDraft<'_>,
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
    // Parents first: one that is stopped itself does not go on because its children are.
    for thread in &threads {
        turn::stop(draft, *thread);
    }
    let id = draft.say(named.unwrap_or(primary), Body::UserInterrupt { session_thread_id: named });
    draft.pin_rests();
    for thread in &threads {
        delegation::tell(draft, *thread, &ChildHappening::Interrupted);
    }
    draft.settle();
    for thread in threads {
        turn::go_on(draft, thread);
    }
    Ok(id)
}
