//! Every statement, once, in the dialect SQLite and PostgreSQL share, and how its rows read back.
//!
//! Parameters are `$n`. A batch of statements is atomic, and a statement may expect a number of rows;
//! a driver answers an unmet expectation, or a taken unique key, with a conflict.

use protocol::{EnvironmentId, SessionId, Timestamp, WorkspaceId};

use crate::cells::CellValue;
use crate::kind::DocumentKind;
use crate::leases::SessionLease;
use crate::nouns::{
    BatchWrite, BlobOwner, BlobOwnerKind, BlobPin, LogAppend, PostReceipt, SessionHead, StoredDocument,
};
use crate::sums;

macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(CellValue::from($value)),*] };
}

/// How many rows a statement must touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpectedRows {
    Any,
    /// Exactly one row changed.
    One,
    /// A query that finds a row, which stays as it is until the batch is committed. (PostgreSQL adds
    /// FOR SHARE; SQLite has one writer.)
    Found,
}

/// One statement of a batch.
#[derive(Debug)]
pub(crate) struct SqlStatement {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<CellValue>,
    pub(crate) expect: ExpectedRows,
    /// Index of the write it belongs to.
    pub(crate) write: usize,
}

/// One query.
#[derive(Debug)]
pub(crate) struct SqlQuery {
    pub(crate) sql: String,
    pub(crate) params: Vec<CellValue>,
    /// Stop before the row with which the bytes of all rows exceed this; the first row always comes.
    pub(crate) max_bytes: usize,
}

impl SqlQuery {
    pub(crate) fn new(sql: impl Into<String>, params: Vec<CellValue>) -> Self {
        Self { sql: sql.into(), params, max_bytes: usize::MAX }
    }
}

