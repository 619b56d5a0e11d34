//! Why a document may not become what was asked, or be removed.

use protocol::{EnvironmentId, Invalid, parse};

/// Why a document may not become what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefusal {
    /// A field is wrong, or the state does not allow the change (400).
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The version that the client has seen is not the current one (409).
    #[error("version {sent} is not the current version, which is {current}")]
    Stale {
        /// The version that was sent.
        sent: u64,
        /// The version that is stored.
        current: u64,
    },
    /// Another document has what may be had once (409).
    #[error(transparent)]
    Taken(Invalid),
    /// Something uses what is to be removed (409).
    #[error(transparent)]
    InUse(#[from] EnvironmentInUse),
}

/// Why an environment may not be deleted: sessions use it that are not terminated (409).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the environment {environment} has {}; archive or delete these, or use `force=true` to delete it anyway: they \
     go on without it",
    parse::counted(*.sessions, "active session")
)]
pub struct EnvironmentInUse {
    /// What is used.
    pub environment: EnvironmentId,
    /// How many use it.
    pub sessions: usize,
}
