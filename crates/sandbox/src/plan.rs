//! What a jail must know before it starts: how strict, whose folder, which trees, which limits.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How far what runs inside is kept from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Namespaces of this machine's kernel: its own files, processes and (empty) network. docs/rules.md 10.
    Local,
    /// None: commands run as the server's user and see what it sees. Only limits that harm nobody are set.
    Off,
}

/// Everything `heddle jail` must know. It is sent to it as JSON in an argument, so paths must be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailPlan {
    pub isolation: Isolation,
    /// The session's folder on the host, absolute, as [`crate::SessionFolders::make`] made it.
    pub folder: PathBuf,
    /// Further trees (or files) of the host, shown read-only at the same path. Absolute; each must exist. A
    /// tree that holds the folder, or that would hide a part of the jail, is refused at start.
    pub readonly: Vec<PathBuf>,
    pub limits: JailLimits,
}

/// What one jail may use. docs/rules.md 10 for the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailLimits {
    /// Processes and threads together, of the whole jail.
    pub processes: u64,
    /// Private writable memory of one process (RLIMIT_DATA); where the jail has a cgroup, also all memory of
    /// the whole jail.
    pub data_bytes: u64,
    /// The largest file that can be written (RLIMIT_FSIZE).
    pub file_bytes: u64,
    /// What the session's folder may hold. Enforced here where the file system has project quotas; elsewhere
    /// the sweep in `tools` looks.
    pub disk_bytes: u64,
    /// Below this much free space on the host commands can make no file longer; below half of it the jail
    /// that grew most is cut back. Not enforced here: `tools` does.
    pub free_bytes: u64,
    /// Below this much memory that can still be had on the host the jail that holds most is ended; 0: see
    /// [`JailLimits::memory_least`]. Not enforced here: `tools` does.
    pub memory_free_bytes: u64,
    /// The size of `/tmp`, which is memory.
    pub tmp_bytes: u64,
    /// Open files of one process (RLIMIT_NOFILE) at most; fewer where the machine has few.
    pub files: u64,
}

/// What of the limits depends on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostHolds {
    /// Open files of one process.
    pub files: u64,
    /// Whether the memory of a jail is bounded as a whole, and not only that of each process.
    pub memory_whole: bool,
}

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

impl Default for JailLimits {
    fn default() -> Self {
        Self {
            processes: 512,
            data_bytes: 4 * GIB,
            file_bytes: 2 * GIB,
            disk_bytes: 10 * GIB,
            free_bytes: GIB,
            memory_free_bytes: 0,
            tmp_bytes: 512 * MIB,
            files: 4_096,
        }
    }
}

impl JailLimits {
    /// The memory that stays available on a machine that has so much: unless it was said, 512 MiB or an
    /// eighth.
    pub fn memory_least(&self, total_bytes: u64) -> u64 {
        if self.memory_free_bytes == 0 { (512 * MIB).min(total_bytes / 8) } else { self.memory_free_bytes }
    }
}

/// Where things are, as the tools inside see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailLayout {
    pub workspace: PathBuf,
    pub home: PathBuf,
    pub outputs: PathBuf,
    pub results: PathBuf,
    pub tmp: PathBuf,
}

impl JailLayout {
    /// Fixed places with `Local`; with `Off` the folders on the host, and `tmp` beside them.
    pub fn new(isolation: Isolation, folder: &Path) -> Self {
        match isolation {
            Isolation::Local => Self {
                workspace: "/workspace".into(),
                home: "/home/agent".into(),
                outputs: "/mnt/session/outputs".into(),
                results: "/mnt/session/tool_results".into(),
                tmp: "/tmp".into(),
            },
            Isolation::Off => Self {
                workspace: folder.join("workspace"),
                home: folder.join("home"),
                outputs: folder.join("outputs"),
                results: folder.join("results"),
                tmp: folder.join("tmp"),
            },
        }
    }
}
