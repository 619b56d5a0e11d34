//! How many requests a route carries at once, whose turn it is when more would be made, and the pause that a
//! rate limit puts on all of them (docs/rules.md 4).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{
    SessionId, limits,
    prompt::{FailureClass, ModelFailure},
    routes::{Route, Routes},
};
use tokio::{sync::oneshot, time::Instant};

use crate::lock::lock;

/// The limiter of every route, by its pattern.
#[derive(Debug)]
pub(crate) struct RouteLimiters(BTreeMap<String, Arc<RouteLimiter>>);

impl RouteLimiters {
    pub(crate) fn new(routes: &Routes) -> Self {
        let limiter = |route: &Route| (route.pattern.clone(), RouteLimiter::new(route.concurrency));
        Self(routes.0.iter().map(limiter).collect())
    }

    pub(crate) fn of(&self, route: &Route) -> Option<&Arc<RouteLimiter>> {
        self.0.get(&route.pattern)
    }
}

/// One route's places. Of the sessions that wait for one each has a turn after the other; within a session
/// who came first goes first.
#[derive(Debug)]
pub(crate) struct RouteLimiter(Mutex<Turns>);

#[derive(Debug)]
struct Turns {
    free: usize,
    /// No place is given before that. A duration, so the clock on the wall has no say in it.
    paused_until: Option<Instant>,
    /// Whether somebody gives places again when the pause is over.
    reopening: bool,
    /// By session and ticket.
    waiting: BTreeMap<SessionId, BTreeMap<u64, oneshot::Sender<RoutePermit>>>,
    /// The sessions that wait, each once, the next one first.
    order: VecDeque<SessionId>,
    tickets: u64,
}

/// The right to make one request. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct RoutePermit(Option<Arc<RouteLimiter>>);

impl Drop for RoutePermit {
    fn drop(&mut self) {
        if let Some(limiter) = self.0.take() {
            let mut turns = lock(&limiter.0);
            turns.free += 1;
            turns.give(&limiter);
        }
    }
}

/// Takes a request that is not wanted any more out of the queue.
struct Ticket<'a> {
    limiter: &'a RouteLimiter,
    session: SessionId,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut turns = lock(&self.limiter.0);
        if let Some(queue) = turns.waiting.get_mut(&self.session) {
            queue.remove(&self.number);
            if queue.is_empty() {
                turns.waiting.remove(&self.session);
                turns.order.retain(|session| *session != self.session);
            }
        }
    }
}

impl RouteLimiter {
    fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Turns {
            free: places,
            paused_until: None,
            reopening: false,
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
            tickets: 0,
        })))
    }

    /// Waits for a place. A request that waits holds none, and neither does one that a pause keeps from being
    /// made: it gives its place up and is the first of its session again.
    pub(crate) async fn enter(self: &Arc<Self>, session: SessionId) -> RoutePermit {
        let number = {
            let mut turns = lock(&self.0);
            turns.tickets += 1;
            turns.tickets
        };
        let _ticket = Ticket { limiter: self, session, number };
        let mut again = false;
        loop {
            let (sender, place) = oneshot::channel();
            {
                let mut turns = lock(&self.0);
                turns.queue(session, number, sender, again);
                turns.give(self);
            }
            // The sender is dropped unused by nobody; if it ever were, the request would stand in line anew.
            if let Ok(place) = place.await
                && !lock(&self.0).pauses()
            {
                return place;
            }
            again = true;
        }
    }

    /// A rate limit closes the route for everybody. Whoever is given work here must see it done: it opens the
    /// route again.
    pub(crate) fn met(self: &Arc<Self>, failure: &ModelFailure) -> Option<impl Future<Output = ()> + use<>> {
        if failure.class != FailureClass::RateLimited {
            return None;
        }
        let longest = Duration::from_secs(limits::RETRY_AFTER_S_MAX);
        let pause = failure.retry_after.unwrap_or(Duration::from_millis(limits::BACKOFF_MS_MIN)).min(longest);
        let mut turns = lock(&self.0);
        turns.paused_until = turns.paused_until.max(Some(Instant::now() + pause));
        let begin = !std::mem::replace(&mut turns.reopening, true);
        begin.then(|| reopen(Arc::clone(self)))
    }
}

/// Gives places again once the pause is over, however often it is made longer.
async fn reopen(limiter: Arc<RouteLimiter>) {
    loop {
        let until = {
            let mut turns = lock(&limiter.0);
            let Some(until) = turns.paused_until.filter(|until| *until > Instant::now()) else {
                turns.reopening = false;
                turns.paused_until = None;
                turns.give(&limiter);
                return;
            };
            until
        };
        tokio::time::sleep_until(until).await;
    }
}

