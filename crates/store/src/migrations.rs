//! The schema, as a numbered list of steps. A released step never changes; a change is a new step.
//!
//! Two words differ between databases and stand in braces: `{bytes}`, the type of a bytes column,
//! and `{serial}`, a primary key that numbers its rows by itself.

/// One step: its number, and the statements that take a database from the step before to here.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) number: i64,
    pub(crate) statements: &'static [&'static str],
}

/// The table that says which steps a database has seen.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY)";

/// Every step, oldest first.
pub(crate) const MIGRATIONS: &[Migration] = &[FIRST, HELD, USED, RECEIPTS, BELOW];

const FIRST: Migration = Migration {
    number: 1,
    statements: &[
        // `number` is what the log is keyed by: a short integer that grows with the sessions.
        "CREATE TABLE heads (
            number {serial},
            id {bytes} NOT NULL,
            workspace {bytes} NOT NULL,
            position BIGINT NOT NULL,
            status TEXT NOT NULL,
            due BIGINT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            archived_at BIGINT,
            deleted_at BIGINT,
            agent {bytes} NOT NULL,
            agent_version BIGINT NOT NULL,
            environment {bytes} NOT NULL,
            body {bytes} NOT NULL
        )",
        "CREATE UNIQUE INDEX heads_id ON heads (id)",
        "CREATE INDEX heads_list ON heads (workspace, created_at, id)",
        "CREATE INDEX heads_agent ON heads (workspace, agent, created_at, id)",
        "CREATE INDEX heads_busy ON heads (id)
            WHERE status IN ('running', 'rescheduling') AND deleted_at IS NULL",
        "CREATE INDEX heads_deleted ON heads (deleted_at) WHERE deleted_at IS NOT NULL",
        // No primary key: rows are only ever added at the end.
        "CREATE TABLE log (
            session BIGINT NOT NULL,
            first BIGINT NOT NULL,
            count BIGINT NOT NULL,
            at BIGINT NOT NULL,
            body {bytes} NOT NULL
        )",
        "CREATE UNIQUE INDEX log_position ON log (session, first)",
        "CREATE TABLE documents (
            kind TEXT NOT NULL,
            id {bytes} NOT NULL,
            version BIGINT NOT NULL,
            workspace {bytes} NOT NULL,
            unique_key TEXT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            archived_at BIGINT,
            body {bytes} NOT NULL,
            PRIMARY KEY (kind, id)
        )",
        "CREATE UNIQUE INDEX documents_key ON documents (workspace, kind, unique_key)
            WHERE unique_key IS NOT NULL",
        "CREATE INDEX documents_list ON documents (workspace, kind, created_at, id)",
        "CREATE TABLE history (
            kind TEXT NOT NULL,
            id {bytes} NOT NULL,
            version BIGINT NOT NULL,
            workspace {bytes} NOT NULL,
            unique_key TEXT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            archived_at BIGINT,
            body {bytes} NOT NULL,
            PRIMARY KEY (kind, id, version)
        )",
        "CREATE TABLE snapshots (
            hash {bytes} NOT NULL PRIMARY KEY,
            body {bytes} NOT NULL
        )",
        "CREATE TABLE leases (
            scope TEXT NOT NULL PRIMARY KEY,
            holder TEXT NOT NULL,
            epoch BIGINT NOT NULL,
            until BIGINT NOT NULL
        )",
    ],
};

/// What a row's place in its workspace's lists is: 2 deleted, 1 archived, 0 neither. Every list query says it
/// in these words, which an index on it needs.
macro_rules! shelf {
    () => {
        "(CASE WHEN deleted_at IS NOT NULL THEN 2 WHEN archived_at IS NOT NULL THEN 1 ELSE 0 END)"
    };
}
pub(crate) use shelf;

/// Sums of rows, who uses which blob, and lists that are found by an index whatever they leave out.
const HELD: Migration = Migration {
    number: 2,
    statements: &[
        // Rows made before have none.
        "ALTER TABLE log ADD COLUMN sum BIGINT",
        "ALTER TABLE heads ADD COLUMN sum BIGINT",
        "ALTER TABLE documents ADD COLUMN sum BIGINT",
        "ALTER TABLE history ADD COLUMN sum BIGINT",
        "CREATE TABLE pins (
            kind TEXT NOT NULL,
            owner {bytes} NOT NULL,
            blob {bytes} NOT NULL,
            bytes BIGINT NOT NULL,
            PRIMARY KEY (kind, owner, blob)
        )",
        "CREATE INDEX pins_blob ON pins (blob)",
        // Work that is done once in the life of a database, and is.
        "CREATE TABLE marks (name TEXT NOT NULL PRIMARY KEY)",
        "CREATE TABLE probe (id BIGINT NOT NULL PRIMARY KEY, writes BIGINT NOT NULL)",
        "DROP INDEX heads_list",
        "DROP INDEX heads_agent",
        "DROP INDEX heads_busy",
        concat!("CREATE INDEX heads_shelf ON heads (workspace, ", shelf!(), ", created_at, id)"),
        concat!("CREATE INDEX heads_agent ON heads (workspace, agent, ", shelf!(), ", created_at, id)"),
        concat!(
            "CREATE INDEX heads_version ON heads (workspace, agent, agent_version, ",
            shelf!(),
            ", created_at, id)"
        ),
        concat!("CREATE INDEX heads_status ON heads (status, workspace, ", shelf!(), ", created_at, id)"),
    ],
};

/// Which sessions use an environment.
const USED: Migration = Migration {
    number: 3,
    // Of the environment alone: a turn changes nothing in it.
    statements: &["CREATE INDEX heads_environment ON heads (environment)"],
};

/// What finds a request again that is sent once more: in the row of the commit that it made, and in rows of
/// their own for what is not looked for in a log.
const RECEIPTS: Migration = Migration {
    number: 4,
    statements: &[
        "ALTER TABLE log ADD COLUMN receipt {bytes}",
        "CREATE TABLE receipts (
            name {bytes} NOT NULL PRIMARY KEY,
            print {bytes} NOT NULL,
            until BIGINT NOT NULL,
            made {bytes} NOT NULL,
            sum BIGINT NOT NULL
        )",
        "CREATE INDEX receipts_until ON receipts (until)",
    ],
};

/// What locks a document apart from the version that clients know, and what it is below.
const BELOW: Migration = Migration {
    number: 5,
    statements: &[
        // Rows made before have none: they are locked by their version, and below nothing.
        "ALTER TABLE documents ADD COLUMN revision BIGINT",
        "ALTER TABLE documents ADD COLUMN parent {bytes}",
        "ALTER TABLE history ADD COLUMN revision BIGINT",
        "ALTER TABLE history ADD COLUMN parent {bytes}",
        "CREATE INDEX documents_parent ON documents (workspace, parent, kind, created_at, id)
            WHERE parent IS NOT NULL",
    ],
};

/// The newest step of this build.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_from_one_without_a_gap() {
        let numbers: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.number).collect();
        assert_eq!(numbers, (1..=newest()).collect::<Vec<i64>>());
    }
}
