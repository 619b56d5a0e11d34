//! The data directory: made private, and locked for the one process that serves it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A locked data directory. The lock goes with it, also by kill -9.
#[derive(Debug)]
pub(crate) struct Locked(#[expect(dead_code, reason = "held for its lock")] File);

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("cannot make the data directory {}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("another heddle serves {}; stop it first, or give this one another --data", path.display())]
    Taken { path: PathBuf },
}

/// Makes the directory if it is missing, readable for its owner alone.
pub(crate) fn make(path: &Path) -> Result<(), DataError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|wrong| DataError::Unusable { path: path.into(), reason: wrong.to_string() })
}

/// Locks the directory for this process.
pub(crate) fn lock(path: &Path) -> Result<Locked, DataError> {
    let unusable =
        |wrong: std::io::Error| DataError::Unusable { path: path.into(), reason: wrong.to_string() };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(Locked(file)),
        Err(TryLockError::WouldBlock) => Err(DataError::Taken { path: path.into() }),
        Err(TryLockError::Error(wrong)) => Err(unusable(wrong)),
    }
}

/// Writes a secret to a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_directory_is_private_and_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("a/b");
        make(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
        let first = lock(&path).expect("free");
        assert!(matches!(lock(&path), Err(DataError::Taken { .. })));
        drop(first);
        lock(&path).expect("free again");
    }

    #[test]
    fn a_secret_is_its_owners_alone() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("first-key");
        write_secret(&path, "s").expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
