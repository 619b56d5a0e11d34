//! How long a thread or a session has run.

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// How long something ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stopwatch {
    /// Microseconds up to `since`.
    pub active: u64,
    /// Since when it runs.
    pub since: Option<Timestamp>,
    /// Whether its status ever changed.
    pub ever: bool,
    /// When it first ran.
    pub first: Option<Timestamp>,
    /// When it ended for good.
    pub ended: Option<Timestamp>,
}

impl Stopwatch {
    /// Microseconds it has run by `now`.
    pub fn active(&self, now: Timestamp) -> u64 {
        self.active + self.since.map_or(0, |since| now.since(since).as_micros() as u64)
    }

    pub(crate) fn start(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
        self.first.get_or_insert(at);
        self.ever = true;
    }

    pub(crate) fn stop(&mut self, at: Timestamp) {
        self.active = self.active(at);
        self.since = None;
        self.ever = true;
    }

    pub(crate) fn end(&mut self, at: Timestamp) {
        self.stop(at);
        self.ended = Some(at);
    }
}
