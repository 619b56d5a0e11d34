//! What only SQLite promises: files that last, other processes beside it, and refusals that say why.

use std::path::Path;

use protocol::session::SessionStatus;
use rusqlite::Connection;
use store::{BatchError, BatchWrite, DocumentKind, HeadQuery, LeaseClaim, SessionHead, Store, StoreFault};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{HERE, agent, append, at, create, head, keyed, revised, row, session};

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(place: &Path) -> Store {
    Store::sqlite(&place.join("heddle.db")).unwrap()
}

fn beside(place: &Path) -> Connection {
    Connection::open(place.join("heddle.db")).unwrap()
}

/// One of everything.
async fn fill(store: &Store) -> [u8; 32] {
    store
        .commit(vec![
            BatchWrite::Append(append(7, 0, 2)),
            BatchWrite::Create(keyed(1, 1, "k")),
            BatchWrite::Revise(revised(keyed(1, 2, "k"), 2)),
            BatchWrite::PutSnapshot { hash: [5; 32], body: b"snapshot".to_vec() },
        ])
        .await
        .unwrap();
    store.claim("scope", "a", at(0), at(10)).await.unwrap();
    store.put(b"blob".to_vec()).await.unwrap().name()
}

async fn assert_filled(store: &Store, blob: &[u8; 32]) {
    assert_eq!(store.read(session(7), 0, usize::MAX).await.unwrap(), [row(0, 2)]);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 2)));
    let versions =
        store.versions(HERE, DocumentKind::new("agent"), 1, None, 9, usize::MAX).await.unwrap().items;
    let second = revised(keyed(1, 2, "k"), 2);
    assert_eq!(versions, [second.clone(), keyed(1, 1, "k")]);
    assert_eq!(store.find(HERE, DocumentKind::new("agent"), "k").await.unwrap(), Some(second));
    assert_eq!(store.snapshot(&[5; 32]).await.unwrap().as_deref(), Some(&b"snapshot"[..]));
    assert_eq!(store.get(blob).await.unwrap().as_deref(), Some(&b"blob"[..]));
    let claim = store.claim("scope", "b", at(9), at(20)).await.unwrap();
    assert_eq!(claim, LeaseClaim::Taken { holder: "a".to_owned(), until: at(10) });
}

#[tokio::test]
async fn everything_survives_a_reopening() {
    let place = place();
    let blob = fill(&open(place.path())).await;
    for _ in 0..2 {
        let store = open(place.path());
        assert_filled(&store, &blob).await;
        assert_eq!(store.commits(), 0);
    }
}

#[tokio::test]
async fn what_was_answered_is_in_the_files_before_the_store_is_closed() {
    let (place, copy) = (place(), place());
    let store = open(place.path());
    let blob = fill(&store).await;
    std::fs::create_dir(copy.path().join("blobs")).unwrap();
    for directory in ["", "blobs"] {
        for file in std::fs::read_dir(place.path().join(directory)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), copy.path().join(directory).join(file.file_name())).unwrap();
            }
        }
    }
    assert_filled(&open(copy.path()), &blob).await;
}

#[tokio::test]
async fn the_last_clone_closes_the_file() {
    let place = place();
    let store = open(place.path());
    let clone = store.clone();
    fill(&store).await;
    drop(store);
    assert!(place.path().join("heddle.db-wal").exists());
    drop(clone);
    assert!(!place.path().join("heddle.db-wal").exists(), "the log was not folded into the database");
}

