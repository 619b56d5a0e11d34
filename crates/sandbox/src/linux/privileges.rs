//! Leaving namespaces, setting limits, dropping privileges: each step takes something away and none gives
//! it back.

use std::io;
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, getegid, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use super::filter;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::limits;
use crate::plan::JailLimits;

/// The user and group inside.
pub(crate) const AGENT: u32 = 1000;

/// After it this process is root of a user namespace of its own, and its next child is pid 1.
pub(crate) fn leave_user_and_pid_namespaces() -> Result<(), JailFault> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).at(StartStep::UserNamespace)?;
    let proc =
        rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(StartStep::Proc)?;
    map(&proc, 0, user, group).of(StartStep::UserNamespace, "its user map")
}

pub(crate) fn leave_namespaces() -> Result<(), JailFault> {
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(flags).at(StartStep::Namespaces)?;
    rustix::system::sethostname(b"sandbox").at(StartStep::Namespaces)
}

/// A second user namespace in which only the agent exists, so that not even the root of the first one, who
/// owns the mounts and the network, can be reached from inside.
pub(crate) fn become_nobody_special(proc: &OwnedFd) -> Result<(), JailFault> {
    unshare(CloneFlags::CLONE_NEWUSER).at(StartStep::InnerUser)?;
    map(proc, AGENT, 0, 0).of(StartStep::InnerUser, "its user map")?;
    // Better the jail than the server, when memory is short.
    write(proc, "oom_score_adj", "1000").of(StartStep::Privileges, "oom_score_adj")
}

fn map(proc: &OwnedFd, inside: u32, user: u32, group: u32) -> io::Result<()> {
    write(proc, "setgroups", "deny")?;
    write(proc, "uid_map", &format!("{inside} {user} 1"))?;
    write(proc, "gid_map", &format!("{inside} {group} 1"))
}

fn write(proc: &OwnedFd, name: &str, text: &str) -> io::Result<()> {
    let file = openat(proc, format!("self/{name}"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The kernel takes it whole or not at all.
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

/// The number of processes is counted per user namespace since Linux 5.14; before, all jails of one user
/// share it.
pub(crate) fn limit(plan: &JailLimits) -> Result<(), JailFault> {
    let own = [(Resource::Nproc, plan.processes), (Resource::Nice, 0), (Resource::Rtprio, 0)];
    limits::set(limits::harmless(plan).into_iter().chain(own))
}

/// Every capability, also those that a program could have got back.
pub(crate) fn drop_all() -> Result<(), JailFault> {
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // Beyond the kernel's last one.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error).of(StartStep::Privileges, "the bounding set"),
        }
    }
    clear_ambient_capability_set().of(StartStep::Privileges, "the ambient set")?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .of(StartStep::Privileges, "capabilities")
}

/// The last step: nothing of this process can be looked into, and no program gains by being executed.
pub(crate) fn seal() -> Result<(), JailFault> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(StartStep::Privileges)?;
    set_no_new_privs(true).at(StartStep::Privileges)?;
    filter::apply()
}
