//! The process groups of shells, by the means that every Unix has.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How long what was sent SIGKILL may take to go; a process in the middle of a disk's failure can take
/// longer.
pub(super) const GOING: Duration = Duration::from_secs(2);

/// Whose processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessOwner<'a> {
    /// Of the shells that have, or had, these pids: their process groups and, where that can be told,
    /// whatever descends from either.
    Shells(&'a [Pid]),
    /// All that were ever started here.
    All,
}

/// SIGINT to the group of a shell.
pub(super) fn interrupt(shell: Pid) {
    // It may be gone.
    kill_process_group(shell, Signal::INT).ok();
}

/// Whether anything is left of the group of a shell.
pub(super) fn lives(shell: Pid) -> bool {
    test_kill_process_group(shell).is_ok()
}
