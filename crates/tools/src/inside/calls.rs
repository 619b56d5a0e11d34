//! The calls that are not answered yet, and the one way to answer them.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::{ambient::locked, answer::bad, frames};
use crate::wire::{FromJail, ToolOutcome};

/// A call that is not answered yet.
#[derive(Debug, Clone)]
pub(super) struct UnansweredCall {
    call: u64,
    cancelled: Arc<AtomicBool>,
}

impl UnansweredCall {
    /// Whether its answer is of no interest any more.
    pub(super) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct UnansweredCalls {
    open: Mutex<BTreeMap<u64, UnansweredCall>>,
    socket: Mutex<UnixStream>,
}

impl UnansweredCalls {
    /// None yet.
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { open: Mutex::default(), socket: Mutex::new(socket) }
    }

    /// One more.
    pub(super) fn open(&self, call: u64) -> UnansweredCall {
        let open = UnansweredCall { call, cancelled: Arc::default() };
        locked(&self.open).insert(call, open.clone());
        open
    }

    /// Marks one as cancelled; one that is answered is forgotten.
    pub(super) fn cancel(&self, call: u64) {
        if let Some(open) = locked(&self.open).get(&call) {
            open.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Answers one.
    pub(super) fn done(&self, open: &UnansweredCall, outcome: ToolOutcome) {
        locked(&self.open).remove(&open.call);
        let call = open.call;
        if !self.say(&FromJail::Done { call, outcome }) {
            // If it was too large this one goes through; if the server has gone, nothing does, and `serve`
            // ends.
            let outcome = bad("the answer was too large to be sent; ask for less at once");
            self.say(&FromJail::Done { call, outcome });
        }
    }

    /// Says it to the server; false if that failed.
    pub(super) fn say(&self, word: &FromJail) -> bool {
        frames::write(&mut *locked(&self.socket), word).is_ok()
    }
}