impl Turns {
    fn pauses(&self) -> bool {
        self.paused_until.is_some_and(|until| until > Instant::now())
    }

    /// `again`: it had a place, and keeps its session's turn.
    fn queue(&mut self, session: SessionId, number: u64, sender: oneshot::Sender<RoutePermit>, again: bool) {
        let queue = self.waiting.entry(session).or_default();
        let waits = !queue.is_empty();
        queue.insert(number, sender);
        match (waits, again) {
            (true, _) => {}
            (false, true) => self.order.push_front(session),
            (false, false) => self.order.push_back(session),
        }
    }

    /// Gives the free places to those whose turn it is.
    fn give(&mut self, limiter: &Arc<RouteLimiter>) {
        while self.free > 0 && !self.pauses() {
            let Some(session) = self.order.pop_front() else { return };
            let Some(queue) = self.waiting.get_mut(&session) else { continue };
            let first = queue.pop_first();
            if queue.is_empty() {
                self.waiting.remove(&session);
            } else {
                self.order.push_back(session);
            }
            let Some((_, sender)) = first else { continue };
            self.free -= 1;
            // Who has just gone away takes no place; it must not be dropped here, under the lock.
            if let Err(mut place) = sender.send(RoutePermit(Some(Arc::clone(limiter)))) {
                place.0 = None;
                self.free += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;
    use protocol::usage::RequestTokens;

    const ONE: SessionId = SessionId::from_bits(1);

    fn limited(pause: Duration) -> ModelFailure {
        let class = FailureClass::RateLimited;
        let tokens = RequestTokens::default();
        ModelFailure {
            class,
            status: None,
            message: "slow down".into(),
            retry_after: Some(pause),
            tokens,
            spots: Vec::new(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "there is no engine here whose task it could be")]
    fn limit(limiter: &Arc<RouteLimiter>, pause: Duration) {
        if let Some(reopening) = limiter.met(&limited(pause)) {
            tokio::spawn(reopening);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_closes_the_route_for_everybody_for_as_long_as_it_says_up_to_a_minute() {
        let routes = Routes(vec![Route::script("m"), Route::script("other")]);
        let limiters = RouteLimiters::new(&routes);
        let [m, other] = [0, 1].map(|route| limiters.of(&routes.0[route]).expect("a limiter"));
        for (said, waited) in [(5, 5), (600, 60)] {
            limit(m, Duration::from_secs(said));
            let began = Instant::now();
            drop(other.enter(ONE).await);
            assert_eq!(began.elapsed(), Duration::ZERO);
            drop(m.enter(ONE).await);
            assert_eq!(began.elapsed().as_secs(), waited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_route_lets_the_next_one_in_when_one_leaves() {
        let limiter = RouteLimiter::new(2);
        let mut inside = vec![limiter.enter(ONE).await, limiter.enter(ONE).await];
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, limiter.enter(ONE)).await.is_err());
        inside.pop();
        assert!(tokio::time::timeout(soon, limiter.enter(ONE)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_end_of_a_pause_holds_no_place() {
        let limiter = RouteLimiter::new(1);
        let place = limiter.enter(ONE).await;
        let mut waits = Box::pin(limiter.enter(ONE));
        assert!(poll(&mut waits).is_none());
        // It is given the place, and before it is used the route pauses.
        drop(place);
        limit(&limiter, Duration::from_secs(5));
        assert!(poll(&mut waits).is_none());
        assert_eq!(lock(&limiter.0).free, 1);
        drop(waits);
        let began = Instant::now();
        drop(limiter.enter(ONE).await);
        assert_eq!(began.elapsed().as_secs(), 5);
    }

    fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Enter(u128),
        Cancel(usize),
        Leave(usize),
        Limit(u64),
        Wait(u64),
        Look(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0_u128..5).prop_map(Act::Enter),
            1 => (0_usize..9).prop_map(Act::Cancel),
            4 => (0_usize..9).prop_map(Act::Leave),
            1 => (1_u64..2_000).prop_map(Act::Limit),
            2 => (1_u64..2_000).prop_map(Act::Wait),
            3 => (0_usize..9).prop_map(Act::Look),
        ]
    }

    type Waiting = Pin<Box<dyn Future<Output = RoutePermit>>>;

    /// Those who wait and those inside, each with its session.
    struct Crowd {
        limiter: Arc<RouteLimiter>,
        waiting: Vec<(u128, Waiting)>,
        inside: Vec<RoutePermit>,
        /// Of each session that waits: how often each other one was let in since.
        passed: BTreeMap<u128, BTreeMap<u128, u32>>,
    }

    impl Crowd {
        fn enter(&mut self, session: u128) {
            let limiter = Arc::clone(&self.limiter);
            let waits = async move { limiter.enter(SessionId::from_bits(session)).await };
            self.waiting.push((session, Box::pin(waits)));
            // Only then does it stand in line.
            self.look(self.waiting.len() - 1);
            if self.waiting.iter().any(|(waits, _)| *waits == session) {
                self.passed.entry(session).or_default();
            }
        }

        /// One of those who wait looks whether it is its turn.
        fn look(&mut self, place: usize) -> bool {
            let Some((session, waits)) = self.waiting.get_mut(place) else { return false };
            let session = *session;
            let Some(let_in) = poll(waits) else { return false };
            drop(self.waiting.remove(place));
            self.inside.push(let_in);
            self.passed.remove(&session);
            for others in self.passed.values_mut() {
                *others.entry(session).or_default() += 1;
            }
            if self.waiting.iter().any(|(waits, _)| *waits == session) {
                self.passed.insert(session, BTreeMap::new());
            }
            true
        }

        fn look_all(&mut self) {
            while (0..self.waiting.len()).any(|place| self.look(place)) {}
        }

        fn act(&mut self, act: Act) {
            match act {
                Act::Cancel(place) if place < self.waiting.len() => {
                    let (session, waits) = self.waiting.remove(place);
                    drop(waits);
                    if self.waiting.iter().all(|(waits, _)| *waits != session) {
                        self.passed.remove(&session);
                    }
                }
                Act::Leave(place) if place < self.inside.len() => drop(self.inside.swap_remove(place)),
                Act::Enter(session) => self.enter(session),
                Act::Limit(pause) => limit(&self.limiter, Duration::from_millis(pause)),
                Act::Look(place) => {
                    self.look(place);
                }
                Act::Cancel(_) | Act::Leave(_) | Act::Wait(_) => {}
            }
        }
    }

    fn runs(acts: &[Act], places: usize, prompt: bool) -> Result<(), TestCaseError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let limiter = RouteLimiter::new(places);
            let (waiting, inside, passed) = (Vec::new(), Vec::new(), BTreeMap::new());
            let mut crowd = Crowd { limiter: Arc::clone(&limiter), waiting, inside, passed };
            for act in acts {
                crowd.act(*act);
                if let Act::Wait(pause) = act {
                    tokio::time::sleep(Duration::from_millis(*pause)).await;
                    // Who opens the route again may be woken at the same moment.
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                    }
                }
                prop_assert!(crowd.inside.len() <= places);
                if prompt {
                    crowd.look_all();
                    let full = crowd.inside.len() == places || lock(&limiter.0).pauses();
                    prop_assert!(full || crowd.waiting.is_empty(), "a place is free and somebody waits");
                    for (session, others) in &crowd.passed {
                        let most = others.values().copied().max().unwrap_or(0);
                        // Once, and once more where several were let in at a moment: in which order
                        // cannot be seen here.
                        prop_assert!(most <= 2, "{session} waits, of {others:?} one came {most} times");
                    }
                }
            }
            // All that are left come in, whatever the pause, and give their places back.
            tokio::time::sleep(Duration::from_mins(2)).await;
            while !crowd.waiting.is_empty() {
                crowd.look_all();
                prop_assert!(!crowd.inside.is_empty(), "nobody is inside and nobody gets in");
                crowd.inside.clear();
            }
            crowd.inside.clear();
            let turns = lock(&limiter.0);
            prop_assert_eq!(turns.free, places, "a place was lost");
            prop_assert!(turns.waiting.is_empty() && turns.order.is_empty());
            Ok(())
        })
    }

    proptest! {
        #[test]
        fn sessions_take_turns_and_no_place_stays_free_while_somebody_waits(
            acts in proptest::collection::vec(act(), 0..60), places in 1_usize..4,
        ) {
            runs(&acts, places, true)?;
        }

        #[test]
        fn no_place_is_lost_whoever_goes_away_when(
            acts in proptest::collection::vec(act(), 0..80), places in 1_usize..4,
        ) {
            runs(&acts, places, false)?;
        }
    }
}
