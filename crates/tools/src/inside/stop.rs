//! When work that may be long has to stop.

use std::time::Instant;

use super::{ambient, calls::UnansweredCall};

/// When a search has to stop.
#[derive(Debug)]
pub(super) struct SearchStop {
    open: UnansweredCall,
    until: Instant,
}

impl SearchStop {
    /// When the call is cancelled, or at a time.
    pub(super) fn new(open: UnansweredCall, until: Instant) -> Self {
        Self { open, until }
    }

    /// Whether it has to.
    pub(super) fn now(&self) -> bool {
        self.open.cancelled() || ambient::now() >= self.until
    }
}
