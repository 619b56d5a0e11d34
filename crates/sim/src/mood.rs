//! Moods: which acts a life sees more of, so that rare corners are met often enough.

use crate::act::{Act, Law, State};
use crate::dice::Dice;
use crate::size::Size;

/// What a life is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
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
}

/// The last request that one turn may make: from there on a runaway is disturbed.
const LAST: u32 = 200;

impl Mood {
    /// A mood by the dice.
    pub fn of(dice: &mut Dice) -> Self {
        let moods =
            [(Self::Even, 4), (Self::Handy, 4), (Self::Flaky, 2), (Self::Talkative, 2), (Self::Runaway, 2)];
        dice.weighted(&moods).unwrap_or(Self::Even)
    }

    /// How likely each act is now; `closing` when the life is nearly over.
    pub fn weights(self, state: State, requests: u32, size: Size, closing: bool) -> Vec<(Act, u64)> {
        let circling = self == Self::Runaway && size == Size::Wide && state.busy() && requests < LAST;
        let weight = |act: &Act| match (act.law(state), circling) {
            (Law::Impossible, _) => (*act, 0),
            (_, true) => (*act, circles(*act)),
            (_, false) => (*act, self.weight(*act, closing)),
        };
        Act::ALL.iter().map(weight).collect()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
    fn weight(self, act: Act, closing: bool) -> u64 {
        let plain = match act {
            Act::Text | Act::Tools | Act::Wake | Act::Result | Act::Allow => 30,
            Act::Ran => 60,
            Act::Message | Act::AllResults | Act::Builtins | Act::MixedTools | Act::Deny => 15,
            Act::FailAgain => match self {
                Self::Flaky | Self::Runaway => 300,
                Self::Even | Self::Talkative => 20,
                Self::Handy => 6,
            },
            Act::Archive | Act::Delete => {
                if closing {
                    12
                } else {
                    0
                }
            }
            Act::Interrupt
            | Act::Crash
            | Act::UnknownTool
            | Act::CutTool
            | Act::Mixed
            | Act::Pause
            | Act::MessageInterrupt
            | Act::InterruptMessage => 6,
            _ => 3,
        };
        let handy = matches!(act, Act::Builtins | Act::MixedTools | Act::VerdictAgain | Act::Crash);
        if self == Self::Handy && handy {
            return plain * 4;
        }
        let talks = matches!(act, Act::Message | Act::TwoMessages | Act::Mixed);
        if matches!(self, Self::Talkative | Self::Runaway) && talks { plain * 4 } else { plain }
    }
}

/// Round in circles: the turn neither ends nor hears the client.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
const fn circles(act: Act) -> u64 {
    match act {
        Act::UnknownTool | Act::Wake | Act::AllResults | Act::Ran => 60,
        Act::CutTool | Act::Pause => 15,
        Act::Crash => 2,
        Act::FailAgain => 3,
        Act::StaleAnswer => 1,
        _ => 0,
    }
}
