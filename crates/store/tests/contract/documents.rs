//! Documents: versions, history, unique keys, and what a commit may expect of them.

use protocol::{EnvironmentId, session::Status};
use store::{Append, CommitError, Document, Fault, Head, Kind, Store, Write};

use crate::{ELSEWHERE, HERE, agent, append, at, head, keyed};

const CONFLICT: Result<(), CommitError> = Err(CommitError::Conflict { write: 0 });

async fn create(store: &Store, document: Document) -> Result<(), CommitError> {
    store.commit(vec![Write::Create(document)]).await
}

async fn revise(store: &Store, document: Document, expected: u64) -> Result<(), CommitError> {
    store.commit(vec![Write::Revise { document, expected, keep_history: true }]).await
}

async fn live(store: &Store, id: u128, version: Option<u64>) -> Result<(), CommitError> {
    store.commit(vec![Write::ExpectLive { kind: Kind::new("agent"), id, version }]).await
}

async fn current(store: &Store, id: u128) -> Option<Document> {
    store.document(HERE, Kind::new("agent"), id, None).await.unwrap()
}

async fn with_key(store: &Store, key: &str) -> Option<Document> {
    store.find(HERE, Kind::new("agent"), key).await.unwrap()
}

async fn versions(store: &Store, id: u128) -> Vec<Document> {
    store.versions(HERE, Kind::new("agent"), id, None, 100, usize::MAX).await.unwrap().items
}

pub(crate) async fn a_new_document_reads_back_by_id_version_and_key(store: Store) {
    let kept =
        Document { archived_at: Some(at(77)), body: vec![0, 255], ..keyed(u128::MAX, 1, "a key: $1 'ü'") };
    create(&store, kept.clone()).await.unwrap();
    assert_eq!(current(&store, u128::MAX).await, Some(kept.clone()));
    let first = store.document(HERE, Kind::new("agent"), u128::MAX, Some(1)).await.unwrap();
    assert_eq!(first, Some(kept.clone()));
    assert_eq!(with_key(&store, "a key: $1 'ü'").await, Some(kept.clone()));
    assert_eq!(versions(&store, u128::MAX).await, [kept]);

    assert_eq!(store.document(HERE, Kind::new("agent"), u128::MAX, Some(2)).await.unwrap(), None);
    assert_eq!(store.document(HERE, Kind::new("environment"), u128::MAX, None).await.unwrap(), None);
    assert_eq!(store.document(ELSEWHERE, Kind::new("agent"), u128::MAX, None).await.unwrap(), None);
    assert_eq!(store.document(ELSEWHERE, Kind::new("agent"), u128::MAX, Some(1)).await.unwrap(), None);
    assert_eq!(store.find(ELSEWHERE, Kind::new("agent"), "a key: $1 'ü'").await.unwrap(), None);
    assert_eq!(store.find(HERE, Kind::new("api_key"), "a key: $1 'ü'").await.unwrap(), None);
    assert_eq!(store.versions(ELSEWHERE, Kind::new("agent"), u128::MAX, None, 9, 1).await.unwrap().items, []);
}

pub(crate) async fn an_id_can_be_created_once(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(create(&store, agent(1, 2)).await, CONFLICT);
    assert_eq!(create(&store, Document { workspace: ELSEWHERE, ..agent(1, 1) }).await, CONFLICT);
    create(&store, Document { kind: Kind::new("environment"), ..agent(1, 1) }).await.unwrap();
    assert_eq!(current(&store, 1).await, Some(agent(1, 1)));
}

pub(crate) async fn a_key_is_unique_in_its_workspace_and_kind(store: Store) {
    create(&store, keyed(1, 1, "k")).await.unwrap();
    assert_eq!(create(&store, keyed(2, 1, "k")).await, CONFLICT);
    create(&store, keyed(2, 1, "K")).await.unwrap();
    create(&store, Document { workspace: ELSEWHERE, ..keyed(3, 1, "k") }).await.unwrap();
    create(&store, Document { kind: Kind::new("api_key"), ..keyed(4, 1, "k") }).await.unwrap();
    create(&store, agent(5, 1)).await.unwrap();
    create(&store, agent(6, 1)).await.unwrap();
    assert_eq!(with_key(&store, "k").await, Some(keyed(1, 1, "k")));
    assert_eq!(with_key(&store, "K").await, Some(keyed(2, 1, "K")));
}

