//! What a tool says in one text, and how an error of the operating system is told.

use std::io::{Error, ErrorKind};
use std::path::Path;

use protocol::content::Block;

use crate::wire::Outcome;

/// A text.
pub(super) fn good(text: impl Into<String>) -> Outcome {
    Outcome { content: vec![Block::text(text)], is_error: false }
}

/// A text that says what is wrong and what to do.
pub(super) fn bad(text: impl Into<String>) -> Outcome {
    Outcome { content: vec![Block::text(text)], is_error: true }
}

/// Why something could not be done with `path`, and what to do about it.
pub(super) fn why(doing: &str, path: &Path, error: &Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list, which grows")]
    let advice = match error.kind() {
        ErrorKind::NotFound => "check the path with `glob`, or with `ls` in bash",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "see who may do so with `ls -ld` in bash, or choose another place"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "delete files that are not needed, then try again"
        }
        ErrorKind::FileTooLarge => "write less into one file",
        ErrorKind::NotADirectory => "a part of the path before its end is a file: check it with `ls` in bash",
        ErrorKind::IsADirectory => "name a file in it",
        ErrorKind::InvalidFilename => "choose a shorter name",
        _ => "look at the place with bash, then try again",
    };
    format!("cannot {doing} {}: {error}; {advice}", path.display())
}
