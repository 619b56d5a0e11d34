//! Open files: how many this process may have, and what they are for.

use protocol::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files of the server for one sandbox, and for all that is neither a sandbox nor a connection.
const SANDBOX: usize = 4;
const OTHER: usize = 256;
/// Where the hard limit is set.
const RAISE: &str = "LimitNOFILE= of a unit, `ulimit -Hn` of a shell, `--ulimit nofile=` of a container";

/// How many files the server may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileDescriptors {
    limit: usize,
}

impl FileDescriptors {
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

    /// Sandboxes at once that there are files for, beside connections and all else.
    pub(crate) fn sandboxes(self) -> usize {
        let other = OTHER.min(self.limit / 4);
        self.limit.saturating_sub(self.connections() + other) / SANDBOX
    }

    /// Whether a server can work with it.
    ///
    /// # Errors
    /// It cannot; how many it needs, and what to do.
    pub(crate) fn enough(self) -> Result<(), String> {
        let (limit, least) = (self.limit, limits::OPEN_FILES_MIN);
        if limit >= least {
            return Ok(());
        }
        Err(format!(
            "the server may have only {limit} open files and needs {least}, of which half are for connections: raise \
             the hard limit ({RAISE})"
        ))
    }

    /// What there is room for, of so many sandboxes that are set; and what is less than that.
    pub(crate) fn room(self, jails: usize) -> Result<String, String> {
        let (limit, connections, sandboxes) = (self.limit, self.connections(), self.sandboxes().min(jails));
        let room = format!("room for {connections} connections and {sandboxes} sandboxes at once");
        let wanted = (2 * limits::CONNECTIONS).max(limits::CONNECTIONS + OTHER + jails * SANDBOX);
        if connections == limits::CONNECTIONS && sandboxes == jails {
            return Ok(room);
        }
        Err(format!(
            "at most {limit}, {room}; raise the hard limit to {wanted} ({RAISE}) for {} and {jails}",
            limits::CONNECTIONS
        ))
    }

    /// What `doctor` says of it.
    pub(crate) fn told(self, jails: usize) -> String {
        match (self.enough(), self.room(jails)) {
            (Err(why), _) => format!("  MISSING open files: {why}\n"),
            (Ok(()), Ok(room)) => format!("  ok      open files: {room}\n"),
            (Ok(()), Err(less)) => format!("  without open files: {less}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left_for_other_things() {
        let of = |limit| FileDescriptors { limit }.connections();
        assert_eq!([of(300), of(1_024), of(16_384), of(usize::MAX)], [150, 512, 8_192, 8_192]);
    }

    #[test]
    fn sandboxes_have_what_connections_and_the_server_itself_leave() {
        let of = |limit| FileDescriptors { limit }.sandboxes();
        assert_eq!([of(256), of(512), of(1_024), of(4_096)], [16, 32, 64, 448]);
        assert_eq!(
            FileDescriptors { limit: 1_024 }.room(64).expect_err("few connections").matches("64").count(),
            2
        );
    }

    #[test]
    fn too_few_are_refused_with_what_to_do() {
        for limit in [0, 32, 48, 64, 255] {
            let why = FileDescriptors { limit }.enough().expect_err("too few");
            assert!(why.contains(&format!("only {limit} open files and needs 256")), "{why}");
            assert!(why.contains("LimitNOFILE="), "{why}");
            assert!(FileDescriptors { limit }.told(64).starts_with("  MISSING open files: "));
        }
        assert_eq!(FileDescriptors { limit: 256 }.enough(), Ok(()));
    }

    #[test]
    fn doctor_says_what_there_is_room_for_and_how_to_have_more() {
        let plenty = "  ok      open files: room for 8192 connections and 64 sandboxes at once\n";
        assert_eq!(FileDescriptors { limit: 524_288 }.told(64), plenty);
        let told = FileDescriptors { limit: 300 }.told(64);
        for part in ["at most 300", "150 connections and 18 sandboxes", "to 16384", "for 8192 and 64"] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        assert!(
            FileDescriptors { limit: 16_384 }.told(4_096).contains("8192 connections and 1984 sandboxes")
        );
        assert!(FileDescriptors { limit: 16_384 }.told(4_096).contains("to 24832"));
    }
}
