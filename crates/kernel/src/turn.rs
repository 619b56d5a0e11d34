//! The steps of a turn: take what is queued, ask the model, close what is open.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use protocol::{
    EventId, ThreadId,
    content::ContentBlock,
    event::{Body, Event, FaultKind, RetryStatus, SessionFault},
    limits,
    prompt::{ModelFailure, OpaqueState},
    usage::RequestTokens,
};

use crate::{
    blame,
    call::{self, CallRunner, CallState, OpenCall},
    draft::DecisionDraft,
    fact::{ModelRequestEnding, Note, PrivatePart, TranscriptPiece},
    mail,
    retry::{self, FailureStep},
    thread::{ThreadActivity, ThreadState, TurnStop},
};

/// What an interrupted call is answered with (docs/rules.md 4).
pub(crate) const INTERRUPTED: &str = "Tool execution was interrupted before completion. Please retry.";
/// What a call is answered with that had started when the server stopped (docs/rules.md 2).
pub(crate) const UNKNOWN: &str =
    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";

/// What a call is answered with whose input the output limit cut off (docs/rules.md 4), in an answer of so
/// many tokens; zero where nobody counted.
pub(crate) fn cut_off(tokens: u64) -> String {
    let fits = match tokens {
        0 => String::new(),
        tokens => format!(" of about {tokens} tokens"),
    };
    format!(
        "cut off at the output limit{fits}: this call did not run. Make it again with a shorter input, and write \
         what is long in parts, one call each."
    )
}

/// What a call is answered with whose input the model wrote whole and wrong.
pub(crate) fn unreadable() -> String {
    let deep = limits::BODY_DEPTH;
    format!(
        "The input is no JSON object, or lies more than {deep} levels deep. Repeat the call with a valid one."
    )
}

/// At a turn's start and at each tool boundary: takes all that is queued, and asks the model if there is
/// something to ask it.
pub(crate) fn go_on(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    let Some(state) = draft.session.thread(thread) else { return };
    match state.doing {
        ThreadActivity::Resting(_) | ThreadActivity::Due => {}
        ThreadActivity::Asking(..)
        | ThreadActivity::Calling(_)
        | ThreadActivity::Waiting(_)
        | ThreadActivity::Ended(_) => return,
    }
    mail::take(draft, thread);
    if draft.session.thread(thread).is_some_and(|state| state.doing == ThreadActivity::Due) {
        ask(draft, thread);
    }
}

/// Hands a message or mail to a thread: taken at once by one that rests, else queued. Whether there is room
/// in the queue is the caller's question.
pub(crate) fn hand_over(
    draft: &mut DecisionDraft<'_>,
    to: ThreadId,
    body: Body,
    private: Option<PrivatePart>,
) -> EventId {
    if draft.session.thread(to).is_some_and(ThreadState::rests) {
        let id = draft.say_with(to, body, private);
        go_on(draft, to);
        return id;
    }
    let id = draft.mint();
    let event = Box::new(Event { id, processed_at: None, body });
    draft.note(to, Note::Queued { event, private });
    id
}

/// The turn may be over: goes on with what is queued; else, if this is a child, its parent is to be told.
/// `why` says what was wrong with a turn that could not go on.
pub(crate) fn rest(draft: &mut DecisionDraft<'_>, thread: ThreadId, why: &str) {
    let child = draft.session.thread(thread).is_some_and(|state| state.parent.is_some());
    let doing = |draft: &DecisionDraft<'_>| draft.session.thread(thread).map(|state| state.doing.clone());
    // A child whose model cannot be asked ends, whatever is queued for it.
    if !child || doing(draft) != Some(ThreadActivity::Resting(TurnStop::Exhausted)) {
        go_on(draft, thread);
    }
    if child && matches!(doing(draft), Some(ThreadActivity::Resting(_))) {
        draft.ended.push_back((thread, why.into()));
    }
}

