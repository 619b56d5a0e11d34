//! What only the root of a user namespace can do for a server that is not root: own, open and remove what
//! belongs to its sub-users. A process of its own (`heddle jail`), because a process cannot leave a
//! namespace again.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal};

use super::{own, uidmap};
use crate::clock::Deadline;
use crate::erase;
use crate::errand::FolderTask;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::session_folder;
use crate::user_source::UserSource;
use crate::word::{StartOrder, StartReport};

/// How long the making of a namespace may take.
pub(super) const MAPPED: Duration = Duration::from_secs(10);

/// In the namespace the server's user is root, and its sub-users begin here.
pub(super) const FIRST: u32 = 1;

/// Whether the source's users can be mapped at all.
pub(crate) fn nothing(program: &Path, source: &UserSource) -> Result<(), JailFault> {
    run(program, source, FolderTask::Nothing, None, MAPPED)
}

pub(super) fn run(
    program: &Path,
    source: &UserSource,
    errand: FolderTask,
    folder: Option<&OwnedFd>,
    time: Duration,
) -> Result<(), JailFault> {
    let UserSource::Sub { users, groups, count } = source else {
        return Err(JailFault::new(StartStep::User, "the server has no sub-users"));
    };
    let (mut command, ours) = StartOrder::Keeper(errand).call(program)?;
    command.stdout(Stdio::null());
    command.current_dir(folder.map_or("/".into(), |folder| format!("/proc/self/fd/{}", folder.as_raw_fd())));
    let mut child = command.spawn().at(StartStep::Spawn)?;
    drop(command);
    let told = converse(
        &child,
        &ours,
        |pid| {
            let own = format!("0 {} 1", geteuid().as_raw());
            let own_group = format!("0 {} 1", getegid().as_raw());
            uidmap::map("newuidmap", pid, &format!("{own} {FIRST} {users} {count}"))?;
            uidmap::map("newgidmap", pid, &format!("{own_group} {FIRST} {groups} {count}"))
        },
        time,
    );
    // Whatever it did: it is not to go on when nobody listens.
    child.kill().ok();
    child.wait().ok();
    told
}

fn converse(
    child: &Child,
    socket: &UnixStream,
    mapped: impl Fn(u32) -> Result<(), JailFault>,
    time: Duration,
) -> Result<(), JailFault> {
    let deadline = Deadline::after(time);
    loop {
        match StartReport::receive(socket, deadline).at(StartStep::User)? {
            Some(StartReport::Unshared) => {
                mapped(child.id())?;
                (&*socket).write_all(b"\n").at(StartStep::User)?;
            }
            Some(StartReport::Done) => return Ok(()),
            Some(StartReport::Failed(fault)) => return Err(fault),
            Some(StartReport::Waiting | StartReport::Ready(_)) | None => {
                return Err(JailFault::new(StartStep::User, "the process that keeps its files ended first"));
            }
        }
    }
}

/// Leaves the host's user namespace (and whatever else is said) and comes back as the root of a new one,
/// which the server maps meanwhile.
pub(crate) fn become_root(socket: &UnixStream, more: CloneFlags) -> Result<(), JailFault> {
    unshare(CloneFlags::CLONE_NEWUSER | more).at(StartStep::UserNamespace)?;
    StartReport::Unshared.send(socket).at(StartStep::UserNamespace)?;
    let mut go = [0];
    std::io::Read::read_exact(&mut &*socket, &mut go).at(StartStep::UserNamespace)?;
    // No group of the server's goes along; where none could be left, there is none to be used.
    setgroups(&[]).ok();
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(wheel, wheel, wheel).of(StartStep::UserNamespace, "its group")?;
    setresuid(root, root, root).of(StartStep::UserNamespace, "its user")
}

/// What the process of an errand does.
pub(crate) fn keep(socket: &UnixStream, errand: &FolderTask) -> Result<ExitCode, JailFault> {
    become_root(socket, CloneFlags::empty())?;
    // The thread that started it waits for it. Without its server it must not go on: the files may be a
    // running jail's by then.
    set_parent_process_death_signal(Some(Signal::KILL)).at(StartStep::Privileges)?;
    let here = || session_folder::open(Path::new(".")).at(StartStep::Folder);
    match errand {
        FolderTask::Nothing => {}
        FolderTask::Erase => erase::all_but(&here()?, &session_folder::LAST).at(StartStep::Folder)?,
        FolderTask::Own { user, group, known } => own::all(&here()?, *user, *group, *known)?,
    }
    StartReport::Done.send(socket).at(StartStep::Ready)?;
    Ok(ExitCode::SUCCESS)
}
