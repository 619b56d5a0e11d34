//! What a process of its own is to do with a session's files that the server may not touch.

use serde::{Deserialize, Serialize};

/// What is done below the working directory, a session's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FolderTask {
    /// Nothing: only whether it could be.
    Nothing,
    /// Everything but the markers is removed.
    Erase,
    /// All files are given to this user and group, as numbered in the namespace; `known` is the host's number
    /// of the user.
    Own { user: u32, group: u32, known: u32 },
}
