//! Bodies under way: large ones wait for their turn, and small ones have a lane of their own, so that they
//! never wait behind large ones.

use std::sync::Arc;
use std::time::Duration;

use protocol::limits;

use crate::{
    auth::CallerKey,
    error::ApiProblem,
    lane::{ByteLane, LaneRoom},
};

/// How long a body waits for its turn.
const WAIT: Duration = Duration::from_secs(limits::BODY_WAIT_S);

/// All bodies under way.
#[derive(Debug)]
pub(crate) struct BodiesUnderWay {
    large: Arc<ByteLane>,
    small: Arc<ByteLane>,
}

impl Default for BodiesUnderWay {
    fn default() -> Self {
        Self {
            large: ByteLane::new(limits::BODIES_LARGE_BYTES, limits::BODIES_LARGE_BYTES_PER_KEY),
            small: ByteLane::new(limits::BODIES_SMALL_BYTES, limits::BODIES_SMALL_BYTES_PER_KEY),
        }
    }
}

impl BodiesUnderWay {
    /// Waits until a body of so many bytes may come.
    ///
    /// # Errors
    /// 429 when the key's own bodies are in the way for too long, 529 when those of others are.
    pub(crate) async fn turn(&self, caller: CallerKey, bytes: usize) -> Result<LaneRoom, ApiProblem> {
        let lane = if bytes > limits::BODY_LARGE_BYTES { &self.large } else { &self.small };
        lane.turn(caller, bytes, WAIT).await.map_err(|who| {
            who.problem(
                "this key sends as many bytes of bodies at once as one key may; wait for their answers, then \
                 send this again",
                "the server reads as many bytes of bodies at once as it may; try again in a moment",
                limits::BODY_WAIT_S,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const LARGE: usize = limits::BODY_BYTES;

    fn key(n: u8) -> CallerKey {
        CallerKey([n; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_turn_is_told_whose_bodies_are_in_the_way_and_when_to_come_again() {
        let bodies = BodiesUnderWay::default();
        let turn = async |n| bodies.turn(key(n), LARGE).await;
        let _turns = [turn(1).await.expect("a turn"), turn(1).await.expect("a turn")];
        let third = turn(1).await.expect_err("its share is used up");
        assert_eq!((third.status.as_u16(), third.wait_s), (429, Some(limits::BODY_WAIT_S)));
        let _other = turn(2).await.expect("a turn");
        let full = turn(3).await.expect_err("the whole is used up");
        assert_eq!((full.status.as_u16(), full.wait_s), (529, Some(limits::BODY_WAIT_S)));
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_behind_large_ones() {
        let bodies = BodiesUnderWay::default();
        let _large = [bodies.turn(key(1), LARGE).await, bodies.turn(key(1), LARGE).await];
        let small = bodies.turn(key(1), limits::BODY_LARGE_BYTES);
        assert!(small.now_or_never().expect("at once").is_ok());
    }
}
