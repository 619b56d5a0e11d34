//! Takes the status of every child that ends, and tells those who wait for one.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use super::{ambient::locked, host::Wake};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// A process that we started.
#[derive(Debug)]
pub(super) struct Life {
    ended: Mutex<Option<Ended>>,
    wake: Arc<Wake>,
}

impl Life {
    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        *locked(&self.ended)
    }
}

/// The one who waits for children. Nobody else may.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    known: Mutex<BTreeMap<i32, Arc<Life>>>,
    some: Condvar,
}

impl Reaper {
    /// Starts a process and rings `wake` when it ends.
    ///
    /// # Errors
    /// As `Command::spawn`.
    pub(super) fn spawn(&self, command: &mut Command, wake: Arc<Wake>) -> io::Result<(Pid, Arc<Life>)> {
        // Held from before the start, so that its end cannot be taken before it is known, and so that the
        // standard library can take the status of a child that could not exec.
        let mut known = locked(&self.known);
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let life = Arc::new(Life { ended: Mutex::new(None), wake });
        known.insert(pid.as_raw_nonzero().get(), Arc::clone(&life));
        self.some.notify_all();
        Ok((pid, life))
    }

    /// Takes the status of whatever ends, for ever.
    pub(super) fn run(&self) {
        loop {
            let peeked = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            if !matches!(peeked, Err(Errno::CHILD)) {
                self.take();
                continue;
            }
            // Without a child there is no orphan either: only a start can change that.
            let mut known = locked(&self.known);
            while known.is_empty() {
                known = self.some.wait(known).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Takes the status of whatever has ended by now.
    pub(super) fn take(&self) {
        let mut known = locked(&self.known);
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(life) = known.remove(&pid.as_raw_nonzero().get()) else { continue };
            *locked(&life.ended) = Some(ended(status));
            life.wake.ring();
        }
    }
}

fn ended(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (_, Some(signal)) => Ended::Signal(signal),
        (status, None) => Ended::Exit(status.unwrap_or_default()),
    }
}
