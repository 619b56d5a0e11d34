//! A Unix that has no jails: commands run as the server's own user, in process groups, and that is all.
//!
//! Nothing here is told of a process that leaves its group, nor ends the commands of an inner process that
//! was itself killed: docs/divergences.md says so.

#![expect(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "on Linux these can fail and have something"
)]

use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::clock::Deadline;
use crate::errand::FolderTask;
use crate::fault::{JailFault, StartStep};
use crate::plan::{HostHolds, Isolation, JailLimits, JailPlan};
use crate::report::{HostCheck, HostReport, bash, missing};
use crate::unconfined;
use crate::user_source::{UserSource, WantedUsers};
use crate::users::{JailUsers, UserLease};
use crate::word::{HostFindings, StartPlan};

/// Where a process finds its open files by number.
pub(crate) const DESCRIPTORS: &str = "/dev/fd";
/// Open files that one process may ask for: macOS refuses more (its OPEN_MAX).
const FILES_MAX: u64 = 10_240;

/// The path of this very program.
///
/// # Errors
/// It has none any more.
pub fn program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// What this host can give a jail: nothing.
pub fn probe(_users: &JailUsers, _readonly: &[PathBuf]) -> HostReport {
    let fault = none();
    HostReport { checks: vec![missing("jail", &fault.cause, &fault.fix()), bash()] }
}

/// Nothing is bounded but by process.
pub fn holds(limits: &JailLimits) -> HostHolds {
    HostHolds { files: limits.files.min(FILES_MAX), memory_whole: false }
}

/// What sessions keep on the disk is bounded by the server's looks alone.
pub fn probe_disk(_data: &Path) -> HostCheck {
    HostCheck { needed: false, ..missing("disk quota", "this system has none for folders", "") }
}

fn none() -> JailFault {
    JailFault::new(StartStep::System, "this system has no jail: it is made of Linux namespaces")
}

/// Whether commands can be run like this here.
pub(crate) fn may(isolation: Isolation) -> Result<(), JailFault> {
    match isolation {
        Isolation::Local => Err(none()),
        Isolation::Off => Ok(()),
    }
}

/// Nothing holds the processes of a jail together here.
#[derive(Debug)]
pub(crate) struct JailCgroup(Infallible);

impl JailCgroup {
    pub(crate) fn hold(_pid: u32, _limits: &JailLimits) -> Option<Self> {
        None
    }

    pub(crate) fn end(self) {
        match self.0 {}
    }
}

/// Memory of the machine in bytes; never told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineMemory {
    pub total_bytes: u64,
    pub available_bytes: u64,
}

/// This system is not asked.
pub fn memory() -> Option<MachineMemory> {
    None
}

/// Would tell what a jail holds.
#[derive(Debug, Clone)]
pub struct JailGauge;

impl JailGauge {
    pub(crate) fn new(_outer: u32, _cgroup: Option<&JailCgroup>) -> Self {
        Self
    }

    /// Not known here.
    pub fn memory_bytes(&self) -> u64 {
        0
    }

    /// None that anybody counts.
    pub fn kills(&self) -> MemoryKills {
        MemoryKills
    }
}

/// Processes that the kernel has ended for lack of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryKills;

/// There is nothing to make ready.
///
/// # Errors
/// None.
pub fn prepare(_reserve_bytes: u64) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// Nothing ends processes for want of memory in an order that could be set.
pub(crate) fn to_be_ended_first(_outer: u32) {}

/// Sessions have no weight here.
pub(crate) fn give_way() {}

/// Nor need they hurry.
pub(crate) fn hurry() {}

/// No file system here has quotas of folders.
pub(crate) fn bound(_folder: &Path, _limits: &JailLimits) {}

/// Nobody but the server's own user: without a jail commands run as that.
pub(crate) fn source(_program: &Path, _wanted: WantedUsers) -> UserSource {
    UserSource::Own("this system has no jail".to_owned())
}

/// Nobody else than the server's user owns files here.
pub(crate) fn owner(_folder: &OwnedFd) -> Option<u32> {
    None
}

