//! Blobs: a directory of files named after the SHA-256 of what they hold.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use crate::fault::Fault;

/// The name of a blob.
pub(crate) fn hash_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[derive(Debug)]
pub(crate) struct Blobs {
    directory: PathBuf,
    /// Keeps the names of files that are being written apart.
    writes: AtomicU64,
}

impl Blobs {
    /// The directory is made with the first blob.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, writes: AtomicU64::new(0) }
    }

    pub(crate) async fn put(&self, bytes: &[u8]) -> Result<[u8; 32], Fault> {
        let hash = hash_of(bytes);
        self.keep(&hash, bytes).await.map_err(|error| Fault::Disk(error.to_string()))?;
        Ok(hash)
    }

    async fn keep(&self, hash: &[u8; 32], bytes: &[u8]) -> io::Result<()> {
        let path = self.path(hash);
        if !fs::try_exists(&path).await? {
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
        }
        // Also for a file that is there: whoever renamed it may not have come to this line yet.
        sync(&self.directory).await
    }

    pub(crate) async fn get(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
        match fs::read(self.path(hash)).await {
            Ok(bytes) if hash_of(&bytes) == *hash => Ok(Some(bytes)),
            Ok(_) => Err(Fault::Corrupt("a blob's content does not have its hash")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Disk(error.to_string())),
        }
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        let (high, low) = hash.split_at(16);
        let bits = |half: &[u8]| half.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        self.directory.join(format!("{:032x}{:032x}", bits(high), bits(low)))
    }
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
