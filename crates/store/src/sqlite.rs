//! The SQLite driver: one writer thread that groups waiting batches, and a few reader threads.
//!
//! WAL with synchronous=FULL: a batch is answered after the transaction that holds it is on the disk.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, ffi, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use crate::cells::Value;
use crate::fault::{CommitError, Fault};
use crate::migrations::{MIGRATIONS, TABLE, newest};
use crate::sql::{Expect, Query, Statement};

/// Batches and queries that may wait; more make their callers wait before they are handed over.
const QUEUE: usize = 1024;
/// A group of batches ends when it has this many batches or bytes.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 16 << 20;
const READERS: usize = 3;
/// How long another process (`heddle keys`) may hold the write lock.
const PATIENCE: Duration = Duration::from_secs(5);
const STATEMENTS_CACHED: usize = 64;

/// An open database file.
#[derive(Debug)]
pub(crate) struct Database {
    // Dropped in this order: a channel closes and its threads end. The writer ends last and alone, for
    // when connections close side by side, none of them folds the write-ahead log.
    questions: mpsc::Sender<Question>,
    _readers: Threads,
    batches: mpsc::Sender<Batch>,
    _writer: Threads,
    commits: Arc<AtomicU64>,
}

/// The threads of a database; dropping them waits until they have finished what was asked and closed
/// the file.
#[derive(Debug, Default)]
struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    #[expect(clippy::disallowed_methods, reason = "the database's own threads, which end with it")]
    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(work).map_err(|error| format!("no thread to be had: {error}"))?;
        self.0.push(thread);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the database panicked");
            }
        }
    }
}

#[derive(Debug)]
struct Batch {
    statements: Vec<Statement>,
    appends: u64,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.statements.iter().flat_map(|statement| &statement.params).map(size).sum()
    }
}

#[derive(Debug)]
struct Question {
    query: Query,
    answer: oneshot::Sender<Result<Vec<Vec<Value>>, Fault>>,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let wrong = |reason: String| Fault::Open { path: path.to_owned(), reason };
        // SQLite does not wait when two connections turn a new file to WAL at once, so openings take turns.
        let turn = File::create(path.with_added_extension("opening")).and_then(|turn| {
            turn.lock()?;
            Ok(turn)
        });
        let turn = turn.map_err(|error| wrong(error.to_string()))?;
        let mut writer = connect(path).map_err(|error| wrong(error.to_string()))?;
        if let Some(found) = migrate(&mut writer).map_err(|error| wrong(error.to_string()))? {
            return Err(Fault::Newer { path: path.to_owned(), found, known: newest() });
        }
        let mode: String = writer
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(|error| wrong(error.to_string()))?;
        if mode != "wal" {
            return Err(wrong(format!("its journal mode stays {mode}: the file system does not allow WAL")));
        }
        drop(turn);

        let commits = Arc::new(AtomicU64::new(0));
        let (mut writers, mut readers) = (Threads::default(), Threads::default());
        let (batches, waiting) = mpsc::channel(QUEUE);
        let counter = Arc::clone(&commits);
        writers.start("store-writer", move || write_all(&writer, waiting, &counter)).map_err(wrong)?;
        let (questions, asked) = mpsc::channel(QUEUE);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..READERS {
            let reader = connect(path)
                .and_then(|reader| reader.pragma_update(None, "query_only", true).map(|()| reader))
                .map_err(|error| wrong(error.to_string()))?;
            let asked = Arc::clone(&asked);
            readers.start("store-reader", move || answer_all(&reader, &asked)).map_err(wrong)?;
        }
        Ok(Self { questions, _readers: readers, batches, _writer: writers, commits })
    }

    /// Runs a batch: all or nothing, durable when this returns. A caller that stops waiting may or
    /// may not have had its batch run.
    pub(crate) async fn run(&self, statements: Vec<Statement>, appends: u64) -> Result<(), CommitError> {
        let (answer, answered) = oneshot::channel();
        let batch = Batch { statements, appends, answer };
        self.batches.send(batch).await.map_err(|_| Fault::Closed)?;
        answered.await.map_err(|_| Fault::Closed)?
    }

    /// Runs one query on the newest committed state.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Vec<Value>>, Fault> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { query, answer }).await.map_err(|_| Fault::Closed)?;
        answered.await.map_err(|_| Fault::Closed)?
    }

    /// How many appends were made durable since the file was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(connection)
}

