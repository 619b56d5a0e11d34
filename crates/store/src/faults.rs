//! Faults to order: what the memory driver's disk does wrong next, for storms.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::fault::{BatchError, StoreFault};

/// Says what goes wrong with the next commits of a memory store. Clones steer the same store. Orders
/// are followed in this sequence: stall, fail, conflict, lose.
#[derive(Debug, Clone, Default)]
pub struct MemoryStoreFaults(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    fail: u32,
    conflict: u32,
    lose: u32,
    stalled: bool,
    damaged: BTreeSet<[u8; 32]>,
    full: bool,
    short: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What becomes of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFate {
    Kept,
    KeptUnanswered,
}

impl MemoryStoreFaults {
    /// The next `commits` commits write nothing and answer a fault.
    pub fn fail_next(&self, commits: u32) {
        self.orders().fail = commits;
    }

    /// The next `commits` commits write nothing and answer a conflict of their first write, as if
    /// another node had been first.
    pub fn conflict_next(&self, commits: u32) {
        self.orders().conflict = commits;
    }

    /// The next `commits` commits that meet their expectations are kept and yet answer a fault, as if
    /// the power had failed between the two.
    pub fn lose_answers(&self, commits: u32) {
        self.orders().lose = commits;
    }

    /// From now on commits wait, unwritten, until `sync` or `crash`.
    pub fn stall(&self) {
        self.orders().stalled = true;
    }

    /// The blob of this name is found damaged from now on, until it is put again.
    pub fn damage_blob(&self, name: [u8; 32]) {
        self.orders().damaged.insert(name);
    }

    /// Whether the disk is full: then commits write nothing and say so.
    pub fn fill_disk(&self, full: bool) {
        self.orders().full = full;
    }

    /// Whether the disk has little room left: then nothing new is admitted.
    pub fn shorten_disk(&self, short: bool) {
        self.orders().short = short;
    }

    /// How many commits wait.
    pub fn waiting(&self) -> usize {
        self.orders().waiting.iter().filter(|waiting| !waiting.is_closed()).count()
    }

    /// Lets the waiting commits go on, in their order, and stalls no more.
    pub fn sync(&self) {
        let mut orders = self.orders();
        orders.stalled = false;
        for waiting in orders.waiting.drain(..) {
            // Who stopped waiting is not written.
            waiting.send(()).unwrap_or_default();
        }
    }

    /// The power fails: waiting commits are lost and answer `StoreFault::Closed`; what was answered before
    /// stays. The store goes on as after a restart.
    pub fn crash(&self) {
        let mut orders = self.orders();
        orders.stalled = false;
        orders.waiting.clear();
    }

    /// Waits while stalled, then says what becomes of the next commit.
    pub(crate) async fn next(&self) -> Result<CommitFate, BatchError> {
        let waiting = {
            let mut orders = self.orders();
            orders.stalled.then(|| {
                let (go, waiting) = oneshot::channel();
                orders.waiting.push(go);
                waiting
            })
        };
        if let Some(waiting) = waiting {
            waiting.await.map_err(|_| StoreFault::Closed)?;
        }
        let mut orders = self.orders();
        if orders.full {
            return Err(StoreFault::Full { folder: PathBuf::from("memory") }.into());
        }
        if take(&mut orders.fail) {
            return Err(StoreFault::Disk("a failure to order".to_owned()).into());
        }
        if take(&mut orders.conflict) {
            return Err(BatchError::Conflict { write: 0 });
        }
        Ok(if take(&mut orders.lose) { CommitFate::KeptUnanswered } else { CommitFate::Kept })
    }

    pub(crate) fn admit(&self) -> Result<(), StoreFault> {
        if self.orders().short { Err(StoreFault::Short { folder: PathBuf::from("memory") }) } else { Ok(()) }
    }

    pub(crate) fn read(&self, name: &[u8; 32]) -> Result<(), StoreFault> {
        if self.orders().damaged.contains(name) {
            return Err(StoreFault::Corrupt("a blob that is damaged to order"));
        }
        Ok(())
    }

    pub(crate) fn put(&self, name: &[u8; 32]) {
        self.orders().damaged.remove(name);
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(count: &mut u32) -> bool {
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}
