//! Moods: which acts a life sees more of, so that rare corners are met often enough.

use crate::act::{Act, TableCell};
use crate::dice::Dice;
use crate::size::LifeSize;
use crate::state::{Role, State};

/// What a life is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActWeights {
    /// A little of everything.
    Even,
    /// The model fails most of the time.
    Flaky,
    /// The client never stops talking.
    Talkative,
    /// The model uses its tools a lot, and the power goes often.
    Handy,
    /// The model goes round in circles and the client lets it, until the guard's last request.
    Runaway,
    /// Many threads, and most of what is met seldom: every team's.
    Busy,
}

/// The last request that one turn may make: from there on a runaway is disturbed.
const LAST: u32 = 200;

/// What is done to a thread alone, in the order in which its dice fall on it: each seed keeps its log.
const ALONE: [Act; 48] = [
    Act::Message,
    Act::Messages,
    Act::Result,
    Act::AllResults,
    Act::ResultAgain,
    Act::ResultOther,
    Act::ResultUnknown,
    Act::NotYours,
    Act::Allow,
    Act::Deny,
    Act::VerdictAgain,
    Act::Unasked,
    Act::ConfirmUnknown,
    Act::InterruptAll,
    Act::Interrupt,
    Act::InterruptUnknown,
    Act::InterruptMessage,
    Act::MessageInterrupt,
    Act::ResultInterrupt,
    Act::VerdictInterrupt,
    Act::Any,
    Act::Text,
    Act::Texts,
    Act::Nothing,
    Act::Customs,
    Act::Builtins,
    Act::Unknown,
    Act::Cut,
    Act::Mixed,
    Act::Refusal,
    Act::MaxTokens,
    Act::Pause,
    Act::FailAgain,
    Act::FailForever,
    Act::FailNamed,
    Act::StaleAnswer,
    Act::StaleFailure,
    Act::Ran,
    Act::RanEarly,
    Act::RanStale,
    Act::Wake,
    Act::WakeEarly,
    Act::WakeStale,
    Act::Crash,
    Act::Rename,
    Act::Retool,
    Act::ArchiveSession,
    Act::Delete,
];

impl ActWeights {
    /// A mood by the dice; for a team the one that all have.
    pub fn of(dice: &mut Dice, size: LifeSize) -> Self {
        if !size.alone() {
            return Self::Busy;
        }
        let moods =
            [(Self::Even, 4), (Self::Handy, 4), (Self::Flaky, 2), (Self::Talkative, 2), (Self::Runaway, 2)];
        dice.weighted(&moods).unwrap_or(Self::Even)
    }

    /// How likely each act is now that may be done to a thread of this role in this state; `requests` is how
    /// many its turn has made, `closing` whether the life is nearly over.
    pub fn weights(
        self,
        size: LifeSize,
        (role, state): (Role, State),
        requests: u32,
        closing: bool,
    ) -> impl Iterator<Item = (Act, u64)> {
        let acts = if size.alone() { &ALONE } else { Act::ALL };
        let circling = self == Self::Runaway && size == LifeSize::Wide && state.busy() && requests < LAST;
        let possible =
            acts.iter().copied().filter(move |act| act.cell(size, role, state) != TableCell::Never);
        possible.map(move |act| {
            let weight = match self {
                Self::Runaway if circling => circles(act),
                Self::Even | Self::Flaky | Self::Talkative | Self::Handy | Self::Runaway => {
                    self.weight(act, closing)
                }
                Self::Busy => busy(act, state, closing),
            };
            (act, weight)
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    fn weight(self, act: Act, closing: bool) -> u64 {
        let plain = match act {
            Act::Text | Act::Customs | Act::Wake | Act::Result | Act::Allow => 30,
            Act::Ran => 60,
            Act::Message | Act::AllResults | Act::Builtins | Act::Mixed | Act::Deny => 15,
            Act::FailAgain => match self {
                Self::Flaky | Self::Runaway => 300,
                Self::Even | Self::Talkative | Self::Busy => 20,
                Self::Handy => 6,
            },
            Act::ArchiveSession | Act::Delete => u64::from(closing) * 12,
            Act::InterruptAll
            | Act::Crash
            | Act::Unknown
            | Act::Cut
            | Act::Any
            | Act::Pause
            | Act::MessageInterrupt
            | Act::InterruptMessage => 6,
            _ => 3,
        };
        let handy = matches!(act, Act::Builtins | Act::Mixed | Act::VerdictAgain | Act::Crash);
        if self == Self::Handy && handy {
            return plain * 4;
        }
        let talks = matches!(act, Act::Message | Act::Messages | Act::Any);
        if matches!(self, Self::Talkative | Self::Runaway) && talks { plain * 4 } else { plain }
    }
}

/// Round in circles: the turn neither ends nor hears the client.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
const fn circles(act: Act) -> u64 {
    match act {
        Act::Unknown | Act::Wake | Act::AllResults | Act::Ran => 60,
        Act::Cut | Act::Pause => 15,
        Act::Crash => 2,
        Act::FailAgain => 3,
        Act::StaleAnswer => 1,
        _ => 0,
    }
}

/// What a team does more often than the rest, and what it keeps for its end.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
fn busy(act: Act, state: State, closing: bool) -> u64 {
    let weight: u64 = match act {
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
        Act::ArchiveSession | Act::Delete => u64::from(closing) * 5,
        _ => 2,
    };
    // What is met seldom sees more of everything.
    let weight = if state.rare() && weight > 0 { weight.max(5) } else { weight };
    if state.ended() { weight.min(2) } else { weight * 2 }
}