/// Runs the steps the database has not seen, all in one transaction; of a database that has seen more
/// than this build knows, changes nothing and returns its newest step.
fn migrate(connection: &mut Connection) -> Result<Option<i64>, rusqlite::Error> {
    let all = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    all.execute_batch(TABLE)?;
    let found: i64 =
        all.query_row("SELECT COALESCE(MAX(number), 0) FROM migrations", [], |row| row.get(0))?;
    if found > newest() {
        return Ok(Some(found));
    }
    for step in MIGRATIONS.iter().filter(|step| step.number > found) {
        for statement in step.statements {
            all.execute_batch(
                &statement.replace("{bytes}", "BLOB").replace("{serial}", "INTEGER PRIMARY KEY"),
            )?;
        }
        all.execute("INSERT INTO migrations (number) VALUES (?1)", [step.number])?;
    }
    all.commit()?;
    Ok(None)
}

fn write_all(connection: &Connection, mut waiting: mpsc::Receiver<Batch>, commits: &AtomicU64) {
    while let Some(batch) = waiting.blocking_recv() {
        let mut bytes = batch.bytes();
        let mut group = vec![batch];
        while group.len() < GROUP && bytes < GROUP_BYTES {
            let Ok(batch) = waiting.try_recv() else { break };
            bytes += batch.bytes();
            group.push(batch);
        }
        write_group(connection, group, commits);
    }
}

/// One transaction for the group, one savepoint for each batch of it.
fn write_group(connection: &Connection, group: Vec<Batch>, commits: &AtomicU64) {
    let outcomes = begin(connection)
        .and_then(|()| {
            let outcomes = group.iter().map(|batch| write_batch(connection, &batch.statements));
            outcomes.collect::<Result<Vec<_>, _>>()
        })
        .and_then(|outcomes| execute(connection, "COMMIT").map(|()| outcomes))
        .map_err(|error| Fault::Disk(error.to_string()));
    match outcomes {
        Ok(outcomes) => {
            for (batch, outcome) in group.into_iter().zip(outcomes) {
                if outcome.is_ok() {
                    commits.fetch_add(batch.appends, Ordering::Relaxed);
                }
                give(batch.answer, outcome);
            }
        }
        Err(fault) => {
            tracing::error!(%fault, batches = group.len(), "a group of commits failed");
            // An open transaction would keep other processes from writing.
            if let Err(error) = end(connection) {
                tracing::error!(%error, "a failed group of commits could not be undone yet");
            }
            // A conflict inside the group may have been with a batch that is now undone: all get the fault.
            for batch in group {
                give(batch.answer, Err(fault.clone().into()));
            }
        }
    }
}

/// Begins a transaction, ending one that a failure may have left open.
fn begin(connection: &Connection) -> Result<(), rusqlite::Error> {
    end(connection)?;
    execute(connection, "BEGIN IMMEDIATE")
}

/// Undoes the open transaction, if there is one.
fn end(connection: &Connection) -> Result<(), rusqlite::Error> {
    if connection.is_autocommit() { Ok(()) } else { execute(connection, "ROLLBACK") }
}

/// The outer error undoes the whole group, the inner one only this batch.
fn write_batch(
    connection: &Connection,
    statements: &[Statement],
) -> Result<Result<(), CommitError>, rusqlite::Error> {
    execute(connection, "SAVEPOINT batch")?;
    let outcome = statements.iter().try_for_each(|statement| write(connection, statement));
    if outcome.is_err() {
        // This fails if the database has already ended the transaction, and with it the group.
        execute(connection, "ROLLBACK TO batch")?;
    }
    execute(connection, "RELEASE batch")?;
    Ok(outcome)
}

fn write(connection: &Connection, statement: &Statement) -> Result<(), CommitError> {
    let met = prepared(connection, statement.sql).and_then(|mut prepared| {
        let params = params_from_iter(&statement.params);
        match statement.expect {
            Expect::Any => prepared.execute(params).map(|_| true),
            Expect::One => prepared.execute(params).map(|changed| changed == 1),
            Expect::Found => prepared.exists(params),
        }
    });
    match met {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommitError::Conflict { write: statement.write }),
        Err(error) if is_taken(&error) => Err(CommitError::Conflict { write: statement.write }),
        Err(error) => Err(Fault::Disk(error.to_string()).into()),
    }
}

