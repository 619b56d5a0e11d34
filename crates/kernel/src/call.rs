//! A call that waits for its answer: who must act next, and which calls of a thread may run now
//! (docs/rules.md 2, 4, 16).

use alloc::{string::String, vec::Vec};

use protocol::{
    EventId, ThreadId,
    content::Block,
    event::{Body, Permission, Verdict},
    tool::Builtin,
};

/// A call that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The event of the call.
    pub id: EventId,
    /// Who must act next.
    pub state: State,
    /// Whether a note says that it begins. Calls in logs of earlier versions have none: they count as begun
    /// from their turn on.
    pub noted: bool,
}

/// Who runs a call that the server sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runner {
    /// The hands, with this built-in tool.
    Builtin(Builtin),
}

impl Runner {
    /// The name of the tool that it runs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Builtin(tool) => tool.name(),
        }
    }

    /// Whether what it runs only reads: then it may run beside its neighbours, and again after a crash.
    pub(crate) const fn only_reads(self) -> bool {
        match self {
            Self::Builtin(Builtin::Read | Builtin::Glob | Builtin::Grep) => true,
            Self::Builtin(
                Builtin::Bash | Builtin::Edit | Builtin::Write | Builtin::WebFetch | Builtin::WebSearch,
            ) => false,
        }
    }

    /// The event that answers `call`.
    pub(crate) const fn result(self, call: EventId, content: Option<Vec<Block>>, is_error: bool) -> Body {
        match self {
            Self::Builtin(_) => {
                Body::AgentToolResult { tool_use_id: call, content, is_error: Some(is_error) }
            }
        }
    }
}

/// Who must act next on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The client answers it, with `user.custom_tool_result`.
    Client,
    /// A person says whether it may run.
    Asked(Runner),
    /// It may run, because a person let it or nobody need be asked, and waits until the last call of its
    /// answer that needs the client is settled.
    Allowed(Runner),
    /// A person refused it; it is answered when the last call that needs the client is settled.
    Denied(Runner, Option<String>),
    /// It runs when it is its turn.
    Ready(Runner),
    /// It is its turn: it waits for its place in a sandbox, and nothing of it has run.
    Turn(Runner),
    /// It runs, or may have before a crash.
    Started(Runner),
    /// The law answers it in the commit that makes it.
    Nobody,
    /// A delegation call, which the law carries out in the commit that makes it.
    Errand,
    /// A delegation call that waits for this child's report.
    Waits(ThreadId),
}

