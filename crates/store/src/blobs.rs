//! Blobs: a directory of files named after the SHA-256 of what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Timestamp;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::disk::DatabaseDisk;
use crate::fault::StoreFault;

/// The name of a blob.
pub(crate) type BlobName = [u8; 32];

/// The name of what these bytes are.
pub(crate) fn hash_of(bytes: &[u8]) -> BlobName {
    Sha256::digest(bytes).into()
}

/// A blob that was put. As long as one of its clones is about, and for a while after, no sweep takes it: that
/// is the time to write down who uses it.
#[derive(Debug, Clone)]
pub struct Blob {
    name: BlobName,
    bytes: u64,
    _held: Arc<Held>,
}

impl Blob {
    /// The SHA-256 of its bytes.
    pub const fn name(&self) -> [u8; 32] {
        self.name
    }

    /// How many bytes it holds.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What this process has put and may still pin, by its own clock: the one on the wall may jump.
#[derive(Debug, Default)]
pub(crate) struct BlobsInFlight(Mutex<BTreeMap<BlobName, Flying>>);

#[derive(Debug, Default)]
struct Flying {
    held: usize,
    let_go: Option<Instant>,
}

/// Keeps a blob in flight until it is dropped.
#[derive(Debug)]
struct Held {
    name: BlobName,
    flight: Arc<BlobsInFlight>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(flying) = self.flight.all().get_mut(&self.name) {
            flying.held = flying.held.saturating_sub(1);
            flying.let_go = Some(Instant::now());
        }
    }
}

impl BlobsInFlight {
    fn all(&self) -> MutexGuard<'_, BTreeMap<BlobName, Flying>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a blob. To be called before anybody looks whether it is there.
    pub(crate) fn hold(self: &Arc<Self>, name: BlobName, bytes: usize) -> Blob {
        self.all().entry(name).or_default().held += 1;
        Blob { name, bytes: bytes as u64, _held: Arc::new(Held { name, flight: Arc::clone(self) }) }
    }

    /// Takes those of these that nobody has held for `age`. Nobody can begin to hold one meanwhile.
    pub(crate) fn take<T>(&self, names: T, age: Duration, mut take: impl FnMut(&BlobName))
    where
        T: IntoIterator<Item = BlobName>,
    {
        let mut all = self.all();
        let rests = |flying: &Flying| flying.held == 0 && flying.let_go.is_none_or(|at| at.elapsed() >= age);
        for name in names {
            if all.get(&name).is_none_or(rests) {
                take(&name);
            }
        }
        all.retain(|_, flying| !rests(flying));
    }
}

/// What a sweep found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobSweep {
    /// Blobs that nobody used and that are gone.
    pub blobs: usize,
    /// The bytes they held.
    pub bytes: u64,
}

/// What lies in the directory.
#[derive(Debug, Default)]
pub(crate) struct BlobListing {
    /// Blobs last written before the moment that was asked for.
    pub(crate) old: BTreeSet<BlobName>,
}

#[derive(Debug)]
pub(crate) struct Blobs {
    directory: PathBuf,
    disk: Arc<DatabaseDisk>,
    /// Keeps the names of files that are being written apart.
    writes: AtomicU64,
    flight: Arc<BlobsInFlight>,
    /// Bytes of all blobs, once they have been listed; before that, of those put since.
    bytes: Arc<AtomicU64>,
}

