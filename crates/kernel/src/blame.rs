//! What is left out of a history after a refusal: what the model is told in its place, and what the client
//! is told of it. The phrases are the kernel's own: a provider's words may repeat the very thing that it
//! refuses.

use alloc::{format, string::String, vec::Vec};

use protocol::{
    limits,
    prompt::{FailureClass, ModelFailure},
};

use crate::{
    fact::TranscriptPiece,
    retry::{self, FailureStep},
};

/// Pieces that an error names.
const NAMED: usize = 3;

/// What the model is told in place of what was refused so.
pub(crate) const fn reason(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Overflow => "it did not fit the model's window",
        FailureClass::Overloaded
        | FailureClass::RateLimited
        | FailureClass::Unavailable
        | FailureClass::Cut
        | FailureClass::Empty
        | FailureClass::Invalid
        | FailureClass::Full
        | FailureClass::Unusable
        | FailureClass::Denied
        | FailureClass::Billing
        | FailureClass::NoRoute => "the model's provider refused it",
    }
}

/// What a client is told of a failure: what went wrong, what is left out for it, and what to do. `blamed` is
/// how many turns since the last answer have ended so before; `child` is whether nobody can tell the thread
/// something else.
pub(crate) fn told(
    failure: &ModelFailure,
    step: &FailureStep,
    named: &[TranscriptPiece],
    blamed: u32,
    child: bool,
) -> String {
    let said = &failure.message;
    match step {
        // What passes and never does: the provider may refuse something of this session without saying so.
        FailureStep::Over if retry::passes(failure.class) && !child => format!(
            "{said} Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
        ),
        FailureStep::Later(_) | FailureStep::Over => said.clone(),
        FailureStep::Without => {
            format!("{said} It is asked again without what was named: {}.", listed(named))
        }
        FailureStep::Blamed if blamed + 1 >= limits::REFUSALS_OF_AN_ANSWER => format!(
            "{said} The model's last answer and all that came since are left out from now on: send a short message, \
             and if that is refused too, begin a new session."
        ),
        FailureStep::Blamed => {
            let other = if failure.class == FailureClass::Overflow { "a shorter" } else { "another" };
            format!(
                "{said} What came since the model's last answer is left out from now on: send {other} message."
            )
        }
    }
}

fn listed(pieces: &[TranscriptPiece]) -> String {
    let one = |piece: &TranscriptPiece| match piece.block {
        Some(block) => format!("content.{block} of {}", piece.event),
        None => format!("{}", piece.event),
    };
    let shown: Vec<String> = pieces.iter().take(NAMED).map(one).collect();
    match pieces.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
