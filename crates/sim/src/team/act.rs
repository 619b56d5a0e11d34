//! Everything that can be done to a thread, and what a thread may be doing then.

use super::reading::{Printed, Reading, Thread};
use crate::act::{Verdict, names};
use crate::desk::{Call, Kind};

names! {
    /// Whose turn it is to be told apart in the table.
    Role {
        /// The session's own.
        Primary "primary",
        /// Another's.
        Child "child",
    }
}

names! {
    /// What a thread is doing.
    State {
        /// It rests.
        Idle "idle",
        /// It rests; the model declined.
        Refused "refused",
        /// It rests; the model could not be asked.
        Exhausted "exhausted",
        /// A model is asked.
        Asking "asking",
        /// A model is asked and something waits.
        AskingQueued "asking+q",
        /// A retry waits for its time.
        Retry "retry",
        /// A retry waits, and something else too.
        RetryQueued "retry+q",
        /// A tool runs.
        Running "running",
        /// A tool runs and something waits.
        RunningQueued "running+q",
        /// Only the client can go on.
        Blocked "blocked",
        /// Only the client can, and something waits.
        BlockedQueued "blocked+q",
        /// It waits for a child that works, or works itself beside that.
        Waits "waits",
        /// It waits for a child that needs the client.
        WaitsBlocked "waits,blocked",
        /// It waits for a child and something waits for it.
        WaitsQueued "waits+q",
        /// Its model could not be asked.
        Failed "ended,failed",
        /// Its owner archived it.
        Archived "ended,arch.",
        /// The session is over.
        Over "over",
    }
}

names! {
    /// What can be done. Most are done to one thread.
    Act {
        /// The model says one thing.
        Text "answer text",
        /// It thinks and says several.
        Texts "answer texts",
        /// It says nothing.
        Nothing "answer nothing",
        /// It calls tools of the client's.
        Customs "answer customs",
        /// It calls built-in tools.
        Builtins "answer built-ins",
        /// It calls a tool that it does not have.
        Unknown "answer unknown",
        /// A call is cut off.
        Cut "answer cut",
        /// It makes children.
        Create "create_agent",
        /// It makes children and waits.
        Agent "Agent",
        /// It writes to a child.
        Send "send_to_agent",
        /// It lists its children.
        List "list_agents",
        /// It writes to its parent.
        Report "send_to_parent",
        /// It calls a delegation tool wrongly.
        Wrong "wrong errand",
        /// Such a call is cut off.
        CutErrand "cut errand",
        /// Calls of all kinds.
        Mixed "answer mixed",
        /// It declines.
        Refusal "answer refusal",
        /// It meets the output limit in a text.
        MaxTokens "max_tokens",
        /// It pauses.
        Pause "answer pause",
        /// It fails; it may be tried again.
        FailAgain "fails, retried",
        /// It fails for good.
        FailForever "fails for ever",
        /// The provider refuses what it names.
        FailNamed "refused, named",
        /// An answer to a request that is gone.
        StaleAnswer "stale answer",
        /// A failure of one.
        StaleFailure "stale failure",
        /// A tool has run.
        Ran "ran",
        /// The outcome of a call that is open and does not run.
        RanEarly "ran early",
        /// The outcome of a call that is gone.
        RanStale "stale ran",
        /// The time of a retry has come.
        Wake "wake",
        /// It has not come yet.
        WakeEarly "wake too early",
        /// A wake that nobody waits for.
        WakeStale "stale wake",
        /// A client answers an open call.
        Result "result",
        /// A person lets a call run.
        Allow "allow",
        /// A person refuses it.
        Deny "deny",
        /// A client answers a call as before, or one that the server closed.
        ResultAgain "result again",
        /// A client answers a call otherwise than before.
        ResultOther "result other",
        /// A person says something of a call again.
        VerdictAgain "verdict again",
        /// A client answers a call that is not its own.
        NotYours "result not yours",
        /// A person confirms a call that nobody asked about.
        Unasked "confirm unasked",
        /// A client stops this thread.
        Interrupt "interrupt",
        /// It answers a call, and stops this thread, in one request.
        ResultInterrupt "result interrupt",
        /// It stops this thread, and the primary, in one request.
        InterruptBoth "interrupt twice",
        /// The owner archives this thread.
        Archive "archive thread",
        /// A client speaks.
        Message "message",
        /// It speaks twice.
        Messages "messages",
        /// It answers all that waits for it.
        AllResults "all results",
        /// It stops everything.
        InterruptAll "interrupt all",
        /// It stops a thread that does not exist.
        InterruptUnknown "interrupt unknown",
        /// Stop everything, and speak.
        InterruptMessage "stop, message",
        /// Speak, and stop everything.
        MessageInterrupt "message, stop",
        /// Anything in one request.
        Any "mixed request",
        /// A client answers a call that was never made.
        ResultUnknown "result unknown",
        /// The owner archives a thread that does not exist.
        ArchiveUnknown "archive unknown",
        /// The power goes and another follower takes over.
        Crash "crash, recovered",
        /// A new title.
        Rename "update title",
        /// Other tools.
        Retool "update tools",
        /// The owner archives the session.
        ArchiveSession "archive session",
        /// The owner deletes it.
        Delete "delete session",
    }
}

