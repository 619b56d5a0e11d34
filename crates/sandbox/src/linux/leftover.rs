//! What a server that was killed left: how it is known, and how it ends.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::descent::{below, parents};
use crate::clock::Deadline;
use crate::word::{StartOrder, StartPlan};

/// How long the kernel may take to let go of what was killed.
pub(super) const GOING: Duration = Duration::from_secs(2);
/// How often it is looked for what was forked meanwhile.
const ROUNDS: usize = 16;

/// A name for this process that no other ever has on this machine: its number and start, and the namespace in
/// which it has that number.
pub(crate) fn server() -> String {
    let pid = std::process::id();
    let space = space().unwrap_or_default();
    format!("{pid}-{}-{space}", started(pid).unwrap_or_default())
}

/// Whether the process of this name is gone. Of names that are no such, and of processes of another
/// namespace, nothing is known. An earlier version said no namespace.
pub(super) fn is_gone(server: &str) -> bool {
    let mut words = server.split('-').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(start))) = (words.next(), words.next()) else { return false };
    let here = match words.next() {
        Some(there) => there.ok() == space(),
        None => true,
    };
    let Ok(pid) = u32::try_from(pid) else { return false };
    here && words.next().is_none() && started(pid) != Some(start)
}

/// When a process was started, in ticks after boot.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// The number of this process's pid namespace.
fn space() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino())
}

/// Kills jails whose server is gone, and waits until nothing of them lives, as long as the kernel may take.
/// They end by themselves; this is for those that somebody holds up.
pub(crate) fn end_left_over() {
    let parents = parents();
    let mut ends = Vec::new();
    for outer in parents.keys().copied().filter(|pid| is_left_over(*pid)) {
        let all: Vec<OwnedFd> = below(outer, &parents).into_iter().filter_map(end_of).collect();
        let Some(end) = end_of(outer) else { continue };
        // Its number could have been another's meanwhile. All below it ends with it.
        if is_left_over(outer) && pidfd_send_signal(&end, Signal::KILL).is_ok() {
            ends.extend(all);
        }
    }
    wait(&ends, Deadline::after(GOING));
}

/// Whether this is the outer process of a jail whose server is gone.
fn is_left_over(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).skip(1);
    if words.next() != Some(b"jail") {
        return false;
    }
    match words.next().map(serde_json::from_slice::<StartOrder>) {
        Some(Ok(StartOrder::Outer(StartPlan { server, .. }))) => is_gone(&server),
        Some(Ok(StartOrder::Inner(_) | StartOrder::Keeper(_)) | Err(_)) | None => false,
    }
}

fn end_of(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()
}

/// Kills those that `listed` names, again as long as new ones appear, until it names none or the time is
/// over.
pub(super) fn end_all(listed: impl Fn() -> BTreeSet<u32>, deadline: Deadline) {
    for _ in 0..ROUNDS {
        let found = listed();
        let ends: Vec<(u32, OwnedFd)> =
            found.into_iter().filter_map(|pid| end_of(pid).map(|end| (pid, end))).collect();
        // Looked at again, so that no number is meant that is another's by now.
        let still = listed();
        let killed =
            |(pid, end): &(u32, OwnedFd)| still.contains(pid) && pidfd_send_signal(end, Signal::KILL).is_ok();
        let ends: Vec<OwnedFd> = ends.into_iter().filter(killed).map(|(_, end)| end).collect();
        if ends.is_empty() || deadline.left().is_none() {
            return;
        }
        wait(&ends, deadline);
    }
}

fn wait(ends: &[OwnedFd], deadline: Deadline) {
    for end in ends {
        let mut fds = [PollFd::new(end, PollFlags::IN)];
        while deadline.left().is_some() && poll(&mut fds, Some(&deadline.timespec())) != Ok(1) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_server_is_known_by_its_pid_its_start_and_their_namespace() {
        let own = server();
        let mut words = own.split('-').map(|word| word.parse::<u64>().unwrap());
        let (pid, start, space) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        assert!(!is_gone(&own) && !is_gone(&format!("{pid}-{start}")));
        assert!(is_gone(&format!("{pid}-{}-{space}", start + 1)) && is_gone(&format!("{pid}-{}", start + 1)));
        // It may live where we cannot see it.
        assert!(!is_gone(&format!("{pid}-{}-{}", start + 1, space + 1)));
        assert!(["", "1", "a-b", "1-2-3-4"].iter().all(|name| !is_gone(name)));
    }
}
