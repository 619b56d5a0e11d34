//! What a client's events do: message, interrupt, confirmation, result (docs/rules.md 4).

use alloc::collections::BTreeMap;

use protocol::{EventId, ThreadId, event::Body, input::ClientEvent};

use crate::{
    call::State,
    delegation::{self, Happened},
    draft::Draft,
    fact::Private,
    made::{Given, Made, MadeKind},
    mail,
    refusal::Refusal,
    status::{self, Printed},
    thread::Thread,
    turn,
};

/// One client event, decided against the state that the earlier ones left. `event` is its place in the
/// request, `made` the calls that the log is known to hold beside the open ones.
pub(crate) fn accept(
    draft: &mut Draft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, Made>,
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
fn open_call(draft: &Draft<'_>, call: EventId) -> Option<(ThreadId, State)> {
    let thread = draft.session.thread_of_call(call)?;
    let open = thread.calls().iter().find(|open| open.id == call)?;
    Some((thread.id, open.state.clone()))
}

fn custom_result(
    draft: &mut Draft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, Made>,
) -> Result<EventId, Refusal> {
    let ClientEvent::CustomResult { call, content, is_error } = said else { return Err(Refusal::Stale) };
    let body =
        Body::UserCustomToolResult { custom_tool_use_id: call, content, is_error, session_thread_id: None };
    if let Some((thread, State::Client)) = open_call(draft, call) {
        let id = draft.say_answer(thread, body, Some(Private::ByClient));
        turn::settled(draft, thread);
        return Ok(id);
    }
    let (thread, other) = if let Some((thread, first)) = draft.answered(call) {
        (thread, first.is_some_and(|first| *first != body))
    } else {
        let earlier = earlier(draft, made, event, "custom_tool_use_id", call)?;
        match earlier.kind {
            MadeKind::Custom { answer } => {
                (earlier.thread, answer.is_some_and(|first| Given::of(&body) != Some(first)))
            }
            MadeKind::Asked | MadeKind::Unasked => return Err(Refusal::NotYours { event, call }),
        }
    };
    if other {
        return Err(Refusal::Answered { event, call });
    }
    // The same again; or a late one for a call that the server closed, so that nobody fails by a stop.
    Ok(turn::record_again(draft, thread, body))
}

fn confirmation(
    draft: &mut Draft<'_>,
    event: usize,
    said: ClientEvent,
    made: &BTreeMap<EventId, Made>,
) -> Result<EventId, Refusal> {
    let ClientEvent::Confirmation { call, verdict: result, deny_message } = said else {
        return Err(Refusal::Stale);
    };
    let body =
        Body::UserToolConfirmation { tool_use_id: call, result, deny_message, session_thread_id: None };
    if let Some((thread, State::Asked(_))) = open_call(draft, call) {
        let id = draft.say_answer(thread, body, None);
        turn::settled(draft, thread);
        return Ok(id);
    }
    if draft.answered(call).is_some() {
        return Err(Refusal::NotAsked { event, call });
    }
    let earlier = earlier(draft, made, event, "tool_use_id", call)?;
    match earlier.kind {
        MadeKind::Asked => Ok(turn::record_again(draft, earlier.thread, body)),
        MadeKind::Custom { .. } | MadeKind::Unasked => Err(Refusal::NotAsked { event, call }),
    }
}

/// The call that the log holds under an id that no open call has; one of a thread that is over takes no
/// answer any more.
fn earlier(
    draft: &Draft<'_>,
    made: &BTreeMap<EventId, Made>,
    event: usize,
    field: &'static str,
    call: EventId,
) -> Result<Made, Refusal> {
    let made = made.get(&call).copied().ok_or(Refusal::UnknownCall { event, field, call })?;
    match draft.session.thread(made.thread) {
        Some(thread) if thread.ended() => Err(Refusal::ThreadOver { event, field, thread: made.thread }),
        Some(_) | None => Ok(made),
    }
}

fn message(
    draft: &mut Draft<'_>,
    primary: ThreadId,
    event: usize,
    said: ClientEvent,
) -> Result<EventId, Refusal> {
    if let Printed::RequiresAction(pending) = status::session(&draft.session) {
        return Err(Refusal::RequiresAction { event, pending });
    }
    let weight = said.weight();
    let ClientEvent::Message { content } = said else { return Err(Refusal::Stale) };
    let rests = draft.session.thread(primary).is_some_and(Thread::rests);
    if !rests && !mail::has_room(&draft.session, weight) {
        return Err(Refusal::QueueFull);
    }
    Ok(turn::hand_over(draft, primary, Body::UserMessage { content }, None))
}

fn interrupt(
    draft: &mut Draft<'_>,
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
    draft.hold();
    for thread in &threads {
        delegation::tell(draft, *thread, &Happened::Interrupted);
    }
    draft.settle();
    for thread in threads {
        turn::go_on(draft, thread);
    }
    Ok(id)
}
