//! How many requests a route carries at once, and the pause that a rate limit puts on all of them
//! (rules.md 4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{Stamp, limits, prompt::Failure, prompt::FailureClass};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{clock::Clock, live::lock};

/// Permits of every route, by its pattern.
#[derive(Debug, Default)]
pub(crate) struct Permits(Mutex<BTreeMap<String, Arc<Road>>>);

/// One route's permits and its pause.
#[derive(Debug)]
pub(crate) struct Road {
    lanes: Arc<Semaphore>,
    closed_until: Mutex<Stamp>,
}

impl Permits {
    pub(crate) fn road(&self, pattern: &str) -> Arc<Road> {
        let fresh = || {
            Arc::new(Road {
                lanes: Arc::new(Semaphore::new(limits::REQUESTS_PER_ROUTE)),
                closed_until: Mutex::default(),
            })
        };
        Arc::clone(lock(&self.0).entry(pattern.to_owned()).or_insert_with(fresh))
    }
}

impl Road {
    /// Waits until the route is open and has a free lane.
    pub(crate) async fn enter(&self, clock: &Clock) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.lanes).acquire_owned().await.ok();
        loop {
            let pause = clock.until(*lock(&self.closed_until));
            if pause.is_zero() {
                return permit;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A rate limit closes the route for everybody.
    pub(crate) fn met(&self, failure: &Failure, clock: &Clock) {
        if failure.class == FailureClass::RateLimited {
            let longest = Duration::from_secs(limits::RETRY_AFTER_S_MAX);
            let pause = failure.retry_after.unwrap_or(Duration::from_millis(limits::BACKOFF_MS_MIN));
            let mut until = lock(&self.closed_until);
            *until = (*until).max(clock.now().after(pause.min(longest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::usage::Tokens;
    use tokio::time::Instant;

    fn limited(seconds: u64) -> Failure {
        let retry_after = Some(Duration::from_secs(seconds));
        let class = FailureClass::RateLimited;
        Failure { class, message: "slow down".into(), retry_after, tokens: Tokens::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_closes_the_route_for_everybody_for_as_long_as_it_says_up_to_a_minute() {
        let clock = Clock::from(Stamp::from_micros(1));
        let permits = Permits::default();
        for (said, waited) in [(5, 5), (600, 60)] {
            permits.road("m").met(&limited(said), &clock);
            let began = Instant::now();
            drop(permits.road("other").enter(&clock).await);
            assert_eq!(began.elapsed(), Duration::ZERO);
            drop(permits.road("m").enter(&clock).await);
            assert_eq!(began.elapsed().as_secs(), waited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_route_lets_the_next_one_in_when_one_leaves() {
        let clock = Clock::from(Stamp::from_micros(1));
        let road = Permits::default().road("m");
        let mut inside = Vec::new();
        for _ in 0..limits::REQUESTS_PER_ROUTE {
            inside.push(road.enter(&clock).await);
        }
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, road.enter(&clock)).await.is_err());
        inside.pop();
        assert!(tokio::time::timeout(soon, road.enter(&clock)).await.is_ok());
    }
}
