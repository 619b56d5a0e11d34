//! The disk beneath the database: whether it is full, and the room that is kept on it for that moment.
//!
//! Kept is, each by the size of the disk: room allocated behind the end of the write-ahead log and of its
//! index, which nobody else can take, so that on a full disk commits go on in it; and a file of nothing,
//! which is given up, piece by piece, when that is used up.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use protocol::limits;
use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};
use tokio::time::Instant;

use crate::fault::StoreFault;

/// The least of each kind of room, on however small a disk.
const LEAST_BYTES: u64 = 1 << 20;
/// With less free than this, a failure to write is a full disk whatever it is called.
const NOTHING_BYTES: u64 = 1 << 20;
/// For so long a disk that had room has room: what comes in meanwhile is little beside what is kept free.
const PLENTY_MS: u64 = 20;
/// Bytes that are given up for what it takes to open a database.
pub(crate) const OPEN_BYTES: u64 = 1 << 20;

/// How much is kept on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskShare {
    /// For the write-ahead log, which is cut back to this size after a load.
    pub(crate) log_bytes: u64,
    /// The file that is given up.
    pub(crate) ballast_bytes: u64,
    /// With less free than this, nothing new is taken.
    new_bytes: u64,
}

impl DiskShare {
    /// Of a disk of this size.
    pub(crate) fn of(all_bytes: u64) -> Self {
        let part = |part: u64, most: u64| (all_bytes / part).clamp(LEAST_BYTES, most);
        Self {
            log_bytes: part(20, limits::KEPT_LOG_BYTES),
            ballast_bytes: part(10, limits::KEPT_BALLAST_BYTES),
            new_bytes: part(20, limits::NEW_FREE_BYTES),
        }
    }

    /// What is given up for a group of commits.
    pub(crate) fn piece_bytes(self) -> u64 {
        self.ballast_bytes.div_ceil(2)
    }
}

/// The file that is given up, piece by piece, when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BallastState {
    /// It is there, whole.
    Kept,
    /// It is not: some of it was given up, or there was never room to spare for it.
    GivenUp,
}

/// The folder of a database.
#[derive(Debug)]
pub(crate) struct DatabaseDisk {
    folder: PathBuf,
    database: PathBuf,
    /// The database's own number, once it was looked at.
    number: OnceLock<u64>,
    /// The write-ahead log, and its index.
    log: PathBuf,
    index: PathBuf,
    share: DiskShare,
    /// How many bytes the ballast still has.
    ballast: Mutex<u64>,
    /// Until when it counts as having room for what is new, in milliseconds since `begun`.
    plenty_until: AtomicU64,
    begun: Instant,
    /// Whether the database was found malformed: its write-ahead log may be another's.
    malformed: AtomicBool,
    /// The index, once room was made for it: whoever closes a file gives up the locks that its process holds
    /// on it, so this one stays open for as long as the database.
    #[cfg(target_os = "linux")]
    opened: Mutex<Option<File>>,
}

