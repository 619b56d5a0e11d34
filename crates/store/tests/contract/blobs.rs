//! Snapshots and blobs: bodies kept under their hash.

use std::time::Duration;

use store::{BatchError, BatchWrite, BlobOwner, BlobPin, BlobSweep, DocumentKind, PINS_COMPLETE, Store};

use crate::{HERE, append, at, head, session};
use store::{LogAppend, SessionHead};

fn put(hash: [u8; 32], body: &[u8]) -> BatchWrite {
    BatchWrite::PutSnapshot { hash, body: body.to_vec() }
}

pub(crate) async fn a_snapshot_is_kept_once(store: Store) {
    assert_eq!(store.snapshot(&[1; 32]).await.unwrap(), None);
    store.commit(vec![put([1; 32], b"one"), put([2; 32], b"")]).await.unwrap();
    store.commit(vec![put([1; 32], b"another")]).await.unwrap();
    assert_eq!(store.snapshot(&[1; 32]).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.snapshot(&[2; 32]).await.unwrap().as_deref(), Some(&b""[..]));
}

pub(crate) async fn a_snapshot_of_an_undone_commit_is_not_kept(store: Store) {
    store.commit(vec![put([1; 32], b"one")]).await.unwrap();
    let missing =
        BatchWrite::ExpectLive { workspace: HERE, kind: DocumentKind::new("agent"), id: 1, version: None };
    let refused = store.commit(vec![put([1; 32], b"one"), put([2; 32], b"two"), missing]).await;
    assert_eq!(refused, Err(BatchError::Conflict { write: 2 }));
    assert_eq!(store.snapshot(&[1; 32]).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.snapshot(&[2; 32]).await.unwrap(), None);
}

pub(crate) async fn a_blob_is_found_by_its_hash(store: Store) {
    // The SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let known: Vec<u8> =
        (0..known.len()).step_by(2).map(|i| u8::from_str_radix(&known[i..i + 2], 16).unwrap()).collect();
    let known: [u8; 32] = known.try_into().unwrap();
    assert_eq!(store.get(&known).await.unwrap(), None);
    for _ in 0..2 {
        let blob = store.put(b"abc".to_vec()).await.unwrap();
        assert_eq!((blob.name(), blob.bytes()), (known, 3));
        assert_eq!(store.get(&known).await.unwrap().as_deref(), Some(&b"abc"[..]));
    }
    let big = vec![7; 1 << 20];
    let hash = store.put(big.clone()).await.unwrap().name();
    assert_eq!(store.get(&hash).await.unwrap(), Some(big));
    assert_eq!(store.get(&[0; 32]).await.unwrap(), None);
}

fn pin(number: u128, blob: [u8; 32], bytes: u64) -> BatchWrite {
    BatchWrite::Pin(BlobPin { blob, owner: BlobOwner::session(session(number)), bytes })
}

async fn pinned(store: &Store, number: u128) -> u64 {
    store.pinned(BlobOwner::session(session(number))).await.unwrap()
}

/// A sweep of everything that nobody pins or holds, however young.
async fn sweep(store: &Store) -> BlobSweep {
    store.sweep(at(i64::MAX), Duration::ZERO).await.unwrap()
}

pub(crate) async fn what_a_session_uses_is_counted_once(store: Store) {
    let first = BatchWrite::Append(append(7, 0, 1));
    store.commit(vec![first, pin(7, [1; 32], 10), pin(7, [1; 32], 10)]).await.unwrap();
    store.commit(vec![pin(7, [1; 32], 10), pin(7, [2; 32], 5)]).await.unwrap();
    assert_eq!(pinned(&store, 7).await, 15);
    let refused = store.commit(vec![pin(7, [3; 32], 1), BatchWrite::Append(append(7, 0, 1))]).await;
    assert_eq!(refused, Err(BatchError::Conflict { write: 1 }));
    assert_eq!(pinned(&store, 7).await, 15);
    // Whose session is gone uses nothing, and another session's use is its own.
    store.commit(vec![pin(8, [1; 32], 10)]).await.unwrap();
    assert_eq!(pinned(&store, 8).await, 0);
}

