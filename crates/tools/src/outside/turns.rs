//! Sessions that wait for a jail: each gets one in the order in which they came, however many calls it makes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{SessionId, content::ContentBlock};
use tokio_util::sync::CancellationToken;

use super::{
    ending::failed,
    line::{CALLS_FULL, OPEN_CALLS},
    lock::lock,
};
use crate::ToolOutcome;

/// Who waits, the first in front.
#[derive(Debug, Default)]
pub(super) struct CallTurns(Mutex<VecDeque<Turn>>);

#[derive(Debug)]
struct Turn {
    session: SessionId,
    /// Its calls that wait.
    calls: usize,
    /// Cancelled when it is worth looking again, and new then.
    look: CancellationToken,
    /// The session is over: its calls are answered, and none joins them.
    over: bool,
}

/// One call's part in its session's turn. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct CallSeat {
    turns: Arc<CallTurns>,
    session: SessionId,
}

impl Drop for CallSeat {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns.0);
        let Some(at) = turns.iter().position(|turn| turn.session == self.session) else { return };
        let Some(turn) = turns.get_mut(at) else { return };
        turn.calls -= 1;
        if turn.calls == 0 {
            turns.remove(at);
            if at == 0 {
                CallTurns::look_again(&mut turns);
            }
        }
    }
}

impl CallTurns {
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    pub(super) fn is_first(&self, session: SessionId) -> bool {
        lock(&self.0).front().is_some_and(|turn| turn.session == session)
    }

    /// Sessions that go before this one.
    pub(super) fn ahead(&self, session: SessionId) -> usize {
        let turns = lock(&self.0);
        turns.iter().position(|turn| turn.session == session).unwrap_or(turns.len())
    }

    /// What is cancelled when it is worth looking again. To be had before one looks, so that nothing is
    /// missed.
    pub(super) fn look(&self, session: SessionId) -> Option<CancellationToken> {
        lock(&self.0).iter().find(|turn| turn.session == session).map(|turn| turn.look.clone())
    }

    pub(super) fn is_over(&self, session: SessionId) -> bool {
        lock(&self.0).iter().any(|turn| turn.session == session && turn.over)
    }

    /// Takes a seat in the session's turn, at the end if it has none.
    pub(super) fn join(self: &Arc<Self>, session: SessionId) -> Result<CallSeat, ToolOutcome> {
        let mut turns = lock(&self.0);
        if let Some(turn) = turns.iter_mut().find(|turn| turn.session == session) {
            if turn.calls >= OPEN_CALLS {
                return Err(failed(CALLS_FULL));
            }
            turn.calls += 1;
        } else {
            turns.push_back(Turn { session, calls: 1, look: CancellationToken::new(), over: false });
        }
        Ok(CallSeat { turns: Arc::clone(self), session })
    }

    /// A jail is gone or idle: the first may have its place.
    pub(super) fn wake_first(&self) {
        Self::look_again(&mut lock(&self.0));
    }

    fn look_again(turns: &mut VecDeque<Turn>) {
        if let Some(first) = turns.front_mut() {
            std::mem::take(&mut first.look).cancel();
        }
    }

    /// All look again, because there will be no more jails.
    pub(super) fn wake_all(&self) {
        for turn in lock(&self.0).iter_mut() {
            std::mem::take(&mut turn.look).cancel();
        }
    }

    /// The session is over: what waits of it is answered.
    pub(super) fn end(&self, session: SessionId) {
        let mut turns = lock(&self.0);
        if let Some(turn) = turns.iter_mut().find(|turn| turn.session == session) {
            turn.over = true;
            std::mem::take(&mut turn.look).cancel();
        }
    }
}

/// What a call came to that had to wait.
pub(super) fn told(mut outcome: ToolOutcome, waited: Duration) -> ToolOutcome {
    let seconds = waited.as_secs();
    let note =
        format!("[this call waited {seconds} s until a sandbox was free: the server runs as many as it may]");
    outcome.content.insert(0, ContentBlock::text(note));
    outcome
}

/// What a call comes to whose session's turn did not come.
pub(super) fn in_vain(waited: Duration, jails: usize, ahead: usize) -> ToolOutcome {
    let (seconds, others) = (waited.as_secs(), if ahead == 1 { "session is" } else { "sessions are" });
    failed(format!(
        "Nothing ran: in {seconds} s none of the {jails} sandboxes that this server may run at once was free for this \
         session, and {ahead} {others} before it. Go on without tools or make the call again later; if that does not help, \
         tell the user that the server's `[sandbox] jails` is too small for its work."
    ))
}
