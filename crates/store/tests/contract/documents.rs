//! Documents: versions, history, unique keys, and what a commit may expect of them.

use protocol::{EnvironmentId, session::SessionStatus};
use store::{
    BatchError, BatchWrite, DocumentKind, DocumentQuery, LogAppend, SessionHead, Store, StoreFault,
    StoredDocument,
};

use crate::{ELSEWHERE, HERE, agent, append, at, below, head, keyed, revised};

const CONFLICT: Result<(), BatchError> = Err(BatchError::Conflict { write: 0 });

async fn create(store: &Store, document: StoredDocument) -> Result<(), BatchError> {
    store.commit(vec![BatchWrite::Create(document)]).await
}

/// Changes a document that was changed `revision` times, its creation included.
async fn revise(store: &Store, document: StoredDocument, revision: u64) -> Result<(), BatchError> {
    store.commit(vec![BatchWrite::Revise(revised(document, revision + 1))]).await
}

async fn live(store: &Store, id: u128, version: Option<u64>) -> Result<(), BatchError> {
    let live = BatchWrite::ExpectLive { workspace: HERE, kind: DocumentKind::new("agent"), id, version };
    store.commit(vec![live]).await
}

fn drop_agent(id: u128) -> BatchWrite {
    BatchWrite::Drop { workspace: HERE, kind: DocumentKind::new("agent"), id }
}

async fn current(store: &Store, id: u128) -> Option<StoredDocument> {
    store.document(HERE, DocumentKind::new("agent"), id, None).await.unwrap()
}

async fn with_key(store: &Store, key: &str) -> Option<StoredDocument> {
    store.find(HERE, DocumentKind::new("agent"), key).await.unwrap()
}

async fn versions(store: &Store, id: u128) -> Vec<StoredDocument> {
    store.versions(HERE, DocumentKind::new("agent"), id, None, 100, usize::MAX).await.unwrap().items
}

pub(crate) async fn a_new_document_reads_back_by_id_version_and_key(store: Store) {
    let kept = StoredDocument {
        archived_at: Some(at(77)),
        body: vec![0, 255],
        ..keyed(u128::MAX, 1, "a key: $1 'ü'")
    };
    create(&store, kept.clone()).await.unwrap();
    assert_eq!(current(&store, u128::MAX).await, Some(kept.clone()));
    let first = store.document(HERE, DocumentKind::new("agent"), u128::MAX, Some(1)).await.unwrap();
    assert_eq!(first, Some(kept.clone()));
    assert_eq!(with_key(&store, "a key: $1 'ü'").await, Some(kept.clone()));
    assert_eq!(versions(&store, u128::MAX).await, [kept]);

    assert_eq!(store.document(HERE, DocumentKind::new("agent"), u128::MAX, Some(2)).await.unwrap(), None);
    assert_eq!(store.document(HERE, DocumentKind::new("environment"), u128::MAX, None).await.unwrap(), None);
    assert_eq!(store.document(ELSEWHERE, DocumentKind::new("agent"), u128::MAX, None).await.unwrap(), None);
    assert_eq!(
        store.document(ELSEWHERE, DocumentKind::new("agent"), u128::MAX, Some(1)).await.unwrap(),
        None
    );
    assert_eq!(store.find(ELSEWHERE, DocumentKind::new("agent"), "a key: $1 'ü'").await.unwrap(), None);
    assert_eq!(store.find(HERE, DocumentKind::new("api_key"), "a key: $1 'ü'").await.unwrap(), None);
    assert_eq!(
        store.versions(ELSEWHERE, DocumentKind::new("agent"), u128::MAX, None, 9, 1).await.unwrap().items,
        []
    );
}

pub(crate) async fn an_id_can_be_created_once(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(create(&store, agent(1, 2)).await, CONFLICT);
    assert_eq!(create(&store, StoredDocument { workspace: ELSEWHERE, ..agent(1, 1) }).await, CONFLICT);
    create(&store, StoredDocument { kind: DocumentKind::new("environment"), ..agent(1, 1) }).await.unwrap();
    assert_eq!(current(&store, 1).await, Some(agent(1, 1)));
}

pub(crate) async fn a_key_is_unique_in_its_workspace_and_kind(store: Store) {
    create(&store, keyed(1, 1, "k")).await.unwrap();
    assert_eq!(create(&store, keyed(2, 1, "k")).await, CONFLICT);
    create(&store, keyed(2, 1, "K")).await.unwrap();
    create(&store, StoredDocument { workspace: ELSEWHERE, ..keyed(3, 1, "k") }).await.unwrap();
    create(&store, StoredDocument { kind: DocumentKind::new("api_key"), ..keyed(4, 1, "k") }).await.unwrap();
    create(&store, agent(5, 1)).await.unwrap();
    create(&store, agent(6, 1)).await.unwrap();
    assert_eq!(with_key(&store, "k").await, Some(keyed(1, 1, "k")));
    assert_eq!(with_key(&store, "K").await, Some(keyed(2, 1, "K")));
}

