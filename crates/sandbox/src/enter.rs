//! What `heddle jail` does first: becomes the outer process of a jail, or its inner one.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::signal::SigSet;
use rustix::fs::{Mode, OFlags};

use crate::fault::{AtStep, JailFault, StartStep};
use crate::host;
use crate::outer;
use crate::plan::{Isolation, JailLayout, JailLimits};
use crate::word::{StartOrder, StartPlan, StartReport};

/// What the tools serve, once they are inside.
#[derive(Debug)]
pub struct InsideJail {
    /// The other end is the server's. When it closes, the process must end, and with it the jail.
    pub socket: UnixStream,
    pub layout: JailLayout,
    pub limits: JailLimits,
    pub isolation: Isolation,
}

/// Called by `heddle jail <order>` before it has a second thread or an open file: whatever is open but 0, 1
/// and 2 is closed. Returns an `InsideJail` only in the inner process, which is pid 1 of the jail (with
/// `Off`: a plain process that orphans below it are given to). There the working directory is the workspace,
/// the environment is what programs inside may see, and file descriptors 0, 1 and 2 lead nowhere (2, with
/// `Off` too, to the outer process, which passes 64 KiB of it on to the server's).
///
/// # Errors
/// The exit code of a process that is done: the outer one at the end of the jail, or either after a fault,
/// which the server was told.
pub fn enter(order: &str) -> Result<InsideJail, ExitCode> {
    let Ok(order) = serde_json::from_str::<StartOrder>(order) else {
        return Err(ExitCode::from(2));
    };
    if close_all_but_stdio().is_err() {
        return Err(ExitCode::from(2));
    }
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return Err(ExitCode::from(2));
    };
    let told = |fault: JailFault| {
        // When the server is gone, nobody is left to tell.
        StartReport::Failed(fault).send(&socket).ok();
        ExitCode::FAILURE
    };
    match order {
        StartOrder::Keeper(errand) => Err(host::keep(&socket, &errand).unwrap_or_else(told)),
        StartOrder::Outer(start) => Err(outer::run(&socket, start).unwrap_or_else(told)),
        StartOrder::Inner(start) => {
            let ready = inner(&start).map_err(told)?;
            ready.send(&socket).map_err(|_| ExitCode::FAILURE)?;
            let plan = start.plan;
            let layout = JailLayout::new(plan.isolation, &plan.folder);
            Ok(InsideJail { socket, layout, limits: plan.limits, isolation: plan.isolation })
        }
    }
}

/// What the server, or whoever started it, left open without meaning to hand it on.
fn close_all_but_stdio() -> io::Result<()> {
    let entries = std::fs::read_dir(host::DESCRIPTORS)?.flatten();
    let open: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // One of them was the listing's own and is closed already.
        nix::unistd::close(fd).ok();
    }
    Ok(())
}

fn inner(start: &StartPlan) -> Result<StartReport, JailFault> {
    let plan = &start.plan;
    host::belong()?;
    // The outer process blocked some, and a child begins with what its parent blocks.
    SigSet::all().thread_unblock().at(StartStep::Privileges)?;
    let found = host::confine(start)?;
    let null =
        rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).at(StartStep::Mounts)?;
    rustix::stdio::dup2_stdin(&null).at(StartStep::Ready)?;
    rustix::stdio::dup2_stdout(&null).at(StartStep::Ready)?;
    let layout = JailLayout::new(plan.isolation, &plan.folder);
    std::env::set_current_dir(&layout.workspace).at(StartStep::Folder)?;
    host::seal(plan.isolation)?;
    Ok(StartReport::Ready(found))
}
