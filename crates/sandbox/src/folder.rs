//! The sessions' folders on the host: made, listed and removed here, and nothing under them is read.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use crate::erase;
use crate::host::{self, open_below};
use crate::session_folder::{LAST, LOCK, PARTS, ROOT, USED, lock, open};
use crate::users::JailUsers;

/// What is free on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskRoom {
    pub bytes: u64,
    /// Files and folders that can still be made.
    pub entries: u64,
    /// How many there can be at most.
    pub entries_all: u64,
    /// Bytes that the file system holds in all.
    pub bytes_all: u64,
}

/// Files and folders that must be free for commands to make some, on file systems with a fixed number; a
/// tenth of it where there are few.
const ENTRIES: u64 = 20_000;

impl DiskRoom {
    /// Files and folders that must stay free.
    pub fn entries_least(&self) -> u64 {
        ENTRIES.min(self.entries_all / 10)
    }
}

/// What the server's user can still write at this place, or where it will be made.
///
/// # Errors
/// What the file system says.
pub fn room(place: &Path) -> io::Result<DiskRoom> {
    let there = place.ancestors().find(|place| place.exists()).unwrap_or(place);
    let room = rustix::fs::statvfs(there)?;
    // A file system that makes entries as they are needed says that it has none at all.
    let (entries, entries_all) =
        if room.f_files == 0 { (u64::MAX, u64::MAX) } else { (room.f_favail, room.f_files) };
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Ok(DiskRoom { bytes: bytes(room.f_bavail), entries, entries_all, bytes_all: bytes(room.f_blocks) })
}

/// The folders of all sessions: `<root>/<name>`, below a directory that is the server's alone (0700).
/// Each is the server's, and its parts belong to whoever its jail runs as.
#[derive(Debug, Clone)]
pub struct SessionFolders {
    root: PathBuf,
    users: JailUsers,
}

impl SessionFolders {
    /// `root` is made when the first folder is. `users` are those that jails run as.
    pub fn new(root: PathBuf, users: JailUsers) -> Self {
        Self { root, users }
    }

    /// Makes `<root>/<name>` with its parts, or finds them there, notes that it is used now, and answers
    /// its path.
    ///
    /// # Errors
    /// `InvalidInput` when the name is not 1 to 128 of `A-Z a-z 0-9 _ -`; else what the file system says.
    pub fn make(&self, name: &str) -> io::Result<PathBuf> {
        check(name)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        let root = self.open_root()?;
        let folder = directory(&root, name)?;
        // The jail's user passes through; others cannot come as far.
        mine(&folder, Mode::from_raw_mode(0o711))?;
        for part in PARTS.into_iter().chain([ROOT]) {
            match rustix::fs::mkdirat(&folder, part, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The jail's user locks it.
        let readable = Mode::from_raw_mode(0o644);
        mine(&rustix::fs::openat(&folder, LOCK, flags, readable)?, readable)?;
        let used = rustix::fs::openat(
            &folder,
            USED,
            OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )?;
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        rustix::fs::futimens(&used, &Timestamps { last_access: now, last_modification: now })?;
        Ok(self.root.join(name))
    }

    /// Removes the folder and all below it, whatever its modes and depth; follows no link. Gone already is
    /// fine.
    ///
    /// # Errors
    /// `ResourceBusy` when a jail still holds the folder after 10 s; else what the file system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        check(name)?;
        let folder = match self.open_root().and_then(|root| open_below(&root, name)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let _lock = lock(&folder)?;
        match erase::all_but(&folder, &LAST) {
            // What belongs to others the server cannot remove itself.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                host::erase(&folder, &self.users, error)?;
            }
            done => done?,
        }
        for last in [LOCK, USED] {
            match rustix::fs::unlinkat(&folder, last, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match rustix::fs::unlinkat(self.open_root()?, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Names and times of last use, in no order. A root that does not exist yet holds none.
    ///
    /// # Errors
    /// What the file system says of the root; a folder that vanishes meanwhile is left out.
    pub fn list(&self) -> io::Result<Vec<(String, SystemTime)>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if check(&name).is_err() {
                continue;
            }
            let Ok(folder) = fs::symlink_metadata(entry.path()) else { continue };
            if !folder.is_dir() {
                continue;
            }
            let marker = fs::symlink_metadata(entry.path().join(USED)).unwrap_or(folder);
            found.push((name, marker.modified()?));
        }
        Ok(found)
    }

    /// What the server's user can still write where the folders are, or will be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn room(&self) -> io::Result<DiskRoom> {
        room(&self.root)
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        open(&self.root)
    }
}

fn directory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_below(parent, name)
}

/// Makes it the server's with this mode: in a folder of an earlier version it is the sandbox's user's.
fn mine(file: &OwnedFd, mode: Mode) -> io::Result<()> {
    let found = rustix::fs::fstat(file)?;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if found.st_uid != user.as_raw() {
        rustix::fs::fchown(file, Some(user), Some(group))?;
    }
    if Mode::from_raw_mode(found.st_mode) != mode {
        rustix::fs::fchmod(file, mode)?;
    }
    Ok(())
}

fn check(name: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder's name is 1 to 128 of A-Z a-z 0-9 _ -"))
}
