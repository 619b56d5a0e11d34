//! The right to be a user of this host, which all servers of the host keep to.
//!
//! Each user is a byte of a file that only the server's user can write; whoever has locked it is that user.
//! The lock belongs to the open file, which is made anew for each jail and handed on to its outer process:
//! the kernel lets go of it when both are gone, however they end.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::process::geteuid;

const FILE: &str = "users";

/// One jail's.
#[derive(Debug)]
pub(crate) struct UserClaim(Vec<OwnedFd>);

impl UserClaim {
    /// On nobody yet. Where the host has no place for it, whatever is asked for is had.
    pub(crate) fn open() -> Self {
        Self(places(geteuid().as_raw()).iter().filter_map(|place| open(place).ok()).collect())
    }

    /// False when another running jail is this user.
    pub(crate) fn lay(&self, user: u32) -> bool {
        let laid = self.0.iter().take_while(|file| lock(file, user, libc::F_WRLCK)).count();
        if laid == self.0.len() {
            return true;
        }
        for file in self.0.iter().take(laid) {
            lock(file, user, libc::F_UNLCK);
        }
        false
    }

    /// Whether other servers can be told.
    pub(crate) fn is_seen(&self) -> bool {
        !self.0.is_empty()
    }

    /// What holds it in another process.
    pub(crate) fn hand_on(&self) -> Option<OwnedFd> {
        self.0.first()?.try_clone().ok()
    }
}

/// Directories in memory that are gone with a restart of the host. One may be missing, or be taken away while
/// its user is not logged in; it takes both for two servers not to meet.
fn places(user: u32) -> [PathBuf; 2] {
    let own = if user == 0 { "/run/heddle".to_owned() } else { format!("/run/user/{user}/heddle") };
    [own.into(), format!("/dev/shm/heddle-{user}").into()]
}

fn open(place: &Path) -> io::Result<OwnedFd> {
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Others can make one of this name first.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = own(rustix::fs::open(place, flags, Mode::empty())?)?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    own(openat(&place, FILE, flags, Mode::RUSR | Mode::WUSR)?)
}

/// What nobody else can write.
fn own(file: OwnedFd) -> io::Result<OwnedFd> {
    let found = fstat(&file)?;
    let others = Mode::from_raw_mode(found.st_mode) & (Mode::WGRP | Mode::WOTH);
    if found.st_uid == geteuid().as_raw() && others.is_empty() {
        return Ok(file);
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

fn lock(file: &OwnedFd, user: u32, kind: libc::c_int) -> bool {
    let narrow = |number: libc::c_int| libc::c_short::try_from(number).unwrap_or_default();
    let range = libc::flock {
        l_type: narrow(kind),
        l_whence: narrow(libc::SEEK_SET),
        l_start: libc::off_t::from(user),
        l_len: 1,
        l_pid: 0,
    };
    // A file system without such locks knows of no other server either.
    !matches!(fcntl(file, FcntlArg::F_OFD_SETLK(&range)), Err(Errno::EAGAIN | Errno::EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_write_or_own_is_no_place() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        assert!(open(place.path()).is_ok());
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(open(place.path()).is_err());
        std::os::unix::fs::symlink(place.path(), place.path().join("link")).unwrap();
        assert!(open(&place.path().join("link")).is_err());
    }
}
