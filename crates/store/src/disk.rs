//! The disk beneath the database: whether it is full, and the room that is kept on it for that moment.
//!
//! Two things are kept. The write-ahead log has room allocated behind its end, which nobody else can take: on
//! a full disk commits go on in it. When that is used up, a file of nothing is given up, piece by piece.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::fault::Fault;

/// Bytes of the file that is given up when an append meets a full disk.
pub(crate) const BALLAST_BYTES: u64 = 64 << 20;
/// Bytes of room kept for the write-ahead log, which is cut back to this size after a load.
pub(crate) const LOG_BYTES: u64 = 32 << 20;
/// Room is kept only where this much is free beside it.
const PLENTY_BYTES: u64 = 1 << 30;
/// With less free than this, a failure to write is a full disk whatever it is called.
const NOTHING_BYTES: u64 = 1 << 20;

/// Bytes that are given up for commits, and for what it takes to open a database.
pub(crate) const COMMIT_BYTES: u64 = 32 << 20;
pub(crate) const OPEN_BYTES: u64 = 1 << 20;

/// The file that is given up, piece by piece, when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ballast {
    /// It is there, whole.
    Kept,
    /// It is not: some of it was given up, or there was never room to spare for it.
    GivenUp,
}

/// The folder of a database.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// The write-ahead log.
    log: PathBuf,
    /// How many bytes the ballast still has.
    ballast: Mutex<u64>,
}

impl Disk {
    pub(crate) fn new(database: &Path) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let folder = match database.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let disk = Self { folder, log: log.into(), ballast: Mutex::new(0) };
        let there = std::fs::metadata(disk.file()).map_or(0, |found| allocated(&found).min(found.len()));
        *disk.left() = there;
        disk
    }

    fn file(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.ballast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ballast(&self) -> Ballast {
        if *self.left() >= BALLAST_BYTES { Ballast::Kept } else { Ballast::GivenUp }
    }

    /// Bytes that we may still write; a disk that does not say has plenty.
    pub(crate) fn free_bytes(&self) -> u64 {
        statvfs(&self.folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free_bytes() < NOTHING_BYTES
    }

    pub(crate) fn full(&self) -> Fault {
        Fault::Full { folder: self.folder.clone() }
    }

    /// What an error of the database means.
    pub(crate) fn fault(&self, error: &rusqlite::Error) -> Fault {
        use rusqlite::ErrorCode;
        let code = error.sqlite_error_code();
        let starved = matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen));
        if code == Some(ErrorCode::DiskFull) || (starved && self.is_full()) {
            return self.full();
        }
        Fault::Disk(error.to_string())
    }

    /// What an error of a file beside the database means.
    pub(crate) fn io_fault(&self, error: &io::Error) -> Fault {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return self.full();
        }
        Fault::Disk(error.to_string())
    }

    /// Gives this much of the ballast up. False: there was none left, or it could not be.
    pub(crate) fn give_up(&self, bytes: u64) -> bool {
        let mut left = self.left();
        if *left == 0 {
            return false;
        }
        let less = left.saturating_sub(bytes);
        // Cut and synced: a file system may hold back the blocks of a removed file until it has written down
        // that they are free.
        let cut = OpenOptions::new().write(true).open(self.file()).and_then(|file| {
            file.set_len(less)?;
            file.sync_all()
        });
        *left = less;
        cut.is_ok()
    }

    /// Keeps room again where there is plenty. True: the ballast was made now.
    pub(crate) fn keep(&self) -> io::Result<bool> {
        if self.free_bytes() < PLENTY_BYTES + BALLAST_BYTES {
            return Ok(false);
        }
        // A file system that cannot keep room behind the end of a file does without.
        #[cfg(target_os = "linux")]
        if let Ok(log) = OpenOptions::new().write(true).open(&self.log)
            && allocated(&log.metadata()?) < LOG_BYTES
        {
            fallocate(&log, FallocateFlags::KEEP_SIZE, 0, LOG_BYTES).unwrap_or_default();
        }
        let mut left = self.left();
        if *left >= BALLAST_BYTES && std::fs::metadata(self.file()).is_ok_and(|found| found.len() > 0) {
            return Ok(false);
        }
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.file());
        let made = made.and_then(|file| fill(&file));
        if made.is_err() {
            // Half a ballast is in the way of whoever needs the room.
            std::fs::remove_file(self.file()).unwrap_or_default();
            *left = 0;
        }
        made?;
        *left = BALLAST_BYTES;
        Ok(true)
    }
}

/// Takes real blocks for the whole file, or writes it where blocks cannot be had otherwise.
fn fill(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => {}
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = vec![0; 1 << 20];
            let mut file = file;
            for _ in 0..BALLAST_BYTES >> 20 {
                file.write_all(&zeros)?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn allocated(found: &std::fs::Metadata) -> u64 {
    found.blocks().saturating_mul(512)
}
