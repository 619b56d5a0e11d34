//! Texts that say nothing, which both wires refuse.

/// Stands where nothing that may be sent is left: an empty message is refused.
pub(crate) const EMPTY: &str = "(empty)";

/// Whether a text has a visible character.
pub(crate) fn says_something(text: &str) -> bool {
    !text.trim().is_empty()
}
