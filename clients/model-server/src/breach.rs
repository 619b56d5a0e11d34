//! A law that a request breaks, and how a check ends with it.

use std::fmt;

/// A law that a request breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LawBreach {
    /// The law's name, in snake case.
    pub(crate) law: &'static str,
    /// Where and how.
    pub(crate) detail: String,
}

impl fmt::Display for LawBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.detail)
    }
}

/// The breach of a law, as the end of a check.
pub(crate) fn breach<T>(law: &'static str, detail: impl Into<String>) -> Result<T, LawBreach> {
    Err(LawBreach { law, detail: detail.into() })
}