pub(crate) async fn a_version_that_is_replaced_stays_readable(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    revise(&store, agent(1, 2), 1).await.unwrap();
    // A revision without a new version: archived, and `created_at` stays.
    let archived = StoredDocument { archived_at: Some(at(9)), created_at: at(12_345), ..agent(1, 2) };
    revise(&store, archived, 2).await.unwrap();
    revise(&store, agent(1, 7), 3).await.unwrap();

    let first = agent(1, 1);
    let second = StoredDocument { archived_at: Some(at(9)), ..revised(agent(1, 2), 3) };
    let now = revised(agent(1, 7), 4);
    assert_eq!(current(&store, 1).await, Some(now.clone()));
    assert_eq!(versions(&store, 1).await, [now.clone(), second.clone(), first.clone()]);
    let kept = [(1, Some(first)), (2, Some(second)), (3, None), (7, Some(now)), (u64::MAX, None)];
    for (version, kept) in kept {
        let found = store.document(HERE, DocumentKind::new("agent"), 1, Some(version)).await.unwrap();
        assert_eq!(found, kept, "version {version}");
    }
}

pub(crate) async fn a_stale_revision_changes_nothing(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    revise(&store, agent(1, 2), 1).await.unwrap();
    for (id, revision) in [(1, 1), (1, 3), (1, 4), (2, 1)] {
        assert_eq!(revise(&store, agent(id, 4), revision).await, CONFLICT, "{id} at {revision}");
    }
    assert_eq!(versions(&store, 1).await, [revised(agent(1, 2), 2), agent(1, 1)]);
    assert_eq!(current(&store, 2).await, None);
}

pub(crate) async fn a_revision_fences_off_what_a_version_does_not(store: Store) {
    create(&store, agent(1, 3)).await.unwrap();
    // Two have seen the same: one archives, which is no new version, the other makes one.
    let archived = StoredDocument { archived_at: Some(at(9)), ..agent(1, 3) };
    revise(&store, archived.clone(), 1).await.unwrap();
    assert_eq!(revise(&store, agent(1, 4), 1).await, CONFLICT);
    assert_eq!(versions(&store, 1).await, [revised(archived, 2)]);
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
    assert_eq!(with_key(&store, "a").await, Some(revised(keyed(2, 2, "a"), 2)));
    assert_eq!(with_key(&store, "b").await, None);
    assert_eq!(with_key(&store, "c").await, None);
    let (second, third) = (revised(keyed(1, 2, "a"), 2), revised(keyed(1, 3, "c"), 3));
    assert_eq!(versions(&store, 1).await, [revised(agent(1, 4), 4), third, second, keyed(1, 1, "a")]);
}

pub(crate) async fn a_revision_of_another_workspace_or_parent_is_a_conflict(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    for moved in [
        StoredDocument { workspace: ELSEWHERE, ..agent(1, 2) },
        StoredDocument { parent: Some(9), ..agent(1, 2) },
    ] {
        assert_eq!(revise(&store, moved, 1).await, CONFLICT);
    }
    assert_eq!(versions(&store, 1).await, [agent(1, 1)]);
    create(&store, below(1, 2)).await.unwrap();
    for parent in [None, Some(2)] {
        assert_eq!(revise(&store, StoredDocument { parent, ..below(1, 2) }, 1).await, CONFLICT);
    }
    revise(&store, below(1, 2), 1).await.unwrap();
    let found = store.document(HERE, DocumentKind::new("credential"), 2, None).await.unwrap();
    assert_eq!(found, Some(revised(below(1, 2), 2)));
}

pub(crate) async fn a_revision_that_makes_no_sense_is_refused(store: Store) {
    create(&store, agent(1, 2)).await.unwrap();
    let new = |revision, version| BatchWrite::Create(revised(agent(2, version), revision));
    let next = |revision, version| BatchWrite::Revise(revised(agent(1, version), revision));
    for write in [new(0, 1), new(2, 1), new(1, u64::MAX), next(0, 3), next(1, 3), next(u64::MAX, 3)] {
        let refused = store.commit(vec![write.clone()]).await;
        assert!(
            matches!(refused, Err(BatchError::Fault(StoreFault::Misuse(_)))),
            "{write:?} was answered {refused:?}"
        );
    }
    // A version never goes down.
    assert_eq!(store.commit(vec![next(2, 1)]).await, CONFLICT);
    assert_eq!(versions(&store, 1).await, [agent(1, 2)]);
    assert_eq!(current(&store, 2).await, None);
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
        let page = store
            .versions(HERE, DocumentKind::new("agent"), 1, after, limit, usize::MAX)
            .await
            .unwrap()
            .items;
        let expected = expected.into_iter().map(|version| revised(agent(1, version), version));
        let expected: Vec<_> = expected.collect();
        assert_eq!(page, expected, "after {after:?}");
    }
}

