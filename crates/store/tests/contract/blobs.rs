//! Snapshots and blobs: bodies kept under their hash.

use store::{CommitError, Kind, Store, Write};

fn put(hash: [u8; 32], body: &[u8]) -> Write {
    Write::PutSnapshot { hash, body: body.to_vec() }
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
    let missing = Write::ExpectLive { kind: Kind::Agent, id: 1, version: None };
    let refused = store.commit(vec![put([1; 32], b"one"), put([2; 32], b"two"), missing]).await;
    assert_eq!(refused, Err(CommitError::Conflict { write: 2 }));
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
        assert_eq!(store.put(b"abc".to_vec()).await.unwrap(), known);
        assert_eq!(store.get(&known).await.unwrap().as_deref(), Some(&b"abc"[..]));
    }
    let big = vec![7; 1 << 20];
    let hash = store.put(big.clone()).await.unwrap();
    assert_eq!(store.get(&hash).await.unwrap(), Some(big));
    assert_eq!(store.get(&[0; 32]).await.unwrap(), None);
}
