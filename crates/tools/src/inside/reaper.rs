//! Takes the status of every child that ends, and tells those who wait for one.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, wait, waitid,
};

use super::{ambient::locked, host::WakeBell};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessEnd {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// A process that we started.
#[derive(Debug)]
pub(super) struct StartedProcess {
    ended: Mutex<Option<ProcessEnd>>,
    wake: Arc<WakeBell>,
}

impl StartedProcess {
    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<ProcessEnd> {
        *locked(&self.ended)
    }
}

/// A shell that was put aside, when it is asked for.
#[derive(Debug)]
pub(super) enum KeptShell {
    /// It runs on, as a process that we started.
    Taken(Arc<StartedProcess>),
    /// It has not stopped itself yet.
    Runs,
    /// It is no child of ours, or no more.
    Gone,
}

/// The one who waits for children. Nobody else may.
#[derive(Debug, Default)]
pub(super) struct ChildReaper {
    known: Mutex<BTreeMap<i32, Arc<StartedProcess>>>,
    some: Condvar,
}

impl ChildReaper {
    /// Starts a process and rings `wake` when it ends.
    ///
    /// # Errors
    /// As `Command::spawn`.
    pub(super) fn spawn(
        &self,
        command: &mut Command,
        wake: Arc<WakeBell>,
    ) -> io::Result<(Pid, Arc<StartedProcess>)> {
        // Held from before the start, so that its end cannot be taken before it is known, and so that the
        // standard library can take the status of a child that could not exec.
        let mut known = locked(&self.known);
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let life = Arc::new(StartedProcess { ended: Mutex::new(None), wake });
        known.insert(pid.as_raw_nonzero().get(), Arc::clone(&life));
        self.some.notify_all();
        Ok((pid, life))
    }

    /// Lets an orphan that has stopped itself go on, and rings `wake` when it ends.
    pub(super) fn adopt(&self, pid: Pid, wake: &Arc<WakeBell>) -> KeptShell {
        // Held, so that nobody takes its status meanwhile and its pid stays its own.
        let mut known = locked(&self.known);
        match look(pid) {
            Ok(None) => KeptShell::Runs,
            Ok(Some(true)) if kill_process(pid, Signal::CONT).is_ok() => {
                let life = Arc::new(StartedProcess { ended: Mutex::new(None), wake: Arc::clone(wake) });
                known.insert(pid.as_raw_nonzero().get(), Arc::clone(&life));
                KeptShell::Taken(life)
            }
            Ok(Some(_)) | Err(_) => KeptShell::Gone,
        }
    }

    /// Kills an orphan, if it is one of ours.
    pub(super) fn dismiss(&self, pid: Pid) {
        let _known = locked(&self.known);
        if look(pid).is_ok() {
            kill_process(pid, Signal::KILL).ok();
        }
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

/// Whether a child has stopped, or ended; an error if it is no child of ours.
fn look(pid: Pid) -> rustix::io::Result<Option<bool>> {
    let changes = WaitIdOptions::EXITED | WaitIdOptions::STOPPED;
    let status = waitid(WaitId::Pid(pid), changes | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)?;
    Ok(status.map(|status| status.stopped()))
}

fn ended(status: WaitStatus) -> ProcessEnd {
    match (status.exit_status(), status.terminating_signal()) {
        (_, Some(signal)) => ProcessEnd::Signal(signal),
        (status, None) => ProcessEnd::Exit(status.unwrap_or_default()),
    }
}
