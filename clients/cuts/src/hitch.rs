//! Why a request has no good answer: it was lost, or it was refused.

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallHitch {
    /// The connection was lost: what was asked may have happened or not.
    #[error("no answer to {0}")]
    Cut(String),
    /// The server said no: what was asked did not happen.
    #[error("{what} was refused with {status}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
}

impl CallHitch {
    pub(crate) fn cut(what: &str, lost: &reqwest::Error) -> Self {
        Self::Cut(format!("{what}: {lost:?}"))
    }
}