pub(crate) async fn a_sweep_takes_what_nobody_uses_and_nothing_before_all_pins_are_known(store: Store) {
    let used = store.put(b"used".to_vec()).await.unwrap().name();
    let unused = store.put(b"unused".to_vec()).await.unwrap().name();
    store.commit(vec![BatchWrite::Append(append(7, 0, 1)), pin(7, used, 4)]).await.unwrap();
    assert_eq!(sweep(&store).await, BlobSweep::default());
    assert!(store.get(&unused).await.unwrap().is_some());

    assert!(!store.is_marked(PINS_COMPLETE).await.unwrap());
    for _ in 0..2 {
        store.mark(PINS_COMPLETE).await.unwrap();
    }
    assert!(store.is_marked(PINS_COMPLETE).await.unwrap());
    assert_eq!(sweep(&store).await, BlobSweep { blobs: 1, bytes: 6 });
    assert_eq!(store.get(&unused).await.unwrap(), None);
    assert_eq!(store.get(&used).await.unwrap().as_deref(), Some(&b"used"[..]));
    assert_eq!((store.blob_bytes(), sweep(&store).await), (4, BlobSweep::default()));
}

pub(crate) async fn a_blob_that_was_put_and_is_not_pinned_yet_is_never_swept(store: Store) {
    store.mark(PINS_COMPLETE).await.unwrap();
    let blob = store.put(b"on its way".to_vec()).await.unwrap();
    let again = store.put(b"on its way".to_vec()).await.unwrap();
    let name = blob.name();
    drop(blob);
    assert_eq!(sweep(&store).await, BlobSweep::default(), "one of two still holds it");
    drop(again);
    // Let go just now: whatever the clock on the wall says, that was not an hour ago.
    let hour = Duration::from_hours(1);
    assert_eq!(store.sweep(at(i64::MAX), hour).await.unwrap(), BlobSweep::default());
    assert!(store.get(&name).await.unwrap().is_some());
    assert_eq!(sweep(&store).await.blobs, 1);
    let blob = store.put(b"on its way".to_vec()).await.unwrap();
    assert_eq!(store.get(&blob.name()).await.unwrap().as_deref(), Some(&b"on its way"[..]));
}

pub(crate) async fn what_only_a_purged_session_used_goes(store: Store) {
    store.mark(PINS_COMPLETE).await.unwrap();
    let shared = store.put(b"shared".to_vec()).await.unwrap().name();
    let own = store.put(b"own".to_vec()).await.unwrap().name();
    let pins = vec![pin(7, shared, 6), pin(7, own, 3), pin(8, shared, 6)];
    let sessions = vec![BatchWrite::Append(append(7, 0, 1)), BatchWrite::Append(append(8, 0, 1))];
    store.commit(sessions.into_iter().chain(pins).collect()).await.unwrap();
    let gone = SessionHead { deleted_at: Some(at(5)), ..head(7, 2) };
    store.commit(vec![BatchWrite::Append(LogAppend { head: gone, ..append(7, 1, 1) })]).await.unwrap();
    assert_eq!(sweep(&store).await, BlobSweep::default());
    assert_eq!(store.purge(at(6), 10).await.unwrap(), 1);
    assert_eq!((pinned(&store, 7).await, pinned(&store, 8).await), (0, 6));
    assert_eq!(sweep(&store).await, BlobSweep { blobs: 1, bytes: 3 });
    assert_eq!(store.get(&own).await.unwrap(), None);
    assert!(store.get(&shared).await.unwrap().is_some());
}

pub(crate) async fn every_session_is_found_by_id(store: Store) {
    for number in [3, 1, 2] {
        store.commit(vec![BatchWrite::Append(append(number, 0, 1))]).await.unwrap();
    }
    let ids = |numbers: &[u128]| numbers.iter().map(|number| session(*number)).collect::<Vec<_>>();
    assert_eq!(store.sessions(None, 2).await.unwrap(), ids(&[1, 2]));
    assert_eq!(store.sessions(Some(session(2)), 2).await.unwrap(), ids(&[3]));
    assert_eq!(store.sessions(Some(session(3)), 2).await.unwrap(), []);
    assert_eq!(store.read_as_is(session(1), 0, 9).await.unwrap(), [crate::row(0, 1)]);
}

pub(crate) async fn a_probe_writes(store: Store) {
    for _ in 0..3 {
        store.probe().await.unwrap();
    }
    assert_eq!(store.commits(), 0);
}