impl State {
    /// How a call of the built-in tool `name` begins.
    pub(crate) fn of(name: &str, permission: Option<Permission>) -> Self {
        match (Builtin::named(name).map(Runner::Builtin), permission) {
            (Some(runner), Some(Permission::Allow)) => Self::Ready(runner),
            (Some(runner), Some(Permission::Ask)) => Self::Asked(runner),
            (Some(_), Some(Permission::Deny) | None) | (None, _) => Self::Nobody,
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
    pub const fn running(&self) -> Option<Runner> {
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
    pub const fn begun(&self) -> Option<Runner> {
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
pub(crate) fn begin(calls: &mut [Call], id: EventId) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id)
        && let State::Turn(runner) = call.state
    {
        call.state = State::Started(runner);
    }
}

/// Writes down a person's verdict on `id`; the first one counts.
pub(crate) fn confirm(calls: &mut [Call], id: EventId, verdict: Verdict, message: Option<&str>) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id)
        && let State::Asked(runner) = call.state
    {
        call.state = match verdict {
            Verdict::Allow => State::Allowed(runner),
            Verdict::Deny => State::Denied(runner, message.map(Into::into)),
        };
        proceed(calls);
    }
}

/// Beside a call that a person is asked about nothing runs: what nobody need be asked about waits as what a
/// person has let run does.
pub(crate) fn hold(calls: &mut [Call]) {
    for call in calls {
        if let State::Ready(runner) = call.state {
            call.state = State::Allowed(runner);
        }
    }
}

/// Whether an answer holds a call that a person is asked about and one that nobody need be.
pub(crate) fn are_mixed(calls: &[Call]) -> bool {
    let any = |fits: fn(&State) -> bool| calls.iter().any(|call| fits(&call.state));
    any(|state| matches!(state, State::Asked(_))) && any(|state| matches!(state, State::Ready(_)))
}

/// Lets the calls go on as far as they may: what was allowed is ready once nothing needs the client any more;
/// then it is the turn of the first ready call, and with it of the reading ones that stand right behind it.
///
/// A call keeps its turn: whatever becomes ready in front of it later waits, so that of the calls of a thread
/// at most one that does more than read can have been under way at a crash.
pub(crate) fn proceed(calls: &mut [Call]) {
    if !calls.iter().any(|call| call.state.needs_client()) {
        for call in calls.iter_mut() {
            if let State::Allowed(runner) = call.state {
                call.state = State::Ready(runner);
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
fn take_turn(call: &mut Call, runner: Runner) {
    if call.state.running().is_none() {
        let noted = call.noted && !runner.only_reads();
        call.state = if noted { State::Turn(runner) } else { State::Started(runner) };
    }
}

const fn ready(call: &Call) -> Option<Runner> {
    match call.state {
        State::Ready(runner) => Some(runner),
        State::Client
        | State::Asked(_)
        | State::Allowed(_)
        | State::Denied(..)
        | State::Turn(_)
        | State::Started(_)
        | State::Nobody
        | State::Errand
        | State::Waits(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use protocol::event::Permission::{Allow, Ask};

    fn calls(of: &[(&str, Permission)]) -> Vec<Call> {
        let mut calls = made(of);
        proceed(&mut calls);
        calls
    }

    fn held(of: &[(&str, Permission)]) -> Vec<Call> {
        let mut calls = made(of);
        assert!(are_mixed(&calls));
        hold(&mut calls);
        proceed(&mut calls);
        calls
    }

    fn made(of: &[(&str, Permission)]) -> Vec<Call> {
        let call = |(index, (name, permission)): (usize, &(&str, Permission))| Call {
            id: EventId::from_bits(index as u128),
            state: State::of(name, Some(*permission)),
            noted: true,
        };
        of.iter().enumerate().map(call).collect()
    }

    fn running(calls: &[Call]) -> Vec<u128> {
        calls.iter().filter(|call| call.state.running().is_some()).map(|call| call.id.bits()).collect()
    }

    fn answered(calls: &mut Vec<Call>, id: u128) -> Vec<u128> {
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
                confirm(&mut of, EventId::from_bits(call), Verdict::Allow, None);
            }
            of
        };
        let states = |calls: &[Call]| calls.iter().map(|call| call.state.clone()).collect::<Vec<_>>();
        let (bash, read) = (Runner::Builtin(Builtin::Bash), Runner::Builtin(Builtin::Read));
        let mut noted = of(true);
        assert_eq!(states(&noted), [State::Turn(bash), State::Ready(bash), State::Ready(read)]);
        begin(&mut noted, EventId::from_bits(1));
        assert_eq!(
            noted.first().map(|call| call.state.begun()),
            Some(None),
            "it is not the second one's turn"
        );
        begin(&mut noted, EventId::from_bits(0));
        assert_eq!(states(&noted), [State::Started(bash), State::Ready(bash), State::Ready(read)]);
        noted.drain(..2);
        proceed(&mut noted);
        assert_eq!(states(&noted), [State::Started(read)], "a read has nothing to say");
        let earlier = of(false);
        assert_eq!(states(&earlier), [State::Started(bash), State::Ready(bash), State::Ready(read)]);
    }

    #[test]
    fn beside_what_is_asked_nothing_runs_until_the_last_verdict_and_then_all_in_order() {
        let mut of = held(&[("bash", Allow), ("bash", Ask), ("read", Allow), ("write", Ask)]);
        assert_eq!(running(&of), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(1), Verdict::Allow, None);
        assert_eq!(running(&of), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(3), Verdict::Allow, None);
        assert_eq!(running(&of), [0]);
        assert_eq!(answered(&mut of, 0), [1]);
        assert_eq!(answered(&mut of, 1), [2]);
        assert_eq!(answered(&mut of, 2), [3]);
    }

    #[test]
    fn in_an_earlier_log_what_is_allowed_does_not_wait_for_a_verdict() {
        let mut of = calls(&[("bash", Ask), ("bash", Allow), ("write", Ask)]);
        assert_eq!(running(&of), [1]);
        confirm(&mut of, EventId::from_bits(0), Verdict::Allow, None);
        assert_eq!(answered(&mut of, 1), [0_u128; 0]);
        confirm(&mut of, EventId::from_bits(2), Verdict::Allow, None);
        assert_eq!(running(&of), [0]);
        assert_eq!(answered(&mut of, 0), [2]);
    }

    #[test]
    fn in_an_earlier_log_a_call_that_becomes_ready_in_front_of_a_started_one_waits_for_it() {
        let mut of = calls(&[("bash", Ask), ("bash", Allow), ("bash", Allow)]);
        assert_eq!(running(&of), [1]);
        confirm(&mut of, EventId::from_bits(0), Verdict::Allow, None);
        assert_eq!(running(&of), [1]);
        assert_eq!(answered(&mut of, 1), [0]);
        assert_eq!(answered(&mut of, 0), [2]);
    }

    #[test]
    fn only_the_first_verdict_counts() {
        let mut of = calls(&[("bash", Ask), ("bash", Ask)]);
        confirm(&mut of, EventId::from_bits(0), Verdict::Deny, Some("no"));
        confirm(&mut of, EventId::from_bits(0), Verdict::Allow, None);
        let states: Vec<State> = of.into_iter().map(|call| call.state).collect();
        let bash = Runner::Builtin(Builtin::Bash);
        assert_eq!(states, [State::Denied(bash, Some("no".into())), State::Asked(bash)]);
    }
}
