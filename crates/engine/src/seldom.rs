//! What may happen very often is said seldom, with how often it was.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One such thing.
#[derive(Debug)]
pub struct LogThrottle {
    /// Between two times that it is said.
    pause: Duration,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    times: u64,
}

impl LogThrottle {
    /// One that is said at most once in this time.
    pub fn every(pause: Duration) -> Self {
        Self { pause, told: Mutex::default() }
    }

    /// It has happened; the number of times it has since it was last said, if it is to be said now.
    pub fn now(&self) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.times += 1;
        if told.last.is_some_and(|last| last.elapsed() < self.pause) {
            return None;
        }
        told.last = Some(Instant::now());
        Some(std::mem::take(&mut told.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_said_at_once_and_then_once_a_minute_with_how_often() {
        let seldom = LogThrottle::every(Duration::from_mins(1));
        let mut said = Vec::new();
        for _ in 0..150 {
            said.extend(seldom.now());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [1, 60, 60]);
    }
}
