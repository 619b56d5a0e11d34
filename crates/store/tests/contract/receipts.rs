//! Receipts: what finds a request again, in the row of its commit and by a name of its own, for a while.

use store::{BatchError, BatchWrite, LogAppend, LogRow, PostReceipt, Store};

use crate::{agent, append, at, row, session};

fn receipt(name: u8, until: i64) -> PostReceipt {
    PostReceipt { name: [name; 16], print: [name + 1; 16], until: at(until), made: vec![name; 3] }
}

fn put(receipt: PostReceipt, over: i64) -> BatchWrite {
    BatchWrite::PutReceipt { receipt, over: at(over) }
}

async fn found(store: &Store, name: u8, now: i64) -> Option<PostReceipt> {
    store.receipt(&[name; 16], at(now)).await.unwrap()
}

pub(crate) async fn a_row_keeps_what_finds_it_again(store: Store) {
    let own = |first: u64, receipt: Option<&[u8]>| {
        BatchWrite::Append(LogAppend { receipt: receipt.map(<[u8]>::to_vec), ..append(7, first, 1) })
    };
    let all = vec![own(0, Some(b"first")), own(1, None), own(2, Some(b"")), own(3, Some(&[0, 255]))];
    store.commit(all).await.unwrap();
    let kept =
        |first: u64, receipt: Option<&[u8]>| LogRow { receipt: receipt.map(<[u8]>::to_vec), ..row(first, 1) };
    let mut expected =
        vec![kept(0, Some(b"first")), kept(1, None), kept(2, Some(b"")), kept(3, Some(&[0, 255]))];
    assert_eq!(store.read(session(7), 0, usize::MAX).await.unwrap(), expected);
    assert_eq!(store.read_as_is(session(7), 0, usize::MAX).await.unwrap(), expected);
    expected.reverse();
    assert_eq!(store.read_back(session(7), 4, usize::MAX).await.unwrap(), expected);
}

pub(crate) async fn a_receipt_is_found_by_its_name_until_its_time_is_over(store: Store) {
    store.commit(vec![put(receipt(1, 50), 0), put(receipt(2, 60), 0)]).await.unwrap();
    assert_eq!(found(&store, 1, 49).await, Some(receipt(1, 50)));
    assert_eq!(found(&store, 1, 50).await, None);
    assert_eq!(found(&store, 2, 50).await, Some(receipt(2, 60)));
    assert_eq!(found(&store, 3, 0).await, None);
}

pub(crate) async fn a_receipt_gives_way_to_the_next_only_when_its_time_is_over(store: Store) {
    store.commit(vec![put(receipt(1, 50), 0)]).await.unwrap();
    let next = PostReceipt { made: b"next".to_vec(), ..receipt(1, 90) };
    let both = vec![BatchWrite::Create(agent(1, 1)), put(next.clone(), 49)];
    assert_eq!(store.commit(both).await, Err(BatchError::Conflict { write: 1 }));
    assert_eq!(store.document(crate::HERE, store::DocumentKind::new("agent"), 1, None).await.unwrap(), None);
    assert_eq!(found(&store, 1, 0).await, Some(receipt(1, 50)));
    store.commit(vec![put(next.clone(), 50)]).await.unwrap();
    assert_eq!(found(&store, 1, 0).await, Some(next));
}

pub(crate) async fn a_receipt_of_an_undone_commit_is_not_kept(store: Store) {
    store.commit(vec![put(receipt(1, 50), 0)]).await.unwrap();
    let other = PostReceipt { made: b"other".to_vec(), ..receipt(1, 90) };
    let undone = vec![put(other, 90), put(receipt(2, 50), 0), BatchWrite::Append(append(7, 9, 1))];
    assert_eq!(store.commit(undone).await, Err(BatchError::Conflict { write: 2 }));
    assert_eq!(found(&store, 1, 0).await, Some(receipt(1, 50)));
    assert_eq!(found(&store, 2, 0).await, None);
}

pub(crate) async fn receipts_whose_time_is_over_are_removed_oldest_first(store: Store) {
    let all = [(1, 30), (2, 10), (3, 40), (4, 20)];
    store.commit(all.map(|(name, until)| put(receipt(name, until), 0)).into()).await.unwrap();
    assert_eq!(store.forget(at(9), 10).await.unwrap(), 0);
    assert_eq!(store.forget(at(30), 2).await.unwrap(), 2);
    let left = |name| found(&store, name, 0);
    assert_eq!((left(1).await.is_some(), left(2).await, left(4).await), (true, None, None));
    assert_eq!(store.forget(at(30), 2).await.unwrap(), 1);
    assert_eq!((left(1).await, left(3).await), (None, Some(receipt(3, 40))));
    assert_eq!(store.forget(at(30), 2).await.unwrap(), 0);
}
