//! Why a jail ended, and what its open calls are told.

use protocol::content::ContentBlock;

use crate::ToolOutcome;

/// What is lost and what is not, whenever a jail ends under a call.
const KEPT: &str = "Files are kept; shells, background processes and /tmp are gone. The next call starts a \
                    new sandbox.";

/// Why a jail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JailEnding {
    /// No call for a while.
    Idle,
    /// Another session needed its place.
    Evicted,
    /// The session is over.
    Over,
    /// The server stops.
    Stopping,
    /// It went away by itself: out of memory, or killed.
    Died,
    /// The server's memory ran short, and it held most of it.
    Memory {
        /// How much, in MiB.
        mib: u64,
    },
    /// It said what our own inside never says.
    Broken(&'static str),
    /// It did not answer in time.
    Stuck,
    /// It could not start; the text says why and what to do.
    NoStart(String),
}

impl JailEnding {
    /// Whether the session has no further jail.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Self::Over | Self::Stopping => true,
            Self::Idle
            | Self::Evicted
            | Self::Died
            | Self::Memory { .. }
            | Self::Broken(_)
            | Self::Stuck
            | Self::NoStart(_) => false,
        }
    }

    /// For the log; holds nothing that came from the jail.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Idle => "idle",
            Self::Evicted => "its place was needed",
            Self::Over => "the session is over",
            Self::Stopping => "the server stops",
            Self::Memory { .. } => "memory ran short and it held most",
            Self::Died => "it ended by itself or was killed",
            Self::Broken(what) => what,
            Self::Stuck => "it did not answer in time",
            Self::NoStart(why) => why,
        }
    }

    /// What a call that waited for this jail is answered; `sent`: the jail had been told of it.
    pub(super) fn outcome(&self, sent: bool) -> ToolOutcome {
        let what = match self {
            Self::Over => return failed("The session is over; nothing more runs in it."),
            Self::NoStart(why) => {
                return failed(format!(
                    "Nothing ran: {why}. If another try fails too, tell the user that the sandbox does not \
                     start; `heddle doctor` on the server says what is missing."
                ));
            }
            Self::Stopping if sent => {
                return failed(
                    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.",
                );
            }
            Self::Stopping => return failed("The server is stopping, so nothing ran. Try again later."),
            Self::Memory { mib } => &format!(
                "The server's memory ran short, and the sandbox, which held {mib} MiB of it, was ended"
            ),
            Self::Idle | Self::Evicted => "The sandbox was ended",
            Self::Died => "The sandbox ended by itself (out of memory, or killed)",
            Self::Broken(_) => "The sandbox broke its protocol and was ended",
            Self::Stuck => "The sandbox did not answer in time and was ended",
        };
        failed(if sent {
            format!("{what} while this ran; the outcome is unknown. {KEPT} Check before you repeat it.")
        } else {
            format!("{what} before this started, so nothing ran. {KEPT} Make the call again.")
        })
    }
}

/// An outcome that is an error.
pub(super) fn failed(text: impl Into<String>) -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(text)], is_error: true }
}
