//! What becomes of groups and batches.

use super::*;
use crate::cells::CellValue;
use crate::nouns::{BatchWrite, LogAppend, SessionHead};
use crate::sql::{self, SqlQuery};
use crate::sqlite::{LogIndex, connect, migrate, prepare};
use crate::statements::read;
use protocol::{AgentId, EnvironmentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};

const SESSION: SessionId = SessionId::from_bits(7);
const WORKSPACE: WorkspaceId = WorkspaceId::from_bits(1);

fn writer() -> BatchWriter {
    let mut connection = Connection::open_in_memory().unwrap();
    assert_eq!(migrate(&mut connection).unwrap(), None);
    let disk = Arc::new(DatabaseDisk::new(std::path::Path::new("/nowhere/heddle.db")));
    BatchWriter { connection, disk, commits: Arc::default() }
}

/// Appends of one fact at these positions.
fn appends(positions: &[u64]) -> Vec<SqlStatement> {
    let appends = positions.iter().map(|first| {
        let head = SessionHead {
            session: SESSION,
            workspace: WORKSPACE,
            position: first + 1,
            status: SessionStatus::Idle,
            due: None,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            archived_at: None,
            deleted_at: None,
            agent: AgentId::from_bits(2),
            agent_version: 1,
            environment: EnvironmentId::from_bits(3),
            body: Vec::new(),
        };
        let at = Timestamp::from_micros(0);
        BatchWrite::Append(LogAppend {
            session: SESSION,
            first: *first,
            count: 1,
            at,
            body: Vec::new(),
            receipt: None,
            head,
        })
    });
    sql::statements(appends.collect())
}

fn broken() -> Vec<SqlStatement> {
    let mut statements = appends(&[3]);
    statements.push(SqlStatement {
        sql: "DELETE FROM nothing",
        params: vec![],
        expect: ExpectedRows::Any,
        write: 1,
    });
    statements
}

/// Writes the batches as one group; what each was answered, and how many appends were counted.
fn group(writer: &BatchWriter, batches: Vec<Vec<SqlStatement>>) -> (Vec<Result<(), BatchError>>, u64) {
    let (mut group, mut answers) = (Vec::new(), Vec::new());
    for statements in batches {
        let (answer, answered) = oneshot::channel();
        group.push(WriteBatch { statements, appends: 1, answer });
        answers.push(answered);
    }
    let before = writer.commits.load(Ordering::Relaxed);
    writer.serve(group);
    let answers = answers.into_iter().map(|answered| answered.blocking_recv().unwrap()).collect();
    (answers, writer.commits.load(Ordering::Relaxed) - before)
}

fn firsts(writer: &BatchWriter) -> Vec<Vec<CellValue>> {
    read(&writer.connection, &SqlQuery::new("SELECT first FROM log ORDER BY first", vec![])).unwrap().rows
}

#[test]
fn a_conflict_in_a_group_undoes_its_own_batch_only() {
    let writer = writer();
    let batches = vec![appends(&[0]), appends(&[1, 2, 5]), appends(&[1]), appends(&[0]), appends(&[2])];
    let (answers, commits) = group(&writer, batches);
    let conflict = |write| Err(BatchError::Conflict { write });
    assert_eq!(answers, [Ok(()), conflict(2), Ok(()), conflict(0), Ok(())]);
    assert_eq!(commits, 3);
    assert_eq!(firsts(&writer), [[CellValue::Int(0)], [CellValue::Int(1)], [CellValue::Int(2)]]);
}

#[test]
fn a_statement_that_fails_undoes_its_own_batch_only() {
    let writer = writer();
    let (answers, commits) = group(&writer, vec![appends(&[0, 1, 2]), broken(), appends(&[3])]);
    assert!(
        matches!(answers[..], [Ok(()), Err(BatchError::Fault(StoreFault::Disk(_))), Ok(())]),
        "{answers:?}"
    );
    assert_eq!((firsts(&writer).len(), commits), (4, 2));
}

#[test]
fn a_group_that_cannot_be_committed_is_answered_with_a_fault_and_undone() {
    let writer = writer();
    let debts = "PRAGMA foreign_keys = ON; CREATE TABLE owed (id INTEGER PRIMARY KEY); \
         CREATE TABLE debts (id BIGINT REFERENCES owed (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE TRIGGER borrow AFTER INSERT ON log BEGIN INSERT INTO debts VALUES (1); END";
    writer.connection.execute_batch(debts).unwrap();
    let (answers, commits) = group(&writer, vec![appends(&[0]), appends(&[0])]);
    assert!(
        answers.len() == 2 && answers.iter().all(|answer| matches!(answer, Err(BatchError::Fault(_)))),
        "{answers:?}"
    );
    assert_eq!((firsts(&writer), commits), (vec![], 0));
    writer.connection.execute_batch("DROP TRIGGER borrow").unwrap();
    assert_eq!(group(&writer, vec![appends(&[0])]), (vec![Ok(())], 1));
}

#[test]
fn a_transaction_a_failure_left_open_is_undone_first() {
    let writer = writer();
    begin(&writer.connection).unwrap();
    writer.write_batch(&appends(&[0])).unwrap().unwrap();
    assert_eq!(group(&writer, vec![appends(&[0, 1])]), (vec![Ok(())], 1));
    assert_eq!(firsts(&writer).len(), 2);
}