pub(crate) async fn a_revision_keeps_history_if_asked(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    revise(&store, agent(1, 2), 1).await.unwrap();
    let unkept = Write::Revise { document: agent(1, 3), expected: 2, keep_history: false };
    store.commit(vec![unkept]).await.unwrap();
    // The same version again: archived, which is no new version.
    let archived = Document { archived_at: Some(at(9)), created_at: at(12_345), ..agent(1, 3) };
    let same = Write::Revise { document: archived, expected: 3, keep_history: false };
    store.commit(vec![same]).await.unwrap();

    let now = Document { archived_at: Some(at(9)), ..agent(1, 3) };
    assert_eq!(current(&store, 1).await, Some(now.clone()));
    assert_eq!(versions(&store, 1).await, [now.clone(), agent(1, 1)]);
    for (version, kept) in [(1, Some(agent(1, 1))), (2, None), (3, Some(now)), (u64::MAX, None)] {
        let found = store.document(HERE, Kind::new("agent"), 1, Some(version)).await.unwrap();
        assert_eq!(found, kept, "version {version}");
    }
}

pub(crate) async fn a_stale_revision_changes_nothing(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    revise(&store, agent(1, 2), 1).await.unwrap();
    for (id, expected) in [(1, 1), (1, 0), (1, 3), (2, 1)] {
        assert_eq!(revise(&store, agent(id, 4), expected).await, CONFLICT, "{id} at {expected}");
    }
    assert_eq!(versions(&store, 1).await, [agent(1, 2), agent(1, 1)]);
    assert_eq!(current(&store, 2).await, None);
}

pub(crate) async fn a_revision_cannot_take_a_key_but_may_leave_its_own(store: Store) {
    create(&store, keyed(1, 1, "a")).await.unwrap();
    create(&store, keyed(2, 1, "b")).await.unwrap();
    assert_eq!(revise(&store, keyed(2, 2, "a"), 1).await, CONFLICT);
    assert_eq!(versions(&store, 2).await, [keyed(2, 1, "b")]);

    revise(&store, keyed(1, 2, "a"), 1).await.unwrap();
    revise(&store, keyed(1, 3, "c"), 2).await.unwrap();
    revise(&store, keyed(2, 2, "a"), 1).await.unwrap();
    revise(&store, agent(1, 4), 3).await.unwrap();
    assert_eq!(with_key(&store, "a").await, Some(keyed(2, 2, "a")));
    assert_eq!(with_key(&store, "b").await, None);
    assert_eq!(with_key(&store, "c").await, None);
    assert_eq!(
        versions(&store, 1).await,
        [agent(1, 4), keyed(1, 3, "c"), keyed(1, 2, "a"), keyed(1, 1, "a")]
    );
}

pub(crate) async fn a_revision_of_another_workspace_is_a_conflict(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(revise(&store, Document { workspace: ELSEWHERE, ..agent(1, 2) }, 1).await, CONFLICT);
    assert_eq!(versions(&store, 1).await, [agent(1, 1)]);
}

pub(crate) async fn a_revision_that_makes_no_sense_is_refused(store: Store) {
    create(&store, agent(1, 2)).await.unwrap();
    for (version, keep_history) in [(1, false), (1, true), (2, true), (u64::MAX, true)] {
        let document = agent(1, version);
        let refused = store.commit(vec![Write::Revise { document, expected: 2, keep_history }]).await;
        assert!(
            matches!(refused, Err(CommitError::Fault(Fault::Misuse(_)))),
            "version {version} was answered {refused:?}"
        );
    }
    assert_eq!(versions(&store, 1).await, [agent(1, 2)]);
}

pub(crate) async fn versions_come_newest_first_in_pages(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    for version in 2..=5 {
        revise(&store, agent(1, version), version - 1).await.unwrap();
    }
    create(&store, agent(2, 9)).await.unwrap();
    for (after, limit, expected) in [
        (None, 2, vec![5, 4]),
        (Some(4), 2, vec![3, 2]),
        (Some(2), 2, vec![1]),
        (Some(1), 2, vec![]),
        (Some(u64::MAX), 9, vec![5, 4, 3, 2, 1]),
        (None, 0, vec![]),
    ] {
        let page = store.versions(HERE, Kind::new("agent"), 1, after, limit, usize::MAX).await.unwrap().items;
        let expected: Vec<_> = expected.into_iter().map(|version| agent(1, version)).collect();
        assert_eq!(page, expected, "after {after:?}");
    }
}

pub(crate) async fn a_dropped_document_leaves_nothing(store: Store) {
    create(&store, keyed(1, 1, "k")).await.unwrap();
    create(&store, agent(2, 1)).await.unwrap();
    revise(&store, keyed(1, 2, "k"), 1).await.unwrap();
    revise(&store, agent(2, 2), 1).await.unwrap();
    for _ in 0..2 {
        store.commit(vec![Write::Drop { kind: Kind::new("agent"), id: 1 }]).await.unwrap();
        assert_eq!(versions(&store, 1).await, []);
        assert_eq!(store.document(HERE, Kind::new("agent"), 1, Some(1)).await.unwrap(), None);
        assert_eq!(with_key(&store, "k").await, None);
    }
    assert_eq!(versions(&store, 2).await, [agent(2, 2), agent(2, 1)]);
    create(&store, keyed(3, 1, "k")).await.unwrap();
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(versions(&store, 1).await, [agent(1, 1)]);
}

