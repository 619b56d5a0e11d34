//! The clock and the dice of the house. Everything that needs the time or an id asks here, so that a
//! storm can hand in its own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use std::time::Duration;

use kernel::{Moment, Seed};
use protocol::Timestamp;
use tokio::time::Instant;

/// The time.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The clock on the wall. Read anew each time: a running clock stands still while a laptop sleeps.
    Wall,
    /// A clock that began at a moment and runs as tokio's does; it can be paused.
    Running { began: Timestamp, instant: Instant },
    /// The same, set by so many microseconds.
    Set { began: Timestamp, instant: Instant, by: &'static AtomicI64 },
}

impl Clock {
    /// The clock on the wall.
    pub const fn wall() -> Self {
        Self(Kind::Wall)
    }

    /// A clock that shows `began` now, and stands still where tokio's clock is paused.
    pub fn from(began: Timestamp) -> Self {
        Self(Kind::Running { began, instant: Instant::now() })
    }

    /// The same, and its owner sets it forward and back by so many microseconds, as people do with the one on
    /// the wall.
    pub fn set_by(began: Timestamp, by: &'static AtomicI64) -> Self {
        Self(Kind::Set { began, instant: Instant::now(), by })
    }

    /// The time. It may step back; the law keeps a log's stamps rising all the same.
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Kind::Wall => wall(),
            Kind::Running { began, instant } => began.after(instant.elapsed()),
            Kind::Set { began, instant, by } => {
                let now = began.after(instant.elapsed());
                Timestamp::from_micros(now.micros().saturating_add(by.load(Ordering::Relaxed)))
            }
        }
    }

    /// How long it is until `stamp`; zero when that is past.
    pub fn until(&self, stamp: Timestamp) -> Duration {
        stamp.since(self.now())
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The dice: a seed and how often they were thrown.
#[derive(Debug, Clone)]
pub struct SeededEntropy(Arc<(Seed, AtomicU64)>);

impl SeededEntropy {
    /// Dice seeded by the operating system.
    ///
    /// # Errors
    /// The operating system has no entropy to give.
    #[expect(clippy::disallowed_methods, reason = "the one place where the house's dice are seeded")]
    pub fn system() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self::seeded(u128::from_be_bytes(bytes)))
    }

    /// Dice that fall the same way for the same seed.
    pub fn seeded(seed: u128) -> Self {
        Self(Arc::new((Seed::new(seed), AtomicU64::new(0))))
    }

    /// The next number.
    pub fn throw(&self) -> u128 {
        self.0.0.draw(self.0.1.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn moment(&self, clock: &Clock) -> Moment {
        Moment { at: clock.now(), seed: Seed::new(self.throw()) }
    }
}
