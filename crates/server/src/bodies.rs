//! Whose turn it is to send a body: so many bytes at once, of the whole server and of one key.
//!
//! Small bodies have a lane of their own, so that they never wait behind large ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{error::ErrorKind, limits};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{auth::Caller, error::Problem};

/// How long a body waits for its turn.
const WAIT: Duration = Duration::from_secs(limits::BODY_WAIT_S);

/// All bodies under way.
#[derive(Debug)]
pub(crate) struct Bodies {
    large: Arc<Lane>,
    small: Arc<Lane>,
}

#[derive(Debug)]
struct Lane {
    room: Arc<Semaphore>,
    /// Bytes of the room that one key may have.
    share: usize,
    keys: Mutex<BTreeMap<Caller, Share>>,
}

/// What one key has of a lane.
#[derive(Debug)]
struct Share {
    room: Arc<Semaphore>,
    bodies: usize,
}

/// A body's turn, until the request is answered.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    _user: User,
}

/// One body of a key in a lane.
#[derive(Debug)]
struct User {
    lane: Arc<Lane>,
    caller: Caller,
}

impl Default for Bodies {
    fn default() -> Self {
        let lane = |bytes, share| {
            let room = Arc::new(Semaphore::new(bytes));
            Arc::new(Lane { room, share, keys: Mutex::default() })
        };
        Self {
            large: lane(limits::BODIES_LARGE_BYTES, limits::BODIES_LARGE_BYTES_PER_KEY),
            small: lane(limits::BODIES_SMALL_BYTES, limits::BODIES_SMALL_BYTES_PER_KEY),
        }
    }
}

impl Bodies {
    /// Waits until a body of so many bytes may come.
    ///
    /// # Errors
    /// 429 when the key's own bodies are in the way for too long, 529 when those of others are.
    pub(crate) async fn turn(&self, caller: Caller, bytes: usize) -> Result<Turn, Problem> {
        let lane = if bytes > limits::BODY_LARGE_BYTES { &self.large } else { &self.small };
        let user = User::new(lane, caller);
        // What is larger than a lane is refused before; then it takes the lane whole.
        let permits = u32::try_from(bytes.min(lane.share)).unwrap_or(u32::MAX);
        let own = timeout(WAIT, user.share().acquire_many_owned(permits)).await;
        let own = own.map_err(|_| own_in_the_way())?.map_err(|_| Problem::stopping())?;
        let all = timeout(WAIT, Arc::clone(&lane.room).acquire_many_owned(permits)).await;
        let all = all.map_err(|_| others_in_the_way())?.map_err(|_| Problem::stopping())?;
        Ok(Turn { _own: own, _all: all, _user: user })
    }
}

fn own_in_the_way() -> Problem {
    let message = "this key sends as many bytes of bodies at once as one key may; wait for their answers, \
                   then send this again";
    Problem { wait_s: Some(limits::BODY_WAIT_S), ..Problem::new(ErrorKind::RateLimit, message) }
}

fn others_in_the_way() -> Problem {
    let message = "the server reads as many bytes of bodies at once as it may; try again in a moment";
    Problem { wait_s: Some(limits::BODY_WAIT_S), ..Problem::new(ErrorKind::Overloaded, message) }
}

impl Lane {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<Caller, Share>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    fn new(lane: &Arc<Lane>, caller: Caller) -> Self {
        let mut keys = lane.keys();
        let fresh = || Share { room: Arc::new(Semaphore::new(lane.share)), bodies: 0 };
        keys.entry(caller).or_insert_with(fresh).bodies += 1;
        drop(keys);
        Self { lane: Arc::clone(lane), caller }
    }

    fn share(&self) -> Arc<Semaphore> {
        let keys = self.lane.keys();
        let share = keys.get(&self.caller).map(|share| Arc::clone(&share.room));
        // It is there for as long as one of its users is.
        share.unwrap_or_else(|| Arc::new(Semaphore::new(self.lane.share)))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut keys = self.lane.keys();
        if let Some(share) = keys.get_mut(&self.caller) {
            share.bodies -= 1;
            if share.bodies == 0 {
                keys.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const LARGE: usize = limits::BODY_BYTES;

    fn key(n: u8) -> Caller {
        Caller([n; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_its_share_and_all_have_the_whole() {
        let bodies = Bodies::default();
        let first = bodies.turn(key(1), LARGE).await.expect("a turn");
        let _second = bodies.turn(key(1), LARGE).await.expect("a turn");
        let third = bodies.turn(key(1), LARGE).await.expect_err("its share is used up");
        assert_eq!((third.status.as_u16(), third.wait_s), (429, Some(limits::BODY_WAIT_S)));
        let _other = bodies.turn(key(2), LARGE).await.expect("a turn");
        let full = bodies.turn(key(3), LARGE).await.expect_err("the whole is used up");
        assert_eq!((full.status.as_u16(), full.wait_s), (529, Some(limits::BODY_WAIT_S)));
        let waiting = bodies.turn(key(3), LARGE);
        let (waited, ()) = tokio::join!(waiting, async { drop(first) });
        waited.expect("whoever waits gets the turn that is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_behind_large_ones() {
        let bodies = Bodies::default();
        let _large = [bodies.turn(key(1), LARGE).await, bodies.turn(key(1), LARGE).await];
        let small = bodies.turn(key(1), limits::BODY_LARGE_BYTES);
        assert!(small.now_or_never().expect("at once").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_bodies_is_forgotten() {
        let bodies = Bodies::default();
        for n in 0..100 {
            drop(bodies.turn(key(n), 1).await);
            drop(bodies.turn(key(n), LARGE).now_or_never());
        }
        assert!(bodies.small.keys().is_empty() && bodies.large.keys().is_empty());
        assert_eq!(bodies.large.room.available_permits(), limits::BODIES_LARGE_BYTES);
    }
}
