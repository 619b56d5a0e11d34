//! The SQLite driver: one writer thread that groups waiting batches, and a few reader threads.
//!
//! WAL with synchronous=FULL: a batch is answered after the transaction that holds it is on the disk.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::{self, DatabaseDisk};
use crate::fault::{BatchError, StoreFault};
use crate::migrations::{MIGRATIONS, TABLE, newest};
#[cfg(debug_assertions)]
use crate::sql::ExpectedRows;
use crate::sql::{SqlQuery, SqlStatement};
#[cfg(debug_assertions)]
use crate::statements::PANIC;
use crate::statements::{FoundRows, give, read};
use crate::threads::{DatabaseThreadEnded, DatabaseThreads, ThreadEnd, ThreadEndings};
use crate::writer::{BatchWriter, WriteBatch, WriteOrder};

/// Batches and queries that may wait; more make their callers wait before they are handed over.
const QUEUE: usize = 1024;
const READERS: usize = 3;
/// How long another process (`heddle keys`) may hold the write lock.
const PATIENCE: Duration = Duration::from_secs(5);
const STATEMENTS_CACHED: usize = 64;
/// A database up to this size is examined whole, which takes a second or so.
const EXAMINED_BYTES: u64 = 512 << 20;

/// Where the index of the write-ahead log lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogIndex {
    /// In a file beside it, so that other processes may have the database open too.
    Shared,
    /// In this process's memory, which takes no room on the disk; other processes wait until it ends.
    Own,
}

/// The names of the threads.
const WRITER: &str = "store-writer";
const READER: &str = "store-reader";

/// An open database file.
#[derive(Debug)]
pub(crate) struct SqliteDatabase {
    // Dropped in this order: a channel closes and its threads end. The writer ends last and alone, for
    // when connections close side by side, none of them folds the write-ahead log.
    questions: mpsc::Sender<Question>,
    _readers: DatabaseThreads,
    orders: mpsc::Sender<WriteOrder>,
    _writer: DatabaseThreads,
    commits: Arc<AtomicU64>,
    disk: Arc<DatabaseDisk>,
    endings: ThreadEndings,
}

#[derive(Debug)]
struct Asked {
    query: SqlQuery,
    answer: oneshot::Sender<Result<FoundRows, StoreFault>>,
}

/// What a reader is asked.
#[derive(Debug)]
enum Question {
    Read(Asked),
    #[cfg(debug_assertions)]
    Break,
}

