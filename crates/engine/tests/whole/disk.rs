//! A disk that is nearly full, and one that has damaged what it keeps.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::{CommitError, EngineFault, NewSession};
use kernel::Input;
use protocol::{EnvironmentId, input::ClientEvent};
use store::{BatchWrite, DocumentKind, LogAppend, MemoryStoreFaults, SessionHead, Store, StoredDocument};

use crate::support::*;

const IDLE: &str = "session.status_idle";

fn is_short<T>(outcome: &Result<T, CommitError>) -> bool {
    matches!(outcome, Err(CommitError::Fault(EngineFault::Store(store::StoreFault::Short { .. }))))
}

#[tokio::test(start_paused = true)]
async fn where_little_room_is_left_what_was_begun_ends_and_nothing_new_is_taken() {
    let faults = MemoryStoreFaults::default();
    let acts = vec![Act::Call("bash"), Act::Say(&["done"]), Act::Hang];
    let world = world_with_hands(Store::memory_with(faults.clone()), acts, vec![Touch::Hold("held")]).await;
    let (session, busy) = (world.open(vec![]).await, world.open(vec![]).await);
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    world.glove.began.notified().await;

    faults.shorten_disk(true);
    let send = |session, events| world.engine.commit(HOME, session, client(events));
    assert!(is_short(&send(busy, vec![message("more")]).await));
    let stop = || ClientEvent::Interrupt { thread: None };
    assert!(is_short(&send(session, vec![stop(), message("more")]).await));
    let new = NewSession {
        agent: agent(),
        environment: EnvironmentId::from_bits(9),
        title: None,
        metadata: BTreeMap::new(),
        events: vec![],
    };
    assert!(is_short(&world.engine.open(HOME, new, vec![], None).await));
    // The tool's outcome and the model's answer are kept.
    world.glove.go.notify_one();
    assert!(names(&until(&mut feed, IDLE).await).contains(&"agent.message"));

    faults.shorten_disk(false);
    world.send(busy, vec![message("hang")]).await;
    world.puppet.asked.notified().await;
    faults.shorten_disk(true);
    let mut feed = world.follow(busy).await;
    send(busy, vec![stop()]).await.unwrap();
    until(&mut feed, IDLE).await;
    world.engine.commit(HOME, busy, Input::Archive).await.unwrap();
    world.engine.delete(HOME, session).await.unwrap();
    assert_eq!(world.engine.session(HOME, session).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn where_little_memory_is_left_nothing_large_is_taken_and_all_else_is() {
    let world =
        world_with_hands(Store::memory(), vec![Act::Say(&["small"]), Act::Say(&["large"])], vec![]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.glove.memory_is_short.store(true, Ordering::Relaxed);
    let large = "x".repeat(protocol::limits::LARGE_INPUT_BYTES);
    let sent = world.engine.commit(HOME, session, client(vec![message(&large)])).await;
    assert!(matches!(sent, Err(CommitError::Fault(EngineFault::Memory))), "{sent:?}");
    world.send(session, vec![message("small")]).await;
    until(&mut feed, IDLE).await;
    world.glove.memory_is_short.store(false, Ordering::Relaxed);
    world.send(session, vec![message(&large)]).await;
    until(&mut feed, IDLE).await;
}

#[tokio::test]
async fn documents_are_archived_and_dropped_where_none_can_be_made() {
    let faults = MemoryStoreFaults::default();
    let world = world(Store::memory_with(faults.clone()), vec![]).await;
    let document = |id, revision| StoredDocument {
        kind: DocumentKind::new("agent"),
        id,
        revision,
        version: 1,
        workspace: HOME,
        parent: None,
        unique_key: None,
        body: Vec::new(),
        created_at: BEGAN,
        updated_at: BEGAN,
        archived_at: None,
    };
    world
        .engine
        .keep(vec![BatchWrite::Create(document(1, 1)), BatchWrite::Create(document(2, 1))])
        .await
        .unwrap();
    faults.shorten_disk(true);
    for write in [BatchWrite::Create(document(3, 1)), BatchWrite::Revise(document(1, 2))] {
        let refused = world.engine.keep(vec![write]).await;
        let short = matches!(refused, Err(store::BatchError::Fault(store::StoreFault::Short { .. })));
        assert!(short, "{refused:?}");
    }
    let archived = StoredDocument { archived_at: Some(BEGAN), ..document(1, 2) };
    world.engine.keep(vec![BatchWrite::Revise(archived)]).await.unwrap();
    let drop = BatchWrite::Drop { workspace: HOME, kind: DocumentKind::new("agent"), id: 2 };
    world.engine.keep(vec![drop]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_read_rests_and_is_deleted_all_the_same() {
    let store = Store::memory();
    let before = world(store.clone(), vec![]).await;
    let session = before.open(vec![]).await;
    before.engine.stop().await;
    let head = store.head_of(session).await.unwrap().unwrap();
    let first = head.position;
    let head = SessionHead { position: first + 1, ..head };
    let body = b"no facts".to_vec();
    let damaged = LogAppend { session, first, count: 1, at: BEGAN, body, receipt: None, head };
    store.commit(vec![BatchWrite::Append(damaged)]).await.unwrap();

    let world = world(store, vec![]).await;
    let mut feed = world.follow(session).await;
    let refused = world.engine.commit(HOME, session, client(vec![message("hi")])).await;
    assert!(matches!(&refused, Err(CommitError::Fault(fault)) if fault.is_damage()), "{refused:?}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.engine.delete(HOME, session).await.unwrap();
    assert_eq!(feed.next().await.unwrap(), None, "its reader hears no more");
    assert_eq!(world.engine.delete(HOME, session).await, Err(CommitError::NotFound));
    assert_eq!(world.engine.session(HOME, session).await.unwrap(), None);
    world.glove.part.notified().await;
    assert_eq!(*world.glove.parted.lock().unwrap(), [("remove", session)]);
    world.engine.stop().await;
}
