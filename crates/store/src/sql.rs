//! Every statement, once, in the dialect SQLite and PostgreSQL share, and how its rows read back.
//!
//! Parameters are `$n`. A batch of statements is atomic, and a statement may expect a number of rows;
//! a driver answers an unmet expectation, or a taken unique key, with a conflict.

use protocol::{EnvironmentId, SessionId, Stamp, WorkspaceId};

use crate::cells::Value;
use crate::kind::Kind;
use crate::leases::Lease;
use crate::nouns::{Append, Document, Head, Owner, OwnerKind, Pin, Receipt, Write};
use crate::sums;

macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(Value::from($value)),*] };
}

/// How many rows a statement must touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    /// Exactly one row changed.
    One,
    /// A query that finds a row, which stays as it is until the batch is committed. (PostgreSQL adds
    /// FOR SHARE; SQLite has one writer.)
    Found,
}

/// One statement of a batch.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Value>,
    pub(crate) expect: Expect,
    /// Index of the write it belongs to.
    pub(crate) write: usize,
}

/// One query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) params: Vec<Value>,
    /// Stop before the row with which the bytes of all rows exceed this; the first row always comes.
    pub(crate) max_bytes: usize,
}

impl Query {
    pub(crate) fn new(sql: impl Into<String>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params, max_bytes: usize::MAX }
    }
}

/// The statements of a commit.
pub(crate) fn statements(writes: Vec<Write>) -> Vec<Statement> {
    let mut all = Vec::with_capacity(writes.len() * 2);
    for (index, write) in writes.into_iter().enumerate() {
        let mut push = |sql, params, expect| all.push(Statement { sql, params, expect, write: index });
        match write {
            Write::Append(append) => append_statements(append, &mut push),
            Write::Create(document) => push(CREATE, document_values(document), Expect::One),
            Write::Revise(document) => {
                let before = document.revision - 1;
                let kept = values![document.kind, document.id, before, document.version];
                push(KEEP, kept, Expect::Any);
                push(REVISE, revision_values(document, before), Expect::One);
            }
            Write::ExpectLive { workspace, kind, id, version: None } => {
                push(LIVE, values![workspace, kind, id], Expect::Found);
            }
            Write::ExpectLive { workspace, kind, id, version: Some(version) } => {
                push(LIVE_VERSION, values![workspace, kind, id, version], Expect::Found);
            }
            Write::ExpectUnused { environment } => push(UNUSED, values![environment], Expect::Found),
            Write::Drop { workspace, kind, id } => {
                let place = || values![workspace, kind, id];
                push(THERE, place(), Expect::Found);
                push(DROP_HISTORY, place(), Expect::Any);
                push(DROP, place(), Expect::Any);
            }
            Write::Delete { workspace, session, at } => {
                push(DELETE, values![at, session, workspace], Expect::One);
            }
            Write::PutSnapshot { hash, body } => {
                push(PUT_SNAPSHOT, values![hash.to_vec(), body], Expect::Any);
            }
            Write::Pin(Pin { blob, owner, bytes }) => {
                push(PIN, values![owner.kind, owner.id, blob.to_vec(), bytes], Expect::Any);
            }
            Write::PutReceipt { receipt, over } => {
                let sum = sums::receipt(&receipt);
                let Receipt { name, print, until, made } = receipt;
                let params = values![name.to_vec(), print.to_vec(), until, made, sum, over];
                push(PUT_RECEIPT, params, Expect::One);
            }
        }
    }
    all
}

const INSERT_HEAD: &str = "INSERT INTO heads (id, workspace, position, status, due, created_at, updated_at, \
     archived_at, deleted_at, agent, agent_version, environment, body, sum) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
const MOVE_HEAD: &str = "UPDATE heads SET position = $1, status = $2, due = $3, updated_at = $4, \
     body = $5, sum = $6 WHERE id = $7 AND position = $8";