/// Whether a statement failed because a unique key is taken.
fn is_taken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

fn answer_all(connection: &Connection, asked: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // The lock is held while waiting: the idle readers stand in line for it.
        let next = asked.lock().ok().and_then(|mut asked| asked.blocking_recv());
        let Some(Question { query, answer }) = next else { return };
        if !answer.is_closed() {
            let rows = read(connection, &query).map_err(|error| Fault::Disk(error.to_string()));
            give(answer, rows);
        }
    }
}

fn read(connection: &Connection, query: &Query) -> Result<Vec<Vec<Value>>, rusqlite::Error> {
    let mut prepared = prepared(connection, &query.sql)?;
    let columns = prepared.column_count();
    let mut found = prepared.query(params_from_iter(&query.params))?;
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = found.next()? {
        let values = (0..columns).map(|column| row.get_ref(column).map(Value::from));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        bytes = bytes.saturating_add(values.iter().map(size).sum());
        if bytes > query.max_bytes && !rows.is_empty() {
            break;
        }
        rows.push(values);
    }
    Ok(rows)
}

fn prepared<'a>(
    connection: &'a Connection,
    sql: &str,
) -> Result<rusqlite::CachedStatement<'a>, rusqlite::Error> {
    // To SQLite `$1` is a name; what numbers a parameter is `?1`.
    connection.prepare_cached(&sql.replace('$', "?"))
}