impl DatabaseDisk {
    pub(crate) fn new(database: &Path) -> Self {
        let beside = |end: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let folder = match database.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let all = statvfs(&folder).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let disk = Self {
            log: beside("-wal"),
            index: beside("-shm"),
            folder,
            database: database.to_owned(),
            number: OnceLock::new(),
            share: DiskShare::of(all),
            ballast: Mutex::new(0),
            plenty_until: AtomicU64::new(0),
            begun: Instant::now(),
            malformed: AtomicBool::new(false),
            #[cfg(target_os = "linux")]
            opened: Mutex::new(None),
        };
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

    pub(crate) fn ballast(&self) -> BallastState {
        if *self.left() >= self.share.ballast_bytes { BallastState::Kept } else { BallastState::GivenUp }
    }

    pub(crate) fn share(&self) -> DiskShare {
        self.share
    }

    /// Bytes that we may still write; a disk that does not say has plenty.
    pub(crate) fn free_bytes(&self) -> u64 {
        statvfs(&self.folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free_bytes() < NOTHING_BYTES
    }

    /// Whether what is left is for what was begun, and for deletes.
    pub(crate) fn is_short(&self) -> bool {
        self.free_bytes() < self.share.new_bytes
    }

    /// Asked for all that is new, so that it does not look each time; a disk that was short is looked at.
    pub(crate) fn admits(&self) -> Result<(), StoreFault> {
        let now = self.begun.elapsed().as_millis() as u64;
        if now < self.plenty_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.is_gone() {
            return Err(StoreFault::Gone { folder: self.folder.clone() });
        }
        if self.is_short() {
            return Err(StoreFault::Short { folder: self.folder.clone() });
        }
        self.plenty_until.store(now + PLENTY_MS, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the file is not where it was opened: removed, moved away, or another lies there.
    fn is_gone(&self) -> bool {
        let number = std::fs::metadata(&self.database).map(|found| found.ino());
        number.map_or(self.number.get().is_some(), |number| *self.number.get_or_init(|| number) != number)
    }

    pub(crate) fn full(&self) -> StoreFault {
        StoreFault::Full { folder: self.folder.clone() }
    }

    /// What an error of the database means.
    pub(crate) fn fault(&self, error: &rusqlite::Error) -> StoreFault {
        use rusqlite::ErrorCode;
        let code = error.sqlite_error_code();
        let starved = matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen));
        if code == Some(ErrorCode::DiskFull) || (starved && self.is_full()) {
            return self.full();
        }
        StoreFault::Disk(self.told(error))
    }

    /// The words of an error; of a database that is not what was written, with what to do, and it is
    /// remembered.
    pub(crate) fn told(&self, error: &rusqlite::Error) -> String {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.told_malformed(error),
            Some(_) | None => error.to_string(),
        }
    }

    /// What to do about a database in which `wrong` was found, which is remembered.
    pub(crate) fn told_malformed(&self, wrong: &dyn std::fmt::Display) -> String {
        self.malformed.store(true, Ordering::Relaxed);
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (log, index) = (name(&self.log), name(&self.index));
        if self.log.exists() {
            format!(
                "{wrong}: if the {log} and {index} beside it are another database's, as when a copy was put in \
                 place of the database alone, move both away and start again; else restore the data directory from \
                 a backup"
            )
        } else {
            format!("{wrong}: restore the data directory from a backup")
        }
    }

    /// Whether an error has shown that the database is not what was written.
    pub(crate) fn is_malformed(&self) -> bool {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Whether commits wait in the write-ahead log to be folded into the database.
    pub(crate) fn has_log(&self) -> bool {
        std::fs::metadata(&self.log).is_ok_and(|found| found.len() > 0)
    }

    /// Whether the write-ahead log has its index beside it.
    pub(crate) fn has_index(&self) -> bool {
        self.index.exists()
    }

    /// What an error of a file beside the database means.
    pub(crate) fn io_fault(&self, error: &io::Error) -> StoreFault {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return self.full();
        }
        StoreFault::Disk(error.to_string())
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
        let cut = self.open_ballast(false).and_then(|file| {
            file.set_len(less)?;
            file.sync_all()
        });
        *left = less;
        cut.is_ok()
    }

    /// Keeps room again where there is enough beside it. True: the ballast was made now.
    pub(crate) fn keep(&self) -> io::Result<bool> {
        let DiskShare { log_bytes, ballast_bytes, new_bytes } = self.share;
        let mut left = self.left();
        let there = std::fs::symlink_metadata(self.file()).map_or(0, |found| found.len());
        let whole = *left >= ballast_bytes && there == ballast_bytes;
        let wanted = if whole { 0 } else { ballast_bytes.saturating_sub(there) } + log_bytes;
        if self.free_bytes() < wanted.saturating_add(2 * new_bytes) {
            return Ok(false);
        }
        #[cfg(target_os = "linux")]
        self.keep_behind(log_bytes);
        if whole {
            return Ok(false);
        }
        let made = self.open_ballast(true).and_then(|file| fill(&file, ballast_bytes));
        if made.is_err() {
            // Half a ballast is in the way of whoever needs the room.
            std::fs::remove_file(self.file()).unwrap_or_default();
            *left = 0;
        }
        made?;
        *left = ballast_bytes;
        Ok(true)
    }

    /// Keeps room behind the ends of the write-ahead log and its index. A file system that cannot do that
    /// goes without.
    #[cfg(target_os = "linux")]
    fn keep_behind(&self, log_bytes: u64) {
        let more = |file: &File, bytes: u64| {
            if file.metadata().is_ok_and(|found| allocated(&found) < bytes) {
                fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes).unwrap_or_default();
            }
        };
        let open = |path: &Path| OpenOptions::new().write(true).open(path);
        if let Ok(log) = open(&self.log) {
            more(&log, log_bytes);
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_none() {
            *opened = open(&self.index).ok();
        }
        if let Some(index) = &*opened {
            more(index, limits::KEPT_INDEX_BYTES);
        }
    }

    /// A plain file of our own and nothing else: it is cut.
    fn open_ballast(&self, create: bool) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.create(create).truncate(false).write(true).mode(0o600).custom_flags(flags);
        options.open(self.file())
    }
}

/// Takes real blocks for the whole file, or writes it where blocks cannot be had otherwise.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    // One of an earlier life may be larger.
    if file.metadata()?.len() > bytes {
        file.set_len(bytes)?;
    }
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => {}
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            io::copy(&mut io::repeat(0).take(bytes), &mut &*file)?;
        }
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn allocated(found: &std::fs::Metadata) -> u64 {
    found.blocks().saturating_mul(512)
}
