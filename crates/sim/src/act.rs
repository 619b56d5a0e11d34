//! Everything that can be done to a session, and what the law says of it in each state.

use kernel::Session;
use kernel::call::{Call, State as CallState};
use kernel::thread::{Doing, Stop};

macro_rules! names {
    ($(#[$doc:meta])* $of:ident { $($(#[$each:meta])* $variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $of { $($(#[$each])* $variant,)* }

        impl $of {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the table.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

pub(crate) use names;

names! {
    /// What a session is doing, as the coverage table tells states apart.
    State {
        /// It rests; its last turn ended.
        Idle "idle end_turn",
        /// It rests; the model declined.
        Refused "idle refusal",
        /// It rests; the model could not be asked.
        Exhausted "idle exhausted",
        /// A model is asked.
        Asking "asking",
        /// A model is asked and messages wait.
        AskingQueued "asking, queued",
        /// One call waits for the client's answer.
        Calling "calling",
        /// More than one does.
        CallingMore "calling, many",
        /// Calls wait for a person's verdict.
        Asked "asked",
        /// Calls wait for a verdict, and others for an answer.
        AskedCalling "asked, calling",
        /// Calls wait for the client and messages wait for them.
        CallingQueued "calling, queued",
        /// A tool runs, and nothing needs the client.
        Running "running",
        /// A tool runs, and other calls wait for the client's answer.
        RunningCalling "running, calling",
        /// A tool runs and messages wait.
        RunningQueued "running, queued",
        /// A retry waits for its time.
        Waiting "waiting",
        /// A retry waits, and messages too.
        WaitingQueued "waiting, queued",
        /// It is archived.
        Archived "archived",
        /// It is deleted.
        Deleted "deleted",
    }
}

names! {
    /// What can be done.
    Act {
        /// A client speaks.
        Message "message",
        /// Twice in one request.
        TwoMessages "message message",
        /// A client answers one open call.
        Result "result",
        /// A client answers and confirms all that waits for it, in one request.
        AllResults "all results",
        /// A client answers a call as it has before, or one that the server closed.
        ResultAgain "result again",
        /// A client answers a call otherwise than before.
        ResultOther "result other",
        /// A client answers a call that was never made.
        ResultUnknown "result unknown",
        /// A client answers a call that the server runs.
        ResultNotYours "result not yours",
        /// A person lets a call run.
        Allow "allow",
        /// A person refuses a call, with or without a reason.
        Deny "deny",
        /// A person says something else of a call than before.
        VerdictAgain "verdict again",
        /// A person confirms a call that nobody asked about.
        ConfirmUnasked "confirm unasked",
        /// A person confirms a call that was never made.
        ConfirmUnknown "confirm unknown",
        /// A client stops everything.
        Interrupt "interrupt",
        /// A client stops the primary thread by name.
        InterruptNamed "interrupt named",
        /// A client stops a thread that does not exist.
        InterruptUnknown "interrupt unknown",
        /// Stop, and speak, in one request.
        InterruptMessage "interrupt message",
        /// Speak, and stop, in one request.
        MessageInterrupt "message interrupt",
        /// Answer one open call, and stop, in one request.
        ResultInterrupt "result interrupt",
        /// Let one call run, and stop, in one request.
        VerdictInterrupt "verdict interrupt",
        /// Some of the above in one request.
        Mixed "mixed",
        /// The model says one thing.
        Text "answer text",
        /// It thinks and says several.
        Texts "answer texts",
        /// It says nothing.
        Nothing "answer nothing",
        /// It calls tools of the client's.
        Tools "answer tools",
        /// It calls built-in tools, also some that are off.
        Builtins "answer built-ins",
        /// It calls a tool that does not exist.
        UnknownTool "answer unknown tool",
        /// Its call is cut off.
        CutTool "answer cut tool",
        /// It calls tools of all kinds, good and bad.
        MixedTools "answer mixed tools",
        /// It declines.
        Refusal "answer refusal",
        /// It meets the output limit in a text.
        MaxTokens "answer max_tokens",
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
        /// A failure of a request that is gone.
        StaleFailure "stale failure",
        /// A tool has run.
        Ran "ran",
        /// The outcome of a call that is open and does not run.
        RanEarly "ran early",
        /// The outcome of a call that is gone, or was never made.
        RanStale "stale ran",
        /// The time of a retry has come.
        Wake "wake",
        /// It has not come yet.
        WakeEarly "wake too early",
        /// A wake that nobody waits for.
        WakeStale "stale wake",
        /// The power goes and another follower takes over.
        Crash "crash, recovered",
        /// A new title.
        Rename "update title",
        /// Other tools.
        Retool "update tools",
        /// Archive.
        Archive "archive",
        /// Delete.
        Delete "delete",
    }
}

/// What the law says of an act in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// It cannot be done there: nothing of the kind is under way.
    Impossible,
    /// It happens.
    Accepted,
    /// It is refused.
    Refused,
    /// It depends on more than the state.
    Either,
}

/// What was done with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It happened.
    Accepted,
    /// It was refused; nothing happened.
    Refused,
}

impl State {
    /// The state of a session.
    pub fn of(session: &Session) -> Self {
        if session.deleted_at.is_some() {
            return Self::Deleted;
        }
        let Some(thread) = session.primary() else { return Self::Idle };
        let queued = !thread.queue.is_empty();
        match &thread.doing {
            Doing::Resting(Stop::EndTurn) => Self::Idle,
            Doing::Resting(Stop::Refused(_)) => Self::Refused,
            Doing::Resting(Stop::Exhausted) => Self::Exhausted,
            Doing::Due | Doing::Asking(..) if queued => Self::AskingQueued,
            Doing::Due | Doing::Asking(..) => Self::Asking,
            Doing::Calling(calls) => Self::calling(calls, queued),
            Doing::Waiting(_) if queued => Self::WaitingQueued,
            Doing::Waiting(_) => Self::Waiting,
            Doing::Ended(_) => Self::Archived,
        }
    }

    fn calling(calls: &[Call], queued: bool) -> Self {
        let asked = calls.iter().any(|call| matches!(call.state, CallState::Asked(_)));
        let customs = calls.iter().filter(|call| call.state == CallState::Client).count();
        let runs = calls.iter().any(|call| call.state.running().is_some());
        match (runs, queued) {
            (true, true) => Self::RunningQueued,
            (true, false) if customs > 0 => Self::RunningCalling,
            (true, false) => Self::Running,
            (false, true) => Self::CallingQueued,
            (false, false) if asked && customs > 0 => Self::AskedCalling,
            (false, false) if asked => Self::Asked,
            (false, false) if customs > 1 => Self::CallingMore,
            (false, false) => Self::Calling,
        }
    }

    /// Whether a model is being asked.
    pub const fn asks(self) -> bool {
        matches!(self, Self::Asking | Self::AskingQueued)
    }

    /// Whether only the client can act.
    pub const fn calls(self) -> bool {
        matches!(self, Self::Calling | Self::CallingMore | Self::CallingQueued)
            || matches!(self, Self::Asked | Self::AskedCalling)
    }

    /// Whether a tool runs.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Running | Self::RunningCalling | Self::RunningQueued)
    }

    /// Whether a person may be asked.
    pub const fn asks_person(self) -> bool {
        matches!(self, Self::Asked | Self::AskedCalling | Self::CallingQueued)
    }

    /// Whether a call may wait for the client's answer.
    pub const fn asks_client(self) -> bool {
        matches!(self, Self::Calling | Self::CallingMore | Self::AskedCalling | Self::CallingQueued)
            || matches!(self, Self::RunningCalling | Self::RunningQueued)
    }

    /// Whether a retry waits.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Waiting | Self::WaitingQueued)
    }

    /// Whether it works without the client.
    pub const fn works(self) -> bool {
        self.asks() || self.runs() || self.waits()
    }

    /// Whether a turn is under way.
    pub const fn busy(self) -> bool {
        self.works() || self.calls()
    }

    /// Whether it is over.
    pub const fn over(self) -> bool {
        matches!(self, Self::Archived | Self::Deleted)
    }
}

