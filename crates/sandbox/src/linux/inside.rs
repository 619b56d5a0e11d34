//! How the inner process shuts itself in.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process, set_child_subreaper, set_parent_process_death_signal};

use super::{counted, loopback, privileges, root};
use crate::fault::{AtStep, JailFault, StartStep};
use crate::plan::Isolation;
use crate::unconfined;
use crate::word::{HostFindings, StartPlan};

/// The inner process dies with the outer one, which has one thread, so that it is the process whose end this
/// follows.
pub(crate) fn belong() -> Result<(), JailFault> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(StartStep::Privileges)?;
    // It may have ended before: then nobody reads what we write to stderr.
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).at(StartStep::Privileges)?;
    if fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
        return Err(JailFault::new(StartStep::Privileges, "its outer process ended"));
    }
    Ok(())
}

/// Takes away what the plan says. Orphans come to this process from here on.
pub(crate) fn confine(start: &StartPlan) -> Result<HostFindings, JailFault> {
    let plan = &start.plan;
    set_child_subreaper(Some(getpid())).at(StartStep::Privileges)?;
    match plan.isolation {
        Isolation::Local => {
            calm();
            privileges::leave_namespaces()?;
            let loopback = loopback::up().is_ok();
            let shares = counted::JailShares::of(&plan.limits, start.neighbours);
            let (shared, proc) = root::build(plan, &shares)?;
            privileges::become_nobody_special(&proc)?;
            privileges::limit(&plan.limits)?;
            shares.limit()?;
            privileges::drop_all()?;
            Ok(HostFindings { loopback, shared })
        }
        Isolation::Off => unconfined::confine(plan),
    }
}

/// Lets go of the handlers with which the standard library looks for an overflow of the stack. A signal
/// that is not one makes them do so; it is sent here, before an agent's program can send it.
///
/// What has no handler, the kernel does not deliver to pid 1 from inside. What has one interrupts it, and
/// many at once overflow the small stack that these two run on, which would be its end.
fn calm() {
    for signal in [Signal::SEGV, Signal::BUS] {
        // To itself it may.
        kill_process(getpid(), signal).ok();
    }
}

/// The last step.
pub(crate) fn seal(isolation: Isolation) -> Result<(), JailFault> {
    // Once more: some changes of a process's privileges make the kernel forget it.
    belong()?;
    match isolation {
        Isolation::Local => privileges::seal(),
        Isolation::Off => Ok(()),
    }
}
