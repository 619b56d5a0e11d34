//! A call that waits for its answer: who must act next, and which calls of a thread may run now
//! (docs/rules.md 2, 4, 16).

use alloc::{string::String, vec::Vec};

use protocol::{
    EventId, ThreadId,
    content::ContentBlock,
    event::{Body, CallPermission, ConfirmationVerdict},
    tool::BuiltinName,
};

/// A call that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// The event of the call.
    pub id: EventId,
    /// Who must act next.
    pub state: CallState,
    /// Whether a note says that it begins. Calls in logs of earlier versions have none: they count as begun
    /// from their turn on.
    pub noted: bool,
}

/// Who runs a call that the server sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallRunner {
    /// The hands, with this built-in tool.
    Builtin(BuiltinName),
}

impl CallRunner {
    /// The name of the tool that it runs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Builtin(tool) => tool.name(),
        }
    }

    /// Whether what it runs only reads: then it may run beside its neighbours, and again after a crash.
    pub(crate) const fn only_reads(self) -> bool {
        match self {
            Self::Builtin(BuiltinName::Read | BuiltinName::Glob | BuiltinName::Grep) => true,
            Self::Builtin(
                BuiltinName::Bash
                | BuiltinName::Edit
                | BuiltinName::Write
                | BuiltinName::WebFetch
                | BuiltinName::WebSearch,
            ) => false,
        }
    }

    /// The event that answers `call`.
    pub(crate) const fn result(
        self,
        call: EventId,
        content: Option<Vec<ContentBlock>>,
        is_error: bool,
    ) -> Body {
        match self {
            Self::Builtin(_) => {
                Body::AgentToolResult { tool_use_id: call, content, is_error: Some(is_error) }
            }
        }
    }
}

/// Who must act next on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallState {
    /// The client answers it, with `user.custom_tool_result`.
    Client,
    /// A person says whether it may run.
    Asked(CallRunner),
    /// It may run, because a person let it or nobody need be asked, and waits until the last call of its
    /// answer that needs the client is settled.
    Allowed(CallRunner),
    /// A person refused it; it is answered when the last call that needs the client is settled.
    Denied(CallRunner, Option<String>),
    /// It runs when it is its turn.
    Ready(CallRunner),
    /// It is its turn: it waits for its place in a sandbox, and nothing of it has run.
    Turn(CallRunner),
    /// It runs, or may have before a crash.
    Started(CallRunner),
    /// The law answers it in the commit that makes it.
    Nobody,
    /// A delegation call, which the law carries out in the commit that makes it.
    Errand,
    /// A delegation call that waits for this child's report.
    Waits(ThreadId),
}

impl CallState {
    /// How a call of the built-in tool `name` begins.
    pub(crate) fn of(name: &str, permission: Option<CallPermission>) -> Self {
        match (BuiltinName::named(name).map(CallRunner::Builtin), permission) {
            (Some(runner), Some(CallPermission::Allow)) => Self::Ready(runner),
            (Some(runner), Some(CallPermission::Ask)) => Self::Asked(runner),
            (Some(_), Some(CallPermission::Deny) | None) | (None, _) => Self::Nobody,
        }
    }

    /// Whether the client must act before anything happens to it.
    pub const fn needs_client(&self) -> bool {
        match self {
            Self::Client | Self::Asked(_) => true,
            Self::Allowed(_)
            | Self::Denied(..)
            | Self::Ready(_)
            | Self::Turn(_)
            | Self::Started(_)
            | Self::Nobody
            | Self::Errand
            | Self::Waits(_) => false,
        }
    }

    /// Who is to run it now, whether or not it has begun.
    pub const fn running(&self) -> Option<CallRunner> {
        match self {
            Self::Turn(runner) | Self::Started(runner) => Some(*runner),
            Self::Client
            | Self::Asked(_)
            | Self::Allowed(_)
            | Self::Denied(..)
            | Self::Ready(_)
            | Self::Nobody
            | Self::Errand
            | Self::Waits(_) => None,
        }
    }

    /// Who may have done something for it by now.
    pub const fn begun(&self) -> Option<CallRunner> {
        match self {
            Self::Started(runner) => Some(*runner),
            Self::Client
            | Self::Asked(_)
            | Self::Allowed(_)
            | Self::Denied(..)
            | Self::Ready(_)
            | Self::Turn(_)
            | Self::Nobody
            | Self::Errand
            | Self::Waits(_) => None,
        }
    }

    /// Whether the server acts on it without anybody's word.
    pub const fn is_ours(&self) -> bool {
        match self {
            Self::Ready(_) | Self::Turn(_) | Self::Started(_) | Self::Nobody | Self::Errand => true,
            Self::Client | Self::Asked(_) | Self::Allowed(_) | Self::Denied(..) | Self::Waits(_) => false,
        }
    }

