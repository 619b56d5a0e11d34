//! What start-up and the sweep ask: busy sessions, and deleted ones that are due to go.

use protocol::{SessionId, session::SessionStatus};
use store::{BatchWrite, LogAppend, SessionHead, Store};

use crate::{ELSEWHERE, HERE, append, at, create, head, row, session};

pub(crate) async fn busy_names_what_start_up_must_look_at(store: Store) {
    let states = [
        (5, SessionStatus::Running, None, None),
        (4, SessionStatus::Rescheduling, None, None),
        (3, SessionStatus::Idle, None, None),
        (2, SessionStatus::Terminated, None, None),
        (6, SessionStatus::Running, Some(at(1)), None),
        (1, SessionStatus::Running, None, Some(at(1))),
    ];
    for (number, status, deleted_at, archived_at) in states {
        create(&store, SessionHead { status, deleted_at, archived_at, ..head(number, 1) }).await;
    }
    create(&store, SessionHead { status: SessionStatus::Running, workspace: ELSEWHERE, ..head(8, 1) }).await;
    assert_eq!(store.busy().await.unwrap(), [session(1), session(4), session(5), session(8)]);

    store.commit(vec![BatchWrite::Append(append(5, 1, 1))]).await.unwrap();
    let running = SessionHead { status: SessionStatus::Running, ..head(3, 2) };
    store.commit(vec![BatchWrite::Append(LogAppend { head: running, ..append(3, 1, 1) })]).await.unwrap();
    assert_eq!(store.busy().await.unwrap(), [session(1), session(3), session(4), session(8)]);
}

async fn deleted(store: &Store, number: u128, when: i64) {
    create(store, SessionHead { deleted_at: Some(at(when)), ..head(number, 1) }).await;
}

/// Which of these sessions have a head; and none has a log without a head, or a head without a log.
async fn kept(store: &Store, numbers: &[u128]) -> Vec<SessionId> {
    let mut kept = Vec::new();
    for number in numbers {
        let id = session(*number);
        let has_head = store.head(HERE, id).await.unwrap().is_some();
        assert_eq!(has_head, !store.read(id, 0, usize::MAX).await.unwrap().is_empty(), "session {number}");
        kept.extend(has_head.then_some(id));
    }
    kept
}

pub(crate) async fn a_deleted_session_is_purged_after_its_time(store: Store) {
    create(&store, head(1, 1)).await;
    deleted(&store, 2, 99).await;
    deleted(&store, 3, 100).await;
    create(&store, SessionHead { archived_at: Some(at(1)), ..head(4, 1) }).await;
    assert_eq!(store.purge(at(100), 10).await.unwrap(), 1);
    assert_eq!(kept(&store, &[1, 2, 3, 4]).await, [session(1), session(3), session(4)]);
    assert_eq!(store.purge(at(100), 10).await.unwrap(), 0);
}

pub(crate) async fn a_purge_takes_the_longest_deleted_first_and_no_more_than_asked(store: Store) {
    for (number, when) in [(1, 30), (2, 10), (3, 40), (4, 20)] {
        deleted(&store, number, when).await;
    }
    assert_eq!(store.purge(at(100), 0).await.unwrap(), 0);
    assert_eq!(store.purge(at(100), 2).await.unwrap(), 2);
    assert_eq!(kept(&store, &[1, 2, 3, 4]).await, [session(1), session(3)]);
    assert_eq!(store.purge(at(100), 2).await.unwrap(), 2);
    assert_eq!(kept(&store, &[1, 2, 3, 4]).await, []);
}

pub(crate) async fn a_long_log_is_purged_whole(store: Store) {
    const ROWS: u64 = 1_203;
    for number in [1, 2] {
        let rows = (0..ROWS).map(|first| BatchWrite::Append(append(number, first, 1)));
        store.commit(rows.collect()).await.unwrap();
    }
    let gone = SessionHead { deleted_at: Some(at(5)), ..head(1, ROWS + 1) };
    store.commit(vec![BatchWrite::Append(LogAppend { head: gone, ..append(1, ROWS, 1) })]).await.unwrap();
    assert_eq!(store.purge(at(6), 10).await.unwrap(), 1);
    assert_eq!(kept(&store, &[1, 2]).await, [session(2)]);
    assert_eq!(store.read(session(2), 0, usize::MAX).await.unwrap().len() as u64, ROWS);
}

pub(crate) async fn a_purged_session_can_be_created_again(store: Store) {
    deleted(&store, 1, 5).await;
    store.commit(vec![BatchWrite::Append(append(1, 0, 1))]).await.unwrap_err();
    assert_eq!(store.purge(at(6), 10).await.unwrap(), 1);
    store.commit(vec![BatchWrite::Append(append(1, 0, 1))]).await.unwrap();
    assert_eq!(store.read(session(1), 0, usize::MAX).await.unwrap(), [row(0, 1)]);
}

pub(crate) async fn a_session_is_marked_deleted_once_and_by_its_owner(store: Store) {
    create(&store, head(1, 1)).await;
    let delete = |workspace| vec![BatchWrite::Delete { workspace, session: session(1), at: at(5) }];
    let unmet = Err(store::BatchError::Conflict { write: 0 });
    assert_eq!(store.commit(delete(ELSEWHERE)).await, unmet);
    // What comes with a write that fails is undone with it.
    let both = [delete(HERE), vec![BatchWrite::Append(append(1, 9, 1))]].concat();
    assert_eq!(store.commit(both).await, Err(store::BatchError::Conflict { write: 1 }));
    assert_eq!(store.head(HERE, session(1)).await.unwrap(), Some(head(1, 1)));
    store.commit(delete(HERE)).await.unwrap();
    let marked = SessionHead { deleted_at: Some(at(5)), ..head(1, 1) };
    assert_eq!(store.head(HERE, session(1)).await.unwrap(), Some(marked));
    assert_eq!(store.commit(delete(HERE)).await, unmet);
    assert_eq!(store.purge(at(6), 9).await.unwrap(), 1);
    assert_eq!(store.commit(delete(HERE)).await, unmet);
}