// Apart, for a statement that names a column touches every index on it, and a turn changes neither of these.
const END_HEAD: &str = "UPDATE heads SET archived_at = COALESCE($1, archived_at), \
     deleted_at = COALESCE($2, deleted_at) WHERE id = $3";
const DELETE: &str =
    "UPDATE heads SET deleted_at = $1 WHERE id = $2 AND workspace = $3 AND deleted_at IS NULL";
const APPEND: &str = "INSERT INTO log (session, first, count, at, body, receipt, sum) \
     VALUES ((SELECT number FROM heads WHERE id = $1), $2, $3, $4, $5, $6, $7)";

fn append_statements(append: Append, push: &mut impl FnMut(&'static str, Vec<Value>, Expect)) {
    let Append { session, first, count, at, body, receipt, head } = append;
    let (status, head_sum) = (head.status.name(), sums::head(&head));
    let row_sum = sums::row(session, first, count, at, &body, receipt.as_deref());
    if first == 0 {
        let created = values![
            session,
            head.workspace,
            head.position,
            status,
            head.due,
            head.created_at,
            head.updated_at,
            head.archived_at,
            head.deleted_at,
            head.agent,
            head.agent_version,
            head.environment,
            head.body,
            head_sum,
        ];
        push(INSERT_HEAD, created, Expect::One);
    } else {
        let Head { position, due, updated_at, body, archived_at, deleted_at, .. } = head;
        let moved = values![position, status, due, updated_at, body, head_sum, session, first];
        push(MOVE_HEAD, moved, Expect::One);
        if archived_at.is_some() || deleted_at.is_some() {
            push(END_HEAD, values![archived_at, deleted_at, session], Expect::One);
        }
    }
    push(APPEND, values![session, first, u64::from(count), at, body, receipt, row_sum], Expect::One);
}

/// The lock of a document. One made before it stood apart was locked by its version.
macro_rules! revision {
    () => {
        "COALESCE(revision, version)"
    };
}
macro_rules! document_columns {
    () => {
        "id, version, workspace, unique_key, created_at, updated_at, archived_at, body, revision, parent, sum"
    };
}
const CREATE: &str = concat!(
    "INSERT INTO documents (kind, ",
    document_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING"
);
const KEEP: &str = concat!(
    "INSERT INTO history (kind, ",
    document_columns!(),
    ") SELECT kind, ",
    document_columns!(),
    " FROM documents WHERE kind = $1 AND id = $2 AND ",
    revision!(),
    " = $3 AND version < $4"
);
const REVISE: &str = concat!(
    "UPDATE documents SET version = $1, unique_key = $2, updated_at = $3, archived_at = $4, body = $5, \
     revision = $6, sum = $7 WHERE kind = $8 AND id = $9 AND workspace = $10 \
     AND parent IS NOT DISTINCT FROM $11 AND version <= $1 AND ",
    revision!(),
    " = $12"
);
macro_rules! there {
    () => {
        "SELECT 1 FROM documents WHERE workspace = $1 AND kind = $2 AND id = $3"
    };
}
const THERE: &str = there!();
const LIVE: &str = concat!(there!(), " AND archived_at IS NULL");
const LIVE_VERSION: &str = concat!(
    there!(),
    " AND archived_at IS NULL AND (version = $4 OR EXISTS \
     (SELECT 1 FROM history WHERE kind = $2 AND id = $3 AND version = $4))"
);
/// A document and all below it. `UNION` and not `UNION ALL`: nothing is looked at twice. `CROSS JOIN`: SQLite
/// reads from left to right, so that what is below is found by its index.
macro_rules! below {
    () => {
        "WITH RECURSIVE below (kind, id) AS (SELECT kind, id FROM documents \
         WHERE workspace = $1 AND kind = $2 AND id = $3 UNION SELECT child.kind, child.id \
         FROM below CROSS JOIN documents AS child WHERE child.workspace = $1 AND child.parent = below.id \
         AND child.revision IS NOT NULL) "
    };
}
const DROP: &str =
    concat!(below!(), "DELETE FROM documents WHERE (kind, id) IN (SELECT kind, id FROM below)");
const DROP_HISTORY: &str =
    concat!(below!(), "DELETE FROM history WHERE (kind, id) IN (SELECT kind, id FROM below)");
macro_rules! using {
    () => {
        "FROM heads WHERE environment = $1 AND status <> 'terminated' AND deleted_at IS NULL"
    };
}
const UNUSED: &str = concat!("SELECT 1 WHERE NOT EXISTS (SELECT 1 ", using!(), ")");
const PUT_SNAPSHOT: &str = "INSERT INTO snapshots (hash, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
// A session that is gone pins nothing: its rows went with it.
const PIN: &str = "INSERT INTO pins (kind, owner, blob, bytes) SELECT $1, $2, $3, $4 \
     WHERE $1 <> 'session' OR EXISTS (SELECT 1 FROM heads WHERE id = $2) ON CONFLICT DO NOTHING";

const PUT_RECEIPT: &str = "INSERT INTO receipts (name, print, until, made, sum) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET print = excluded.print, \
     until = excluded.until, made = excluded.made, sum = excluded.sum WHERE receipts.until <= $6";

fn document_values(document: Document) -> Vec<Value> {
    let sum = sums::document(&document);
    values![
        document.kind,
        document.id,
        document.version,
        document.workspace,
        document.unique_key.as_deref(),
        document.created_at,
        document.updated_at,
        document.archived_at,
        document.body,
        document.revision,
        document.parent,
        sum,
    ]
}

fn revision_values(document: Document, before: u64) -> Vec<Value> {
    let sum = sums::document(&document);
    values![
        document.version,
        document.unique_key.as_deref(),
        document.updated_at,
        document.archived_at,
        document.body,
        document.revision,
        sum,
        document.kind,
        document.id,
        document.workspace,
        document.parent,
        before,
    ]
}

pub(crate) const HEAD_COLUMNS: &str = "id, workspace, position, status, due, created_at, updated_at, \
     archived_at, deleted_at, agent, agent_version, environment, body, sum";
pub(crate) const DOCUMENT_COLUMNS: &str = document_columns!();

pub(crate) fn head(workspace: WorkspaceId, session: SessionId) -> Query {
    let sql = format!("SELECT {HEAD_COLUMNS} FROM heads WHERE id = $1 AND workspace = $2");
    Query::new(sql, values![session, workspace])
}

/// The head row of a session, whosever it is.
pub(crate) fn head_of(session: SessionId) -> Query {
    let sql = format!("SELECT {HEAD_COLUMNS} FROM heads WHERE id = $1");
    Query::new(sql, values![session])
}

pub(crate) fn busy() -> Query {
    let sql = "SELECT id FROM heads \
         WHERE status IN ('running', 'rescheduling') AND deleted_at IS NULL ORDER BY id";
    Query::new(sql, Vec::new())
}

/// How many log rows one read looks at; a caller that wants more asks again from where it ended.
pub(crate) const ROWS_AT_ONCE: usize = 10_000;

pub(crate) fn log(session: SessionId, from: u64, max_bytes: usize) -> Query {
    let sql = "SELECT l.first, l.count, l.at, l.body, l.receipt, l.sum FROM log l \
         WHERE l.session = (SELECT number FROM heads WHERE id = $1) \
         AND l.first >= (SELECT COALESCE(MAX(s.first), 0) FROM log s \
         WHERE s.session = (SELECT number FROM heads WHERE id = $1) AND s.first <= $2) \
         AND l.first + l.count > $2 ORDER BY l.first LIMIT $3";
    let params = values![session, from, ROWS_AT_ONCE];
    Query { max_bytes, ..Query::new(sql, params) }
}

pub(crate) fn log_back(session: SessionId, before: u64, max_bytes: usize) -> Query {
    let sql = "SELECT first, count, at, body, receipt, sum FROM log \
         WHERE session = (SELECT number FROM heads WHERE id = $1) AND first < $2 \
         ORDER BY first DESC LIMIT $3";
    let params = values![session, before, ROWS_AT_ONCE];
    Query { max_bytes, ..Query::new(sql, params) }
}

pub(crate) fn deleted(before: Stamp, limit: usize) -> Query {
    let sql = "SELECT id FROM heads WHERE deleted_at < $1 ORDER BY deleted_at, id LIMIT $2";
    Query::new(sql, values![before, limit])
}

/// The position where the log's oldest `rows` rows end, if it has more.
pub(crate) fn cut(session: SessionId, rows: usize) -> Query {
    let sql = "SELECT first FROM log WHERE session = (SELECT number FROM heads WHERE id = $1) \
         ORDER BY first LIMIT 1 OFFSET $2";
    Query::new(sql, values![session, rows])
}

/// Removes a deleted session's log rows in front of `before`, and with `None` the rest and the head.
pub(crate) fn remove(session: SessionId, before: Option<u64>) -> Vec<Statement> {
    let rows = Statement {
        sql: "DELETE FROM log WHERE session = \
              (SELECT number FROM heads WHERE id = $1 AND deleted_at IS NOT NULL) AND first < $2",
        params: values![session, before.unwrap_or(u64::MAX)],
        expect: Expect::Any,
        write: 0,
    };
    let head = Statement {
        sql: "DELETE FROM heads WHERE id = $1 AND deleted_at IS NOT NULL",
        params: values![session],
        expect: Expect::One,
        write: 0,
    };
    let pins = Statement {
        sql: "DELETE FROM pins WHERE kind = $1 AND owner = $2",
        params: values![OwnerKind::Session, session],
        expect: Expect::Any,
        write: 0,
    };
    if before.is_some() { vec![rows] } else { vec![rows, head, pins] }
}

/// How many sessions have an environment that are neither terminated nor deleted.
pub(crate) fn using(environment: EnvironmentId) -> Query {
    Query::new(concat!("SELECT COUNT(*) ", using!()), values![environment])
}

/// How many bytes the blobs hold that an owner pins.
pub(crate) fn pinned(owner: Owner) -> Query {
    let sql = "SELECT COALESCE(SUM(bytes), 0) FROM pins WHERE kind = $1 AND owner = $2";
    Query::new(sql, values![owner.kind, owner.id])
}

/// Which of these blobs somebody pins.
pub(crate) fn in_use(blobs: &[[u8; 32]]) -> Query {
    let places: Vec<String> = (1..=blobs.len()).map(|place| format!("${place}")).collect();
    let sql = format!("SELECT DISTINCT blob FROM pins WHERE blob IN ({})", places.join(", "));
    Query::new(sql, blobs.iter().map(|blob| Value::from(blob.to_vec())).collect())
}

/// Sessions of every workspace behind `after`, by id.
pub(crate) fn sessions(after: Option<SessionId>, limit: usize) -> Query {
    match after {
        None => Query::new("SELECT id FROM heads ORDER BY id LIMIT $1", values![limit]),
        Some(after) => {
            Query::new("SELECT id FROM heads WHERE id > $1 ORDER BY id LIMIT $2", values![after, limit])
        }
    }
}

pub(crate) fn receipt(name: &[u8; 16], now: Stamp) -> Query {
    let sql = "SELECT name, print, until, made, sum FROM receipts WHERE name = $1 AND until > $2";
    Query::new(sql, values![name.to_vec(), now])
}

/// Until when those receipts last whose time is over.
pub(crate) fn receipts_over(now: Stamp, limit: usize) -> Query {
    let sql = "SELECT until FROM receipts WHERE until <= $1 ORDER BY until LIMIT $2";
    Query::new(sql, values![now, limit])
}

pub(crate) fn forget(until: Stamp) -> Statement {
    Statement {
        sql: "DELETE FROM receipts WHERE until <= $1",
        params: values![until],
        expect: Expect::Any,
        write: 0,
    }
}

pub(crate) fn mark(name: &str) -> Query {
    Query::new("SELECT 1 FROM marks WHERE name = $1", values![name])
}

pub(crate) fn set_mark(name: &str) -> Statement {
    Statement {
        sql: "INSERT INTO marks (name) VALUES ($1) ON CONFLICT DO NOTHING",
        params: values![name],
        expect: Expect::Any,
        write: 0,
    }
}

pub(crate) fn probe() -> Statement {
    Statement {
        sql: "INSERT INTO probe (id, writes) VALUES (1, 1) \
              ON CONFLICT (id) DO UPDATE SET writes = probe.writes + 1",
        params: Vec::new(),
        expect: Expect::One,
        write: 0,
    }
}

pub(crate) fn document(workspace: WorkspaceId, kind: Kind, id: u128) -> Query {
    let sql =
        format!("SELECT {DOCUMENT_COLUMNS} FROM documents WHERE kind = $1 AND id = $2 AND workspace = $3");
    Query::new(sql, values![kind, id, workspace])
}

pub(crate) fn document_version(workspace: WorkspaceId, kind: Kind, id: u128, version: u64) -> Query {
    let of = "kind = $1 AND id = $2 AND workspace = $3 AND version = $4";
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE {of} \
         UNION ALL SELECT {DOCUMENT_COLUMNS} FROM history WHERE {of}"
    );
    Query::new(sql, values![kind, id, workspace, version])
}

