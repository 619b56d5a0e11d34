//! The memory: logs, documents, leases and blobs, on SQLite or in memory.
//!
//! Everything a caller can ask is a method of [`Store`]; [`BatchWrite`] lists everything a commit can do.
//! A commit is all or nothing and durable when it is answered; what it expects is checked in the same
//! step, so that a lost race is a [`BatchError::Conflict`] and never a lost write. Bodies are bytes:
//! the store reads none of them.

mod blobs;
mod cells;
mod disk;
mod fault;
mod faults;
mod kind;
mod leases;
mod lists;
mod memory;
mod migrations;
mod nouns;
mod pages;
mod sql;
mod sqlite;
mod statements;
mod sums;
mod sweep;
mod tables;
mod threads;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::{EnvironmentId, SessionId, Timestamp, WorkspaceId};

use crate::blobs::Blobs;
use crate::memory::MemoryStore;
use crate::sqlite::SqliteDatabase;
use crate::tables::Tables;

pub use blobs::{Blob, BlobSweep};
pub use disk::BallastState;
pub use fault::{BatchError, DamagedPart, StoreFault};
pub use faults::MemoryStoreFaults;
pub use kind::DocumentKind;
pub use leases::LeaseClaim;
pub use nouns::{
    BatchWrite, BlobOwner, BlobOwnerKind, BlobPin, DocumentQuery, HeadQuery, ListOrder, ListedPage,
    LogAppend, LogRow, PostReceipt, SessionHead, StoredDocument,
};
pub use threads::DatabaseThreadEnded;

/// Set when every blob that a log names has its pin; before that no sweep removes any.
pub const PINS_COMPLETE: &str = "pins_complete";

/// Where everything is kept. Clones share it. Every method may be called from anywhere at any time.
#[derive(Debug, Clone)]
pub struct Store(Arc<Driver>);

#[derive(Debug)]
enum Driver {
    Sqlite { tables: Tables, blobs: Blobs },
    Memory(MemoryStore),
}

impl Store {
    /// Opens or creates a SQLite database, with its blobs in the directory `blobs` beside it, and
    /// brings its schema up to date. Other processes may have it open too. Blocks while it opens.
    ///
    /// A database of a newer Heddle is left as it is: [`StoreFault::Newer`].
    pub fn sqlite(path: &Path) -> Result<Self, StoreFault> {
        let tables = Tables::new(SqliteDatabase::open(path)?);
        let blobs = Blobs::new(path.with_file_name("blobs"), Arc::clone(tables.database().disk()));
        Ok(Self(Arc::new(Driver::Sqlite { tables, blobs })))
    }

    /// Looks whether the file, if it is there, is a database that this build can read, as far as that shows
    /// without writing anything: [`StoreFault::Open`], [`StoreFault::Newer`].
    pub fn look(path: &Path) -> Result<(), StoreFault> {
        sqlite::look(path)
    }

    /// [`Store::look`], with what waits in the write-ahead log, and whether it is whole: [`StoreFault::Open`]
    /// of one that is malformed. A large one is examined in part. Blocks for a second or so; changes nothing.
    pub fn examine(path: &Path) -> Result<(), StoreFault> {
        sqlite::examine(path)
    }

    /// Whether the file is a database of an earlier Heddle, which this one would change when it opens it.
    /// Changes nothing.
    pub fn is_older(path: &Path) -> bool {
        sqlite::is_older(path)
    }

    /// A store that forgets everything with its last clone.
    pub fn memory() -> Self {
        Self::memory_with(MemoryStoreFaults::default())
    }

    /// A memory store whose commits go wrong when `faults` says so.
    pub fn memory_with(faults: MemoryStoreFaults) -> Self {
        Self(Arc::new(Driver::Memory(MemoryStore::new(faults))))
    }