pub(crate) async fn a_dropped_document_leaves_nothing(store: Store) {
    create(&store, keyed(1, 1, "k")).await.unwrap();
    create(&store, agent(2, 1)).await.unwrap();
    revise(&store, keyed(1, 2, "k"), 1).await.unwrap();
    revise(&store, agent(2, 2), 1).await.unwrap();
    store.commit(vec![drop_agent(1)]).await.unwrap();
    assert_eq!(versions(&store, 1).await, []);
    assert_eq!(store.document(HERE, DocumentKind::new("agent"), 1, Some(1)).await.unwrap(), None);
    assert_eq!(with_key(&store, "k").await, None);
    assert_eq!(versions(&store, 2).await, [revised(agent(2, 2), 2), agent(2, 1)]);
    create(&store, keyed(3, 1, "k")).await.unwrap();
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(versions(&store, 1).await, [agent(1, 1)]);
}

pub(crate) async fn only_what_is_there_and_of_the_workspace_is_dropped(store: Store) {
    create(&store, keyed(1, 1, "k")).await.unwrap();
    create(&store, below(1, 2)).await.unwrap();
    let agents = DocumentKind::new("agent");
    for drop in [
        BatchWrite::Drop { workspace: ELSEWHERE, kind: agents, id: 1 },
        BatchWrite::Drop { workspace: HERE, kind: DocumentKind::new("environment"), id: 1 },
        drop_agent(2),
    ] {
        assert_eq!(store.commit(vec![drop.clone()]).await, CONFLICT, "{drop:?}");
    }
    assert_eq!(with_key(&store, "k").await, Some(keyed(1, 1, "k")));
    assert_eq!(under(&store, 1).await, [below(1, 2)]);
    store.commit(vec![drop_agent(1)]).await.unwrap();
    assert_eq!(store.commit(vec![drop_agent(1)]).await, CONFLICT);
}

pub(crate) async fn a_dropped_document_takes_all_below_it_and_nothing_beside_it(store: Store) {
    create(&store, agent(1, 1)).await.unwrap();
    create(&store, agent(2, 1)).await.unwrap();
    let keyed_below = StoredDocument { unique_key: Some("k".to_owned()), ..below(1, 11) };
    for document in [keyed_below.clone(), below(1, 12), below(11, 111), below(111, 1111), below(2, 21)] {
        create(&store, document).await.unwrap();
    }
    // Below the same id, but another workspace's.
    create(&store, StoredDocument { workspace: ELSEWHERE, ..below(1, 13) }).await.unwrap();
    revise(&store, StoredDocument { version: 2, ..below(11, 111) }, 1).await.unwrap();
    store.commit(vec![drop_agent(1)]).await.unwrap();

    let kind = DocumentKind::new("credential");
    for id in [11, 12, 111, 1111] {
        assert_eq!(store.document(HERE, kind, id, None).await.unwrap(), None, "{id}");
        assert_eq!(store.versions(HERE, kind, id, None, 9, 1).await.unwrap().items, [], "{id}");
    }
    assert_eq!(store.find(HERE, kind, "k").await.unwrap(), None);
    assert_eq!(under(&store, 2).await, [below(2, 21)]);
    assert_eq!(current(&store, 2).await, Some(agent(2, 1)));
    let other = store.document(ELSEWHERE, kind, 13, None).await.unwrap();
    assert!(other.is_some_and(|other| other.parent == Some(1)));
    create(&store, keyed_below).await.unwrap();
}

/// The credentials below a document, newest first.
async fn under(store: &Store, parent: u128) -> Vec<StoredDocument> {
    let query = DocumentQuery::new(HERE, DocumentKind::new("credential"), 9);
    store.documents(DocumentQuery { parent: Some(parent), ..query }).await.unwrap().items
}

pub(crate) async fn what_is_below_a_document_is_listed(store: Store) {
    let archived = StoredDocument { archived_at: Some(at(9)), ..below(1, 4) };
    let other_kind = StoredDocument { parent: Some(1), ..agent(5, 1) };
    let elsewhere = StoredDocument { workspace: ELSEWHERE, ..below(1, 7) };
    for document in [below(1, 2), below(1, 3), archived, other_kind, below(2, 6), elsewhere] {
        create(&store, document).await.unwrap();
    }
    assert_eq!(under(&store, 1).await, [below(1, 3), below(1, 2)]);
    assert_eq!(under(&store, 2).await, [below(2, 6)]);
    assert_eq!(under(&store, 3).await, []);
}