fn execute(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Answers somebody who may have stopped waiting.
fn give<T>(answer: oneshot::Sender<T>, outcome: T) {
    drop(answer.send(outcome));
}

/// What a value counts for when bytes are counted: numbers are free.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Int(_) => 0,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Int(number),
            // No column holds a fraction; as a text it is found corrupt where a number is expected.
            ValueRef::Real(number) => Self::Text(number.to_string()),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{DocumentQuery, Head, HeadQuery, Kind, Order, Status};
    use crate::{Append, Write, sql};
    use protocol::{AgentId, EnvironmentId, SessionId, Stamp, WorkspaceId};

    const SESSION: SessionId = SessionId::from_bits(7);
    const WORKSPACE: WorkspaceId = WorkspaceId::from_bits(1);

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), None);
        connection
    }

    /// Appends of one fact at these positions.
    fn appends(positions: &[u64]) -> Vec<Statement> {
        let appends = positions.iter().map(|first| {
            let head = Head {
                session: SESSION,
                workspace: WORKSPACE,
                position: first + 1,
                status: Status::Idle,
                due: None,
                created_at: Stamp::from_micros(0),
                updated_at: Stamp::from_micros(0),
                archived_at: None,
                deleted_at: None,
                agent: AgentId::from_bits(2),
                agent_version: 1,
                environment: EnvironmentId::from_bits(3),
                body: Vec::new(),
            };
            let at = Stamp::from_micros(0);
            Write::Append(Append { session: SESSION, first: *first, count: 1, at, body: Vec::new(), head })
        });
        sql::statements(appends.collect())
    }

    fn broken() -> Vec<Statement> {
        let mut statements = appends(&[3]);
        statements.push(Statement {
            sql: "DELETE FROM nothing",
            params: vec![],
            expect: Expect::Any,
            write: 1,
        });
        statements
    }

    /// Writes the batches as one group; what each was answered, and how many appends were counted.
    fn group(connection: &Connection, batches: Vec<Vec<Statement>>) -> (Vec<Result<(), CommitError>>, u64) {
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for statements in batches {
            let (answer, answered) = oneshot::channel();
            group.push(Batch { statements, appends: 1, answer });
            answers.push(answered);
        }
        let commits = AtomicU64::new(0);
        write_group(connection, group, &commits);
        let answers = answers.into_iter().map(|answered| answered.blocking_recv().unwrap()).collect();
        (answers, commits.into_inner())
    }

    fn firsts(connection: &Connection) -> Vec<Vec<Value>> {
        read(connection, &Query::new("SELECT first FROM log ORDER BY first", vec![])).unwrap()
    }

    #[test]
    fn a_conflict_in_a_group_undoes_its_own_batch_only() {
        let connection = database();
        let batches = vec![appends(&[0]), appends(&[1, 2, 5]), appends(&[1]), appends(&[0]), appends(&[2])];
        let (answers, commits) = group(&connection, batches);
        let conflict = |write| Err(CommitError::Conflict { write });
        assert_eq!(answers, [Ok(()), conflict(2), Ok(()), conflict(0), Ok(())]);
        assert_eq!(commits, 3);
        assert_eq!(firsts(&connection), [[Value::Int(0)], [Value::Int(1)], [Value::Int(2)]]);
    }

    #[test]
    fn a_statement_that_fails_undoes_its_own_batch_only() {
        let connection = database();
        let (answers, commits) = group(&connection, vec![appends(&[0, 1, 2]), broken(), appends(&[3])]);
        assert!(
            matches!(answers[..], [Ok(()), Err(CommitError::Fault(Fault::Disk(_))), Ok(())]),
            "{answers:?}"
        );
        assert_eq!((firsts(&connection).len(), commits), (4, 2));
    }

    #[test]
    fn a_group_that_cannot_be_committed_is_answered_with_a_fault_and_undone() {
        let connection = database();
        let debts = "PRAGMA foreign_keys = ON; CREATE TABLE owed (id INTEGER PRIMARY KEY); \
             CREATE TABLE debts (id BIGINT REFERENCES owed (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER borrow AFTER INSERT ON log BEGIN INSERT INTO debts VALUES (1); END";
        connection.execute_batch(debts).unwrap();
        let (answers, commits) = group(&connection, vec![appends(&[0]), appends(&[0])]);
        assert!(
            answers.len() == 2 && answers.iter().all(|answer| matches!(answer, Err(CommitError::Fault(_)))),
            "{answers:?}"
        );
        assert_eq!((firsts(&connection), commits), (vec![], 0));
        connection.execute_batch("DROP TRIGGER borrow").unwrap();
        assert_eq!(group(&connection, vec![appends(&[0])]), (vec![Ok(())], 1));
    }

    #[test]
    fn a_transaction_a_failure_left_open_is_undone_first() {
        let connection = database();
        begin(&connection).unwrap();
        write_batch(&connection, &appends(&[0])).unwrap().unwrap();
        assert_eq!(group(&connection, vec![appends(&[0, 1])]), (vec![Ok(())], 1));
        assert_eq!(firsts(&connection).len(), 2);
    }

    #[test]
    fn every_query_finds_its_rows_by_an_index() {
        let connection = database();
        let newest = HeadQuery::new(WORKSPACE, 10);
        let after = Some((Stamp::from_micros(5), SESSION));
        let page = HeadQuery { order: Order::Ascending, after, ..newest.clone() };
        let agent = HeadQuery { agent: Some(AgentId::from_bits(2)), ..newest.clone() };
        let documents = DocumentQuery::new(WORKSPACE, Kind::Agent, 10);
        for (query, index) in [
            (sql::head(WORKSPACE, SESSION), "heads_id"),
            (sql::heads(&newest), "heads_list"),
            (sql::heads(&page), "heads_list"),
            (sql::heads(&agent), "heads_agent"),
            (sql::busy(), "heads_busy"),
            (sql::deleted(Stamp::from_micros(5), 10), "heads_deleted"),
            (sql::log(SESSION, 5, 10), "log_position"),
            (sql::log_back(SESSION, 5, 10), "log_position"),
            (sql::cut(SESSION, 10), "log_position"),
            (sql::document_version(WORKSPACE, Kind::Agent, 1, 1), "history"),
            (sql::versions(WORKSPACE, Kind::Agent, 1, None, 10), "history"),
            (sql::documents(&documents), "documents_list"),
            (sql::find(WORKSPACE, Kind::Agent, "key"), "documents_key"),
            (sql::snapshot(&[0; 32]), "snapshots"),
            (sql::lease("scope"), "leases"),
        ] {
            let explained = Query { sql: format!("EXPLAIN QUERY PLAN {}", query.sql), ..query };
            let plan = format!("{:?}", read(&connection, &explained).unwrap());
            assert!(plan.contains(index), "{}: {plan}", explained.sql);
            // A scan is fine only of the partial index, which holds nothing but the answer.
            let scans = plan.replace("SCAN heads USING INDEX heads_busy", "");
            assert!(!scans.contains("SCAN"), "{}: {plan}", explained.sql);
        }
    }
}
