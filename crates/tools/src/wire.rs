//! What the server and the jail say to each other: frames of a length (u32, big-endian) and JSON.

use protocol::{Object, content::ContentBlock, tool::BuiltinName};
use serde::{Deserialize, Serialize};

/// What the tool came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// What it says: text, and for `read` an image or a PDF in base64.
    pub content: Vec<ContentBlock>,
    /// Whether it failed.
    pub is_error: bool,
}

/// Bytes of the largest frame.
pub(crate) const FRAME_BYTES: usize = 48 * 1024 * 1024;

/// A disk that is nearly full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LowDisk {
    /// What it has left.
    pub(crate) free_mib: u64,
    /// What it must have for commands to run as they please.
    pub(crate) least_mib: u64,
}

impl LowDisk {
    /// What a command is told.
    pub(crate) fn told(self) -> String {
        let Self { free_mib, least_mib } = self;
        format!(
            "[the server's disk has {free_mib} MiB left, and under {least_mib} MiB no command can make a file longer, \
             here or in /tmp: delete what is not needed]\n"
        )
    }
}

/// What a disk is to have free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WantedSpace {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Files and folders that can still be made.
    pub(crate) entries: u64,
    /// How much is taken back at most for the one and the other.
    pub(crate) bytes_most: u64,
    pub(crate) entries_most: u64,
}

/// What a jail holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JailWeight {
    /// Bytes on the disk that its files have grown by since it last looked.
    pub(crate) grown_bytes: u64,
    /// Files and folders that it has more since then.
    pub(crate) grown_entries: u64,
    /// Milliseconds since then.
    pub(crate) grown_for_ms: u64,
    /// Whether there was no time to look at all of them.
    pub(crate) grown_more: bool,
    /// Bytes of memory: of processes, of files in memory and of System V's.
    pub(crate) memory_bytes: u64,
    /// Processes that let nobody see what they hold.
    pub(crate) unseen: u64,
}

/// What was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskCut {
    /// Bytes of the files that were removed or cut short.
    pub(crate) bytes: u64,
    /// How many they were, folders included.
    pub(crate) files: u64,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToJail {
    /// Run this call.
    Run {
        /// Its number, told with the answer.
        call: u64,
        /// Whose shell.
        thread: String,
        /// The event that made the call.
        event: String,
        /// The tool.
        tool: BuiltinName,
        /// Its input.
        input: Object,
        /// Whether the thread had a shell in an earlier jail.
        shell_lost: bool,
        /// Whether the server's disk is nearly full, so that nothing may grow.
        #[serde(default)]
        low: Option<LowDisk>,
    },
    /// Say what the jail holds and how much it has grown.
    Weigh {
        /// The question's number, told with the answer.
        ask: u64,
        /// Milliseconds for the answer, which holds what was seen by then.
        within_ms: u64,
    },
    /// End every process, and take back what has grown since the last look until the disk has so much room.
    CutBack {
        /// The question's number, told with the answer.
        ask: u64,
        /// What is to be free again.
        room: WantedSpace,
    },
    /// A thread is over: end its shell, once its calls are answered.
    Leave {
        /// Which.
        thread: String,
    },
    /// Stop this call.
    Cancel {
        /// Its number.
        call: u64,
    },
}

/// What the jail says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromJail {
    /// A call is over, also one that was cancelled.
    Done {
        /// Its number.
        call: u64,
        /// What it came to.
        outcome: ToolOutcome,
    },
    /// What the jail holds.
    Weighs {
        /// The question's number.
        ask: u64,
        /// What it holds.
        weight: JailWeight,
    },
    /// It was cut back.
    CutBack {
        /// The question's number.
        ask: u64,
        /// What came of it.
        cut: DiskCut,
    },
    /// A command, or the shell itself, was ended by a signal that the tools did not send.
    Lost {
        /// Which.
        signal: i32,
    },
    /// The disk sweep killed everything.
    Killed {
        /// Why.
        why: String,
    },
}
