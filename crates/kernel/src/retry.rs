//! Which failure is tried again, when, and what the client is told of it (docs/rules.md 4).

use core::time::Duration;

use protocol::{
    event::FaultKind,
    limits,
    prompt::{FailureClass, ModelFailure},
};

use crate::{fact::TranscriptPiece, moment::Seed, thread::ThreadState};

/// What follows a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureStep {
    /// The same is asked again after this pause.
    Later(Duration),
    /// It is asked again at once, without what the provider names.
    Without,
    /// The turn is over, and what came since the last answer is to blame.
    Blamed,
    /// The turn is over.
    Over,
}

/// What follows when a request of `thread` has failed so. `named` is what the provider names as what it
/// refuses and the model is still told. A child that cannot go on ends: nobody can tell it something else.
pub fn step(
    failure: &ModelFailure,
    named: &[TranscriptPiece],
    thread: &ThreadState,
    attempts: u32,
    seed: Seed,
) -> FailureStep {
    match failure.class {
        FailureClass::Overloaded
        | FailureClass::RateLimited
        | FailureClass::Unavailable
        | FailureClass::Cut
        | FailureClass::Empty => {
            pause(failure, thread.failed, attempts, seed).map_or(FailureStep::Over, FailureStep::Later)
        }
        FailureClass::Invalid if !named.is_empty() && thread.without < limits::REQUESTS_WITHOUT_PARTS => {
            FailureStep::Without
        }
        FailureClass::Invalid | FailureClass::Overflow if thread.parent.is_none() => FailureStep::Blamed,
        FailureClass::Invalid
        | FailureClass::Overflow
        | FailureClass::Full
        | FailureClass::Unusable
        | FailureClass::Denied
        | FailureClass::Billing
        | FailureClass::NoRoute => FailureStep::Over,
    }
}

/// Whether the same may be answered when it is asked again.
pub const fn passes(class: FailureClass) -> bool {
    match class {
        FailureClass::Overloaded
        | FailureClass::RateLimited
        | FailureClass::Unavailable
        | FailureClass::Cut
        | FailureClass::Empty => true,
        FailureClass::Invalid
        | FailureClass::Overflow
        | FailureClass::Full
        | FailureClass::Unusable
        | FailureClass::Denied
        | FailureClass::Billing
        | FailureClass::NoRoute => false,
    }
}

/// How long to wait before the attempt after `failed` attempts, or `None` when there is none. `most` is how
/// often the route lets a request be made in all.
///
/// 0.5 s doubling to 30 s, between half and the whole of it by the seed; a `retry-after` of up to 60 s is
/// waited out.
pub fn pause(failure: &ModelFailure, failed: u32, most: u32, seed: Seed) -> Option<Duration> {
    if failed >= attempts(failure.class, most) {
        return None;
    }
    let whole = (limits::BACKOFF_MS_MIN << failed.saturating_sub(1).min(16)).min(limits::BACKOFF_MS_MAX);
    let half = whole / 2;
    let jitter = (seed.draw(u64::MAX) % u128::from(half + 1)) as u64;
    let asked = failure.retry_after.unwrap_or_default().min(Duration::from_secs(limits::RETRY_AFTER_S_MAX));
    Some(Duration::from_millis(half + jitter).max(asked))
}

/// How often a request that fails so is made.
fn attempts(class: FailureClass, most: u32) -> u32 {
    if !passes(class) {
        return 1;
    }
    if class == FailureClass::Empty { limits::EMPTY_ATTEMPTS.min(most) } else { most }
}

/// The `session.error` that a failure makes.
pub const fn fault(class: FailureClass) -> FaultKind {
    match class {
        FailureClass::Overloaded => FaultKind::ModelOverloaded,
        FailureClass::RateLimited => FaultKind::ModelRateLimited,
        FailureClass::Unavailable
        | FailureClass::Cut
        | FailureClass::Empty
        | FailureClass::Invalid
        | FailureClass::Overflow
        | FailureClass::Full
        | FailureClass::Unusable
        | FailureClass::Denied
        | FailureClass::NoRoute => FaultKind::ModelRequestFailed,
        FailureClass::Billing => FaultKind::Billing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use protocol::usage::RequestTokens;

    fn failure(class: FailureClass, retry_after: Option<u64>) -> ModelFailure {
        let retry_after = retry_after.map(Duration::from_secs);
        ModelFailure {
            class,
            status: None,
            message: "no".into(),
            retry_after,
            tokens: RequestTokens::default(),
            spots: Vec::new(),
        }
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds_and_end_after_eight_attempts() {
        let cut = failure(FailureClass::Cut, None);
        for (failed, whole) in [(1, 500), (2, 1_000), (3, 2_000), (6, 16_000), (7, 30_000)] {
            for seed in 0..50 {
                let pause = pause(&cut, failed, 8, Seed::new(seed)).expect("tried again").as_millis();
                assert!((whole / 2..=whole).contains(&pause), "{pause} ms after {failed}");
            }
        }
        assert_eq!(pause(&cut, 8, 8, Seed::new(1)), None);
    }

    #[test]
    fn a_route_says_how_often_a_request_is_made_and_an_empty_answer_is_asked_for_no_more_often() {
        let again = |class, most: u32| {
            (1..=most + 1)
                .take_while(|failed| pause(&failure(class, None), *failed, most, Seed::new(1)).is_some())
                .count()
        };
        assert_eq!([1, 2, 100].map(|most| again(FailureClass::Cut, most)), [0, 1, 99]);
        assert_eq!([1, 2, 100].map(|most| again(FailureClass::Empty, most)), [0, 1, 2]);
        // The longest pause does not grow with them.
        let last = pause(&failure(FailureClass::Cut, None), 99, 100, Seed::new(1)).expect("tried again");
        assert!((15_000..=30_000).contains(&last.as_millis()), "{last:?}");
    }

    #[test]
    fn a_retry_after_is_waited_out_up_to_a_minute() {
        let limited = |seconds| pause(&failure(FailureClass::RateLimited, Some(seconds)), 1, 8, Seed::new(1));
        assert_eq!(
            (limited(20), limited(600)),
            (Some(Duration::from_secs(20)), Some(Duration::from_mins(1)))
        );
    }

    #[test]
    fn an_empty_answer_is_paid_for_three_times_at_most() {
        let empty = failure(FailureClass::Empty, None);
        let again = |failed| pause(&empty, failed, 8, Seed::new(1)).is_some();
        assert_eq!([again(1), again(2), again(3)], [true, true, false]);
    }

    #[test]
    fn what_will_fail_again_is_not_tried_again() {
        for class in
            [FailureClass::Invalid, FailureClass::Denied, FailureClass::Billing, FailureClass::NoRoute]
        {
            assert_eq!(pause(&failure(class, None), 1, 8, Seed::new(1)), None);
        }
    }
}
