//! The follower: while a session wants something, one loop starts what is missing and cancels what
//! nobody wants any more. Wants are derived from the state, so there is nothing to remember.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::{Want, wants};
use protocol::limits;
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::{
    Engine, damaged, fault::CommitError, jobs, live::LiveSession, lock::lock, sessions::WorkedSession,
};

/// How often a follower looks again without a nudge.
const SWEEP: Duration = Duration::from_secs(30);
/// How soon it reads the log again when a commit failed and nobody knows what the session wants.
const DOUBT: Duration = Duration::from_secs(1);

impl Engine {
    /// Makes sure that a follower runs the session's jobs.
    pub(crate) fn ensure_follower(&self, live: &WorkedSession) {
        let begin = !std::mem::replace(&mut lock(&live.inbox).followed, true);
        if begin {
            self.spawn_for(live.id, "session-follower", run(self.clone(), live.clone()));
        }
    }
}

/// The jobs under way. Dropping it cancels them.
#[derive(Debug, Default)]
struct Jobs {
    tasks: JoinSet<()>,
    running: BTreeMap<Want, AbortHandle>,
}

/// Gives the session up when the follower ends, however it ends.
struct Following {
    live: WorkedSession,
    /// Whether it was given up already.
    over: bool,
}

impl Drop for Following {
    fn drop(&mut self) {
        if !self.over {
            lock(&self.live.inbox).followed = false;
        }
        if std::thread::panicking() {
            // As after a crash: the jobs were cut, and what of them may have begun is not begun again.
            self.live.taken.store(false, Ordering::Release);
            self.live.set(None);
        }
    }
}

async fn run(engine: Engine, live: WorkedSession) {
    let mut following = Following { live: live.clone(), over: false };
    let stop = engine.stop_token();
    let mut jobs = Jobs::default();
    let mut pause = DOUBT;
    loop {
        if live.buried.load(Ordering::Acquire) {
            return;
        }
        jobs.reconcile(&engine, &live);
        if jobs.running.is_empty() && retire(&live) {
            // `retire` gave the session up already, under the lock that a new follower needs.
            following.over = true;
            return;
        }
        let doubted = live.current().is_none();
        tokio::select! {
            biased;
            () = stop.cancelled() => return jobs.drain().await,
            () = live.nudge.notified() => {}
            Some(ended) = jobs.tasks.join_next_with_id() => {
                let id = match &ended {
                    Ok((id, ())) => *id,
                    Err(wrong) => wrong.id(),
                };
                let want = jobs.forget(id);
                if let (Err(wrong), Some(want)) = (ended, want) && wrong.is_panic() {
                    tracing::error!(session = %live.id, "a job panicked");
                    jobs.begin(want.clone(), jobs::panic_outcome(engine.clone(), live.clone(), want));
                }
            }
            () = tokio::time::sleep(if doubted { pause } else { SWEEP }) => {
                if !doubted {
                    continue;
                }
                let Some(next) = look_again(&engine, &live, pause).await else { return };
                pause = next;
            }
        }
    }
}

/// Reads a session again of which nobody knows what it wants; gives the pause before the next time, and none
/// when there is nothing left to follow.
async fn look_again(engine: &Engine, live: &LiveSession, pause: Duration) -> Option<Duration> {
    match engine.touch(live.id).await {
        Err(CommitError::NotFound | CommitError::Stopping) => None,
        Err(wrong) if wrong.is_damage() => {
            if pause == DOUBT {
                tracing::error!(session = %live.id, %wrong, "a session rests, because it cannot be read");
            }
            Some(damaged::longer(pause))
        }
        Ok(()) | Err(CommitError::Refused(_) | CommitError::Conflict { .. } | CommitError::Fault(_)) => {
            Some(DOUBT)
        }
    }
}

/// Ends the following if nothing is wanted, which a state in doubt does not say. A commit that wants
/// something again finds the flag down.
fn retire(live: &LiveSession) -> bool {
    let mut inbox = lock(&live.inbox);
    let idle = live.current().is_some_and(|state| wants(&state.session).is_empty());
    if idle {
        inbox.followed = false;
    }
    idle
}

impl Jobs {
    fn reconcile(&mut self, engine: &Engine, live: &WorkedSession) {
        let Some(state) = live.current() else { return };
        let wanted = wants(&state.session);
        self.running.retain(|want, job| {
            let keep = wanted.contains(want);
            if !keep {
                job.abort();
            }
            keep
        });
        for want in wanted {
            if !self.running.contains_key(&want) {
                let job = jobs::run(engine.clone(), live.clone(), want.clone());
                self.begin(want, engine.mortal("session-job", job));
            }
        }
    }

    /// The server stops: requests and timers are cut, tools that run may come to their end and bring it home.
    /// Those that have not begun end by themselves, and begin in the next life.
    async fn drain(mut self) {
        self.running.retain(|want, job| {
            let runs = matches!(want, Want::Run { .. });
            if !runs {
                job.abort();
            }
            runs
        });
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(limits::DRAIN_S), ended).await.is_err() {
            tracing::warn!("a tool was still running when its time to end was over; its outcome is unknown");
        }
    }

    fn begin(&mut self, want: Want, job: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(job);
        self.running.insert(want, handle);
    }

    fn forget(&mut self, id: Id) -> Option<Want> {
        let want = self.running.iter().find(|(_, job)| job.id() == id).map(|(want, _)| want.clone())?;
        self.running.remove(&want);
        Some(want)
    }
}
