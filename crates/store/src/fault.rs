//! What can go wrong in the store: a lost race is a conflict, everything else is a fault.

use std::path::PathBuf;

/// The store could not do its work. The text is for the log, never for a client; it holds no values
/// of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
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
    /// The disk or the database failed. Of a commit: whether it happened is not known.
    #[error("the database failed: {0}")]
    Disk(String),
    /// A stored row is not of the shape this build writes.
    #[error("the database holds a row that cannot be read: {0}")]
    Corrupt(&'static str),
    /// The caller broke a rule of the store; nothing was written.
    #[error("a write that makes no sense was refused: {0}")]
    Misuse(&'static str),
    /// The store went away before it answered.
    #[error("the store is closed")]
    Closed,
}

/// Why a commit did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another writer was first. Nothing of the commit was written; read again and decide again.
    #[error("write {write} of the commit met a state it did not expect")]
    Conflict {
        /// Index of the first write whose expectation failed.
        write: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
