//! What can go wrong in the store: a lost race is a conflict, everything else is a fault.

use std::fmt;
use std::path::PathBuf;

use protocol::SessionId;

use crate::kind::DocumentKind;

/// The store could not do its work. The text is for the log, never for a client; it holds no values
/// of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The database file cannot be opened or brought up to date.
    #[error("cannot open the database {}: {reason}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the driver said.
        reason: String,
    },
    /// The database was written by a Heddle that knows more migrations than this one.
    #[error(
        "the database {} was written by a newer Heddle (schema {found}, this Heddle knows {known}): \
         start the newer Heddle, or restore a backup made before the upgrade",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The newest migration the database has seen.
        found: i64,
        /// The newest migration of this build.
        known: i64,
    },
    /// The disk has no room left, and so nothing was written.
    #[error("the disk that holds {} is full: nothing was written; free some room on it", folder.display())]
    Full {
        /// The folder of the database.
        folder: PathBuf,
    },
    /// The disk has little room left, which is for what was begun and for deletes: nothing new was taken.
    #[error(
        "the disk that holds {} is nearly full: what is left is for what was begun and for deletes; free some \
         room on it",
        folder.display()
    )]
    Short {
        /// The folder of the database.
        folder: PathBuf,
    },
    /// The database's file is not where it was opened, so that what is written is lost with the next start.
    #[error(
        "the database in {} was removed or moved away while it is open: put it back, or stop the server, which \
         loses what was written since",
        folder.display()
    )]
    Gone {
        /// The folder of the database.
        folder: PathBuf,
    },
    /// The disk or the database failed. Of a commit: whether it happened is not known.
    #[error("the database failed: {0}")]
    Disk(String),
    /// A row is there and is not the one that was written: its sum is another, or it lies in the wrong place.
    #[error("{0} is damaged on the disk: restore the data directory from a backup")]
    Damaged(DamagedPart),
    /// A stored row is not of the shape this build writes.
    #[error("the database holds a row that cannot be read: {0}")]
    Corrupt(&'static str),
    /// The caller broke a rule of the store; nothing was written.
    #[error("a write that makes no sense was refused: {0}")]
    Misuse(&'static str),
    /// A thread of the store panicked over this and went on. Of a commit: whether it happened is not known.
    #[error("a thread of the store panicked over this and went on; the log says where")]
    Panicked,
    /// The store went away before it answered.
    #[error("the store is closed")]
    Closed,
}

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamagedPart {
    /// A session's log.
    Log {
        /// Whose.
        session: SessionId,
        /// The first position that cannot be trusted.
        position: u64,
    },
    /// A session's head row.
    Head {
        /// Whose.
        session: SessionId,
    },
    /// A document.
    Document {
        /// Of which kind.
        kind: DocumentKind,
        /// The 128 bits of its id.
        id: u128,
    },
}

impl fmt::Display for DamagedPart {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { session, position } => write!(to, "the log of {session} at position {position}"),
            Self::Head { session } => write!(to, "the head row of {session}"),
            Self::Document { kind, id } => write!(to, "the {} document {id:032x}", kind.as_str()),
        }
    }
}

/// Why a commit did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Another writer was first. Nothing of the commit was written; read again and decide again.
    #[error("write {write} of the commit met a state it did not expect")]
    Conflict {
        /// Index of the first write whose expectation failed.
        write: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}