/// They are the server's already.
pub(crate) fn give(_folder: &OwnedFd, _lease: &UserLease) -> Result<(), JailFault> {
    Ok(())
}

/// There is nobody who may do more.
pub(crate) fn erase(_folder: &OwnedFd, _users: &JailUsers, refused: io::Error) -> io::Result<()> {
    Err(refused)
}

/// Nobody is mapped.
pub(crate) fn map_jail(_pid: u32, _lease: &UserLease) -> Result<(), JailFault> {
    Err(none())
}

/// There are no errands.
pub(crate) fn keep(_socket: &UnixStream, _errand: &FolderTask) -> Result<ExitCode, JailFault> {
    Err(none())
}

/// Where the outer process begins.
pub(crate) fn place(_folder: &OwnedFd, plan: &JailPlan) -> PathBuf {
    plan.folder.clone()
}

/// The standard output of the outer process. Nobody else has it, so that it closes with that process.
pub(crate) fn said(_lease: &UserLease) -> Stdio {
    Stdio::piped()
}

/// Nothing here goes on by itself once it was stopped.
pub(crate) fn be_woken() -> io::Result<()> {
    Ok(())
}

/// What the server is to its jails is not looked for here.
pub(crate) fn server() -> String {
    String::new()
}

/// Nothing tells whose a process was.
pub(crate) fn end_left_over() {}

/// There is nothing to look for.
pub fn sweep() {}

/// Nobody's users are taken here.
pub fn taken_by_others(_first: u32, _count: u32) -> Option<KnownUsers> {
    None
}

/// Users that others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUsers {
    pub whose: String,
    pub free: u32,
}

/// The right to be a user, of which there is but one here.
#[derive(Debug)]
pub(crate) struct UserClaim;

impl UserClaim {
    pub(crate) fn open() -> Self {
        Self
    }

    pub(crate) fn lay(&self, _user: u32) -> bool {
        true
    }
}

/// Returns when the outer process has ended, or at the deadline.
pub(crate) fn wait(child: &mut Child, deadline: Deadline) {
    let Some(said) = &child.stdout else { return };
    while deadline.left().is_some() {
        let mut fds = [PollFd::new(said, PollFlags::IN)];
        if poll(&mut fds, Some(&deadline.timespec())).is_ok() {
            return;
        }
    }
}

/// Nothing but its standard error, which nobody else has, tells the end of the inner process.
pub(crate) fn end_of(_child: &Child) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

/// The outer process needs nothing.
pub(crate) fn hold(start: &StartPlan, _socket: &UnixStream) -> Result<(), JailFault> {
    may(start.plan.isolation)
}

/// What the inner process started it has ended itself; its groups are not known here.
pub(crate) fn bury(_isolation: Isolation) {}

/// Nothing ties the inner process to the outer one; its socket closes when the server ends it.
pub(crate) fn belong() -> Result<(), JailFault> {
    Ok(())
}

/// Sets limits, as far as this system has them.
pub(crate) fn confine(start: &StartPlan) -> Result<HostFindings, JailFault> {
    let plan = &start.plan;
    may(plan.isolation)?;
    let limits = JailLimits { files: plan.limits.files.min(FILES_MAX), ..plan.limits.clone() };
    unconfined::confine(&JailPlan { limits, ..plan.clone() })
}

/// There is nothing to seal.
pub(crate) fn seal(_isolation: Isolation) -> Result<(), JailFault> {
    Ok(())
}

/// Opens a directory of this one, and no link to one; `name` is one part of a path.
pub(crate) fn open_below(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// False when it is a directory. Looked at first: some systems let root unlink one.
pub(crate) fn unlink(parent: &OwnedFd, name: &CStr) -> io::Result<bool> {
    let removed = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).and_then(|found| {
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Ok(false);
        }
        rustix::fs::unlinkat(parent, name, AtFlags::empty()).map(|()| true)
    });
    match removed {
        Ok(removed) => Ok(removed),
        Err(Errno::NOENT) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory, and lets its owner do everything with it first.
pub(crate) fn open_whatever_its_mode(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    // A link that is put in its place meanwhile is followed, by the user who put it there.
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    Ok(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?)
}
