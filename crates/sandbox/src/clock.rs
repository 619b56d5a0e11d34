//! A deadline on the monotonic clock: how long a start or an end may still take.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// What is left, or `None` when it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    /// What is left, for `poll`; zero when it has passed.
    pub(crate) fn timespec(self) -> Timespec {
        let left = self.left().unwrap_or_default();
        Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "bounds the wait for another process; no law depends on it")]
fn now() -> Instant {
    Instant::now()
}
