//! How large a life is.

/// See the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 60 steps.
    Small,
    /// 1,000 steps.
    Wide,
}

impl Size {
    /// Steps until it is left alone.
    pub(crate) const fn steps(self) -> u64 {
        match self {
            Self::Small => 60,
            Self::Wide => 1_000,
        }
    }

    /// The history of a long life is judged now and then, that of a short one at each request.
    pub(crate) const fn judged(self) -> u64 {
        match self {
            Self::Small => 1,
            Self::Wide => 16,
        }
    }
}
