//! Starting a jail from the server, and ending it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::clock::Deadline;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::host::{self, JailCgroup, JailGauge};
use crate::plan::{Isolation, JailLayout, JailPlan};
use crate::session_folder;
use crate::users::{JailUsers, UserKind, UserLease};
use crate::word::{HostFindings, StartOrder, StartPlan, StartReport};

/// How long a start may take, with the wait for an earlier jail's lock.
const START: Duration = Duration::from_secs(10);

/// How long a jail has to end by itself. Its outer process kills the inner one after half of it.
const END: Duration = Duration::from_secs(2);

/// Spawns `program jail <order>` and waits until it is ready: blocks for at most 10 s.
///
/// `program` is an absolute path, normally [`crate::program`]. The jail has one of `users` as long as it
/// lives, and the files of its folder become that user's; with `Isolation::Off` it runs as the server's
/// own.
///
/// # Errors
/// The step that failed; nothing of the jail is left then.
pub fn start(program: &Path, plan: &JailPlan, users: &JailUsers) -> Result<Jail, JailFault> {
    begin(program, plan, users).map(|(jail, _)| jail)
}

/// The same, and what the jail found out.
pub(crate) fn begin(
    program: &Path,
    plan: &JailPlan,
    users: &JailUsers,
) -> Result<(Jail, HostFindings), JailFault> {
    if !program.is_absolute() || !plan.folder.is_absolute() {
        return Err(JailFault::new(StartStep::Plan, "the program and the folder must be absolute paths"));
    }
    host::may(plan.isolation)?;
    let folder = session_folder::open(&plan.folder).at(StartStep::Folder)?;
    session_folder::release(&folder);
    let lease = users.lease(plan.isolation, &plan.folder, &folder)?;
    host::give(&folder, &lease)?;
    host::bound(&plan.folder, &plan.limits);
    let mapped = lease.kind == UserKind::Sub;
    let (neighbours, server) = (users.neighbours(), host::server());
    let order = StartOrder::Outer(StartPlan { plan: plan.clone(), mapped, neighbours, server });
    let (mut command, ours) = order.call(program)?;
    command.envs(environment(plan)).current_dir(host::place(&folder, plan)).stdout(host::said(&lease));
    if lease.kind == UserKind::Root {
        command.uid(lease.user).gid(lease.group);
    }
    let child = command.spawn().at(StartStep::Spawn)?;
    // The command still holds the other end of the socket.
    drop(command);
    host::to_be_ended_first(child.id());
    let cgroup = JailCgroup::hold(child.id(), &plan.limits);
    let mut jail = Jail { child: Some(child), socket: ours, cgroup, lease };
    let found = jail.wait_until_ready()?;
    Ok((jail, found))
}

/// All that programs inside see of an environment: nothing of the server's but, with `Off`, its PATH.
fn environment(plan: &JailPlan) -> [(&'static str, OsString); 6] {
    let layout = JailLayout::new(plan.isolation, &plan.folder);
    let system = "/usr/local/bin:/usr/bin:/bin";
    let path = match plan.isolation {
        Isolation::Local => system.into(),
        Isolation::Off => host_path().unwrap_or_else(|| system.into()),
    };
    [
        ("PATH", path),
        ("HOME", layout.home.into()),
        ("LANG", "C.UTF-8".into()),
        ("USER", "agent".into()),
        ("TERM", "dumb".into()),
        ("TMPDIR", layout.tmp.into()),
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "not a setting: without isolation programs are found where the user finds them"
)]
fn host_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// A running jail. Dropping it ends it, as [`Jail::end`] does.
#[derive(Debug)]
pub struct Jail {
    /// `None` once it is reaped.
    child: Option<Child>,
    socket: UnixStream,
    cgroup: Option<JailCgroup>,
    /// Its user, which is another's when this is dropped, after the end of all its processes.
    lease: UserLease,
}

impl Jail {
    /// The server's end of the socket that the inner process serves.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn socket(&self) -> io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// The outer process, as the host sees it. When it has ended, all of the jail has.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What tells how much memory it holds, also while this is elsewhere.
    pub fn gauge(&self) -> JailGauge {
        JailGauge::new(self.pid(), self.cgroup.as_ref())
    }

    /// Closes the socket (also for its clones) and blocks until nothing of the jail lives: about 2 s at
    /// most, whatever runs inside.
    pub fn end(mut self) {
        self.finish();
    }

    fn wait_until_ready(&mut self) -> Result<HostFindings, JailFault> {
        let deadline = Deadline::after(START);
        // It waits for this byte, so that nothing is started before the cgroup holds it.
        // If it has ended already, the answer says so.
        (&self.socket).write_all(b"\n").ok();
        let mut waits = false;
        loop {
            match StartReport::receive(&self.socket, deadline) {
                Ok(Some(StartReport::Waiting)) => waits = true,
                Ok(Some(StartReport::Ready(found))) => return Ok(found),
                Ok(Some(StartReport::Unshared)) => {
                    host::map_jail(self.pid(), &self.lease)?;
                    (&self.socket).write_all(b"\n").ok();
                }
                Ok(Some(StartReport::Failed(fault))) => return Err(fault),
                Ok(Some(StartReport::Done) | None) => {
                    return Err(JailFault::new(StartStep::Ready, "its process ended first"));
                }
                Err(error) if waits => return Err(error).at(StartStep::Lock),
                Err(error) => return Err(error).at(StartStep::Ready),
            }
        }
    }

    fn finish(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Whatever of this fails, the kill and the wait below do not.
        self.socket.shutdown(Shutdown::Both).ok();
        host::wait(&mut child, Deadline::after(END));
        // No-op on a process that ended: it is not reaped yet, so its number cannot be another's.
        child.kill().ok();
        child.wait().ok();
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.end();
        }
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.finish();
    }
}
