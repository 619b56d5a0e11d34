//! The writer: one thread that runs waiting batches in groups, each group one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, config::DbConfig, ffi, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use crate::disk::DatabaseDisk;
use crate::fault::{BatchError, StoreFault};
use crate::sql::{ExpectedRows, SqlStatement};
use crate::statements::{execute, give, prepared, size};
use crate::threads::{ThreadEnd, aside};

/// A group of batches ends when it has this many batches or bytes.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 16 << 20;
/// How long a group that is smaller than the one before waits for those who were in that and come again: a
/// commit of their own would cost everybody more than this.
const GATHERED: Duration = Duration::from_micros(100);

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum WriteOrder {
    Run(WriteBatch),
    #[cfg(debug_assertions)]
    Break,
}

#[derive(Debug)]
pub(crate) struct WriteBatch {
    pub(crate) statements: Vec<SqlStatement>,
    pub(crate) appends: u64,
    pub(crate) answer: oneshot::Sender<BatchOutcome>,
}

/// What a batch came to.
pub(crate) type BatchOutcome = Result<(), BatchError>;

impl WriteBatch {
    fn bytes(&self) -> usize {
        self.statements.iter().flat_map(|statement| &statement.params).map(size).sum()
    }
}

/// Batches that become one transaction.
#[derive(Debug, Default)]
struct Group {
    batches: Vec<WriteBatch>,
    bytes: usize,
}

impl Group {
    /// The first that was asked, what waits behind it, and, where that is less than the group `before` held,
    /// what comes while it is gathered. Err: the thread is to end.
    fn gathered(
        first: WriteOrder,
        waiting: &mut mpsc::Receiver<WriteOrder>,
        before: usize,
    ) -> Result<Self, ThreadEnd> {
        let mut group = Self::default();
        group.take(first)?;
        group.gather(waiting)?;
        if group.batches.len() < before && group.has_room() {
            pause(GATHERED);
            group.gather(waiting)?;
        }
        Ok(group)
    }

    fn has_room(&self) -> bool {
        self.batches.len() < GROUP && self.bytes < GROUP_BYTES
    }

    /// Takes all that waits and has room.
    fn gather(&mut self, waiting: &mut mpsc::Receiver<WriteOrder>) -> Result<(), ThreadEnd> {
        while self.has_room() {
            let Ok(order) = waiting.try_recv() else { break };
            self.take(order)?;
        }
        Ok(())
    }

