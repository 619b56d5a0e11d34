//! What every referee does: it watches one law, line by line and commit by commit.

use crate::line::LogLine;

/// Watches one law.
pub trait Referee {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Sees the next line of the log.
    ///
    /// # Errors
    /// What is wrong with it.
    fn see(&mut self, line: &LogLine) -> Result<(), String>;

    /// A commit is complete.
    ///
    /// # Errors
    /// What must not be left so.
    fn rest(&mut self) -> Result<(), String> {
        Ok(())
    }
}