pub(crate) async fn an_archived_or_missing_document_is_not_live(store: Store) {
    assert_eq!(live(&store, 1, None).await, CONFLICT);
    create(&store, agent(1, 1)).await.unwrap();
    assert_eq!(live(&store, 1, None).await, Ok(()));
    for (workspace, kind) in [(HERE, "environment"), (ELSEWHERE, "agent")] {
        for version in [None, Some(1)] {
            let other = BatchWrite::ExpectLive { workspace, kind: DocumentKind::new(kind), id: 1, version };
            assert_eq!(store.commit(vec![other]).await, CONFLICT, "{kind}");
        }
    }

    let archived = StoredDocument { archived_at: Some(at(5)), ..agent(1, 2) };
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
    create(&store, below(1, 11)).await.unwrap();
    let refused = store
        .commit(vec![
            drop_agent(1),
            BatchWrite::Revise(revised(keyed(2, 2, "a"), 2)),
            BatchWrite::Create(keyed(3, 1, "b")),
            drop_agent(2),
            BatchWrite::ExpectLive {
                workspace: HERE,
                kind: DocumentKind::new("agent"),
                id: 2,
                version: None,
            },
        ])
        .await;
    assert_eq!(refused, Err(BatchError::Conflict { write: 4 }));
    assert_eq!(versions(&store, 1).await, [revised(keyed(1, 2, "a"), 2), keyed(1, 1, "a")]);
    assert_eq!(under(&store, 1).await, [below(1, 11)]);
    assert_eq!(versions(&store, 2).await, [keyed(2, 1, "b")]);
    assert_eq!(versions(&store, 3).await, []);
    assert_eq!(with_key(&store, "a").await, Some(revised(keyed(1, 2, "a"), 2)));
    assert_eq!(with_key(&store, "b").await, Some(keyed(2, 1, "b")));
    assert_eq!(create(&store, keyed(4, 1, "a")).await, CONFLICT);
}

pub(crate) async fn an_environment_is_used_by_every_session_that_is_neither_over_nor_deleted(store: Store) {
    let environment = EnvironmentId::from_bits(20);
    let unused = || vec![BatchWrite::ExpectUnused { environment }];
    let moved = |number: u128, first: u64, status: SessionStatus, deleted_at| {
        let head = SessionHead { status, deleted_at, ..head(number, first + 1) };
        BatchWrite::Append(LogAppend { head, ..append(number, first, 1) })
    };
    store.commit(unused()).await.unwrap();
    let elsewhere = SessionHead { environment: EnvironmentId::from_bits(21), ..head(9, 1) };
    store.commit(vec![BatchWrite::Append(LogAppend { head: elsewhere, ..append(9, 0, 1) })]).await.unwrap();
    store.commit(unused()).await.unwrap();
    for (number, status) in
        [(1, SessionStatus::Idle), (2, SessionStatus::Running), (3, SessionStatus::Rescheduling)]
    {
        store.commit(vec![moved(number, 0, status, None)]).await.unwrap();
        assert_eq!(store.using(environment).await.unwrap(), number as u64);
        assert_eq!(store.commit(unused()).await, CONFLICT, "{status:?}");
    }
    store.commit(vec![moved(1, 1, SessionStatus::Terminated, None)]).await.unwrap();
    store.commit(vec![moved(2, 1, SessionStatus::Terminated, None)]).await.unwrap();
    assert_eq!((store.using(environment).await.unwrap(), store.commit(unused()).await), (1, CONFLICT));
    store.commit(vec![moved(3, 1, SessionStatus::Idle, Some(at(7)))]).await.unwrap();
    assert_eq!(store.using(environment).await.unwrap(), 0);
    let kind = DocumentKind::new("environment");
    store.commit(vec![BatchWrite::Create(StoredDocument { kind, ..agent(20, 1) })]).await.unwrap();
    // In one batch: one that comes in between is seen, and nothing is dropped.
    let drop = || BatchWrite::Drop { workspace: HERE, kind, id: 20 };
    let both = vec![moved(4, 0, SessionStatus::Idle, None), unused().remove(0), drop()];
    assert_eq!(store.commit(both).await, Err(BatchError::Conflict { write: 1 }));
    assert!(store.document(HERE, kind, 20, None).await.unwrap().is_some());
    store.commit(vec![unused().remove(0), drop()]).await.unwrap();
    assert_eq!(store.document(HERE, kind, 20, None).await.unwrap(), None);
}
