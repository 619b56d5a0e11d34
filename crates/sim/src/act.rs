//! Everything that can be done to a thread, where it can be done, and what the law says of it.

use crate::size::LifeSize;
use crate::state::{Role, State, names};
use crate::team::reading::{PrintedThread, TeamReading, ThreadReading};

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
        /// A person lets one run, and stops everything, in one request.
        VerdictInterrupt "verdict interrupt",
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
        /// A person confirms one.
        ConfirmUnknown "confirm unknown",
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

/// What was done with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputVerdict {
    /// It happened.
    Accepted,
    /// It was refused; nothing happened.
    Refused,
}

/// Whether a cell of the table must be lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableCell {
    /// It cannot be done there.
    Never,
    /// It happens, but too seldom to ask for.
    May,
    /// It must have happened.
    Must,
}

impl Act {
    /// Whether a thread of this role may be in this state in such a life, and the act be done to it there.
    pub fn cell(self, size: LifeSize, role: Role, state: State) -> TableCell {
        if size.alone() {
            let nobody = role == Role::Child || state.waits() || state.ended() || self.of_team();
            return if nobody || !self.alone(state) { TableCell::Never } else { TableCell::Must };
        }
        let nobody = match role {
            Role::Primary => state.ended(),
            Role::Child => state == State::Exhausted || self.whole(),
        };
        if nobody || matches!(self, Self::ConfirmUnknown | Self::VerdictInterrupt) {
            return TableCell::Never;
        }
        // A child that leads children of its own is met in few lives.
        let deep = role == Role::Child && (state.waits() || state.over() || state == State::RetryQueued);
        // Of what needs the client in more than one way, each act is asked for of a thread alone.
        let fine = matches!(state, State::CallingMore | State::AskedCalling | State::RunningCalling);
        match self.in_team(role, state) {
            TableCell::Must if deep || fine || state == State::Deleted => TableCell::May,
            cell @ (TableCell::Never | TableCell::May | TableCell::Must) => cell,
        }
    }

    /// Whether it is done to the session, and not to one thread.
    const fn whole(self) -> bool {
        matches!(
            self,
            Self::Message | Self::Messages | Self::AllResults | Self::InterruptAll | Self::InterruptUnknown
        ) || matches!(self, Self::InterruptMessage | Self::MessageInterrupt | Self::Any | Self::ResultUnknown)
            || matches!(self, Self::ArchiveUnknown | Self::Crash | Self::Rename | Self::Retool)
            || matches!(self, Self::ArchiveSession | Self::Delete)
    }

    /// Whether it needs more threads than one, or threads that may be more.
    const fn of_team(self) -> bool {
        matches!(self, Self::Create | Self::Agent | Self::Send | Self::List | Self::Report)
            || matches!(self, Self::Wrong | Self::CutErrand | Self::InterruptBoth)
            || matches!(self, Self::Archive | Self::ArchiveUnknown)
    }

    /// Whether the model of a thread is asked for it.
    const fn answers(self) -> bool {
        matches!(self, Self::Text | Self::Texts | Self::Nothing | Self::Customs | Self::Builtins)
            || matches!(self, Self::Unknown | Self::Cut | Self::Wrong | Self::CutErrand | Self::Mixed)
            || matches!(self, Self::Refusal | Self::MaxTokens | Self::Pause)
            || matches!(self, Self::FailAgain | Self::FailForever | Self::FailNamed)
    }

    /// Whether it can be done to a thread alone in this state.
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    const fn alone(self, state: State) -> bool {
        match self {
            _ if self.answers() => state.asks(),
            Self::Result | Self::ResultInterrupt => state.asks_client(),
            Self::Allow | Self::Deny | Self::VerdictInterrupt => state.asks_person(),
            Self::AllResults => state.asks_client() || state.asks_person(),
            Self::Ran => state.runs(),
            Self::RanEarly => state.blocked() || state.runs(),
            Self::Wake | Self::WakeEarly => state.retries(),
            _ => true,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    const fn in_team(self, role: Role, state: State) -> TableCell {
        let leads = if matches!(role, Role::Primary) { TableCell::Must } else { TableCell::May };
        match self {
            _ if self.answers() => only(state.asks(), TableCell::Must),
            Self::Create | Self::Agent | Self::Send | Self::List => only(state.asks(), leads),
            Self::Report => only(state.asks() && matches!(role, Role::Child), TableCell::Must),
            Self::Ran if state.runs() => TableCell::Must,
            Self::Ran => only(state.waits(), TableCell::May),
            Self::RanEarly if state.blocked() => TableCell::Must,
            Self::Result | Self::ResultInterrupt if state.blocked() => {
                if state.asks_client() {
                    TableCell::Must
                } else {
                    TableCell::May
                }
            }
            Self::Allow | Self::Deny if state.blocked() => {
                if state.asks_person() {
                    TableCell::Must
                } else {
                    TableCell::May
                }
            }
            Self::RanEarly | Self::Result | Self::Allow | Self::Deny | Self::ResultInterrupt => {
                only(state.waits() || state.runs(), TableCell::May)
            }
            Self::Wake | Self::WakeEarly => only(state.retries(), TableCell::Must),
            Self::AllResults => only(!state.over(), TableCell::May),
            Self::ResultAgain | Self::ResultOther | Self::VerdictAgain => match state {
                State::Idle | State::Asking | State::Ended => TableCell::Must,
                _ => TableCell::May,
            },
            Self::Any | Self::InterruptBoth if state.over() => TableCell::May,
            _ => TableCell::Must,
        }
    }

    /// What the law says of it, by the reading, when it is done to this thread; `None` where that depends.
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    pub(crate) fn law(self, reading: &TeamReading, thread: &ThreadReading) -> Option<InputVerdict> {
        let (yes, no) = (Some(InputVerdict::Accepted), Some(InputVerdict::Refused));
        let unless = |refused: bool| if refused { no } else { yes };
        let over = reading.over();
        let session = reading.session();
        let needs = matches!(session, PrintedThread::Needs(_));
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
            | Self::ConfirmUnknown
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

const fn only(possible: bool, cell: TableCell) -> TableCell {
    if possible { cell } else { TableCell::Never }
}