    fn take(&mut self, order: WriteOrder) -> Result<(), ThreadEnd> {
        match order {
            WriteOrder::Run(batch) => {
                self.bytes += batch.bytes();
                self.batches.push(batch);
                Ok(())
            }
            #[cfg(debug_assertions)]
            WriteOrder::Break => Err(ThreadEnd::Broken),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the writer's own thread, which has nothing else to do")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[derive(Debug)]
pub(crate) struct BatchWriter {
    pub(crate) connection: Connection,
    pub(crate) disk: Arc<DatabaseDisk>,
    pub(crate) commits: Arc<AtomicU64>,
}

impl BatchWriter {
    /// Runs what is asked until nobody can ask any more.
    pub(crate) fn run(self, mut waiting: mpsc::Receiver<WriteOrder>) -> ThreadEnd {
        let (mut wrote, mut before) = (false, 1);
        while let Some(order) = waiting.blocking_recv() {
            let group = match Group::gathered(order, &mut waiting, before) {
                Ok(group) => group,
                Err(end) => return end,
            };
            before = group.batches.len();
            wrote |= self.serve(group.batches);
        }
        self.leave(wrote);
        ThreadEnd::Closed
    }

    /// Folds the write-ahead log into the database, which removes it. It stays as it is where the disk is
    /// nearly full, for its blocks are the room that the next start works in; and where nothing was written
    /// or the database is malformed, for it may be another database's.
    fn leave(&self, wrote: bool) {
        let disk = &self.disk;
        let kept = disk.is_short() || disk.is_malformed() || (!wrote && disk.has_log());
        let set = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, kept);
        if let Err(error) = set {
            aside(|| tracing::warn!(%error, "the write-ahead log could not be folded"));
        }
    }

    /// Runs a group and answers everybody in it; whether any of it was written. A panic of ours is theirs to
    /// hear of and not the writer's end.
    fn serve(&self, group: Vec<WriteBatch>) -> bool {
        let outcomes = catch_unwind(AssertUnwindSafe(|| self.settle(&group)));
        let outcomes =
            outcomes.unwrap_or_else(|_| group.iter().map(|_| Err(StoreFault::Panicked.into())).collect());
        let mut wrote = false;
        for (batch, outcome) in group.into_iter().zip(outcomes) {
            if outcome.is_ok() {
                wrote = true;
                self.commits.fetch_add(batch.appends, Ordering::Relaxed);
            }
            give(batch.answer, outcome);
        }
        wrote
    }

    /// A group that finds the disk full gets the room that is kept for it, and then each of its batches has
    /// its own try: a small one, which may make room, is not to fail with a large one.
    fn settle(&self, group: &[WriteBatch]) -> Vec<BatchOutcome> {
        let mut tried = self.attempt(group);
        while matches!(tried, Err(StoreFault::Full { .. }))
            && self.disk.give_up(self.disk.share().piece_bytes())
        {
            aside(|| tracing::warn!("the disk is full: some of the room kept for this was given up"));
            tried = self.attempt(group);
        }
        match tried {
            Ok(outcomes) => outcomes,
            Err(StoreFault::Full { .. }) if group.len() > 1 => {
                let alone = |batch| self.attempt(std::slice::from_ref(batch));
                let outcome = |tried: Result<Vec<BatchOutcome>, StoreFault>| match tried {
                    Ok(mut outcomes) => outcomes.pop().unwrap_or(Ok(())),
                    Err(fault) => Err(fault.into()),
                };
                group.iter().map(alone).map(outcome).collect()
            }
            Err(fault) => group.iter().map(|_| Err(fault.clone().into())).collect(),
        }
    }

    /// One transaction for the group.
    ///
    /// After a fault a conflict inside the group may have been with a batch that is now undone: all get the
    /// fault.
    fn attempt(&self, group: &[WriteBatch]) -> Result<Vec<BatchOutcome>, StoreFault> {
        let tried = self.together(group).and_then(|written| {
            if written { Ok(group.iter().map(|_| Ok(())).collect()) } else { self.one_by_one(group) }
        });
        tried.map_err(|error| {
            let fault = self.disk.fault(&error);
            // Of a full disk everybody hears who asked, and says so.
            if !matches!(fault, StoreFault::Full { .. }) {
                aside(|| tracing::error!(%fault, batches = group.len(), "a group of commits failed"));
            }
            // An open transaction would keep other processes from writing.
            if let Err(error) = end(&self.connection) {
                aside(|| tracing::error!(%error, "a failed group of commits could not be undone yet"));
            }
            fault
        })
    }

    /// Writes the group without a way back for a single batch, which costs SQLite a copy of each page that is
    /// changed. False: one of them could not be written, and none is.
    fn together(&self, group: &[WriteBatch]) -> Result<bool, rusqlite::Error> {
        let connection = &self.connection;
        begin(connection)?;
        let mut statements = group.iter().flat_map(|batch| &batch.statements);
        let written = statements.all(|statement| write(connection, statement).is_ok());
        if written {
            execute(connection, "COMMIT")?;
        } else {
            end(connection)?;
        }
        Ok(written)
    }

    /// Writes the group with a savepoint for each batch of it.
    fn one_by_one(&self, group: &[WriteBatch]) -> Result<Vec<BatchOutcome>, rusqlite::Error> {
        begin(&self.connection)?;
        let outcomes = group.iter().map(|batch| self.write_batch(&batch.statements));
        let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
        execute(&self.connection, "COMMIT")?;
        Ok(outcomes)
    }

    /// The outer error undoes the whole group, the inner one only this batch.
    fn write_batch(&self, statements: &[SqlStatement]) -> Result<BatchOutcome, rusqlite::Error> {
        let connection = &self.connection;
        execute(connection, "SAVEPOINT batch")?;
        let outcome = statements.iter().try_for_each(|statement| write(connection, statement));
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(wrong) => {
                // A full disk, and some other failures, end the transaction, and the savepoint with it.
                let wrong = match wrong {
                    Wrong::Conflict { write } => BatchError::Conflict { write },
                    Wrong::Failed(error) => {
                        let fault = self.disk.fault(&error);
                        if connection.is_autocommit() || matches!(fault, StoreFault::Full { .. }) {
                            return Err(error);
                        }
                        fault.into()
                    }
                };
                execute(connection, "ROLLBACK TO batch")?;
                Err(wrong)
            }
        };
        execute(connection, "RELEASE batch")?;
        Ok(outcome)
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

/// Why a statement did not do what it should.
#[derive(Debug)]
enum Wrong {
    Conflict { write: usize },
    Failed(rusqlite::Error),
}

fn write(connection: &Connection, statement: &SqlStatement) -> Result<(), Wrong> {
    let met = prepared(connection, statement.sql).and_then(|mut prepared| {
        let params = params_from_iter(&statement.params);
        match statement.expect {
            ExpectedRows::Any => prepared.execute(params).map(|_| true),
            ExpectedRows::One => prepared.execute(params).map(|changed| changed == 1),
            ExpectedRows::Found => prepared.exists(params),
        }
    });
    match met {
        Ok(true) => Ok(()),
        Ok(false) => Err(Wrong::Conflict { write: statement.write }),
        Err(error) if is_taken(&error) => Err(Wrong::Conflict { write: statement.write }),
        Err(error) => Err(Wrong::Failed(error)),
    }
}

/// Whether a statement failed because a unique key is taken.
fn is_taken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
