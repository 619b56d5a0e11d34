//! Logs and their heads.

use protocol::session::SessionStatus;
use store::{BatchError, BatchWrite, LogAppend, SessionHead, Store, StoreFault, StoredDocument};
use tokio::task::JoinSet;

use crate::{ELSEWHERE, HERE, agent, append, at, head, revised, row, session};

const ALL: usize = usize::MAX;

async fn three_rows(store: &Store) {
    for (first, count) in [(0, 3), (3, 1), (4, 2)] {
        store.commit(vec![BatchWrite::Append(append(7, first, count))]).await.unwrap();
    }
}

pub(crate) async fn what_is_appended_reads_back(store: Store) {
    let mut first = append(7, 0, 3);
    first.body = vec![0, 255, 39, 0];
    first.head = SessionHead {
        status: SessionStatus::Rescheduling,
        due: Some(at(99)),
        archived_at: Some(at(i64::MAX)),
        deleted_at: Some(at(-5)),
        body: vec![0, 1, 2],
        ..first.head
    };
    store.commit(vec![BatchWrite::Append(first.clone())]).await.unwrap();
    let kept = store.read(session(7), 0, ALL).await.unwrap();
    assert_eq!(kept, [store::LogRow { body: first.body, ..row(0, 3) }]);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(first.head));
}

pub(crate) async fn a_read_starts_with_the_row_that_holds_its_position(store: Store) {
    three_rows(&store).await;
    store.commit(vec![BatchWrite::Append(append(8, 0, 9))]).await.unwrap();
    let all = [row(0, 3), row(3, 1), row(4, 2)];
    for (from, skipped) in [(0, 0), (2, 0), (3, 1), (4, 2), (5, 2), (6, 3), (u64::MAX, 3)] {
        assert_eq!(store.read(session(7), from, ALL).await.unwrap(), all[skipped..], "from {from}");
    }
    assert_eq!(store.read(session(9), 0, ALL).await.unwrap(), []);
}

pub(crate) async fn a_read_stops_before_too_many_bytes_but_always_moves(store: Store) {
    three_rows(&store).await;
    let body = row(0, 3).body.len();
    for (max, rows) in [(0, 1), (body, 1), (2 * body - 1, 1), (2 * body, 2), (3 * body, 3)] {
        let read = store.read(session(7), 0, max).await.unwrap();
        assert_eq!(read, [row(0, 3), row(3, 1), row(4, 2)][..rows], "{max} bytes");
        let back = store.read_back(session(7), 6, max).await.unwrap();
        assert_eq!(back, [row(4, 2), row(3, 1), row(0, 3)][..rows], "{max} bytes back");
    }
}

pub(crate) async fn a_log_reads_back_from_its_end(store: Store) {
    three_rows(&store).await;
    let all = [row(4, 2), row(3, 1), row(0, 3)];
    for (before, skipped) in [(u64::MAX, 0), (6, 0), (5, 0), (4, 1), (3, 2), (1, 2), (0, 3)] {
        let back = store.read_back(session(7), before, ALL).await.unwrap();
        assert_eq!(back, all[skipped..], "before {before}");
    }
}

pub(crate) async fn an_append_at_the_wrong_position_leaves_nothing_behind(store: Store) {
    three_rows(&store).await;
    for (number, first) in [(7, 0), (7, 3), (7, 5), (7, 7), (8, 1), (8, u64::from(u32::MAX))] {
        let refused = store.commit(vec![BatchWrite::Append(append(number, first, 1))]).await;
        assert_eq!(refused, Err(BatchError::Conflict { write: 0 }), "session {number} at {first}");
    }
    assert_eq!(store.read(session(7), 0, ALL).await.unwrap(), [row(0, 3), row(3, 1), row(4, 2)]);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 6)));
    assert_eq!(store.head(HERE, session(8)).await.unwrap(), None);
    assert_eq!(store.read(session(8), 0, ALL).await.unwrap(), []);
}

pub(crate) async fn a_commit_is_all_or_nothing(store: Store) {
    three_rows(&store).await;
    store.commit(vec![BatchWrite::Create(agent(1, 1))]).await.unwrap();
    let refused = store
        .commit(vec![
            BatchWrite::PutSnapshot { hash: [9; 32], body: b"snapshot".to_vec() },
            BatchWrite::Append(append(7, 6, 1)),
            BatchWrite::Append(append(8, 0, 1)),
            BatchWrite::Create(agent(2, 1)),
            BatchWrite::Revise(revised(agent(1, 2), 2)),
            BatchWrite::Append(append(7, 6, 1)),
            BatchWrite::Create(agent(3, 1)),
        ])
        .await;
    assert_eq!(refused, Err(BatchError::Conflict { write: 5 }));
    assert_eq!(store.read(session(7), 0, ALL).await.unwrap(), [row(0, 3), row(3, 1), row(4, 2)]);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 6)));
    assert_eq!(store.head(HERE, session(8)).await.unwrap(), None);
    assert_eq!(store.read(session(8), 0, ALL).await.unwrap(), []);
    let kind = store::DocumentKind::new("agent");
    let kept: Vec<StoredDocument> = store.versions(HERE, kind, 1, None, 9, usize::MAX).await.unwrap().items;
    assert_eq!(kept, [agent(1, 1)]);
    assert_eq!(store.document(HERE, kind, 2, None).await.unwrap(), None);
    assert_eq!(store.snapshot(&[9; 32]).await.unwrap(), None);
    store.commit(vec![BatchWrite::Append(append(7, 6, 1))]).await.unwrap();
}