#[tokio::test]
async fn a_database_of_a_newer_heddle_is_refused_and_left_alone() {
    let place = place();
    fill(&open(place.path())).await;
    beside(place.path()).execute_batch("INSERT INTO migrations (number) VALUES (9000)").unwrap();
    let path = place.path().join("heddle.db");
    let before = std::fs::read(&path).unwrap();
    let looked = Store::look(&path).unwrap_err();
    let refused = Store::sqlite(&path).unwrap_err();
    assert_eq!(looked.to_string(), refused.to_string());
    let StoreFault::Newer { found: 9_000, known, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(
        refused.to_string(),
        format!(
            "the database {} was written by a newer Heddle (schema 9000, this Heddle knows {known}): \
             start the newer Heddle, or restore a backup made before the upgrade",
            path.display()
        )
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = place();
    let path = place.path().join("heddle.db");
    let text = "This is not a database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let refused = Store::sqlite(&path).unwrap_err();
    assert!(matches!(&refused, StoreFault::Open { path: at, .. } if *at == path), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let missing = Store::sqlite(&place.path().join("no/such/folder/heddle.db")).unwrap_err();
    assert!(matches!(missing, StoreFault::Open { .. }), "{missing:?}");
}

/// The files of a database, each with its bytes.
fn files(place: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["heddle.db", "heddle.db-shm", "heddle.db-wal"].into_iter();
    names.filter_map(|name| Some((name.to_owned(), std::fs::read(place.join(name)).ok()?))).collect()
}

/// What is left of a store that was killed after a write.
async fn killed() -> TempDir {
    let (place, left) = (place(), place());
    fill(&open(place.path())).await;
    let store = open(place.path());
    store.commit(vec![BatchWrite::Append(append(7, 2, 2))]).await.unwrap();
    for (name, bytes) in files(place.path()) {
        std::fs::write(left.path().join(name), bytes).unwrap();
    }
    left
}

#[tokio::test]
async fn the_log_of_another_database_is_told_with_what_to_do_and_never_folded() {
    let (left, other) = (killed().await, place());
    let store = open(other.path());
    for number in 0..40 {
        let document = store::StoredDocument { body: vec![7; 20_000], ..agent(number, 1) };
        store.commit(vec![BatchWrite::Create(document)]).await.unwrap();
    }
    drop(store);
    let path = left.path().join("heddle.db");
    std::fs::copy(other.path().join("heddle.db"), &path).unwrap();
    let before = files(left.path());
    assert_eq!(before.len(), 3);
    let told = "malformed: if the heddle.db-wal and heddle.db-shm beside it are another database's, as when a copy \
                was put in place of the database alone, move both away and start again; else restore the data \
                directory from a backup";
    let examined = Store::examine(&path).unwrap_err();
    assert!(
        matches!(examined, StoreFault::Open { .. }) && examined.to_string().ends_with(told),
        "{examined}"
    );
    assert_eq!(files(left.path()), before, "to examine it changes nothing");
    let met = match Store::sqlite(&path) {
        Ok(store) => {
            store.versions(HERE, DocumentKind::new("agent"), 39, None, 9, usize::MAX).await.unwrap_err()
        }
        Err(refused) => refused,
    };
    assert!(met.to_string().ends_with(told), "{met}");
    assert_eq!(files(left.path())[0], before[0], "its pages are not in the database");
    for name in ["heddle.db-shm", "heddle.db-wal"] {
        std::fs::remove_file(left.path().join(name)).unwrap();
    }
    Store::examine(&path).unwrap();
    let found = open(left.path()).document(HERE, DocumentKind::new("agent"), 39, None).await.unwrap();
    assert!(found.is_some());
}

#[tokio::test]
async fn who_only_reads_leaves_the_log_as_it_is_and_who_writes_folds_it() {
    let left = killed().await;
    let before = files(left.path());
    Store::examine(&left.path().join("heddle.db")).unwrap();
    assert_eq!(files(left.path()), before);
    let store = open(left.path());
    assert_eq!(store.read(session(7), 2, usize::MAX).await.unwrap(), [row(2, 2)]);
    drop(store);
    let now = files(left.path());
    assert_eq!((&now[0], &now[2]), (&before[0], &before[2]));
    let store = open(left.path());
    store.commit(vec![BatchWrite::Append(append(7, 4, 2))]).await.unwrap();
    drop(store);
    assert_eq!(files(left.path()).len(), 1);
}

#[tokio::test]
async fn eight_stores_can_open_one_new_file_at_once() {
    let place = place();
    let path = place.path().join("heddle.db");
    let mut openings = JoinSet::new();
    for number in 0..8 {
        let path = path.clone();
        openings.spawn_blocking(move || (number, Store::sqlite(&path).unwrap()));
    }
    for (number, store) in openings.join_all().await {
        store.commit(vec![BatchWrite::Append(append(number, 0, 1))]).await.unwrap();
    }
    let all = HeadQuery::new(HERE, 100);
    assert_eq!(open(place.path()).heads(all).await.unwrap().items.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_fence_each_other() {
    let place = place();
    let stores = [open(place.path()), open(place.path())];
    let writers: JoinSet<_> = stores
        .into_iter()
        .map(|store| async move {
            let (mut won, mut lost) = (0_u64, 0_u64);
            while won + lost < 100 {
                let position = store.head(HERE, session(7)).await.unwrap().map_or(0, |head| head.position);
                match store.commit(vec![BatchWrite::Append(append(7, position, 1))]).await {
                    Ok(()) => won += 1,
                    Err(BatchError::Conflict { write: 0 }) => lost += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            won
        })
        .collect();
    let won: u64 = writers.join_all().await.iter().sum();
    let store = open(place.path());
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, won)));
    let rows: Vec<_> = (0..won).map(|first| row(first, 1)).collect();
    assert_eq!(store.read(session(7), 0, usize::MAX).await.unwrap(), rows);
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_reported_as_corrupt() {
    let place = place();
    let store = open(place.path());
    create(&store, SessionHead { status: SessionStatus::Running, ..head(7, 1) }).await;
    store.commit(vec![BatchWrite::Create(agent(1, 1))]).await.unwrap();
    for damage in [
        "UPDATE heads SET status = 'asleep'",
        "UPDATE heads SET status = 'idle', position = -1",
        "UPDATE heads SET position = 1, agent = x'00'",
        "UPDATE heads SET agent = workspace, body = 'text'",
        "UPDATE heads SET body = x'00', created_at = 'yesterday'",
    ] {
        beside(place.path()).execute_batch(damage).unwrap();
        let found = store.head(HERE, session(7)).await;
        assert!(matches!(found, Err(StoreFault::Corrupt(_))), "{damage}: {found:?}");
    }
    beside(place.path()).execute_batch("UPDATE documents SET version = 0.5").unwrap();
    let found = store.document(HERE, DocumentKind::new("agent"), 1, None).await;
    assert!(matches!(found, Err(StoreFault::Corrupt(_))), "{found:?}");
}

#[tokio::test]
async fn a_damaged_blob_is_reported_as_corrupt() {
    let place = place();
    let store = open(place.path());
    let hash = store.put(b"blob".to_vec()).await.unwrap().name();
    let files: Vec<_> = std::fs::read_dir(place.path().join("blobs")).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1, "one file a blob and nothing unfinished beside it");
    std::fs::write(files[0].path(), b"bl0b").unwrap();
    let found = store.get(&hash).await;
    assert!(matches!(found, Err(StoreFault::Corrupt(_))), "{found:?}");
    // Whoever has the bytes again mends it, also one that was cut short.
    store.put(b"blob".to_vec()).await.unwrap();
    assert_eq!(store.get(&hash).await.unwrap().as_deref(), Some(&b"blob"[..]));
    std::fs::write(files[0].path(), b"").unwrap();
    assert!(matches!(store.get(&hash).await, Err(StoreFault::Corrupt(_))));
}

#[tokio::test]
async fn a_sweep_spares_the_young_and_takes_what_a_cut_write_left() {
    let place = place();
    let store = open(place.path());
    store.mark(store::PINS_COMPLETE).await.unwrap();
    drop(store.put(b"blob".to_vec()).await.unwrap());
    let left = place.path().join("blobs/0123.77-0");
    std::fs::write(&left, b"half a bl").unwrap();
    let hour = std::time::Duration::from_hours(1);
    let written = std::fs::metadata(&left).unwrap().modified().unwrap();
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    // Another process of another life, that holds nothing.
    drop(store);
    let store = open(place.path());
    let swept = store.sweep(at(written + 3_599_000_000), hour).await.unwrap();
    assert_eq!((swept.blobs, left.exists(), store.blob_bytes()), (0, true, 4));
    let swept = store.sweep(at(written + 3_601_000_000), hour).await.unwrap();
    assert_eq!((swept.blobs, left.exists(), store.blob_bytes()), (1, false, 0));
}

#[tokio::test]
async fn a_thread_survives_a_panic_and_one_that_ends_is_told_of() {
    let place = place();
    let store = open(place.path());
    for _ in 0..4 {
        assert_eq!(store.panic_thread("store-writer").await, Err(StoreFault::Panicked));
        assert_eq!(store.panic_thread("store-reader").await, Err(StoreFault::Panicked));
    }
    store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await.unwrap();
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 1)));
    let watched = tokio::time::timeout(std::time::Duration::from_millis(20), store.watch()).await;
    assert!(watched.is_err(), "{watched:?}");

    for name in ["store-reader", "store-writer"] {
        let place = tempfile::tempdir().unwrap();
        let store = open(place.path());
        let (ended, told) = tokio::join!(store.watch(), store.break_thread(name));
        assert_eq!((ended.name, told), (name, true));
        // Also for who looks later.
        assert_eq!(store.watch().await, ended);
        assert!(!store.break_thread("no-such-thread").await);
        if name == "store-writer" {
            let refused = store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await;
            assert_eq!(refused, Err(BatchError::Fault(StoreFault::Closed)));
        }
    }
}

#[tokio::test]
async fn room_is_kept_on_a_disk_with_plenty_and_found_again() {
    let place = place();
    let store = open(place.path());
    assert_eq!(store.ballast(), store::BallastState::GivenUp);
    store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await.unwrap();
    store.keep_room().await.unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let blocks = |name: &str| std::fs::metadata(place.path().join(name)).unwrap().blocks() * 512;
    if store.ballast() == store::BallastState::GivenUp {
        // A small disk: then none is kept, which is the other half of the promise.
        assert!(!place.path().join("ballast").exists());
        return;
    }
    assert!(blocks("ballast") >= 64 << 20);
    store.keep_room().await.unwrap();
    drop(store);
    assert_eq!(open(place.path()).ballast(), store::BallastState::Kept);
}

#[tokio::test]
async fn a_table_that_is_gone_fails_what_needs_it_and_nothing_else() {
    let place = place();
    let store = open(place.path());
    beside(place.path()).execute_batch("DROP TABLE history").unwrap();
    let write = BatchWrite::Drop { workspace: HERE, kind: DocumentKind::new("agent"), id: 1 };
    let failed = store.commit(vec![BatchWrite::Create(agent(1, 1)), write]).await;
    assert!(matches!(failed, Err(BatchError::Fault(StoreFault::Disk(_)))), "{failed:?}");
    assert_eq!(store.document(HERE, DocumentKind::new("agent"), 1, None).await.unwrap(), None);
    assert!(matches!(
        store.versions(HERE, DocumentKind::new("agent"), 1, None, 9, 1).await,
        Err(StoreFault::Disk(_))
    ));
    store.commit(vec![BatchWrite::Create(agent(1, 1))]).await.unwrap();
    assert_eq!(store.document(HERE, DocumentKind::new("agent"), 1, None).await.unwrap(), Some(agent(1, 1)));
}