/// Whether a cell of the table must be lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// It cannot be done there.
    Never,
    /// It happens, but too seldom to ask for.
    May,
    /// It must have happened.
    Must,
}

impl Role {
    pub(crate) const fn of(thread: &Thread) -> Self {
        if thread.parent.is_some() { Self::Child } else { Self::Primary }
    }
}

impl State {
    pub(crate) fn of(reading: &Reading, thread: &Thread) -> Self {
        let queued = !thread.queue.is_empty();
        if reading.over() {
            return Self::Over;
        }
        if thread.ended {
            return if thread.archived { Self::Archived } else { Self::Failed };
        }
        if thread.asking.is_some() {
            return if queued { Self::AskingQueued } else { Self::Asking };
        }
        if thread.until.is_some() {
            return if queued { Self::RetryQueued } else { Self::Retry };
        }
        if !thread.waits.is_empty() {
            return match (queued, reading.printed(thread.id)) {
                (true, _) => Self::WaitsQueued,
                (false, Printed::Needs(_)) => Self::WaitsBlocked,
                (false, _) => Self::Waits,
            };
        }
        match (thread.desk.works(), thread.desk.open().is_empty()) {
            (true, _) if queued => Self::RunningQueued,
            (true, _) => Self::Running,
            (false, false) if queued => Self::BlockedQueued,
            (false, false) => Self::Blocked,
            (false, true) => match thread.stop.as_str() {
                "refusal" => Self::Refused,
                "retries_exhausted" => Self::Exhausted,
                _ => Self::Idle,
            },
        }
    }

    const fn asks(self) -> bool {
        matches!(self, Self::Asking | Self::AskingQueued)
    }

    const fn retries(self) -> bool {
        matches!(self, Self::Retry | Self::RetryQueued)
    }

    const fn runs(self) -> bool {
        matches!(self, Self::Running | Self::RunningQueued)
    }

    const fn blocked(self) -> bool {
        matches!(self, Self::Blocked | Self::BlockedQueued)
    }

    /// Whether few threads are met so.
    pub(crate) const fn rare(self) -> bool {
        matches!(self, Self::RunningQueued | Self::RetryQueued | Self::BlockedQueued) || self.waits()
    }

    const fn waits(self) -> bool {
        matches!(self, Self::Waits | Self::WaitsBlocked | Self::WaitsQueued)
    }
}

impl Act {
    /// Whether it is done to the session, and not to one thread.
    pub const fn whole(self) -> bool {
        matches!(
            self,
            Self::Message | Self::Messages | Self::AllResults | Self::InterruptAll | Self::InterruptUnknown
        ) || matches!(self, Self::InterruptMessage | Self::MessageInterrupt | Self::Any | Self::ResultUnknown)
            || matches!(self, Self::ArchiveUnknown | Self::Crash | Self::Rename | Self::Retool)
            || matches!(self, Self::ArchiveSession | Self::Delete)
    }