/// The statements of a commit.
pub(crate) fn statements(writes: Vec<BatchWrite>) -> Vec<SqlStatement> {
    let mut all = Vec::with_capacity(writes.len() * 2);
    for (index, write) in writes.into_iter().enumerate() {
        let mut push = |sql, params, expect| all.push(SqlStatement { sql, params, expect, write: index });
        match write {
            BatchWrite::Append(append) => append_statements(append, &mut push),
            BatchWrite::Create(document) => push(CREATE, document_values(document), ExpectedRows::One),
            BatchWrite::Revise(document) => {
                let before = document.revision - 1;
                let kept = values![document.kind, document.id, before, document.version];
                push(KEEP, kept, ExpectedRows::Any);
                push(REVISE, revision_values(document, before), ExpectedRows::One);
            }
            BatchWrite::ExpectLive { workspace, kind, id, version: None } => {
                push(LIVE, values![workspace, kind, id], ExpectedRows::Found);
            }
            BatchWrite::ExpectLive { workspace, kind, id, version: Some(version) } => {
                push(LIVE_VERSION, values![workspace, kind, id, version], ExpectedRows::Found);
            }
            BatchWrite::ExpectUnused { environment } => {
                push(UNUSED, values![environment], ExpectedRows::Found);
            }
            BatchWrite::Drop { workspace, kind, id } => {
                let place = || values![workspace, kind, id];
                push(THERE, place(), ExpectedRows::Found);
                push(DROP_HISTORY, place(), ExpectedRows::Any);
                push(DROP, place(), ExpectedRows::Any);
            }
            BatchWrite::Delete { workspace, session, at } => {
                push(DELETE, values![at, session, workspace], ExpectedRows::One);
            }
            BatchWrite::PutSnapshot { hash, body } => {
                push(PUT_SNAPSHOT, values![hash.to_vec(), body], ExpectedRows::Any);
            }
            BatchWrite::Pin(BlobPin { blob, owner, bytes }) => {
                push(PIN, values![owner.kind, owner.id, blob.to_vec(), bytes], ExpectedRows::Any);
            }
            BatchWrite::PutReceipt { receipt, over } => {
                let sum = sums::receipt(&receipt);
                let PostReceipt { name, print, until, made } = receipt;
                let params = values![name.to_vec(), print.to_vec(), until, made, sum, over];
                push(PUT_RECEIPT, params, ExpectedRows::One);
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

fn append_statements(append: LogAppend, push: &mut impl FnMut(&'static str, Vec<CellValue>, ExpectedRows)) {
    let LogAppend { session, first, count, at, body, receipt, head } = append;
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
        push(INSERT_HEAD, created, ExpectedRows::One);
    } else {
        let SessionHead { position, due, updated_at, body, archived_at, deleted_at, .. } = head;
        let moved = values![position, status, due, updated_at, body, head_sum, session, first];
        push(MOVE_HEAD, moved, ExpectedRows::One);
        if archived_at.is_some() || deleted_at.is_some() {
            push(END_HEAD, values![archived_at, deleted_at, session], ExpectedRows::One);
        }
    }
    push(APPEND, values![session, first, u64::from(count), at, body, receipt, row_sum], ExpectedRows::One);
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

fn document_values(document: StoredDocument) -> Vec<CellValue> {
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

fn revision_values(document: StoredDocument, before: u64) -> Vec<CellValue> {
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

pub(crate) fn head(workspace: WorkspaceId, session: SessionId) -> SqlQuery {
    let sql = format!("SELECT {HEAD_COLUMNS} FROM heads WHERE id = $1 AND workspace = $2");
    SqlQuery::new(sql, values![session, workspace])
}

/// The head row of a session, whosever it is.
pub(crate) fn head_of(session: SessionId) -> SqlQuery {
    let sql = format!("SELECT {HEAD_COLUMNS} FROM heads WHERE id = $1");
    SqlQuery::new(sql, values![session])
}

pub(crate) fn busy() -> SqlQuery {
    let sql = "SELECT id FROM heads \
         WHERE status IN ('running', 'rescheduling') AND deleted_at IS NULL ORDER BY id";
    SqlQuery::new(sql, Vec::new())
}

/// How many log rows one read looks at; a caller that wants more asks again from where it ended.
pub(crate) const ROWS_AT_ONCE: usize = 10_000;

pub(crate) fn log(session: SessionId, from: u64, max_bytes: usize) -> SqlQuery {
    let sql = "SELECT l.first, l.count, l.at, l.body, l.receipt, l.sum FROM log l \
         WHERE l.session = (SELECT number FROM heads WHERE id = $1) \
         AND l.first >= (SELECT COALESCE(MAX(s.first), 0) FROM log s \
         WHERE s.session = (SELECT number FROM heads WHERE id = $1) AND s.first <= $2) \
         AND l.first + l.count > $2 ORDER BY l.first LIMIT $3";
    let params = values![session, from, ROWS_AT_ONCE];
    SqlQuery { max_bytes, ..SqlQuery::new(sql, params) }
}

pub(crate) fn log_back(session: SessionId, before: u64, max_bytes: usize) -> SqlQuery {
    let sql = "SELECT first, count, at, body, receipt, sum FROM log \
         WHERE session = (SELECT number FROM heads WHERE id = $1) AND first < $2 \
         ORDER BY first DESC LIMIT $3";
    let params = values![session, before, ROWS_AT_ONCE];
    SqlQuery { max_bytes, ..SqlQuery::new(sql, params) }
}

pub(crate) fn deleted(before: Timestamp, limit: usize) -> SqlQuery {
    let sql = "SELECT id FROM heads WHERE deleted_at < $1 ORDER BY deleted_at, id LIMIT $2";
    SqlQuery::new(sql, values![before, limit])
}

/// The position where the log's oldest `rows` rows end, if it has more.
pub(crate) fn cut(session: SessionId, rows: usize) -> SqlQuery {
    let sql = "SELECT first FROM log WHERE session = (SELECT number FROM heads WHERE id = $1) \
         ORDER BY first LIMIT 1 OFFSET $2";
    SqlQuery::new(sql, values![session, rows])
}

/// Removes a deleted session's log rows in front of `before`, and with `None` the rest and the head.
pub(crate) fn remove(session: SessionId, before: Option<u64>) -> Vec<SqlStatement> {
    let rows = SqlStatement {
        sql: "DELETE FROM log WHERE session = \
              (SELECT number FROM heads WHERE id = $1 AND deleted_at IS NOT NULL) AND first < $2",
        params: values![session, before.unwrap_or(u64::MAX)],
        expect: ExpectedRows::Any,
        write: 0,
    };
    let head = SqlStatement {
        sql: "DELETE FROM heads WHERE id = $1 AND deleted_at IS NOT NULL",
        params: values![session],
        expect: ExpectedRows::One,
        write: 0,
    };
    let pins = SqlStatement {
        sql: "DELETE FROM pins WHERE kind = $1 AND owner = $2",
        params: values![BlobOwnerKind::Session, session],
        expect: ExpectedRows::Any,
        write: 0,
    };
    if before.is_some() { vec![rows] } else { vec![rows, head, pins] }
}

/// How many sessions have an environment that are neither terminated nor deleted.
pub(crate) fn using(environment: EnvironmentId) -> SqlQuery {
    SqlQuery::new(concat!("SELECT COUNT(*) ", using!()), values![environment])
}

/// How many bytes the blobs hold that an owner pins.
pub(crate) fn pinned(owner: BlobOwner) -> SqlQuery {
    let sql = "SELECT COALESCE(SUM(bytes), 0) FROM pins WHERE kind = $1 AND owner = $2";
    SqlQuery::new(sql, values![owner.kind, owner.id])
}

/// Which of these blobs somebody pins.
pub(crate) fn in_use(blobs: &[[u8; 32]]) -> SqlQuery {
    let places: Vec<String> = (1..=blobs.len()).map(|place| format!("${place}")).collect();
    let sql = format!("SELECT DISTINCT blob FROM pins WHERE blob IN ({})", places.join(", "));
    SqlQuery::new(sql, blobs.iter().map(|blob| CellValue::from(blob.to_vec())).collect())
}

/// Sessions of every workspace behind `after`, by id.
pub(crate) fn sessions(after: Option<SessionId>, limit: usize) -> SqlQuery {
    match after {
        None => SqlQuery::new("SELECT id FROM heads ORDER BY id LIMIT $1", values![limit]),
        Some(after) => {
            SqlQuery::new("SELECT id FROM heads WHERE id > $1 ORDER BY id LIMIT $2", values![after, limit])
        }
    }
}

pub(crate) fn receipt(name: &[u8; 16], now: Timestamp) -> SqlQuery {
    let sql = "SELECT name, print, until, made, sum FROM receipts WHERE name = $1 AND until > $2";
    SqlQuery::new(sql, values![name.to_vec(), now])
}

/// Until when those receipts last whose time is over.
pub(crate) fn receipts_over(now: Timestamp, limit: usize) -> SqlQuery {
    let sql = "SELECT until FROM receipts WHERE until <= $1 ORDER BY until LIMIT $2";
    SqlQuery::new(sql, values![now, limit])
}

pub(crate) fn forget(until: Timestamp) -> SqlStatement {
    SqlStatement {
        sql: "DELETE FROM receipts WHERE until <= $1",
        params: values![until],
        expect: ExpectedRows::Any,
        write: 0,
    }
}

pub(crate) fn mark(name: &str) -> SqlQuery {
    SqlQuery::new("SELECT 1 FROM marks WHERE name = $1", values![name])
}

pub(crate) fn set_mark(name: &str) -> SqlStatement {
    SqlStatement {
        sql: "INSERT INTO marks (name) VALUES ($1) ON CONFLICT DO NOTHING",
        params: values![name],
        expect: ExpectedRows::Any,
        write: 0,
    }
}

pub(crate) fn probe() -> SqlStatement {
    SqlStatement {
        sql: "INSERT INTO probe (id, writes) VALUES (1, 1) \
              ON CONFLICT (id) DO UPDATE SET writes = probe.writes + 1",
        params: Vec::new(),
        expect: ExpectedRows::One,
        write: 0,
    }
}

pub(crate) fn document(workspace: WorkspaceId, kind: DocumentKind, id: u128) -> SqlQuery {
    let sql =
        format!("SELECT {DOCUMENT_COLUMNS} FROM documents WHERE kind = $1 AND id = $2 AND workspace = $3");
    SqlQuery::new(sql, values![kind, id, workspace])
}

pub(crate) fn document_version(
    workspace: WorkspaceId,
    kind: DocumentKind,
    id: u128,
    version: u64,
) -> SqlQuery {
    let of = "kind = $1 AND id = $2 AND workspace = $3 AND version = $4";
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE {of} \
         UNION ALL SELECT {DOCUMENT_COLUMNS} FROM history WHERE {of}"
    );
    SqlQuery::new(sql, values![kind, id, workspace, version])
}

pub(crate) fn versions(
    workspace: WorkspaceId,
    kind: DocumentKind,
    id: u128,
    after: Option<u64>,
    limit: usize,
) -> SqlQuery {
    let of = "kind = $1 AND id = $2 AND workspace = $3 AND version < $4";
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE {of} \
         UNION ALL SELECT {DOCUMENT_COLUMNS} FROM history WHERE {of} ORDER BY version DESC LIMIT $5"
    );
    SqlQuery::new(sql, values![kind, id, workspace, after.unwrap_or(u64::MAX), limit])
}

pub(crate) fn find(workspace: WorkspaceId, kind: DocumentKind, key: &str) -> SqlQuery {
    let sql = format!(
        "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE workspace = $1 AND kind = $2 AND unique_key = $3"
    );
    SqlQuery::new(sql, values![workspace, kind, key])
}

pub(crate) fn snapshot(hash: &[u8; 32]) -> SqlQuery {
    SqlQuery::new("SELECT body FROM snapshots WHERE hash = $1", values![hash.to_vec()])
}

pub(crate) fn lease(scope: &str) -> SqlQuery {
    SqlQuery::new("SELECT holder, epoch, until FROM leases WHERE scope = $1", values![scope])
}

/// Replaces the lease if it is still `kept`.
pub(crate) fn swap_lease(scope: &str, kept: Option<&SessionLease>, next: SessionLease) -> SqlStatement {
    let SessionLease { holder, epoch, until } = next;
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
    SqlStatement { sql, params, expect: ExpectedRows::One, write: 0 }
}

pub(crate) fn renew_lease(scope: &str, epoch: u64, until: Timestamp) -> SqlStatement {
    SqlStatement {
        sql: "UPDATE leases SET until = $1 WHERE scope = $2 AND epoch = $3 AND holder <> ''",
        params: values![until, scope, epoch],
        expect: ExpectedRows::One,
        write: 0,
    }
}

pub(crate) fn release_lease(scope: &str, epoch: u64) -> SqlStatement {
    SqlStatement {
        sql: "UPDATE leases SET holder = '' WHERE scope = $1 AND epoch = $2",
        params: values![scope, epoch],
        expect: ExpectedRows::Any,
        write: 0,
    }
}