/// Why a turn may make no further request, if it may not (the runaway guards of docs/rules.md 4).
fn runaway(thread: &ThreadState) -> Option<String> {
    let ThreadState { requests, cut_off, unread, .. } = thread;
    if *requests >= limits::REQUESTS_PER_TURN {
        return Some(format!("the turn was ended after {requests} model requests; send a message to go on"));
    }
    if *cut_off >= limits::CUT_OFF_IN_A_ROW {
        return Some(format!(
            "the turn was ended because the output limit cut {cut_off} answers in a row in the middle of a call: \
             ask for less at once, or raise `max_output` of the model's route"
        ));
    }
    (*unread >= limits::UNREAD_IN_A_ROW).then(|| {
        format!(
            "the turn was ended because in {unread} answers in a row the inputs of all calls were no JSON objects: \
             send another message, or look at how the model is served (`heddle doctor --routes` tries a call)"
        )
    })
}

/// Starts a model request, unless the turn has run away.
pub(crate) fn ask(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    if let Some(message) = draft.session.thread(thread).and_then(runaway) {
        let error = SessionFault {
            kind: FaultKind::ToolUseLimitReached,
            message: message.clone(),
            retry_status: RetryStatus::Exhausted,
        };
        draft.say(thread, Body::SessionError { error });
        // What is queued begins a turn of its own: a person has spoken.
        return rest(draft, thread, &message);
    }
    let seed = crate::Seed::new(draft.dice.draw());
    let private = PrivatePart::Request { seed, position: draft.position() };
    draft.say_with(thread, Body::SpanModelRequestStart, Some(private));
}

/// Ends the open request of `thread`, if there is one, which brought no answer.
pub(crate) fn end_request(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    ending: ModelRequestEnding,
    tokens: RequestTokens,
) {
    end_with(draft, thread, ending, tokens, None);
}

/// Ends the open request of `thread`, if there is one, with what only the provider can read of its answer.
pub(crate) fn end_with(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    ending: ModelRequestEnding,
    tokens: RequestTokens,
    opaque: Option<OpaqueState<EventId>>,
) {
    let Some(ThreadActivity::Asking(request, calls)) = draft.session.thread(thread).map(|state| &state.doing)
    else {
        return;
    };
    let (request, held) = (*request, call::are_mixed(calls));
    let is_error = match ending {
        ModelRequestEnding::Answered
        | ModelRequestEnding::Refused { .. }
        | ModelRequestEnding::Paused
        | ModelRequestEnding::CutOff
        | ModelRequestEnding::Unread => false,
        ModelRequestEnding::Failed | ModelRequestEnding::Cut => true,
    };
    let body = Body::SpanModelRequestEnd {
        model_request_start_id: request.id,
        is_error: Some(is_error),
        model_usage: tokens.into(),
    };
    draft.say_with(thread, body, Some(PrivatePart::Ended { ending, tokens, opaque, held }));
}

/// The open request failed: it is asked again, later or without what was refused, or the turn is over.
/// `named` is what the provider names as that. It is made `attempts` times in all at most.
pub(crate) fn failed(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    failure: &ModelFailure,
    named: Vec<TranscriptPiece>,
    attempts: u32,
) {
    end_request(draft, thread, ModelRequestEnding::Failed, failure.tokens);
    let seed = crate::Seed::new(draft.dice.draw());
    let Some(state) = draft.session.thread(thread) else { return };
    let step = retry::step(failure, &named, state, attempts, seed);
    let retry_status = match step {
        FailureStep::Later(_) | FailureStep::Without => RetryStatus::Retrying,
        FailureStep::Blamed | FailureStep::Over => RetryStatus::Exhausted,
    };
    let message = blame::told(failure, &step, &named, state.blamed, state.parent.is_some());
    let error = SessionFault { kind: retry::fault(failure.class), message, retry_status };
    draft.say(thread, Body::SessionError { error });
    let reason = blame::reason(failure.class).into();
    match step {
        FailureStep::Later(pause) => {
            let until = draft.at.after(pause);
            draft.note(thread, Note::Retry { until });
        }
        FailureStep::Without => {
            draft.note(thread, Note::LeftOut { pieces: named, reason });
            ask(draft, thread);
        }
        FailureStep::Blamed => {
            draft.note(thread, Note::Blamed { reason });
            rest(draft, thread, &failure.message);
        }
        FailureStep::Over => rest(draft, thread, &failure.message),
    }
}