    /// Whether a thread of this role may be in this state, and the act be done to it there.
    pub fn cell(self, role: Role, state: State) -> Cell {
        let nobody = match role {
            Role::Primary => matches!(state, State::Failed | State::Archived),
            Role::Child => matches!(state, State::Exhausted) || self.whole(),
        };
        if nobody {
            return Cell::Never;
        }
        // A child that leads children of its own is met in few lives.
        let deep = role == Role::Child && (state.waits() || matches!(state, State::Over));
        match self.possible(role, state) {
            Cell::Must if deep || role == Role::Child && state == State::RetryQueued => Cell::May,
            cell @ (Cell::Never | Cell::May | Cell::Must) => cell,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    fn possible(self, role: Role, state: State) -> Cell {
        let only = |possible: bool, cell: Cell| if possible { cell } else { Cell::Never };
        let leads = if role == Role::Primary { Cell::Must } else { Cell::May };
        match self {
            Self::Text
            | Self::Texts
            | Self::Nothing
            | Self::Customs
            | Self::Builtins
            | Self::Unknown
            | Self::Cut
            | Self::Wrong
            | Self::CutErrand
            | Self::Mixed
            | Self::Refusal
            | Self::MaxTokens
            | Self::Pause
            | Self::FailAgain
            | Self::FailForever
            | Self::FailNamed => only(state.asks(), Cell::Must),
            Self::Create | Self::Agent | Self::Send | Self::List => only(state.asks(), leads),
            Self::Report => only(state.asks() && role == Role::Child, Cell::Must),
            Self::Ran => match state {
                State::Running | State::RunningQueued => Cell::Must,
                _ => only(state.waits(), Cell::May),
            },
            Self::RanEarly => match state {
                State::Blocked | State::BlockedQueued => Cell::Must,
                _ => only(state.waits() || state.runs(), Cell::May),
            },
            Self::Wake | Self::WakeEarly => only(state.retries(), Cell::Must),
            Self::Result | Self::Allow | Self::Deny | Self::ResultInterrupt => match state {
                State::Blocked | State::BlockedQueued => Cell::Must,
                _ => only(state.waits() || state.runs(), Cell::May),
            },
            Self::AllResults => only(!matches!(state, State::Over), Cell::May),
            Self::ResultAgain | Self::ResultOther | Self::VerdictAgain => match state {
                State::Idle | State::Asking | State::Archived => Cell::Must,
                _ => Cell::May,
            },
            Self::Any | Self::InterruptBoth if state == State::Over => Cell::May,
            _ => Cell::Must,
        }
    }

    /// What the law says of it, by the reading, when it is done to this thread; `None` where that depends.
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    pub(crate) fn law(self, reading: &Reading, thread: &Thread) -> Option<Verdict> {
        let (yes, no) = (Some(Verdict::Accepted), Some(Verdict::Refused));
        let unless = |refused: bool| if refused { no } else { yes };
        let over = reading.over();
        let session = reading.session();
        let needs = matches!(session, Printed::Needs(_));
        match self {
            Self::StaleAnswer
            | Self::StaleFailure
            | Self::RanEarly
            | Self::RanStale
            | Self::WakeEarly
            | Self::WakeStale
            | Self::NotYours
            | Self::Unasked
            | Self::ResultOther
            | Self::InterruptUnknown
            | Self::ResultUnknown
            | Self::ArchiveUnknown => no,
            Self::ResultAgain | Self::VerdictAgain | Self::Interrupt | Self::InterruptBoth => {
                unless(over || thread.ended)
            }
            Self::Archive if reading.deleted => None,
            Self::Archive if thread.parent.is_none() => no,
            Self::Archive if thread.archived => yes,
            Self::Archive => {
                let tree = reading.tree(thread.id);
                unless(tree.iter().any(|thread| reading.printed(*thread).busy()))
            }
            Self::Message | Self::Messages | Self::MessageInterrupt => unless(over || needs),
            Self::InterruptAll | Self::InterruptMessage | Self::Rename => unless(over),
            Self::Retool => unless(over || session.busy()),
            Self::ArchiveSession | Self::Delete => unless(reading.deleted || session.busy()),
            Self::Any if over => no,
            Self::Any => None,
            _ => yes,
        }
    }
}

/// Whether a call waits for a client's answer.
pub(crate) fn waits_for_result(call: &Call) -> bool {
    call.kind == Kind::Custom && !call.answered
}

/// Whether it waits for a person's verdict.
pub(crate) fn waits_for_verdict(call: &Call) -> bool {
    call.kind == Kind::Ask && call.needs_client()
}

/// What a storm does more often than the rest, and what it keeps for its end.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn weight(act: Act, state: State, closing: bool) -> u64 {
    match act {
        Act::Ran => 40,
        Act::Wake => 25,
        Act::Message if state == State::Idle => 16,
        // Letters to a child that was waited for are met seldom otherwise.
        Act::Interrupt if state.waits() => 12,
        Act::Text | Act::Result | Act::Allow => 14,
        Act::Create | Act::Agent | Act::Send => 12,
        Act::Mixed | Act::Report => 9,
        Act::Customs | Act::Builtins => 7,
        Act::Archive => 6,
        Act::Message | Act::AllResults | Act::Deny | Act::Interrupt => 5,
        Act::FailAgain => 4,
        Act::ResultInterrupt if state.blocked() => 3,
        Act::ArchiveSession | Act::Delete => {
            if closing {
                5
            } else {
                0
            }
        }
        _ => 2,
    }
}
