//! Whose a session's files are: given to its next jail's user, and removed where the server may not.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::keeper::{FIRST, MAPPED, run};
use super::{own, uidmap};
use crate::errand::FolderTask;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::session_folder;
use crate::user_source::UserSource;
use crate::users::{JailUsers, UserKind, UserLease};

/// How long a removal may take. What is left is removed by the next one.
const ERASED: Duration = Duration::from_hours(1);

/// Removes what the server itself may not; `refused` is why.
pub(crate) fn erase(folder: &OwnedFd, users: &JailUsers, refused: io::Error) -> io::Result<()> {
    match users.source() {
        source @ UserSource::Sub { .. } => {
            run(users.program(), source, FolderTask::Erase, Some(folder), ERASED).map_err(io::Error::other)
        }
        UserSource::Root { .. } | UserSource::Own(_) => Err(refused),
    }
}

/// Gives the session's files to the lease's user, wherever the right to do that comes from.
pub(crate) fn give(folder: &OwnedFd, lease: &UserLease) -> Result<(), JailFault> {
    if own::is_settled(folder, lease.user) {
        return Ok(());
    }
    let _lock = session_folder::lock(folder).at(StartStep::Lock)?;
    let known = lease.user;
    let (user, group) = match (lease.kind, lease.users.source()) {
        (UserKind::Sub, UserSource::Sub { users, groups, .. }) => {
            (lease.user - users + FIRST, lease.group - groups + FIRST)
        }
        // Back to the server, which is root there.
        (UserKind::Own, UserSource::Sub { .. }) => (0, 0),
        (_, _) => return own::all(folder, lease.user, lease.group, known),
    };
    let errand = FolderTask::Own { user, group, known };
    run(lease.users.program(), lease.users.source(), errand, Some(folder), own::TIME + MAPPED)
}

/// Maps the jail's process to the lease's user.
pub(crate) fn map_jail(pid: u32, lease: &UserLease) -> Result<(), JailFault> {
    uidmap::map("newuidmap", pid, &format!("0 {} 1", lease.user))?;
    uidmap::map("newgidmap", pid, &format!("0 {} 1", lease.group))
}
