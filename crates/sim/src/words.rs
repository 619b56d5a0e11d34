//! The words that calls are closed with: the rules' own texts (docs/rules.md 2, 4), written a second time,
//! and how a storm's tools begin theirs.

use crate::line::LogLine;

pub(crate) const INTERRUPTED: &str = "Tool execution was interrupted before completion. Please retry.";
pub(crate) const UNKNOWN: &str =
    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";
/// What the calls are closed with that an ended thread leaves open.
pub(crate) const ENDED: &str = "The thread was ended before this was answered.";
/// What a call is answered with that begins while the disk fails: nobody knows whether that was written down.
pub(crate) const FAILED: &str = "The server failed before this could be run to its end; its outcome is unknown. Check before you \
                                 repeat it.";
/// How the answer to a call begins that the output limit cut.
pub(crate) const CUT_OFF: &str = "cut off at the output limit";
pub(crate) const UNREADABLE: &str =
    "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one.";

/// What a call is answered with that the output limit cut, in an answer of so many tokens.
pub(crate) fn cut_off(tokens: u64) -> String {
    let of = if tokens > 0 { format!(" of about {tokens} tokens") } else { String::new() };
    format!(
        "{CUT_OFF}{of}: this call did not run. Make it again with a shorter input, and write what is long in parts, \
         one call each."
    )
}

/// Whether a call is answered so because it has no input.
pub(crate) fn is_unread(text: &str) -> bool {
    text == UNREADABLE || text.starts_with(CUT_OFF)
}

/// What a call of `name` is answered with that is not offered.
pub(crate) fn no_such_tool(name: &str) -> String {
    format!("There is no tool named `{name}`. Use one of the tools you were given.")
}

/// What a call is answered with that a person refused, for this reason or for none.
pub(crate) fn rejected(name: &str, why: &str) -> String {
    let why = why.trim();
    let words = if why.is_empty() { "" } else { " Rejection message: " };
    format!("Permission to use {name} has been rejected.{words}{why}")
}

/// How a tool of a storm begins what it gives.
pub(crate) const OUT: &str = "out ";

/// Whether a tool gave this itself.
pub(crate) fn is_own(line: &LogLine) -> bool {
    let empty = line.content.as_ref().and_then(serde_json::Value::as_array).is_none_or(Vec::is_empty);
    empty || line.texts().first().is_some_and(|text| text.starts_with(OUT))
}