impl Blobs {
    /// The directory is made with the first blob.
    pub(crate) fn new(directory: PathBuf, disk: Arc<DatabaseDisk>) -> Self {
        Self { directory, disk, writes: AtomicU64::new(0), flight: Arc::default(), bytes: Arc::default() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) async fn put(&self, bytes: &[u8]) -> Result<Blob, StoreFault> {
        let name = hash_of(bytes);
        let blob = self.flight.hold(name, bytes.len());
        self.keep(&name, bytes).await.map_err(|error| self.disk.io_fault(&error))?;
        Ok(blob)
    }

    async fn keep(&self, name: &BlobName, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        // What is there may have been damaged, and here are the bytes to mend it with.
        let there = fs::read(&path).await.ok();
        if there.as_deref() != Some(bytes) {
            fs::create_dir_all(&self.directory).await?;
            if let Some(parent) = self.directory.parent() {
                sync(parent).await?;
            }
            let write = self.writes.fetch_add(1, Ordering::Relaxed);
            let unfinished = path.with_extension(format!("{}-{write}", std::process::id()));
            let written = match write_file(&unfinished, bytes).await {
                Ok(()) => fs::rename(&unfinished, &path).await,
                Err(error) => Err(error),
            };
            if written.is_err() {
                // The first error says more than a failure to tidy up after it.
                fs::remove_file(&unfinished).await.unwrap_or_default();
            }
            written?;
            if there.is_none() {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        }
        // Also for a file that is there: whoever renamed it may not have come to this line yet.
        sync(&self.directory).await
    }

    pub(crate) async fn get(&self, name: &BlobName) -> Result<Option<Vec<u8>>, StoreFault> {
        match fs::read(self.path(name)).await {
            Ok(bytes) if hash_of(&bytes) == *name => Ok(Some(bytes)),
            Ok(_) => Err(StoreFault::Corrupt("a blob's content does not have its hash")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.disk.io_fault(&error)),
        }
    }

    /// Looks through the directory: counts it, and removes what a write that was cut left behind.
    pub(crate) async fn list(&self, before: Timestamp) -> Result<BlobListing, StoreFault> {
        let (directory, total) = (self.directory.clone(), Arc::clone(&self.bytes));
        let listed = tokio::task::spawn_blocking(move || list(&directory, before, &total)).await;
        listed.map_err(|_| StoreFault::Panicked)?.map_err(|error| self.disk.io_fault(&error))
    }

    /// Removes those of these that nobody has held for `age`.
    pub(crate) async fn remove(
        &self,
        names: BTreeSet<BlobName>,
        age: Duration,
    ) -> Result<BlobSweep, StoreFault> {
        let flight = Arc::clone(&self.flight);
        let paths: BTreeMap<BlobName, PathBuf> = names.iter().map(|name| (*name, self.path(name))).collect();
        let removed = tokio::task::spawn_blocking(move || {
            let mut swept = BlobSweep::default();
            flight.take(names, age, |name| {
                let Some(path) = paths.get(name) else { return };
                let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
                match std::fs::remove_file(path) {
                    Ok(()) => (swept.blobs, swept.bytes) = (swept.blobs + 1, swept.bytes + bytes),
                    Err(error) => tracing::warn!(%error, "a blob could not be removed"),
                }
            });
            swept
        });
        let swept = removed.await.map_err(|_| StoreFault::Panicked)?;
        self.bytes.fetch_sub(swept.bytes.min(self.bytes()), Ordering::Relaxed);
        Ok(swept)
    }

    fn path(&self, name: &BlobName) -> PathBuf {
        let (high, low) = name.split_at(16);
        let bits = |half: &[u8]| half.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        self.directory.join(format!("{:032x}{:032x}", bits(high), bits(low)))
    }
}

fn list(directory: &Path, before: Timestamp, total: &AtomicU64) -> io::Result<BlobListing> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BlobListing::default()),
        entries => entries?,
    };
    let (mut listed, mut bytes) = (BlobListing::default(), 0);
    for entry in entries {
        let entry = entry?;
        // Gone since the directory was read.
        let Ok(found) = entry.metadata() else { continue };
        let old = found.modified().is_ok_and(|written| stamp(written) < before);
        match (name_of(&entry.file_name()), old) {
            (Some(name), true) => {
                bytes += found.len();
                listed.old.insert(name);
            }
            (Some(_), false) => bytes += found.len(),
            // Nobody finishes it any more.
            (None, true) if found.is_file() => std::fs::remove_file(entry.path())?,
            (None, _) => {}
        }
    }
    total.store(bytes, Ordering::Relaxed);
    Ok(listed)
}

fn name_of(file: &std::ffi::OsStr) -> Option<BlobName> {
    let digits = file.to_str().filter(|digits| digits.len() == 64)?;
    let mut name = BlobName::default();
    for (byte, pair) in name.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(name)
}

fn stamp(time: std::time::SystemTime) -> Timestamp {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

async fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path).await?;
    file.write_all(bytes).await?;
    file.sync_all().await
}

/// Makes the names in a directory durable.
async fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory).await?.sync_all().await
}
