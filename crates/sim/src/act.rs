//! Everything that can be done to a session, and what the law says of it in each state.

use kernel::Session;
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
        /// One call waits for the client.
        Calling "calling",
        /// More than one does.
        CallingMore "calling, many",
        /// Calls wait for the client and messages wait for them.
        CallingQueued "calling, queued",
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
        /// A client answers all open calls in one request.
        AllResults "all results",
        /// A client answers a call that has been answered.
        ResultAgain "result again",
        /// A client answers a call that was never made.
        ResultUnknown "result unknown",
        /// A client confirms a call that did not ask.
        Confirm "confirmation",
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
        /// Some of the above in one request.
        Mixed "mixed",
        /// The model says one thing.
        Text "answer text",
        /// It thinks and says several.
        Texts "answer texts",
        /// It says nothing.
        Nothing "answer nothing",
        /// It calls tools.
        Tools "answer tools",
        /// It calls a tool that does not exist.
        UnknownTool "answer unknown tool",
        /// Its call is cut off.
        CutTool "answer cut tool",
        /// It calls good and bad tools.
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
        /// An answer to a request that is gone.
        StaleAnswer "stale answer",
        /// A failure of a request that is gone.
        StaleFailure "stale failure",
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
            Doing::Calling(_) if queued => Self::CallingQueued,
            Doing::Calling(calls) if calls.len() > 1 => Self::CallingMore,
            Doing::Calling(_) => Self::Calling,
            Doing::Waiting(_) if queued => Self::WaitingQueued,
            Doing::Waiting(_) => Self::Waiting,
            Doing::Ended => Self::Archived,
        }
    }

    /// Whether a model is being asked.
    pub const fn asks(self) -> bool {
        matches!(self, Self::Asking | Self::AskingQueued)
    }

    /// Whether calls wait for the client.
    pub const fn calls(self) -> bool {
        matches!(self, Self::Calling | Self::CallingMore | Self::CallingQueued)
    }

    /// Whether a retry waits.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Waiting | Self::WaitingQueued)
    }

    /// Whether a turn is under way.
    pub const fn busy(self) -> bool {
        self.asks() || self.calls() || self.waits()
    }

    /// Whether it is over.
    pub const fn over(self) -> bool {
        matches!(self, Self::Archived | Self::Deleted)
    }
}

impl Act {
    /// What the law says of this act in `state` (rules.md 4).
    pub const fn law(self, state: State) -> Law {
        match self {
            Self::Text
            | Self::Texts
            | Self::Nothing
            | Self::Tools
            | Self::UnknownTool
            | Self::CutTool
            | Self::MixedTools
            | Self::Refusal
            | Self::MaxTokens
            | Self::Pause
            | Self::FailAgain
            | Self::FailForever => only(state.asks(), Law::Accepted),
            Self::Result | Self::AllResults | Self::ResultInterrupt => only(state.calls(), Law::Accepted),
            Self::Wake => only(state.waits(), Law::Accepted),
            Self::WakeEarly => only(state.waits(), Law::Refused),
            Self::StaleAnswer
            | Self::StaleFailure
            | Self::WakeStale
            | Self::ResultUnknown
            | Self::Confirm
            | Self::InterruptUnknown => Law::Refused,
            Self::Message | Self::TwoMessages | Self::MessageInterrupt => {
                refused(state.over() || state.calls())
            }
            Self::Mixed if state.over() => Law::Refused,
            Self::Mixed => Law::Either,
            Self::ResultAgain
            | Self::Interrupt
            | Self::InterruptNamed
            | Self::InterruptMessage
            | Self::Rename => refused(state.over()),
            Self::Retool => refused(state.over() || state.asks() || state.waits()),
            Self::Archive | Self::Delete => {
                refused(state.asks() || state.waits() || matches!(state, State::Deleted))
            }
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