    /// The child whose report it waits for.
    pub const fn waits_for(&self) -> Option<ThreadId> {
        match self {
            Self::Waits(child) => Some(*child),
            Self::Client
            | Self::Asked(_)
            | Self::Allowed(_)
            | Self::Denied(..)
            | Self::Ready(_)
            | Self::Turn(_)
            | Self::Started(_)
            | Self::Nobody
            | Self::Errand => None,
        }
    }
}

/// A call whose turn it is begins to run.
pub(crate) fn begin(calls: &mut [OpenCall], id: EventId) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id)
        && let CallState::Turn(runner) = call.state
    {
        call.state = CallState::Started(runner);
    }
}

/// Writes down a person's verdict on `id`; the first one counts.
pub(crate) fn confirm(
    calls: &mut [OpenCall],
    id: EventId,
    verdict: ConfirmationVerdict,
    message: Option<&str>,
) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id)
        && let CallState::Asked(runner) = call.state
    {
        call.state = match verdict {
            ConfirmationVerdict::Allow => CallState::Allowed(runner),
            ConfirmationVerdict::Deny => CallState::Denied(runner, message.map(Into::into)),
        };
        proceed(calls);
    }
}

/// Beside a call that a person is asked about nothing runs: what nobody need be asked about waits as what a
/// person has let run does.
pub(crate) fn hold(calls: &mut [OpenCall]) {
    for call in calls {
        if let CallState::Ready(runner) = call.state {
            call.state = CallState::Allowed(runner);
        }
    }
}

/// Whether an answer holds a call that a person is asked about and one that nobody need be.
pub(crate) fn are_mixed(calls: &[OpenCall]) -> bool {
    let any = |fits: fn(&CallState) -> bool| calls.iter().any(|call| fits(&call.state));
    any(|state| matches!(state, CallState::Asked(_))) && any(|state| matches!(state, CallState::Ready(_)))
}

/// Lets the calls go on as far as they may: what was allowed is ready once nothing needs the client any more;
/// then it is the turn of the first ready call, and with it of the reading ones that stand right behind it.
///
/// A call keeps its turn: whatever becomes ready in front of it later waits, so that of the calls of a thread
/// at most one that does more than read can have been under way at a crash.
pub(crate) fn proceed(calls: &mut [OpenCall]) {
    if !calls.iter().any(|call| call.state.needs_client()) {
        for call in calls.iter_mut() {
            if let CallState::Allowed(runner) = call.state {
                call.state = CallState::Ready(runner);
            }
        }
    }
    let started = calls.iter().position(|call| call.state.running().is_some());
    let Some(first) = started.or_else(|| calls.iter().position(|call| ready(call).is_some())) else { return };
    let mut rest = calls.iter_mut().skip(first);
    let Some(head) = rest.next() else { return };
    let Some(runner) = head.state.running().or_else(|| ready(head)) else { return };
    take_turn(head, runner);
    if !runner.only_reads() {
        return;
    }
    for call in rest {
        match call.state.running().or_else(|| ready(call)) {
            Some(runner) if runner.only_reads() => take_turn(call, runner),
            Some(_) | None => return,
        }
    }
}

/// It is the turn of `call`, if it was not before. One that only reads may run twice: nobody need know that
/// it has begun.
fn take_turn(call: &mut OpenCall, runner: CallRunner) {
    if call.state.running().is_none() {
        let noted = call.noted && !runner.only_reads();
        call.state = if noted { CallState::Turn(runner) } else { CallState::Started(runner) };
    }
}

