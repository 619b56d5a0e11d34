//! Whether the server takes work: a small durable write, at most once a second for all who ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::{error::ErrorKind, limits};
use store::{Store, StoreFault};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::error::{ApiProblem, FrequentReason};

const STANDS: Duration = Duration::from_millis(limits::READY_MS);
const WRITE: Duration = Duration::from_secs(limits::READY_WRITE_S);

/// What a write came to; `None`: it is under way.
type Came = Option<Result<(), ApiProblem>>;

/// The last write that was tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteTrial(Arc<Mutex<Option<Tried>>>);

#[derive(Debug)]
struct Tried {
    at: Instant,
    came: watch::Receiver<Came>,
}

impl WriteTrial {
    /// Tries a write, or waits for the one that somebody else has begun within this second.
    ///
    /// # Errors
    /// 529 with what is wrong: nothing can be written, or not in time.
    pub(crate) async fn tried(&self, store: &Store, tasks: &TaskTracker) -> Result<(), ApiProblem> {
        let mut came = self.begun(store, tasks);
        let came = came.wait_for(Option::is_some).await.map(|came| came.clone());
        came.ok().flatten().unwrap_or_else(|| Err(unready("the server stopped trying a write")))
    }

    fn begun(&self, store: &Store, tasks: &TaskTracker) -> watch::Receiver<Came> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tried) = &*last
            && (tried.at.elapsed() < STANDS || tried.came.borrow().is_none())
            && (tried.came.borrow().is_some() || tried.came.has_changed().is_ok())
        {
            return tried.came.clone();
        }
        let (told, came) = watch::channel(None);
        *last = Some(Tried { at: Instant::now(), came: came.clone() });
        let store = store.clone();
        // Whoever asked first may go away; those who wait for its write have not.
        tasks.spawn(async move {
            let takes = async {
                store.probe().await?;
                store.admits()
            };
            let wrote = match timeout(WRITE, takes).await {
                Ok(wrote) => wrote.map_err(|fault| failed(&fault)),
                Err(_) => Err(unready("the store has not written for some seconds; look at its disk")),
            };
            told.send_replace(Some(wrote));
        });
        came
    }
}

fn failed(fault: &StoreFault) -> ApiProblem {
    let message = match fault {
        StoreFault::Full { .. } => "the disk is full: nothing can be written; free some room on it",
        StoreFault::Short { .. } => {
            "the disk is nearly full: what is left is for what was begun and for deletes; free some room on it"
        }
        StoreFault::Gone { .. } => {
            "the data directory was removed or moved away while the server runs: put it back, or stop the server"
        }
        StoreFault::Closed => "the store has stopped; restart the server, its log says why it did",
        StoreFault::Panicked => "a write failed in the store; the server's log says where",
        StoreFault::Open { .. }
        | StoreFault::Newer { .. }
        | StoreFault::Disk(_)
        | StoreFault::Damaged(_)
        | StoreFault::Corrupt(_)
        | StoreFault::Misuse(_) => "nothing can be written to the database; the server's log says why",
    };
    let often =
        matches!(fault, StoreFault::Full { .. } | StoreFault::Short { .. }).then_some(FrequentReason::Full);
    ApiProblem { inner: Some(fault.to_string()), often, ..unready(message) }
}

fn unready(message: &str) -> ApiProblem {
    ApiProblem::new(ErrorKind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use store::MemoryStoreFaults;

    fn asked(store: &Store) -> (WriteTrial, TaskTracker, impl Fn(&WriteTrial, &TaskTracker) -> Asking) {
        let store = store.clone();
        let ask = move |ready: &WriteTrial, tasks: &TaskTracker| {
            let (store, ready, tasks) = (store.clone(), ready.clone(), tasks.clone());
            Box::pin(async move { ready.tried(&store, &tasks).await }) as Asking
        };
        (WriteTrial::default(), TaskTracker::new(), ask)
    }

    type Asking = std::pin::Pin<Box<dyn Future<Output = Result<(), ApiProblem>> + Send>>;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_within_a_second_share_one_write() {
        let faults = MemoryStoreFaults::default();
        let store = Store::memory_with(faults.clone());
        let (ready, tasks, ask) = asked(&store);
        faults.stall();
        let many = join_all((0..50).map(|_| ask(&ready, &tasks)));
        let (many, ()) = tokio::join!(many, async {
            tokio::time::sleep(STANDS * 2).await;
            assert_eq!(faults.waiting(), 1, "whoever comes while a write is under way waits for it");
            faults.sync();
        });
        assert!(many.iter().all(Result::is_ok));
        faults.fail_next(1);
        let told = join_all((0..50).map(|_| ask(&ready, &tasks))).await;
        assert!(told.iter().all(Result::is_err), "one write failed, and all were told");
        tokio::time::sleep(STANDS / 2).await;
        assert!(ask(&ready, &tasks).await.is_err(), "it stands for a second");
        tokio::time::sleep(STANDS / 2).await;
        assert_eq!(ask(&ready, &tasks).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_is_said() {
        let faults = MemoryStoreFaults::default();
        let store = Store::memory_with(faults.clone());
        let (ready, tasks, ask) = asked(&store);
        faults.fill_disk(true);
        let told = ask(&ready, &tasks).await.unwrap_err();
        assert_eq!(told.status.as_u16(), 529);
        assert_eq!(told.message, "the disk is full: nothing can be written; free some room on it");
        faults.fill_disk(false);
        faults.shorten_disk(true);
        tokio::time::sleep(STANDS).await;
        let told = ask(&ready, &tasks).await.unwrap_err();
        assert_eq!(
            (told.status.as_u16(), told.message.starts_with("the disk is nearly full: ")),
            (529, true)
        );
        faults.shorten_disk(false);
        faults.stall();
        tokio::time::sleep(STANDS).await;
        let told = ask(&ready, &tasks).await.unwrap_err();
        assert_eq!(
            (told.status.as_u16(), told.message.as_str()),
            (529, "the store has not written for some seconds; look at its disk")
        );
        faults.sync();
        tokio::time::sleep(STANDS).await;
        assert_eq!(ask(&ready, &tasks).await, Ok(()), "it heals by itself");
    }
}