impl Act {
    /// What the law says of this act in `state` (docs/rules.md 4).
    pub const fn law(self, state: State) -> Law {
        match self {
            Self::Text
            | Self::Texts
            | Self::Nothing
            | Self::Tools
            | Self::Builtins
            | Self::UnknownTool
            | Self::CutTool
            | Self::MixedTools
            | Self::Refusal
            | Self::MaxTokens
            | Self::Pause
            | Self::FailAgain
            | Self::FailForever
            | Self::FailNamed => only(state.asks(), Law::Accepted),
            Self::Result | Self::ResultInterrupt => only(state.asks_client(), Law::Accepted),
            Self::Allow | Self::Deny | Self::VerdictInterrupt => only(state.asks_person(), Law::Accepted),
            Self::AllResults => only(state.asks_client() || state.asks_person(), Law::Accepted),
            Self::Ran => only(state.runs(), Law::Accepted),
            Self::RanEarly => only(state.calls() || state.runs(), Law::Refused),
            Self::Wake => only(state.waits(), Law::Accepted),
            Self::WakeEarly => only(state.waits(), Law::Refused),
            Self::StaleAnswer
            | Self::StaleFailure
            | Self::WakeStale
            | Self::RanStale
            | Self::ResultOther
            | Self::ResultUnknown
            | Self::ResultNotYours
            | Self::ConfirmUnasked
            | Self::ConfirmUnknown
            | Self::InterruptUnknown => Law::Refused,
            Self::Message | Self::TwoMessages | Self::MessageInterrupt => {
                refused(state.over() || state.calls())
            }
            Self::Mixed if state.over() => Law::Refused,
            Self::Mixed => Law::Either,
            Self::ResultAgain
            | Self::VerdictAgain
            | Self::Interrupt
            | Self::InterruptNamed
            | Self::InterruptMessage
            | Self::Rename => refused(state.over()),
            Self::Retool => refused(state.over() || state.works()),
            Self::Archive | Self::Delete => refused(state.works() || matches!(state, State::Deleted)),
            Self::Crash => Law::Accepted,
        }
    }
}

const fn only(possible: bool, law: Law) -> Law {
    if possible { law } else { Law::Impossible }
}

const fn refused(refused: bool) -> Law {
    if refused { Law::Refused } else { Law::Accepted }
}
