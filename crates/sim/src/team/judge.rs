//! What every judge of threads does: it watches one law, line by line and commit by commit.

use super::line::TeamLine;
use super::reading::TeamReading;

/// Watches one law of threads.
pub(crate) trait Judge {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// Sees the next line; `reading` is what all lines before it made.
    ///
    /// # Errors
    /// What is wrong with it.
    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String>;
    /// A commit is complete; `reading` has all of it.
    ///
    /// # Errors
    /// What must not be left so.
    fn rest(&mut self, reading: &TeamReading) -> Result<(), String>;
}