const fn ready(call: &OpenCall) -> Option<CallRunner> {
    match call.state {
        CallState::Ready(runner) => Some(runner),
        CallState::Client
        | CallState::Asked(_)
        | CallState::Allowed(_)
        | CallState::Denied(..)
        | CallState::Turn(_)
        | CallState::Started(_)
        | CallState::Nobody
        | CallState::Errand
        | CallState::Waits(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use protocol::event::CallPermission::{Allow, Ask};

    fn calls(of: &[(&str, CallPermission)]) -> Vec<OpenCall> {
        let mut calls = made(of);
        proceed(&mut calls);
        calls
    }

    fn held(of: &[(&str, CallPermission)]) -> Vec<OpenCall> {
        let mut calls = made(of);
        assert!(are_mixed(&calls));
        hold(&mut calls);
        proceed(&mut calls);
        calls
    }

    fn made(of: &[(&str, CallPermission)]) -> Vec<OpenCall> {
        let call = |(index, (name, permission)): (usize, &(&str, CallPermission))| OpenCall {
            id: EventId::from_bits(index as u128),
            state: CallState::of(name, Some(*permission)),
            noted: true,
        };
        of.iter().enumerate().map(call).collect()
    }

    fn running(calls: &[OpenCall]) -> Vec<u128> {
        calls.iter().filter(|call| call.state.running().is_some()).map(|call| call.id.bits()).collect()
    }

    fn answered(calls: &mut Vec<OpenCall>, id: u128) -> Vec<u128> {
        calls.retain(|call| call.id.bits() != id);
        proceed(calls);
        running(calls)
    }

    #[test]
    fn one_call_runs_at_a_time_and_only_neighbours_that_read_run_together() {
        let mut of =
            calls(&[("bash", Allow), ("read", Allow), ("grep", Allow), ("write", Allow), ("glob", Allow)]);
        assert_eq!(running(&of), [0]);
        assert_eq!(answered(&mut of, 0), [1, 2]);
        assert_eq!(answered(&mut of, 1), [2]);
        assert_eq!(answered(&mut of, 2), [3]);
        assert_eq!(answered(&mut of, 3), [4]);
        assert_eq!(answered(&mut of, 4), [0_u128; 0]);
    }

    #[test]
    fn what_does_more_than_read_has_begun_only_once_it_is_said() {
        let of = |noted| {
            let mut of = calls(&[("bash", Ask), ("bash", Ask), ("read", Ask)]);
            for call in &mut of {
                call.noted = noted;
            }
            for call in 0..3 {
                confirm(&mut of, EventId::from_bits(call), ConfirmationVerdict::Allow, None);
            }
            of
        };
        let states = |calls: &[OpenCall]| calls.iter().map(|call| call.state.clone()).collect::<Vec<_>>();
        let (bash, read) = (CallRunner::Builtin(BuiltinName::Bash), CallRunner::Builtin(BuiltinName::Read));
        let mut noted = of(true);
        assert_eq!(states(&noted), [CallState::Turn(bash), CallState::Ready(bash), CallState::Ready(read)]);
        begin(&mut noted, EventId::from_bits(1));
        assert_eq!(
            noted.first().map(|call| call.state.begun()),
            Some(None),
            "it is not the second one's turn"
        );
        begin(&mut noted, EventId::from_bits(0));
        assert_eq!(
            states(&noted),
            [CallState::Started(bash), CallState::Ready(bash), CallState::Ready(read)]
        );
        noted.drain(..2);
        proceed(&mut noted);
        assert_eq!(states(&noted), [CallState::Started(read)], "a read has nothing to say");
        let earlier = of(false);
        assert_eq!(
            states(&earlier),
            [CallState::Started(bash), CallState::Ready(bash), CallState::Ready(read)]
        );
    }

    #[test]
    fn beside_what_is_asked_nothing_runs_until_the_last_verdict_and_then_all_in_order() {
        let mut of = held(&[("bash", Allow), ("bash", Ask), ("read", Allow), ("write", Ask)]);
        assert_eq!(running(&of), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(1), ConfirmationVerdict::Allow, None);
        assert_eq!(running(&of), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(3), ConfirmationVerdict::Allow, None);
        assert_eq!(running(&of), [0]);
        assert_eq!(answered(&mut of, 0), [1]);
        assert_eq!(answered(&mut of, 1), [2]);
        assert_eq!(answered(&mut of, 2), [3]);
    }

    #[test]
    fn in_an_earlier_log_what_is_allowed_does_not_wait_for_a_verdict() {
        let mut of = calls(&[("bash", Ask), ("bash", Allow), ("write", Ask)]);
        assert_eq!(running(&of), [1]);
        confirm(&mut of, EventId::from_bits(0), ConfirmationVerdict::Allow, None);
        assert_eq!(answered(&mut of, 1), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(2), ConfirmationVerdict::Allow, None);
        assert_eq!(running(&of), [0]);
        assert_eq!(answered(&mut of, 0), [2]);
    }

    #[test]
    fn in_an_earlier_log_a_call_that_becomes_ready_in_front_of_a_started_one_waits_for_it() {
        let mut of = calls(&[("bash", Ask), ("bash", Allow), ("bash", Allow)]);
        assert_eq!(running(&of), [1]);
        confirm(&mut of, EventId::from_bits(0), ConfirmationVerdict::Allow, None);
        assert_eq!(running(&of), [1]);
        assert_eq!(answered(&mut of, 1), [0]);
        assert_eq!(answered(&mut of, 0), [2]);
    }

    #[test]
    fn only_the_first_verdict_counts() {
        let mut of = calls(&[("bash", Ask), ("bash", Ask)]);
        confirm(&mut of, EventId::from_bits(0), ConfirmationVerdict::Deny, Some("no"));
        confirm(&mut of, EventId::from_bits(0), ConfirmationVerdict::Allow, None);
        let states: Vec<CallState> = of.into_iter().map(|call| call.state).collect();
        let bash = CallRunner::Builtin(BuiltinName::Bash);
        assert_eq!(states, [CallState::Denied(bash, Some("no".into())), CallState::Asked(bash)]);
    }
}
