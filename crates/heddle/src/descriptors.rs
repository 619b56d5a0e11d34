//! Open files: how many this process may have, and what they are for.

use protocol::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files the server may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: usize,
}

impl Descriptors {
    /// As many as it may have once it has raised its limit.
    pub(crate) fn possible() -> Self {
        let maximum = getrlimit(Resource::Nofile).maximum;
        Self { limit: maximum.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX) }
    }

    /// Raises the limit as far as the system lets it, which is far more than what a shell gives.
    pub(crate) fn raised() -> Self {
        let before = getrlimit(Resource::Nofile);
        let wanted = Rlimit { current: before.maximum, ..before };
        if let Err(wrong) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%wrong, "the limit on open files could not be raised");
        }
        let now = getrlimit(Resource::Nofile).current;
        Self { limit: now.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX) }
    }

    /// Connections at once: half of it at most, so that the other half is there for sandboxes, the store,
    /// blobs and requests to models.
    pub(crate) fn connections(self) -> usize {
        limits::CONNECTIONS.min(self.limit / 2)
    }

    /// What `doctor` says of it.
    pub(crate) fn told(self) -> String {
        let (limit, connections) = (self.limit, self.connections());
        if connections == limits::CONNECTIONS {
            return format!("  ok      open files: {connections} connections at once\n");
        }
        format!(
            "  without open files: at most {limit}, room for {connections} connections at once\n          \
             raise the hard limit to {} (LimitNOFILE= of a unit, `ulimit -Hn` of a shell) for {}\n",
            2 * limits::CONNECTIONS,
            limits::CONNECTIONS
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left_for_other_things() {
        let of = |limit| Descriptors { limit }.connections();
        assert_eq!([of(300), of(1_024), of(16_384), of(usize::MAX)], [150, 512, 8_192, 8_192]);
    }

    #[test]
    fn doctor_says_what_there_is_room_for_and_how_to_have_more() {
        assert_eq!(Descriptors { limit: 524_288 }.told(), "  ok      open files: 8192 connections at once\n");
        let told = Descriptors { limit: 300 }.told();
        assert!(told.contains("at most 300") && told.contains("150 connections") && told.contains("16384"));
    }
}
