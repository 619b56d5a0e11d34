//! Tasks that the engine cannot do without: one that panics is begun again, or its session is read again.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use protocol::SessionId;
use tokio::time::Instant;

use crate::{Engine, fault::CommitError, lock::lock};

/// First pause before a task begins again; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// What has run for so long begins with the first pause again.
const SOUND: Duration = Duration::from_mins(10);

/// Sessions a task of which panicked, lately.
#[derive(Debug, Default)]
pub(crate) struct FallenSessions(Mutex<BTreeMap<SessionId, Fall>>);

#[derive(Debug, Clone, Copy)]
struct Fall {
    at: Instant,
    pause: Duration,
    /// Whether somebody is taking the session up again already.
    helped: bool,
}

impl FallenSessions {
    /// The pause before the session is taken up again; `None`: somebody does that already.
    fn fell(&self, session: SessionId) -> Option<Duration> {
        let mut fallen = lock(&self.0);
        fallen.retain(|_, fall| fall.helped || fall.at.elapsed() < SOUND);
        let pause = match fallen.get(&session) {
            Some(fall) if fall.helped => return None,
            Some(fall) => (fall.pause * 2).min(PAUSE_MAX),
            None => PAUSE,
        };
        fallen.insert(session, Fall { at: Instant::now(), pause, helped: true });
        Some(pause)
    }

    fn stands(&self, session: SessionId) {
        if let Some(fall) = lock(&self.0).get_mut(&session) {
            fall.helped = false;
        }
    }
}

impl Engine {
    /// Starts a task that runs until the engine stops; one that panics is begun again after a pause.
    pub(crate) fn spawn_vital<F>(&self, name: &'static str, begin: impl Fn(Engine) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let engine = self.clone();
        self.spawn(async move {
            let mut pause = PAUSE;
            loop {
                let began = Instant::now();
                let work = AssertUnwindSafe(engine.mortal(name, begin(engine.clone())));
                let Err(panic) = work.catch_unwind().await else { return };
                if began.elapsed() > SOUND {
                    pause = PAUSE;
                }
                tracing::error!(
                    task = name,
                    why = words(&*panic),
                    ?pause,
                    "a task panicked; it begins again"
                );
                if engine.stops_within(pause).await {
                    return;
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
    }

    /// Starts a task of a session; when it panics, the session is read again and goes on.
    pub(crate) fn spawn_for(
        &self,
        session: SessionId,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let engine = self.clone();
        let work = AssertUnwindSafe(self.mortal(name, work));
        self.spawn(async move {
            if let Err(panic) = work.catch_unwind().await {
                let why = words(&*panic);
                tracing::error!(%session, task = name, why, "a session's task panicked; it is read again");
                engine.take_up_again(session).await;
            }
        });
    }

    async fn take_up_again(&self, session: SessionId) {
        let Some(mut pause) = self.0.fallen.fell(session) else { return };
        while !self.stops_within(pause).await {
            match self.touch(session).await {
                Ok(()) | Err(CommitError::NotFound | CommitError::Stopping) => break,
                Err(
                    wrong @ (CommitError::Refused(_) | CommitError::Conflict { .. } | CommitError::Fault(_)),
                ) => {
                    tracing::error!(%session, %wrong, "a session could not be taken up again; trying once more");
                }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.0.fallen.stands(session);
    }

    /// Waits, unless the engine stops.
    pub(crate) async fn stops_within(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.0.stop.cancelled()).await.is_ok()
    }

    /// `work`, which in a test's build a test may let panic under this name; in a release nothing else.
    #[cfg(debug_assertions)]
    pub fn mortal<F: Future>(&self, name: &'static str, work: F) -> impl Future<Output = F::Output> + use<F> {
        let ends = self.0.ends.clone();
        async move { ends.mortal(name, work).await }
    }

    /// `work`, which in a test's build a test may let panic under this name; in a release nothing else.
    #[cfg(not(debug_assertions))]
    pub fn mortal<F: Future>(&self, _name: &'static str, work: F) -> F {
        work
    }

    /// The means to let a task panic, for a test.
    #[cfg(debug_assertions)]
    pub fn ends(&self) -> &ends::TaskEnds {
        &self.0.ends
    }
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// Letting tasks panic, so that a test sees what becomes of it. A release has none of it.
#[cfg(debug_assertions)]
pub mod ends {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use crate::lock::lock;

    /// By name of a task: its end.
    #[derive(Debug, Clone, Default)]
    pub struct TaskEnds(Arc<Mutex<BTreeMap<String, Arc<End>>>>);

    #[derive(Debug, Default)]
    struct End {
        told: Notify,
        /// Whether nobody has heard of it yet.
        waits: AtomicBool,
    }

    impl TaskEnds {
        /// Lets one task of this name panic: one that runs, else the next.
        pub fn end(&self, name: &str) {
            let end = self.of(name);
            end.waits.store(true, Ordering::SeqCst);
            end.told.notify_one();
        }

        /// Whether no task has heard of the last end yet.
        pub fn waits(&self, name: &str) -> bool {
            self.of(name).waits.load(Ordering::SeqCst)
        }

        /// `work`, which panics when the test says so.
        pub async fn mortal<F: Future>(&self, name: &str, work: F) -> F::Output {
            let end = self.of(name);
            // Dropped by the panic, as it would be if it panicked itself.
            let mut work = std::pin::pin!(work);
            tokio::select! {
                // One that has not begun yet begins first: no fault of its own could come before.
                biased;
                out = &mut work => out,
                () = end.told.notified() => {
                    end.waits.store(false, Ordering::SeqCst);
                    panic!("ended by a test")
                }
            }
        }

        fn of(&self, name: &str) -> Arc<End> {
            Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId::from_bits(1);

    #[tokio::test(start_paused = true)]
    async fn a_session_that_falls_again_waits_longer_and_is_helped_by_one_at_a_time() {
        let fallen = FallenSessions::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.extend(fallen.fell(ONE).map(|pause| pause.as_secs()));
            assert_eq!(fallen.fell(ONE), None, "somebody helps already");
            assert_eq!(fallen.fell(SessionId::from_bits(2)).is_some(), pauses.len() == 1);
            fallen.stands(ONE);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        tokio::time::advance(SOUND).await;
        assert_eq!(fallen.fell(ONE), Some(PAUSE), "long ago is forgotten");
    }
}
