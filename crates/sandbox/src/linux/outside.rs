//! What the server and the outer process ask of Linux: starting a process, and seeing it and its like gone.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal, wait as reap,
};

use nix::sched::CloneFlags;

use super::{cgroup, counted, keeper, leftover, privileges};
use crate::clock::Deadline;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::plan::{HostHolds, Isolation, JailLimits, JailPlan};
use crate::users::UserLease;
use crate::word::StartPlan;

/// The path of this very program: also where its own leads through a private home, or was replaced since.
///
/// # Errors
/// None here; on another system, that the program has no path.
pub fn program() -> io::Result<PathBuf> {
    Ok(PathBuf::from("/proc/self/exe"))
}

/// Makes this machine ready for jails, once, at the server's start and before the first of them: finds where
/// their cgroups can be, and has the server go before them where it may. `reserve_bytes` of the memory are
/// for everybody but jails. Says where the cgroups are.
///
/// # Errors
/// There is a place for cgroups, but it cannot be used.
pub fn prepare(reserve_bytes: u64) -> io::Result<Option<&'static str>> {
    // Both take root; without it the server stays as everybody is.
    fs::write("/proc/self/oom_score_adj", "-900").ok();
    fs::write("/proc/self/autogroup", "-10").ok();
    sweep();
    cgroup::divide(reserve_bytes)
}

/// How many open files a process of a jail will have here, and whose memory is bounded. To be asked after
/// [`prepare`], and after the server has raised its own limit on open files.
pub fn holds(limits: &JailLimits) -> HostHolds {
    HostHolds { files: counted::files(limits), memory_whole: cgroup::is_ours() }
}

/// Ends and removes what jails of servers that were killed left on this machine: processes and cgroups. To be
/// called now and then, since the kernel may not let go of them at once; blocks for some seconds at most.
pub fn sweep() {
    leftover::end_left_over();
    cgroup::sweep();
}

/// Better a jail than the server, when memory is short. Set from outside, where a server that is root also
/// raises the least that can be set again.
pub(crate) fn to_be_ended_first(outer: u32) {
    // The inner process sets it too, and fails if it cannot.
    fs::write(format!("/proc/{outer}/oom_score_adj"), "1000").ok();
}

/// The jail's session comes behind the server's for CPU, where the kernel weighs whole sessions; elsewhere it
/// is what the commands themselves have that counts. Inside nobody can set this, because /proc is read-only
/// there.
pub(crate) fn give_way() {
    fs::write("/proc/self/autogroup", "5").ok();
}

/// It does so no more, so that its end does not wait behind others.
pub(crate) fn hurry() {
    fs::write("/proc/self/autogroup", "0").ok();
}

/// Whether commands can be run like this here.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere than on Linux there is no jail")]
pub(crate) fn may(isolation: Isolation) -> Result<(), JailFault> {
    match isolation {
        Isolation::Local | Isolation::Off => Ok(()),
    }
}

/// Where a jail's outer process begins. Entered through the open directory: its user may not be allowed to
/// walk there.
pub(crate) fn place(folder: &OwnedFd, _plan: &JailPlan) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}

/// The standard output of the outer process, where nobody says anything: the claim on its user lies there, so
/// that it lasts as long as either process does.
pub(crate) fn said(lease: &UserLease) -> Stdio {
    lease.claim.as_ref().and_then(|claim| claim.hand_on()).map_or_else(Stdio::null, Stdio::from)
}

/// Were this process stopped, it goes on when its server ends, and sees that. Not ended at once: nobody else
/// would see the end of all that is inside. It is the end of the *thread* that started it which is told, and
/// that may come early: then nothing happens.
pub(crate) fn be_woken() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::CONT))?)
}

/// Returns when the outer process has ended, or at the deadline.
pub(crate) fn wait(child: &mut Child, deadline: Deadline) {
    let Ok(Some(ended)) = end_of(child) else { return };
    while deadline.left().is_some() {
        let mut fds = [PollFd::new(&ended, PollFlags::IN)];
        if poll(&mut fds, Some(&deadline.timespec())).is_ok() {
            return;
        }
    }
}

/// What can be read from once this process has ended.
pub(crate) fn end_of(child: &Child) -> io::Result<Option<OwnedFd>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some(pidfd_open(pid, PidfdFlags::empty())?))
}

/// Makes the outer process the one whose end, or whose burying, is the end of all below it.
pub(crate) fn hold(start: &StartPlan, socket: &UnixStream) -> Result<(), JailFault> {
    match start.plan.isolation {
        Isolation::Local if start.mapped => keeper::become_root(socket, CloneFlags::CLONE_NEWPID),
        Isolation::Local => privileges::leave_user_and_pid_namespaces(),
        Isolation::Off => set_child_subreaper(Some(getpid())).at(StartStep::Spawn),
    }
}

/// Without a pid namespace: kills everything below this process. Orphans become its children, so that in
/// the end none is missed.
pub(crate) fn bury(isolation: Isolation) {
    match isolation {
        Isolation::Local => return,
        Isolation::Off => {}
    }
    loop {
        for child in children() {
            // It may have ended meanwhile, unreaped, so that its number is still its own.
            kill_process(child, Signal::KILL).ok();
        }
        match reap(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().to_string();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // "pid (name) state ppid …", and the name may hold anything.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(own.as_str())
    })
    .filter_map(Pid::from_raw)
    .collect()
}