impl SqliteDatabase {
    /// Opens or creates the file and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreFault> {
        let disk = Arc::new(DatabaseDisk::new(path));
        let mut index = LogIndex::Shared;
        let mut opened = prepare(path, index, &disk);
        // Even to open a database takes a little room, of which a file system may swallow the first pieces.
        let starved = |opened: &Result<_, StoreFault>| {
            matches!(opened, Err(fault) if !matches!(fault, StoreFault::Newer { .. })) && disk.is_full()
        };
        while starved(&opened) && disk.give_up(disk::OPEN_BYTES) {
            opened = prepare(path, index, &disk);
        }
        // What was given up may still be another's to take: a file system has a part for root alone.
        if starved(&opened) {
            index = LogIndex::Own;
            opened = prepare(path, index, &disk);
        }
        if starved(&opened) {
            return Err(disk.full());
        }
        let writer = opened?;
        if index == LogIndex::Own {
            tracing::warn!(
                "the disk is full: it has no room for the index of the write-ahead log, which is in memory until \
                 the next start; until then `heddle keys` does not reach the database"
            );
        }
        let wrong = |reason: String| StoreFault::Open { path: path.to_owned(), reason };
        let commits = Arc::new(AtomicU64::new(0));
        let endings: ThreadEndings = Arc::new(watch::Sender::new(None));
        let (mut writers, mut readers) = (DatabaseThreads::default(), DatabaseThreads::default());
        let (orders, waiting) = mpsc::channel(QUEUE);
        let writer =
            BatchWriter { connection: writer, disk: Arc::clone(&disk), commits: Arc::clone(&commits) };
        writers.start(WRITER, &endings, move || writer.run(waiting)).map_err(wrong)?;
        let (questions, asked) = mpsc::channel(QUEUE);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..READERS {
            let reader = connect(path, index)
                .and_then(|reader| reader.pragma_update(None, "query_only", true).map(|()| reader))
                .map_err(|error| wrong(disk.told(&error)))?;
            let (asked, disk) = (Arc::clone(&asked), Arc::clone(&disk));
            readers.start(READER, &endings, move || answer_all(&reader, &disk, &asked)).map_err(wrong)?;
        }
        Ok(Self { questions, _readers: readers, orders, _writer: writers, commits, disk, endings })
    }

    /// Runs a batch: all or nothing, durable when this returns. A caller that stops waiting may or
    /// may not have had its batch run.
    pub(crate) async fn run(&self, statements: Vec<SqlStatement>, appends: u64) -> Result<(), BatchError> {
        let (answer, answered) = oneshot::channel();
        let batch = WriteBatch { statements, appends, answer };
        self.orders.send(WriteOrder::Run(batch)).await.map_err(|_| StoreFault::Closed)?;
        answered.await.map_err(|_| StoreFault::Closed)?
    }

    /// Runs one query on the newest committed state.
    pub(crate) async fn rows(&self, query: SqlQuery) -> Result<FoundRows, StoreFault> {
        let (answer, answered) = oneshot::channel();
        let question = Question::Read(Asked { query, answer });
        self.questions.send(question).await.map_err(|_| StoreFault::Closed)?;
        answered.await.map_err(|_| StoreFault::Closed)?
    }

    /// How many appends were made durable since the file was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn disk(&self) -> &Arc<DatabaseDisk> {
        &self.disk
    }

    /// Waits until a thread ends before its time; as long as all is well, for ever.
    pub(crate) async fn watch(&self) -> DatabaseThreadEnded {
        let mut ending = self.endings.subscribe();
        let ended = ending.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        // We hold the sender: the other end cannot go before us.
        match ended {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Makes a thread panic over what it is asked.
    #[cfg(debug_assertions)]
    pub(crate) async fn panic_thread(&self, name: &str) -> Result<(), StoreFault> {
        if name == READER {
            return self.rows(SqlQuery::new(PANIC, Vec::new())).await.map(drop);
        }
        let panic = SqlStatement { sql: PANIC, params: Vec::new(), expect: ExpectedRows::Any, write: 0 };
        match self.run(vec![panic], 0).await {
            Ok(()) | Err(BatchError::Conflict { .. }) => Ok(()),
            Err(BatchError::Fault(fault)) => Err(fault),
        }
    }

    /// Ends a thread as a fault in it would. False: there is none of this name.
    #[cfg(debug_assertions)]
    pub(crate) async fn break_thread(&self, name: &str) -> bool {
        match name {
            WRITER => self.orders.send(WriteOrder::Break).await.is_ok(),
            READER => self.questions.send(Question::Break).await.is_ok(),
            _ => false,
        }
    }
}

/// The writer's connection, to a file that is ready for it.
pub(crate) fn prepare(path: &Path, index: LogIndex, disk: &DatabaseDisk) -> Result<Connection, StoreFault> {
    let wrong = |reason: String| StoreFault::Open { path: path.to_owned(), reason };
    // SQLite does not wait when two connections turn a new file to WAL at once, so openings take turns.
    let turn = File::create(path.with_added_extension("opening")).and_then(|turn| {
        turn.lock()?;
        Ok(turn)
    });
    let turn = turn.map_err(|error| wrong(error.to_string()))?;
    let told = |error: rusqlite::Error| wrong(disk.told(&error));
    let mut writer = connect(path, index).map_err(told)?;
    if let Some(found) = migrate(&mut writer).map_err(told)? {
        return Err(StoreFault::Newer { path: path.to_owned(), found, known: newest() });
    }
    let mode: String =
        writer.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(told)?;
    if mode != "wal" {
        return Err(wrong(format!("its journal mode stays {mode}: the file system does not allow WAL")));
    }
    // A log that grew under a load is cut back. What a batch may have to undo stays off the disk, which may
    // be full.
    writer
        .pragma_update_and_check(None, "journal_size_limit", disk.share().log_bytes as i64, |_| Ok(()))
        .and_then(|()| writer.pragma_update(None, "temp_store", "memory"))
        .and_then(|()| writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop))
        .map_err(told)?;
    drop(turn);
    Ok(writer)
}

