//! When work that may be long has to stop.

use std::time::Instant;

use super::{ambient, calls::Open};

/// When a search has to stop.
#[derive(Debug)]
pub(super) struct Stop {
    open: Open,
    until: Instant,
}

impl Stop {
    /// When the call is cancelled, or at a time.
    pub(super) fn new(open: Open, until: Instant) -> Self {
        Self { open, until }
    }

    /// Whether it has to.
    pub(super) fn now(&self) -> bool {
        self.open.cancelled() || ambient::now() >= self.until
    }
}
