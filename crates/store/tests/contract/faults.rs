//! The memory driver's faults to order.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use store::{BatchError, BatchWrite, MemoryStoreFaults, Store, StoreFault};

use crate::{HERE, append, head, row, session};

fn faulty() -> (Store, MemoryStoreFaults) {
    let faults = MemoryStoreFaults::default();
    (Store::memory_with(faults.clone()), faults)
}

fn first(number: u128) -> Vec<BatchWrite> {
    vec![BatchWrite::Append(append(number, 0, 1))]
}

#[tokio::test]
async fn a_failed_commit_writes_nothing_and_the_next_one_is_fine() {
    let (store, faults) = faulty();
    faults.fail_next(2);
    for _ in 0..2 {
        let failed = store.commit(first(7)).await;
        assert!(matches!(failed, Err(BatchError::Fault(StoreFault::Disk(_)))), "{failed:?}");
        assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
    }
    store.commit(first(7)).await.unwrap();
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 1)));
}

#[tokio::test]
async fn a_conflict_that_is_a_lie_writes_nothing() {
    let (store, faults) = faulty();
    faults.conflict_next(1);
    assert_eq!(store.commit(first(7)).await, Err(BatchError::Conflict { write: 0 }));
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
    assert_eq!(store.commit(first(7)).await, Ok(()));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_kept() {
    let (store, faults) = faulty();
    faults.lose_answers(1);
    let lost = store.commit(first(7)).await;
    assert!(matches!(lost, Err(BatchError::Fault(StoreFault::Disk(_)))), "{lost:?}");
    assert_eq!(store.read(session(7), 0, usize::MAX).await.unwrap(), [row(0, 1)]);
    assert_eq!((store.commits(), store.commit(first(7)).await), (1, Err(BatchError::Conflict { write: 0 })));
}

#[tokio::test]
async fn stalled_commits_go_on_in_their_order() {
    let (store, faults) = faulty();
    faults.stall();
    let second = vec![BatchWrite::Append(append(7, 1, 1))];
    let sync = async {
        assert_eq!(faults.waiting(), 2);
        assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
        faults.sync();
    };
    let (one, two, ()) = tokio::join!(biased; store.commit(first(7)), store.commit(second), sync);
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(store.read(session(7), 0, usize::MAX).await.unwrap(), [row(0, 1), row(1, 1)]);
    assert_eq!((faults.waiting(), store.commit(first(8)).await), (0, Ok(())));
}

#[tokio::test]
async fn a_crash_loses_what_waits_and_nothing_else() {
    let (store, faults) = faulty();
    store.commit(first(7)).await.unwrap();
    faults.stall();
    let crash = async { faults.crash() };
    let (lost, ()) = tokio::join!(biased; store.commit(first(8)), crash);
    assert_eq!(lost, Err(BatchError::Fault(StoreFault::Closed)));
    assert_eq!(store.head(HERE, session(8)).await.unwrap(), None);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 1)));
    assert_eq!(store.commit(first(8)).await, Ok(()));
}

#[tokio::test]
async fn a_stalled_commit_nobody_waits_for_is_not_written() {
    let (store, faults) = faulty();
    faults.stall();
    {
        let mut commit = pin!(store.commit(first(7)));
        let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!((polled, faults.waiting()), (Poll::Pending, 1));
    }
    assert_eq!(faults.waiting(), 0);
    faults.sync();
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
}

#[tokio::test]
async fn a_full_disk_refuses_every_write_until_there_is_room() {
    let (store, faults) = faulty();
    faults.fill_disk(true);
    let refused = store.commit(first(7)).await;
    assert!(matches!(refused, Err(BatchError::Fault(StoreFault::Full { .. }))), "{refused:?}");
    assert!(matches!(store.probe().await, Err(StoreFault::Full { .. })));
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
    faults.fill_disk(false);
    assert_eq!((store.probe().await, store.commit(first(7)).await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_admits_nothing_new_and_takes_what_is_written() {
    let (store, faults) = faulty();
    assert_eq!(store.admits(), Ok(()));
    faults.shorten_disk(true);
    assert!(matches!(store.admits(), Err(StoreFault::Short { .. })));
    assert_eq!((store.probe().await, store.commit(first(7)).await), (Ok(()), Ok(())));
    faults.shorten_disk(false);
    assert_eq!(store.admits(), Ok(()));
}
