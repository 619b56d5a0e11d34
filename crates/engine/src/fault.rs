//! What can go wrong in the engine. The texts are for the log, never for a client.

use kernel::Refusal;

/// The engine could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineFault {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::StoreFault),
    /// The log or a head row is not what this build writes.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(&'static str),
    /// A stored body is not what this build writes.
    #[error("a stored body cannot be read: {0}")]
    Unreadable(String),
    /// A body cannot be written.
    #[error("a body cannot be written: {0}")]
    Unwritable(String),
    /// The machine has so little memory left that nothing large is taken from clients.
    #[error("the machine has less memory available than is to stay so: nothing large is taken from clients")]
    Memory,
    /// Another writer was first, again and again.
    #[error("other writers were first {0} times in a row")]
    Contended(u32),
    /// Another Heddle serves this store.
    #[error("another Heddle ({0}) serves this store")]
    Taken(String),
    /// A task of ours died.
    #[error("a task of the engine died")]
    Died,
}

impl EngineFault {
    pub(crate) fn unreadable(wrong: serde_json::Error) -> Self {
        Self::Unreadable(wrong.to_string())
    }

    pub(crate) fn unwritable(wrong: serde_json::Error) -> Self {
        Self::Unwritable(wrong.to_string())
    }
}

/// Why an input did not come into the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// There is no such session, or it is deleted.
    #[error("no such session")]
    NotFound,
    /// The law refused it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// An expectation beside the log was not met: its place in the list that was handed in.
    #[error("expectation {write} was not met")]
    Conflict {
        /// Which.
        write: usize,
    },
    /// The server is about to stop.
    #[error("the server is stopping")]
    Stopping,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] EngineFault),
}

impl From<store::StoreFault> for CommitError {
    fn from(fault: store::StoreFault) -> Self {
        Self::Fault(EngineFault::Store(fault))
    }
}

/// Why a session cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// There is no such session or thread, or it is deleted.
    #[error("no such session or thread")]
    NotFound,
    /// The event to go on after is not in this stream's view.
    #[error("no such event in this stream")]
    UnknownCursor,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] EngineFault),
}

impl From<store::StoreFault> for FollowError {
    fn from(fault: store::StoreFault) -> Self {
        Self::Fault(EngineFault::Store(fault))
    }
}
