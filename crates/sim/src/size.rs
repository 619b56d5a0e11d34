//! How large a life is, and how many threads it may have.

/// See the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeSize {
    /// One thread, about 60 steps.
    Small,
    /// One thread, 1,000 steps.
    Wide,
    /// A coordinator and its children, 90 steps.
    Team,
}

impl LifeSize {
    /// Whether its roster is empty: there is one thread, and never another.
    pub(crate) const fn alone(self) -> bool {
        matches!(self, Self::Small | Self::Wide)
    }

    /// Steps until it is left alone.
    pub(crate) const fn steps(self) -> u64 {
        match self {
            Self::Small => 60,
            Self::Wide => 1_000,
            Self::Team => 90,
        }
    }

    /// Steps before the end from which on a session may be archived or deleted.
    pub(crate) const fn closing(self) -> u64 {
        match self {
            Self::Small | Self::Wide => 25,
            Self::Team => 20,
        }
    }

    /// How often a step looks for something that can be done.
    pub(crate) const fn tries(self) -> u64 {
        match self {
            Self::Small | Self::Wide => 1,
            Self::Team => 4,
        }
    }

    /// Stale jobs that are kept to be offered again.
    pub(crate) const fn gone(self) -> usize {
        match self {
            Self::Small | Self::Wide => 8,
            Self::Team => 12,
        }
    }

    /// The history of a long life is judged now and then, that of a short one after each commit.
    pub(crate) const fn judged(self) -> u64 {
        match self {
            Self::Small | Self::Team => 1,
            Self::Wide => 16,
        }
    }
}
