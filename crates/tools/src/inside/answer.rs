//! What a tool says in one text, and how an error of the operating system is told.

use std::io::{Error, ErrorKind};
use std::path::Path;

use protocol::content::ContentBlock;

use super::names::ShownPath;
use crate::wire::ToolOutcome;

/// A text.
pub(super) fn good(text: impl Into<String>) -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(text)], is_error: false }
}

/// Bytes of what is said of a mistake, in which names and paths of the caller's are repeated.
const BAD_BYTES: usize = 32 * 1024;

/// A text that says what is wrong and what to do.
pub(super) fn bad(text: impl Into<String>) -> ToolOutcome {
    let mut text = text.into();
    if text.len() > BAD_BYTES {
        let half = BAD_BYTES / 2;
        let (first, last) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
        text = format!("{} [… cut …] {}", &text[..first], &text[last..]);
    }
    ToolOutcome { content: vec![ContentBlock::text(text)], is_error: true }
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
    format!("cannot {doing} {}: {error}; {advice}", ShownPath(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_that_repeats_much_is_cut_in_the_middle() {
        let ContentBlock::Text { text } = bad("é".repeat(1_000_000) + "end").content.remove(0) else {
            panic!("a text")
        };
        assert!(
            text.len() <= BAD_BYTES + 16 && text.starts_with('é') && text.ends_with("end"),
            "{}",
            text.len()
        );
        assert_eq!(bad("short"), ToolOutcome { content: vec![ContentBlock::text("short")], is_error: true });
    }
}
