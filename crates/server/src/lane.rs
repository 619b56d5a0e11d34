//! Whose turn it is: so many bytes at once, of the whole server and of one key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::error::ErrorKind;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{auth::CallerKey, error::ApiProblem};

/// A way that has room for so many bytes.
#[derive(Debug)]
pub(crate) struct ByteLane {
    room: Arc<Semaphore>,
    /// Bytes of the room that one key may have.
    share: usize,
    keys: Mutex<BTreeMap<CallerKey, Share>>,
}

/// What one key has of a lane.
#[derive(Debug)]
struct Share {
    room: Arc<Semaphore>,
    turns: usize,
}

/// The room that something has, until this is dropped.
#[derive(Debug)]
pub(crate) struct LaneRoom {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
    _user: User,
}

/// One who has or wants a turn.
#[derive(Debug)]
struct User {
    lane: Arc<ByteLane>,
    caller: CallerKey,
    /// The room of its key.
    share: Arc<Semaphore>,
}

/// Who is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// The key itself.
    Own,
    /// All together.
    Others,
}

impl InTheWay {
    /// The refusal: 429 with `own`, or 529 with `others`, and when to come again.
    pub(crate) fn problem(self, own: &str, others: &str, wait_s: u64) -> ApiProblem {
        let (kind, message) = match self {
            Self::Own => (ErrorKind::RateLimit, own),
            Self::Others => (ErrorKind::Overloaded, others),
        };
        ApiProblem { wait_s: Some(wait_s), ..ApiProblem::new(kind, message) }
    }
}

impl ByteLane {
    /// A lane of so many bytes, of which one key may have its share.
    pub(crate) fn new(bytes: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(bytes)), share, keys: Mutex::default() })
    }

    /// Waits for room for so many bytes, at most so long for that of the key and again for that of all. What
    /// is larger than a share gets a whole one.
    ///
    /// # Errors
    /// Who was in the way.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        caller: CallerKey,
        bytes: usize,
        wait: Duration,
    ) -> Result<LaneRoom, InTheWay> {
        let (user, permits) = (User::new(self, caller), self.permits(bytes));
        // Nobody closes a lane, so that only the time can be up.
        let own = timeout(wait, Arc::clone(&user.share).acquire_many_owned(permits)).await;
        let own = own.ok().and_then(Result::ok).ok_or(InTheWay::Own)?;
        let all = timeout(wait, Arc::clone(&self.room).acquire_many_owned(permits)).await;
        let all = all.ok().and_then(Result::ok).ok_or(InTheWay::Others)?;
        Ok(LaneRoom { own, all, _user: user })
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// Who is in the way.
    pub(crate) fn now(self: &Arc<Self>, caller: CallerKey, bytes: usize) -> Result<LaneRoom, InTheWay> {
        let (user, permits) = (User::new(self, caller), self.permits(bytes));
        let own = Arc::clone(&user.share).try_acquire_many_owned(permits).map_err(|_| InTheWay::Own)?;
        let all = Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| InTheWay::Others)?;
        Ok(LaneRoom { own, all, _user: user })
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.share)).unwrap_or(u32::MAX)
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<CallerKey, Share>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneRoom {
    /// How many bytes it is for.
    pub(crate) fn bytes(&self) -> usize {
        self.own.num_permits()
    }

    /// Keeps so many bytes of it and gives the others back.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let over = self.bytes().saturating_sub(bytes);
        drop((self.own.split(over), self.all.split(over)));
    }
}

impl User {
    fn new(lane: &Arc<ByteLane>, caller: CallerKey) -> Self {
        let mut keys = lane.keys();
        let fresh = || Share { room: Arc::new(Semaphore::new(lane.share)), turns: 0 };
        let key = keys.entry(caller).or_insert_with(fresh);
        key.turns += 1;
        let share = Arc::clone(&key.room);
        drop(keys);
        Self { lane: Arc::clone(lane), caller, share }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut keys = self.lane.keys();
        if let Some(share) = keys.get_mut(&self.caller) {
            share.turns -= 1;
            if share.turns == 0 {
                keys.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const WAIT: Duration = Duration::from_secs(20);

    fn key(n: u8) -> CallerKey {
        CallerKey([n; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_its_share_and_all_have_the_whole() {
        let lane = ByteLane::new(96, 64);
        let first = lane.turn(key(1), 32, WAIT).await.expect("a turn");
        let _second = lane.turn(key(1), 32, WAIT).await.expect("a turn");
        assert_eq!(lane.turn(key(1), 32, WAIT).await.expect_err("its share is used up"), InTheWay::Own);
        let _other = lane.turn(key(2), 32, WAIT).await.expect("a turn");
        assert_eq!(lane.turn(key(3), 32, WAIT).await.expect_err("all is used up"), InTheWay::Others);
        assert_eq!(lane.now(key(3), 1).expect_err("all is used up"), InTheWay::Others);
        let waiting = lane.turn(key(3), 32, WAIT);
        let (waited, ()) = tokio::join!(waiting, async { drop(first) });
        waited.expect("whoever waits gets the turn that is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_kept_of_a_turn_is_somebody_elses() {
        let lane = ByteLane::new(64, 64);
        let mut turn = lane.now(key(1), 100).expect("a whole share");
        assert_eq!((turn.bytes(), lane.now(key(1), 1).err()), (64, Some(InTheWay::Own)));
        turn.keep(10);
        turn.keep(20);
        assert_eq!((turn.bytes(), lane.room.available_permits()), (10, 54));
        assert!(lane.now(key(1), 54).is_ok() && lane.now(key(2), 55).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_turns_is_forgotten() {
        let lane = ByteLane::new(96, 64);
        for n in 0..100 {
            drop(lane.turn(key(n), 1, WAIT).await);
            drop(lane.turn(key(n), 64, WAIT).now_or_never());
        }
        assert!(lane.keys().is_empty());
        assert_eq!(lane.room.available_permits(), 96);
    }
}