    /// Writes all of it or nothing; durable when it returns. A caller that stops waiting may or may
    /// not have had its writes done.
    ///
    /// [`StoreFault::Misuse`] is answered before anything is tried.
    pub async fn commit(&self, writes: Vec<BatchWrite>) -> Result<(), BatchError> {
        writes.iter().try_for_each(BatchWrite::checked)?;
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.commit(writes).await,
            Driver::Memory(memory) => memory.commit(writes).await,
        }
    }

    /// How many appends were made durable through this store since it was opened.
    pub fn commits(&self) -> u64 {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.commits(),
            Driver::Memory(memory) => memory.commits(),
        }
    }

    /// The head row of a workspace's session, a deleted one's too until it is purged.
    pub async fn head(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
    ) -> Result<Option<SessionHead>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.head(workspace, session).await,
            Driver::Memory(memory) => Ok(memory.head(workspace, session)),
        }
    }

    /// The head row of a session, whosever it is: for the jobs of the engine, never for a caller.
    pub async fn head_of(&self, session: SessionId) -> Result<Option<SessionHead>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.head_of(session).await,
            Driver::Memory(memory) => Ok(memory.head_of(session)),
        }
    }

    /// One page of a workspace's sessions.
    pub async fn heads(&self, query: HeadQuery) -> Result<ListedPage<SessionHead>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.heads(&query).await,
            Driver::Memory(memory) => Ok(memory.heads(&query)),
        }
    }

    /// Every running or rescheduling session of every workspace that is not deleted, by id.
    pub async fn busy(&self) -> Result<Vec<SessionId>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.busy().await,
            Driver::Memory(memory) => Ok(memory.busy()),
        }
    }

    /// The log's rows from the one that holds position `from`, oldest first, up to one that is damaged;
    /// [`StoreFault::Damaged`] if that is the first. Stops before the row with
    /// which the bodies exceed `max_bytes`, or after 10,000 rows; the first row always comes. Empty
    /// when the log ends at or before `from`, or there is none.
    pub async fn read(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.read(session, from, max_bytes).await,
            Driver::Memory(memory) => Ok(memory.read(session, from, max_bytes)),
        }
    }

    /// The log's rows that start before position `before`, newest first, with the same bounds as
    /// [`Store::read`]. The first may reach beyond `before`.
    pub async fn read_back(
        &self,
        session: SessionId,
        before: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.read_back(session, before, max_bytes).await,
            Driver::Memory(memory) => Ok(memory.read_back(session, before, max_bytes)),
        }
    }

    /// Removes the logs, heads and pins of at most `limit` sessions deleted before a moment, longest deleted
    /// first, and says how many. Snapshots stay.
    pub async fn purge(&self, deleted_before: Timestamp, limit: usize) -> Result<usize, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.purge(deleted_before, limit).await,
            Driver::Memory(memory) => Ok(memory.purge(deleted_before, limit)),
        }
    }

    /// A workspace's document: the current one, or the one with this version if it is the current one
    /// or in its history.
    pub async fn document(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        version: Option<u64>,
    ) -> Result<Option<StoredDocument>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.document(workspace, kind, id, version).await,
            Driver::Memory(memory) => Ok(memory.document(workspace, kind, id, version)),
        }
    }

    /// One page of a workspace's documents.
    pub async fn documents(&self, query: DocumentQuery) -> Result<ListedPage<StoredDocument>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.documents(&query).await,
            Driver::Memory(memory) => Ok(memory.documents(&query)),
        }
    }

    /// A document's versions, newest first, the current one included; those below `after`, if named, and at
    /// most so many bytes of them, as of other lists.
    pub async fn versions(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        after: Option<u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<ListedPage<StoredDocument>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.versions(workspace, kind, id, after, limit, bytes).await,
            Driver::Memory(memory) => Ok(memory.versions(workspace, kind, id, after, limit, bytes)),
        }
    }

    /// The document with this unique key.
    pub async fn find(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Option<StoredDocument>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.find(workspace, kind, key).await,
            Driver::Memory(memory) => Ok(memory.find(workspace, kind, key)),
        }
    }

    /// The snapshot with this hash.
    pub async fn snapshot(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.snapshot(hash).await,
            Driver::Memory(memory) => Ok(memory.snapshot(hash)),
        }
    }

    /// Takes the lease of `scope` until a moment, if it is free, has run out, or is the holder's own
    /// already. A holder's name is not empty and belongs to one process of one life: after a restart
    /// it is a new one.
    pub async fn claim(
        &self,
        scope: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseClaim, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.claim(scope, holder, now, until).await,
            Driver::Memory(memory) => memory.claim(scope, holder, now, until),
        }
    }

    /// Holds the lease on until a later moment; false if it was released or taken over.
    pub async fn renew(&self, scope: &str, epoch: u64, until: Timestamp) -> Result<bool, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.renew(scope, epoch, until).await,
            Driver::Memory(memory) => Ok(memory.renew(scope, epoch, until)),
        }
    }

    /// Frees the lease, if it is still the one of this epoch.
    pub async fn release(&self, scope: &str, epoch: u64) -> Result<(), StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.release(scope, epoch).await,
            Driver::Memory(memory) => {
                memory.release(scope, epoch);
                Ok(())
            }
        }
    }

    /// Keeps a big body, durable when it returns, and names it by its SHA-256. A damaged one of this name is
    /// mended. Needs a tokio runtime.
    pub async fn put(&self, bytes: Vec<u8>) -> Result<Blob, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { blobs, .. } => blobs.put(&bytes).await,
            Driver::Memory(memory) => Ok(memory.put(bytes)),
        }
    }

    /// The body with this SHA-256; [`StoreFault::Corrupt`] if what is there is not it. Needs a tokio runtime.
    pub async fn get(&self, name: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { blobs, .. } => blobs.get(name).await,
            Driver::Memory(memory) => memory.get(name),
        }
    }

    /// How many sessions have this environment that are neither terminated nor deleted.
    pub async fn using(&self, environment: EnvironmentId) -> Result<u64, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.using(environment).await,
            Driver::Memory(memory) => Ok(memory.using(environment)),
        }
    }

    /// How many bytes the blobs hold that `owner` pins.
    pub async fn pinned(&self, owner: BlobOwner) -> Result<u64, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.pinned(owner).await,
            Driver::Memory(memory) => Ok(memory.pinned(owner)),
        }
    }

    /// Removes blobs that nobody pins, that were written `age` before `now`, and that this process has held
    /// none of for `age` by its own clock. Removes none before [`PINS_COMPLETE`] is marked. Needs a tokio
    /// runtime.
    pub async fn sweep(&self, now: Timestamp, age: Duration) -> Result<BlobSweep, StoreFault> {
        let complete = self.is_marked(PINS_COMPLETE).await?;
        match &*self.0 {
            Driver::Sqlite { tables, blobs } => sweep::sweep(tables, blobs, now, age, complete).await,
            Driver::Memory(memory) => Ok(if complete { memory.sweep(age) } else { BlobSweep::default() }),
        }
    }

    /// How many bytes all blobs hold, as far as they have been counted: a sweep counts them anew.
    pub fn blob_bytes(&self) -> u64 {
        match &*self.0 {
            Driver::Sqlite { blobs, .. } => blobs.bytes(),
            Driver::Memory(memory) => memory.blob_bytes(),
        }
    }

    /// Sessions of every workspace by id, deleted ones too until they are purged; those behind `after`, if
    /// named.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.sessions(after, limit).await,
            Driver::Memory(memory) => Ok(memory.sessions(after, limit)),
        }
    }

    /// [`Store::read`], of rows as they lie there, right or wrong: to look for what may be in them, never to
    /// show.
    pub async fn read_as_is(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.read_as_is(session, from, max_bytes).await,
            Driver::Memory(memory) => Ok(memory.read(session, from, max_bytes)),
        }
    }

    /// The receipt of this name, if its time is not over at `now`.
    pub async fn receipt(&self, name: &[u8; 16], now: Timestamp) -> Result<Option<PostReceipt>, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.receipt(name, now).await,
            Driver::Memory(memory) => Ok(memory.receipt(name, now)),
        }
    }

    /// Removes about `limit` receipts whose time is over at `now`, those that are over longest first, and
    /// says how many were found. Writes nothing where there is none.
    pub async fn forget(&self, now: Timestamp, limit: usize) -> Result<usize, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.forget(now, limit).await,
            Driver::Memory(memory) => Ok(memory.forget(now, limit)),
        }
    }

    /// Whether something that is done once has been done.
    pub async fn is_marked(&self, name: &str) -> Result<bool, StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.is_marked(name).await,
            Driver::Memory(memory) => Ok(memory.is_marked(name)),
        }
    }

    /// Says that something that is done once has been done.
    pub async fn mark(&self, name: &str) -> Result<(), StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.mark(name).await,
            Driver::Memory(memory) => {
                memory.mark(name);
                Ok(())
            }
        }
    }

    /// One small durable write: whether the store takes writes now.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.probe().await,
            Driver::Memory(memory) => memory.probe().await,
        }
    }

    /// Whether the room is there that is kept for the moment when the disk is full. A store in memory needs
    /// none.
    pub fn ballast(&self) -> BallastState {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.database().disk().ballast(),
            Driver::Memory(_) => BallastState::Kept,
        }
    }

    /// Whether there is room for something new, that somebody brings who can come again:
    /// [`StoreFault::Short`] where what the disk has left is for what was begun and for deletes. Does not
    /// wait: a file system that a database can share memory on keeps in memory how much it has free.
    pub fn admits(&self) -> Result<(), StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.database().disk().admits(),
            Driver::Memory(memory) => memory.admits(),
        }
    }

    /// Bytes that may still be written where the store is. Needs a tokio runtime.
    pub async fn free_bytes(&self) -> Option<u64> {
        let Driver::Sqlite { tables, .. } = &*self.0 else { return None };
        let disk = Arc::clone(tables.database().disk());
        tokio::task::spawn_blocking(move || disk.free_bytes()).await.ok()
    }

    /// Keeps room on the disk again, if there is enough beside it: for whoever serves the store, from time to
    /// time. Needs a tokio runtime.
    pub async fn keep_room(&self) -> Result<(), StoreFault> {
        let Driver::Sqlite { tables, .. } = &*self.0 else { return Ok(()) };
        let disk = Arc::clone(tables.database().disk());
        let kept = tokio::task::spawn_blocking(move || disk.keep().map_err(|error| disk.io_fault(&error)));
        if kept.await.map_err(|_| StoreFault::Panicked)?? {
            tracing::info!("room is kept on the disk for the moment when it is full");
        }
        Ok(())
    }

    /// Waits until a thread that the store cannot do without has ended; as long as all is well, for ever.
    pub async fn watch(&self) -> DatabaseThreadEnded {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.database().watch().await,
            Driver::Memory(_) => std::future::pending().await,
        }
    }

    /// Makes a thread (`store-writer`, `store-reader`) panic over this one thing it is asked, which it is to
    /// survive: only for tests.
    #[cfg(debug_assertions)]
    pub async fn panic_thread(&self, name: &str) -> Result<(), StoreFault> {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.database().panic_thread(name).await,
            Driver::Memory(_) => Ok(()),
        }
    }

    /// Ends a thread (`store-writer`, `store-reader`) as a fault in it would: only for tests. False: the
    /// store has none of this name.
    #[cfg(debug_assertions)]
    pub async fn break_thread(&self, name: &str) -> bool {
        match &*self.0 {
            Driver::Sqlite { tables, .. } => tables.database().break_thread(name).await,
            Driver::Memory(_) => false,
        }
    }
}