/// See [`crate::Store::look`]. What waits in the write-ahead log is not seen, so that only what is certain
/// without it is said.
pub(crate) fn look(path: &Path) -> Result<(), StoreFault> {
    if !path.exists() {
        return Ok(());
    }
    match newest_seen(path, "immutable=1") {
        Ok(found) if found > newest() => Err(StoreFault::Newer { path: path.into(), found, known: newest() }),
        Err(wrong) if wrong.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreFault::Open { path: path.into(), reason: DatabaseDisk::new(path).told(&wrong) })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// See [`crate::Store::is_older`].
pub(crate) fn is_older(path: &Path) -> bool {
    let seen = as_it_is(&DatabaseDisk::new(path)).and_then(|how| newest_seen(path, how).ok());
    seen.is_some_and(|seen| seen < newest())
}

fn newest_seen(path: &Path, how: &str) -> Result<i64, rusqlite::Error> {
    let newest = "SELECT COALESCE(MAX(number), 0) FROM migrations";
    to_read(path, how)?.query_row(newest, [], |row| row.get(0))
}

/// How all of a database is read without a change to its files. `None`: to see what waits in the log, an
/// index of it would have to be made.
fn as_it_is(disk: &DatabaseDisk) -> Option<&'static str> {
    match (disk.has_log(), disk.has_index()) {
        (false, _) => Some("immutable=1"),
        (true, true) => Some("readonly_shm=1"),
        (true, false) => None,
    }
}

/// See [`crate::Store::examine`].
pub(crate) fn examine(path: &Path) -> Result<(), StoreFault> {
    look(path)?;
    let disk = DatabaseDisk::new(path);
    let Some(how) = as_it_is(&disk) else { return Ok(()) };
    let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
    let check =
        if bytes > EXAMINED_BYTES { "PRAGMA quick_check(migrations)" } else { "PRAGMA quick_check(1)" };
    let found = to_read(path, how).and_then(|file| file.query_row(check, [], |row| row.get::<_, String>(0)));
    let wrong = |reason: String| Err(StoreFault::Open { path: path.into(), reason });
    match found {
        Ok(found) if found != "ok" => wrong(disk.told_malformed(&"it is malformed")),
        Err(error) => {
            let told = disk.told(&error);
            // What else may keep it from being read is said when it is opened.
            if disk.is_malformed() { wrong(told) } else { Ok(()) }
        }
        Ok(_) => Ok(()),
    }
}

/// A connection to a file that is there, which changes nothing of it.
fn to_read(path: &Path, how: &str) -> Result<Connection, rusqlite::Error> {
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{name}?{how}"), flags)
}

pub(crate) fn connect(path: &Path, index: LogIndex) -> Result<Connection, rusqlite::Error> {
    let connection = match index {
        LogIndex::Shared => Connection::open(path)?,
        LogIndex::Own => Connection::open_with_flags_and_vfs(path, OpenFlags::default(), "unix-excl")?,
    };
    // Whoever fails to open it folds no log into it, which may be another database's.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(connection)
}

/// Runs the steps the database has not seen, all in one transaction; of a database that has seen more
/// than this build knows, changes nothing and returns its newest step.
pub(crate) fn migrate(connection: &mut Connection) -> Result<Option<i64>, rusqlite::Error> {
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

fn answer_all(
    connection: &Connection,
    disk: &DatabaseDisk,
    asked: &Mutex<mpsc::Receiver<Question>>,
) -> ThreadEnd {
    loop {
        // The lock is held while waiting: the idle readers stand in line for it.
        let next = asked.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Asked { query, answer } = match next {
            None => return ThreadEnd::Closed,
            #[cfg(debug_assertions)]
            Some(Question::Break) => return ThreadEnd::Broken,
            Some(Question::Read(asked)) => asked,
        };
        if !answer.is_closed() {
            let rows = catch_unwind(AssertUnwindSafe(|| read(connection, &query)));
            give(
                answer,
                match rows {
                    Ok(rows) => rows.map_err(|error| disk.fault(&error)),
                    Err(_) => Err(StoreFault::Panicked),
                },
            );
        }
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