/// Answers an open call in the server's own name, as an error that the model reads (docs/rules.md 5).
pub(crate) fn close(draft: &mut DecisionDraft<'_>, thread: ThreadId, call: &OpenCall, text: &str) {
    let content = Some(vec![ContentBlock::text(text)]);
    let body = match call.state {
        CallState::Errand | CallState::Waits(_) => {
            return mail::answer(draft, thread, call.id, vec![ContentBlock::text(text)], true);
        }
        CallState::Client => Body::UserCustomToolResult {
            custom_tool_use_id: call.id,
            content,
            is_error: Some(true),
            session_thread_id: None,
        },
        CallState::Asked(runner)
        | CallState::Allowed(runner)
        | CallState::Denied(runner, _)
        | CallState::Ready(runner)
        | CallState::Turn(runner)
        | CallState::Started(runner) => runner.result(call.id, content, true),
        CallState::Nobody => Body::AgentToolResult { tool_use_id: call.id, content, is_error: Some(true) },
    };
    draft.say(thread, body);
}

/// A client has settled a call of `thread`: once that was the last that needs the client, what a person
/// refused is answered (docs/rules.md 4), and the turn goes on if nothing is left.
pub(crate) fn settled(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    let calls = calls(draft, thread);
    if !calls.iter().any(|call| call.state.needs_client()) {
        for call in calls {
            if let CallState::Denied(runner, message) = &call.state {
                close(draft, thread, &call, &denied(*runner, message.as_deref()));
            }
        }
    }
    go_on(draft, thread);
}

fn denied(runner: CallRunner, message: Option<&str>) -> String {
    let reason = message.map(str::trim).filter(|message| !message.is_empty());
    let reason = reason.map_or(String::new(), |message| format!(" Rejection message: {message}"));
    format!("Permission to use {} has been rejected.{reason}", runner.name())
}

fn calls(draft: &DecisionDraft<'_>, thread: ThreadId) -> Vec<OpenCall> {
    draft.session.thread(thread).map(|state| state.calls().to_vec()).unwrap_or_default()
}

/// Stops a thread: the request is cut, open calls are answered, queued mail is filed. The caller says the
/// interrupt itself.
pub(crate) fn stop(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    cut(draft, thread, INTERRUPTED);
    mail::file(draft, thread);
}

/// Cuts the request and answers the open calls with `text`.
pub(crate) fn cut(draft: &mut DecisionDraft<'_>, thread: ThreadId, text: &str) {
    end_request(draft, thread, ModelRequestEnding::Cut, RequestTokens::default());
    for call in calls(draft, thread) {
        close(draft, thread, &call, text);
    }
}

/// What a call of a tool is answered with that the agent does not have.
pub(crate) fn no_such_tool(name: &str) -> String {
    format!("There is no tool named `{name}`. Use one of the tools you were given.")
}

/// The server stopped: a request that was open is closed and asked again; a call that may have done
/// something is answered as unknown, and one that only reads or had not begun simply runs (docs/rules.md 2).
pub(crate) fn recover(draft: &mut DecisionDraft<'_>, thread: ThreadId) {
    if draft.session.thread(thread).is_some_and(|state| state.request().is_some()) {
        end_request(draft, thread, ModelRequestEnding::Cut, RequestTokens::default());
        if draft.session.thread(thread).is_some_and(|state| state.doing == ThreadActivity::Due) {
            ask(draft, thread);
        }
        return;
    }
    for call in calls(draft, thread) {
        if call.state.begun().is_some_and(|runner| !runner.only_reads()) {
            close(draft, thread, &call, UNKNOWN);
        }
    }
    go_on(draft, thread);
}

/// Records an answer to a call that has been answered before: no effect (docs/rules.md 4).
pub(crate) fn record_again(draft: &mut DecisionDraft<'_>, thread: ThreadId, body: Body) -> EventId {
    draft.show_noop(thread);
    draft.say(thread, body)
}
