//! Starting a jail from the server, and ending it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::Deadline;
use crate::fault::{At, Fault, Step};
use crate::folder;
use crate::host::{self, Cgroup, Gauge, to_change_to};
use crate::plan::{Isolation, Layout, Plan};
use crate::word::{Order, Stage, Word};

/// How long a start may take, with the wait for an earlier jail's lock.
const START: Duration = Duration::from_secs(10);

/// How long a jail has to end by itself. Its outer process kills the inner one after half of it.
const END: Duration = Duration::from_secs(2);

/// Spawns `program jail <order>` and waits until it is ready: blocks for at most 10 s.
///
/// `program` is an absolute path, normally [`crate::program`]. `owner` is the user and group the jail runs as
/// when the server is root, and must not be root; otherwise, and with `Isolation::Off`, the jail runs as the
/// server's user.
///
/// # Errors
/// The step that failed; nothing of the jail is left then.
pub fn start(program: &Path, plan: &Plan, owner: Option<u32>) -> Result<Jail, Fault> {
    begin(program, plan, owner).map(|(jail, _)| jail)
}

/// The same, and whether the jail's loopback is up.
pub(crate) fn begin(program: &Path, plan: &Plan, owner: Option<u32>) -> Result<(Jail, bool), Fault> {
    if !program.is_absolute() || !plan.folder.is_absolute() {
        return Err(Fault::new(Step::Plan, "the program and the folder must be absolute paths"));
    }
    host::may(plan.isolation)?;
    let owner = user(plan.isolation, owner)?;
    let folder = folder::open(&plan.folder).at(Step::Folder)?;
    host::bound(&plan.folder, &plan.limits);
    let order = Order { stage: Stage::Outer, plan: plan.clone() };
    let order = serde_json::to_string(&order).map_err(|error| Fault::new(Step::Plan, error.to_string()))?;
    let (ours, theirs) = UnixStream::pair().at(Step::Spawn)?;
    let mut command = Command::new(program);
    command
        .arg("jail")
        .arg(order)
        .env_clear()
        .envs(environment(plan))
        .current_dir(host::place(&folder, plan))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(host::said());
    if let Some(owner) = owner {
        command.uid(owner).gid(owner);
    }
    let child = command.spawn().at(Step::Spawn)?;
    // The command still holds the other end of the socket.
    drop(command);
    host::to_be_ended_first(child.id());
    let cgroup = Cgroup::hold(child.id(), &plan.limits);
    let mut jail = Jail { child: Some(child), socket: ours, cgroup };
    let loopback = jail.wait_until_ready()?;
    Ok((jail, loopback))
}

/// The user to change to, if any.
fn user(isolation: Isolation, owner: Option<u32>) -> Result<Option<u32>, Fault> {
    if isolation == Isolation::Off || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match owner {
        Some(0) | None => {
            Err(Fault::new(Step::User, "a server that runs as root must not run agents as root"))
        }
        owner => Ok(to_change_to(owner)),
    }
}

/// All that programs inside see of an environment: nothing of the server's but, with `Off`, its PATH.
fn environment(plan: &Plan) -> [(&'static str, OsString); 6] {
    let layout = Layout::new(plan.isolation, &plan.folder);
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
    cgroup: Option<Cgroup>,
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
    pub fn gauge(&self) -> Gauge {
        Gauge::new(self.pid(), self.cgroup.as_ref())
    }

    /// Closes the socket (also for its clones) and blocks until nothing of the jail lives: about 2 s at
    /// most, whatever runs inside.
    pub fn end(mut self) {
        self.finish();
    }

    fn wait_until_ready(&mut self) -> Result<bool, Fault> {
        let deadline = Deadline::after(START);
        // It waits for this byte, so that nothing is started before the cgroup holds it.
        // If it has ended already, the answer says so.
        (&self.socket).write_all(b"\n").ok();
        let mut waits = false;
        loop {
            match Word::receive(&self.socket, deadline) {
                Ok(Some(Word::Waiting)) => waits = true,
                Ok(Some(Word::Ready { loopback })) => return Ok(loopback),
                Ok(Some(Word::Failed(fault))) => return Err(fault),
                Ok(None) => return Err(Fault::new(Step::Ready, "its process ended first")),
                Err(error) if waits => return Err(error).at(Step::Lock),
                Err(error) => return Err(error).at(Step::Ready),
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
