//! Pictures through the whole engine: damaged ones, too many, those nobody uses, those of older logs.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use protocol::{
    SessionId, Timestamp,
    content::{ContentBlock, MediaSource},
    event::{Body, Event},
    limits,
    prompt::MessagePart,
};
use sha2::{Digest, Sha256};
use store::{BatchWrite, BlobOwner, BlobPin, LogAppend, MemoryStoreFaults, PINS_COMPLETE, Store};

use crate::support::*;

const IDLE: &str = "session.status_idle";

fn picture(byte: u8) -> ContentBlock {
    let data = BASE64_STANDARD.encode([byte; 300]);
    ContentBlock::Image { source: MediaSource::Base64 { data, media_type: "image/png".into() } }
}

fn name(byte: u8) -> [u8; 32] {
    Sha256::digest([byte; 300]).into()
}

/// An engine whose tools give these pictures, one after the other.
async fn gallery(store: Store, bytes: &[u8]) -> World {
    let acts = bytes.iter().flat_map(|_| [Act::Call("read"), Act::Say(&["seen"])]).collect();
    let touches = bytes.iter().map(|byte| Touch::Give(vec![picture(*byte)])).collect();
    world_with_hands(store, acts, touches).await
}

async fn turn(world: &World, session: SessionId) {
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("look")]).await;
    until(&mut feed, IDLE).await;
}

fn results(events: &[Arc<Event>]) -> Vec<Vec<ContentBlock>> {
    let result = |event: &Arc<Event>| {
        let Body::AgentToolResult { content, .. } = &event.body else { return None };
        content.clone()
    };
    events.iter().filter_map(result).collect()
}

async fn pinned(store: &Store, session: SessionId) -> u64 {
    store.pinned(BlobOwner::session(session)).await.unwrap()
}

async fn holds(store: &Store, byte: u8) -> bool {
    store.get(&name(byte)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_damaged_picture_is_worked_round_by_every_reader() {
    let faults = MemoryStoreFaults::default();
    let world = gallery(Store::memory_with(faults.clone()), &[1]).await;
    let session = world.open(vec![]).await;
    turn(&world, session).await;
    let first = world.list(session).await[0].id;
    assert_eq!(results(&world.list(session).await), [[picture(1)]]);

    faults.damage_blob(name(1));
    let words =
        "[The picture that was read here is damaged on the server's disk. Read it again if it is needed.]";
    let told = [vec![ContentBlock::text(words)]];
    assert_eq!(results(&world.list(session).await), told);
    let previews = engine::Previews::default();
    let mut resumed = world.engine.follow(HOME, session, None, Some(first), previews).await.unwrap();
    assert_eq!(results(&events(&until(&mut resumed, IDLE).await)), told);
    turn(&world, session).await;
    let shown = world.puppet.prompts.lock().unwrap().last().unwrap().messages[2].parts.clone();
    assert_eq!(
        shown,
        [MessagePart::ToolResult { id: "toolu_1".into(), content: told[0].clone(), is_error: false }]
    );
}

#[tokio::test]
async fn beyond_its_bound_a_session_keeps_no_more_pictures() {
    let world = gallery(Store::memory(), &[1, 2]).await;
    let session = world.open(vec![]).await;
    let owner = BlobOwner::session(session);
    let most = BlobPin { blob: [9; 32], owner, bytes: limits::BLOB_BYTES_PER_SESSION - 300 };
    world.store.commit(vec![BatchWrite::Pin(most)]).await.unwrap();
    turn(&world, session).await;
    assert_eq!(pinned(&world.store, session).await, limits::BLOB_BYTES_PER_SESSION);
    turn(&world, session).await;
    let shown = results(&world.list(session).await);
    assert_eq!(shown[0], [picture(1)]);
    let ContentBlock::Text { text } = &shown[1][0] else { panic!("{shown:?}") };
    assert!(text.contains("1 GiB") && text.contains("new session"), "{text}");
    assert_eq!(pinned(&world.store, session).await, limits::BLOB_BYTES_PER_SESSION);
    assert!(!holds(&world.store, 2).await, "it was kept all the same");
}

#[tokio::test(start_paused = true)]
async fn the_pictures_of_a_deleted_session_go_and_those_of_others_stay() {
    let world = gallery(Store::memory(), &[1, 2, 2]).await;
    let (gone, stays) = (world.open(vec![]).await, world.open(vec![]).await);
    turn(&world, gone).await;
    turn(&world, gone).await;
    turn(&world, stays).await;
    assert_eq!((pinned(&world.store, gone).await, pinned(&world.store, stays).await), (600, 300));
    world.engine.commit(HOME, gone, kernel::Input::Delete).await.unwrap();
    tokio::time::sleep(Duration::from_secs(limits::PURGE_S + 60)).await;
    assert_eq!(pinned(&world.store, gone).await, 0);
    assert!(holds(&world.store, 1).await, "too soon");
    tokio::time::sleep(Duration::from_secs(limits::BLOB_UNUSED_S + 60)).await;
    assert!(!holds(&world.store, 1).await);
    assert!(holds(&world.store, 2).await);
    assert_eq!(pinned(&world.store, stays).await, 300);
}

#[tokio::test(start_paused = true)]
async fn what_logs_of_an_older_version_name_is_pinned_before_anything_is_swept() {
    let first = gallery(Store::memory(), &[1]).await;
    let session = first.open(vec![]).await;
    turn(&first, session).await;
    first.engine.stop().await;
    // As an older version would have left it: the log, and no pins.
    let older = Store::memory();
    let head = first.store.head(HOME, session).await.unwrap().unwrap();
    let rows = first.store.read(session, 0, usize::MAX).await.unwrap();
    for row in rows {
        let position = row.first + u64::from(row.count);
        let head = store::SessionHead { position, ..head.clone() };
        let store::LogRow { first, count, at, body, receipt } = row;
        let append = LogAppend { session, first, count, at, body, receipt, head };
        older.commit(vec![BatchWrite::Append(append)]).await.unwrap();
    }
    for byte in [1, 2] {
        drop(older.put(vec![byte; 300]).await.unwrap());
    }
    assert_eq!(pinned(&older, session).await, 0);
    let later = older.sweep(Timestamp::from_micros(i64::MAX), Duration::ZERO).await.unwrap();
    assert_eq!(later.blobs, 0, "swept before the pins are made");

    let second = world(older.clone(), vec![]).await;
    while !older.is_marked(PINS_COMPLETE).await.unwrap() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(pinned(&older, session).await, 300);
    tokio::time::sleep(Duration::from_secs(limits::BLOB_SWEEP_S + 60)).await;
    assert_eq!((holds(&older, 1).await, holds(&older, 2).await), (true, false));
    assert_eq!(results(&second.list(session).await), [[picture(1)]]);
}
