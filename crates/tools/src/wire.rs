//! What the server and the jail say to each other: frames of a length (u32, big-endian) and JSON.

use protocol::{Object, content::Block, tool::Builtin};
use serde::{Deserialize, Serialize};

/// What the tool came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it says: text, and for `read` an image or a PDF in base64.
    pub content: Vec<Block>,
    /// Whether it failed.
    pub is_error: bool,
}

/// Bytes of the largest frame.
pub(crate) const FRAME_BYTES: usize = 48 * 1024 * 1024;

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
        tool: Builtin,
        /// Its input.
        input: Object,
        /// Whether the thread had a shell in an earlier jail.
        shell_lost: bool,
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
        outcome: Outcome,
    },
    /// The disk sweep killed everything.
    Killed {
        /// Why.
        why: String,
    },
}