pub(crate) async fn an_archived_or_missing_document_is_not_live(store: Store) {
    assert_eq!(live(&store, 1, None).await, CONFLICT);
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(live(&store, 1, None).await, Ok(()));
    let wrong_kind = Write::ExpectLive { kind: Kind::new("environment"), id: 1, version: None };
    assert_eq!(store.commit(vec![wrong_kind]).await, CONFLICT);

    let archived = Document { archived_at: Some(at(5)), ..agent(1, 2) };
    revise(&store, archived, 1).await.unwrap();
    assert_eq!(live(&store, 1, None).await, CONFLICT);
    // That a version was live when it was replaced does not count.
    assert_eq!(live(&store, 1, Some(1)).await, CONFLICT);
    assert_eq!(live(&store, 1, Some(2)).await, CONFLICT);
}

pub(crate) async fn a_named_version_must_exist(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    revise(&store, agent(1, 2), 1).await.unwrap();
    for (version, outcome) in [(1, Ok(())), (2, Ok(())), (3, CONFLICT), (0, CONFLICT), (u64::MAX, CONFLICT)] {
        assert_eq!(live(&store, 1, Some(version)).await, outcome, "version {version}");
    }
}

pub(crate) async fn an_undone_commit_gives_keys_and_history_back(store: Store) {
    create(&store, keyed(1, 1, "a")).await.unwrap();
    revise(&store, keyed(1, 2, "a"), 1).await.unwrap();
    create(&store, keyed(2, 1, "b")).await.unwrap();
    let refused = store
        .commit(vec![
            Write::Drop { kind: Kind::new("agent"), id: 1 },
            Write::Revise { document: keyed(2, 2, "a"), expected: 1, keep_history: true },
            Write::Create(keyed(3, 1, "b")),
            Write::Drop { kind: Kind::new("agent"), id: 2 },
            Write::ExpectLive { kind: Kind::new("agent"), id: 2, version: None },
        ])
        .await;
    assert_eq!(refused, Err(CommitError::Conflict { write: 4 }));
    assert_eq!(versions(&store, 1).await, [keyed(1, 2, "a"), keyed(1, 1, "a")]);
    assert_eq!(versions(&store, 2).await, [keyed(2, 1, "b")]);
    assert_eq!(versions(&store, 3).await, []);
    assert_eq!(with_key(&store, "a").await, Some(keyed(1, 2, "a")));
    assert_eq!(with_key(&store, "b").await, Some(keyed(2, 1, "b")));
    assert_eq!(create(&store, keyed(4, 1, "a")).await, CONFLICT);
}

pub(crate) async fn an_environment_is_used_by_every_session_that_is_neither_over_nor_deleted(store: Store) {
    let environment = EnvironmentId::from_bits(20);
    let unused = || vec![Write::ExpectUnused { environment }];
    let moved = |number: u128, first: u64, status: Status, deleted_at| {
        let head = Head { status, deleted_at, ..head(number, first + 1) };
        Write::Append(Append { head, ..append(number, first, 1) })
    };
    store.commit(unused()).await.unwrap();
    let elsewhere = Head { environment: EnvironmentId::from_bits(21), ..head(9, 1) };
    store.commit(vec![Write::Append(Append { head: elsewhere, ..append(9, 0, 1) })]).await.unwrap();
    store.commit(unused()).await.unwrap();
    for (number, status) in [(1, Status::Idle), (2, Status::Running), (3, Status::Rescheduling)] {
        store.commit(vec![moved(number, 0, status, None)]).await.unwrap();
        assert_eq!(store.using(environment).await.unwrap(), number as u64);
        assert_eq!(store.commit(unused()).await, CONFLICT, "{status:?}");
    }
    store.commit(vec![moved(1, 1, Status::Terminated, None)]).await.unwrap();
    store.commit(vec![moved(2, 1, Status::Terminated, None)]).await.unwrap();
    assert_eq!((store.using(environment).await.unwrap(), store.commit(unused()).await), (1, CONFLICT));
    store.commit(vec![moved(3, 1, Status::Idle, Some(at(7)))]).await.unwrap();
    assert_eq!(store.using(environment).await.unwrap(), 0);
    let kind = Kind::new("environment");
    store.commit(vec![Write::Create(Document { kind, ..agent(20, 1) })]).await.unwrap();
    // In one batch: one that comes in between is seen, and nothing is dropped.
    let both = vec![moved(4, 0, Status::Idle, None), unused().remove(0), Write::Drop { kind, id: 20 }];
    assert_eq!(store.commit(both).await, Err(CommitError::Conflict { write: 1 }));
    assert!(store.document(HERE, kind, 20, None).await.unwrap().is_some());
    store.commit(vec![unused().remove(0), Write::Drop { kind, id: 20 }]).await.unwrap();
    assert_eq!(store.document(HERE, kind, 20, None).await.unwrap(), None);
}