/// A batch that needs about this many bytes of the disk.
fn large(first: u64, bytes: usize) -> Vec<SqlStatement> {
    let mut statements = appends(&[first]);
    let body = SqlStatement {
        sql: "UPDATE log SET body = $1 WHERE first = $2",
        params: vec![vec![7; bytes].into(), first.into()],
        expect: ExpectedRows::One,
        write: 0,
    };
    statements.push(body);
    statements
}

fn is_full(outcome: &BatchOutcome) -> bool {
    matches!(outcome, Err(BatchError::Fault(StoreFault::Full { .. })))
}

#[test]
fn a_full_disk_fails_what_needs_room_and_no_more_and_heals_by_itself() {
    let writer = writer();
    assert_eq!(group(&writer, vec![appends(&[0])]), (vec![Ok(())], 1));
    let pages: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let bound = |pages: i64| {
        writer.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    bound(pages + 8);
    // The large one is too large; the small one in the same group is not to fail with it.
    let (answers, commits) = group(&writer, vec![large(1, 1 << 20), appends(&[1])]);
    assert!(is_full(&answers[0]) && answers[1].is_ok(), "{answers:?}");
    assert_eq!(commits, 1);
    let (answers, _) = group(&writer, vec![large(2, 1 << 20)]);
    assert!(is_full(&answers[0]), "{answers:?}");
    assert!(writer.connection.is_autocommit(), "a transaction was left open");
    assert_eq!(firsts(&writer).len(), 2);
    bound(1 << 20);
    assert_eq!(group(&writer, vec![large(2, 1 << 20)]), (vec![Ok(())], 1));
}

#[test]
fn the_ballast_goes_piece_by_piece_and_is_made_again_where_there_is_plenty() {
    use crate::disk::BallastState;
    let place = tempfile::tempdir().unwrap();
    let disk = DatabaseDisk::new(&place.path().join("heddle.db"));
    assert!(!disk.give_up(1), "there is none yet");
    if !disk.keep().unwrap() {
        // A disk with little free: none is kept there.
        assert_eq!(disk.ballast(), BallastState::GivenUp);
        return;
    }
    let length = || std::fs::metadata(place.path().join("ballast")).unwrap().len();
    let (whole, piece) = (disk.share().ballast_bytes, disk.share().piece_bytes());
    assert_eq!((disk.ballast(), length()), (BallastState::Kept, whole));
    assert!(disk.give_up(piece));
    assert_eq!((disk.ballast(), length()), (BallastState::GivenUp, whole - piece));
    // Another life finds what is left of it.
    let next = DatabaseDisk::new(&place.path().join("heddle.db"));
    assert!(next.give_up(piece) && !next.give_up(piece));
    assert_eq!(length(), 0);
    assert!(next.keep().unwrap());
    assert_eq!((next.ballast(), length()), (BallastState::Kept, whole));
    // One that somebody made longer is cut to its size.
    std::fs::OpenOptions::new()
        .write(true)
        .open(place.path().join("ballast"))
        .unwrap()
        .set_len(2 * whole)
        .unwrap();
    let next = DatabaseDisk::new(&place.path().join("heddle.db"));
    assert!(next.keep().unwrap());
    assert_eq!(length(), whole);
}

#[test]
fn a_link_in_the_place_of_the_ballast_is_neither_cut_nor_filled() {
    let place = tempfile::tempdir().unwrap();
    let other = place.path().join("other");
    std::fs::write(&other, vec![7; 2 << 20]).unwrap();
    std::os::unix::fs::symlink(&other, place.path().join("ballast")).unwrap();
    let disk = DatabaseDisk::new(&place.path().join("heddle.db"));
    assert!(!disk.give_up(1 << 20));
    assert!(!matches!(disk.keep(), Ok(true)));
    assert_eq!(std::fs::metadata(&other).unwrap().len(), 2 << 20);
}

#[test]
fn what_is_kept_is_a_share_of_a_small_disk_and_bounded_on_a_large_one() {
    use crate::disk::DiskShare;
    let shares = [8 << 20, 64 << 20, 300 << 20, 4 << 30, u64::MAX].map(|all| {
        let share = DiskShare::of(all);
        (share.log_bytes >> 20, share.ballast_bytes >> 20)
    });
    assert_eq!(shares, [(1, 1), (3, 6), (15, 30), (32, 64), (32, 64)]);
}

#[test]
fn with_its_index_in_memory_a_database_needs_no_file_for_it_and_shares_it_with_nobody() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("heddle.db");
    let disk = DatabaseDisk::new(&path);
    drop(prepare(&path, LogIndex::Shared, &disk).unwrap());
    let own = prepare(&path, LogIndex::Own, &disk).unwrap();
    let also = connect(&path, LogIndex::Own).unwrap();
    own.execute_batch("BEGIN IMMEDIATE; INSERT INTO marks (name) VALUES ('x'); COMMIT").unwrap();
    let seen: i64 = also.query_row("SELECT COUNT(*) FROM marks", [], |row| row.get(0)).unwrap();
    assert_eq!((seen, place.path().join("heddle.db-shm").exists()), (1, false));
}

/// A log whose lines cannot be written: each of them panics.
struct Unwritable;

impl tracing::Subscriber for Unwritable {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        panic!("no line can be written");
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_log_line_that_panics_changes_no_answer() {
    let writer = writer();
    writer.connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
    tracing::subscriber::with_default(Unwritable, || {
        let (answers, _) = group(&writer, vec![large(0, 1 << 20)]);
        assert!(is_full(&answers[0]), "{answers:?}");
    });
    writer.connection.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
    assert_eq!(group(&writer, vec![appends(&[0])]), (vec![Ok(())], 1));
}