pub(crate) async fn later_writes_of_a_commit_see_the_earlier_ones(store: Store) {
    store
        .commit(vec![
            BatchWrite::Create(agent(1, 1)),
            BatchWrite::ExpectLive {
                workspace: HERE,
                kind: store::DocumentKind::new("agent"),
                id: 1,
                version: Some(1),
            },
            BatchWrite::Append(append(7, 0, 2)),
            BatchWrite::Append(append(7, 2, 1)),
        ])
        .await
        .unwrap();
    assert_eq!(store.read(session(7), 0, ALL).await.unwrap(), [row(0, 2), row(2, 1)]);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 3)));
}

pub(crate) async fn an_append_keeps_what_the_first_one_fixed(store: Store) {
    store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await.unwrap();
    let later = SessionHead {
        workspace: ELSEWHERE,
        created_at: at(50),
        agent: protocol::AgentId::from_bits(51),
        agent_version: 52,
        environment: protocol::EnvironmentId::from_bits(53),
        status: SessionStatus::Terminated,
        due: Some(at(54)),
        updated_at: at(55),
        archived_at: Some(at(56)),
        ..head(7, 2)
    };
    store
        .commit(vec![BatchWrite::Append(LogAppend { head: later.clone(), ..append(7, 1, 1) })])
        .await
        .unwrap();
    let SessionHead { workspace, created_at, agent, agent_version, environment, .. } = head(7, 1);
    let kept = SessionHead { workspace, created_at, agent, agent_version, environment, ..later };
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(kept));
}

pub(crate) async fn a_head_is_seen_by_its_workspace_only(store: Store) {
    let gone = SessionHead { deleted_at: Some(at(9)), ..head(7, 1) };
    store
        .commit(vec![BatchWrite::Append(LogAppend { head: gone.clone(), ..append(7, 0, 1) })])
        .await
        .unwrap();
    assert_eq!(store.head(ELSEWHERE, session(7)).await.unwrap(), None);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(gone));
}

pub(crate) async fn an_append_that_makes_no_sense_is_refused(store: Store) {
    let good = append(7, 0, 1);
    let senseless = [
        LogAppend { count: 0, head: head(7, 0), ..good.clone() },
        LogAppend { head: head(7, 2), ..good.clone() },
        LogAppend { head: head(8, 1), ..good.clone() },
        LogAppend { first: u64::MAX, head: head(7, u64::MAX), ..good.clone() },
    ];
    for append in senseless {
        let refused =
            store.commit(vec![BatchWrite::Append(good.clone()), BatchWrite::Append(append.clone())]).await;
        assert!(
            matches!(refused, Err(BatchError::Fault(StoreFault::Misuse(_)))),
            "{append:?} was answered {refused:?}"
        );
    }
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), None);
}

pub(crate) async fn of_eight_writers_one_wins_each_round(store: Store) {
    const ROUNDS: u64 = 25;
    for position in 0..ROUNDS {
        let writers: JoinSet<_> = (0_u8..8)
            .map(|writer| {
                let store = store.clone();
                let append = LogAppend { body: vec![writer], ..append(7, position, 1) };
                async move { (writer, store.commit(vec![BatchWrite::Append(append)]).await) }
            })
            .collect();
        let (won, lost): (Vec<_>, Vec<_>) =
            writers.join_all().await.into_iter().partition(|(_, outcome)| outcome.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 7), "round {position}");
        for (_, outcome) in lost {
            assert_eq!(outcome, Err(BatchError::Conflict { write: 0 }));
        }
        let kept = store.read(session(7), position, ALL).await.unwrap();
        assert_eq!(kept, [store::LogRow { body: vec![won[0].0], ..row(position, 1) }]);
    }
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, ROUNDS)));
}

pub(crate) async fn appends_are_counted_once_they_are_durable(store: Store) {
    assert_eq!(store.commits(), 0);
    three_rows(&store).await;
    store.commit(vec![BatchWrite::Create(agent(1, 1))]).await.unwrap();
    store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await.unwrap_err();
    let two = vec![BatchWrite::Append(append(8, 0, 1)), BatchWrite::Append(append(9, 0, 1))];
    store.commit(two).await.unwrap();
    assert_eq!(store.commits(), 5);
}

pub(crate) async fn an_empty_commit_is_no_mistake(store: Store) {
    assert_eq!(store.commit(Vec::new()).await, Ok(()));
    assert_eq!(store.commits(), 0);
}