pub(crate) fn versions(
    workspace: WorkspaceId,
    kind: Kind,
    id: u128,
    after: Option<u64>,
    limit: usize,
) -> Query {
    let of = "kind = $1 AND id = $2 AND workspace = $3 AND version < $4";
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE {of} \
         UNION ALL SELECT {DOCUMENT_COLUMNS} FROM history WHERE {of} ORDER BY version DESC LIMIT $5"
    );
    Query::new(sql, values![kind, id, workspace, after.unwrap_or(u64::MAX), limit])
}

pub(crate) fn find(workspace: WorkspaceId, kind: Kind, key: &str) -> Query {
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE workspace = $1 AND kind = $2 AND unique_key = $3"
    );
    Query::new(sql, values![workspace, kind, key])
}

pub(crate) fn snapshot(hash: &[u8; 32]) -> Query {
    Query::new("SELECT body FROM snapshots WHERE hash = $1", values![hash.to_vec()])
}

pub(crate) fn lease(scope: &str) -> Query {
    Query::new("SELECT holder, epoch, until FROM leases WHERE scope = $1", values![scope])
}

/// Replaces the lease if it is still `kept`.
pub(crate) fn swap_lease(scope: &str, kept: Option<&Lease>, next: Lease) -> Statement {
    let Lease { holder, epoch, until } = next;
    let holder = holder.as_str();
    let (sql, params) = match kept {
        None => (
            "INSERT INTO leases (scope, holder, epoch, until) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            values![scope, holder, epoch, until],
        ),
        Some(kept) => (
            "UPDATE leases SET holder = $1, epoch = $2, until = $3 \
             WHERE scope = $4 AND epoch = $5 AND until = $6 AND holder = $7",
            values![holder, epoch, until, scope, kept.epoch, kept.until, kept.holder.as_str()],
        ),
    };
    Statement { sql, params, expect: Expect::One, write: 0 }
}

pub(crate) fn renew_lease(scope: &str, epoch: u64, until: Stamp) -> Statement {
    Statement {
        sql: "UPDATE leases SET until = $1 WHERE scope = $2 AND epoch = $3 AND holder <> ''",
        params: values![until, scope, epoch],
        expect: Expect::One,
        write: 0,
    }
}

pub(crate) fn release_lease(scope: &str, epoch: u64) -> Statement {
    Statement {
        sql: "UPDATE leases SET holder = '' WHERE scope = $1 AND epoch = $2",
        params: values![scope, epoch],
        expect: Expect::Any,
        write: 0,
    }
}
