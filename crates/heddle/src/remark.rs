//! What is said among the events of a session that is followed, and is no event's.

use crate::terminal::say_behind;

/// What stands before a line that has no time.
pub(crate) const NO_TIME: &str = "           ";

/// A line that is no event's.
pub(crate) fn remark(line: &str) {
    say_behind(&format!("{NO_TIME}-- "), line);
}
