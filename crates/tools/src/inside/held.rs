//! What folders hold, and what the system counts it in.

/// What `st_blocks` counts in.
pub(super) const BLOCK_BYTES: u64 = 512;

/// What folders hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FoldersHeld {
    /// On the disk: a file with holes counts less than its length, one with several names counts once.
    pub(super) bytes: u64,
    /// Files and folders of any kind; at most as many as were asked for.
    pub(super) entries: u64,
}
