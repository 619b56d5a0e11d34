//! The lock of the data directory: one process serves it, and notes in the lock where it listens.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::seal::{self, DataError, LOCK};

/// To open what should be a plain file: through no link, and without waiting for anybody.
const AS_IT_IS: i32 = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits().cast_signed();

/// Characters of the longest address.
const ADDRESS: u64 = 128;

/// A locked data directory. The lock goes with it, also by kill -9: when the last process that was being
/// started then has become another program.
#[derive(Debug)]
pub(crate) struct LockedDirectory(File);

impl LockedDirectory {
    /// Notes where its server listens, for whoever looks for that.
    pub(crate) fn note(&self, listen: SocketAddr) -> io::Result<()> {
        (&self.0).write_all(format!("{listen}\n").as_bytes())
    }
}

/// Whether a server has a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectoryUse {
    No,
    /// It is not known where that listens.
    Somewhere,
    At(SocketAddr),
}

/// Locks the directory for this process. `was_open`: whether others could hold the lock until now.
pub(crate) fn take(data: &Path, was_open: bool) -> Result<LockedDirectory, DataError> {
    let path = data.join(LOCK);
    let unusable = |wrong: io::Error| DataError::Unusable { path: data.into(), reason: wrong.to_string() };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(AS_IT_IS)
        .open(&path)
        .map_err(unusable)?;
    seal::look(data, &path)?;
    match file.try_lock() {
        Ok(()) => {
            // What the last server noted is true no more.
            file.set_len(0).map_err(unusable)?;
            Ok(LockedDirectory(file))
        }
        Err(TryLockError::WouldBlock) => Err(DataError::Taken { path: data.into(), open: was_open }),
        Err(TryLockError::Error(wrong)) => Err(unusable(wrong)),
    }
}

/// Whether the lock is among what others could use.
pub(crate) fn was_open(open: &[PathBuf]) -> bool {
    open.iter().any(|path| path.ends_with(LOCK))
}

/// Whether a server has the directory now.
pub(crate) fn is_served(data: &Path) -> bool {
    let lock = OpenOptions::new().write(true).custom_flags(AS_IT_IS).open(data.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether a server has the directory now, and where it listens, as far as it could note that.
pub(crate) fn served(data: &Path) -> DirectoryUse {
    let noted = || {
        let lock = OpenOptions::new().read(true).custom_flags(AS_IT_IS).open(data.join(LOCK)).ok()?;
        let mut noted = String::new();
        lock.take(ADDRESS).read_to_string(&mut noted).ok()?;
        noted.trim().parse().ok()
    };
    // What one that is gone has noted is true no more.
    match (noted(), is_served(data)) {
        (Some(listen), true) => DirectoryUse::At(listen),
        (None, true) => DirectoryUse::Somewhere,
        (_, false) => DirectoryUse::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_server_listens_is_known_as_long_as_it_has_the_directory() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path();
        assert_eq!(served(data), DirectoryUse::No);
        let listen = "[::1]:7718".parse().expect("an address");
        let locked = take(data, false).expect("free");
        assert_eq!(served(data), DirectoryUse::Somewhere, "it does not listen yet");
        locked.note(listen).expect("noted");
        assert_eq!(served(data), DirectoryUse::At(listen));
        drop(locked);
        assert_eq!(served(data), DirectoryUse::No, "it is gone");
        let locked = take(data, false).expect("free");
        assert_eq!(served(data), DirectoryUse::Somewhere, "that was the last one's");
        drop(locked);
    }
}
