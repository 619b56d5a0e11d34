//! What stays in memory of sessions: those at work or watched, and what others had folded, within its bytes.
use std::time::Duration;

use crate::support::*;
use engine::MemoryUse;
use protocol::limits;
use store::Store;

const IDLE: &str = "session.status_idle";

/// Waits until this many sessions are live: whoever was at work has only to leave.
async fn live(world: &World, sessions: usize) -> MemoryUse {
    let soon = async {
        while world.engine.memory().live != sessions {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), soon).await;
    let memory = world.engine.memory();
    assert!(waited.is_ok(), "{sessions} sessions should be live: {memory:?}");
    memory
}

async fn turn(world: &World, session: protocol::SessionId, text: &str) {
    let mut feed = world.follow(session).await;
    world.send(session, vec![message(text)]).await;
    until(&mut feed, IDLE).await;
}

fn folded(world: &World) -> u64 {
    counted(world, "heddle_sessions_folded_total")
}

#[tokio::test]
async fn a_session_is_let_go_as_soon_as_it_rests_and_its_next_turn_folds_nothing() {
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    for _ in 0..3 {
        turn(&world, session, "hi").await;
        let memory = live(&world, 0).await;
        assert_eq!(memory.resting, 1);
    }
    assert_eq!(folded(&world), 0);
    assert_eq!(world.puppet.prompts.lock().unwrap()[2].messages.len(), 5);
}

#[tokio::test]
async fn a_session_at_work_is_live_and_one_that_is_only_watched_rests_all_the_same() {
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    assert_eq!(world.engine.memory(), MemoryUse { live: 1, ..MemoryUse::default() });
    let interrupt = protocol::input::ClientEvent::Interrupt { thread: None };
    world.send(session, vec![interrupt]).await;
    live(&world, 0).await;
    let feeds = [world.follow(session).await, world.follow(session).await];
    let memory = live(&world, 1).await;
    assert_eq!(memory.resting, 1);
    drop(feeds);
    assert_eq!(live(&world, 0).await, MemoryUse { live: 0, ..memory });
}

#[tokio::test]
async fn without_a_cache_nothing_stays_and_all_is_read_again() {
    let world = world_with_cache(Store::memory(), vec![], 0).await;
    let session = world.open(vec![]).await;
    for turns in 1..=2 {
        turn(&world, session, "hi").await;
        assert_eq!(live(&world, 0).await, MemoryUse::default());
        assert_eq!(folded(&world), turns);
    }
    assert_eq!(world.puppet.prompts.lock().unwrap()[1].messages.len(), 3);
}

#[tokio::test]
async fn the_cache_is_bounded_in_bytes_and_the_oldest_go_first() {
    const BYTES: usize = 200_000;
    let world = world_with_cache(Store::memory(), vec![], BYTES).await;
    let text = "x".repeat(10_000);
    let mut sessions = Vec::new();
    for _ in 0..40 {
        let session = world.open(vec![]).await;
        turn(&world, session, &text).await;
        sessions.push(session);
        let memory = live(&world, 0).await;
        assert!(memory.resting_bytes <= BYTES, "{memory:?}");
    }
    let resting = world.engine.memory().resting;
    assert!((9..20).contains(&resting), "{resting} sessions of 10,000 bytes in {BYTES}");
    assert_eq!(folded(&world), 0);
    turn(&world, sessions[39], "more").await;
    assert_eq!(folded(&world), 0, "the newest rests in the cache");
    turn(&world, sessions[0], "more").await;
    assert_eq!(folded(&world), 1, "the oldest went, and is read again");
}

#[tokio::test]
async fn an_agent_is_weighed_once_for_all_who_share_it_and_for_each_who_does_not() {
    const SYSTEM: usize = 50_000;
    let world = world_with_cache(Store::memory(), vec![], limits::SESSION_CACHE_BYTES).await;
    let mut agent = agent();
    agent.definition.system = Some("x".repeat(SYSTEM));
    let bytes = || world.engine.memory().resting_bytes;
    for sessions in 1..=10 {
        world.open_with(agent.clone(), vec![]).await;
        assert!((SYSTEM..SYSTEM + sessions * 5_000 + 5_000).contains(&bytes()), "{sessions}: {}", bytes());
    }
    for own in 1..=5 {
        agent.definition.system = Some(format!("{own}{}", "x".repeat(SYSTEM)));
        world.open_with(agent.clone(), vec![]).await;
    }
    assert!(bytes() > 6 * SYSTEM, "{}", bytes());
}

#[tokio::test]
async fn a_stream_that_is_opened_while_a_session_leaves_misses_nothing() {
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    for _ in 0..50 {
        let mut feed = world.follow(session).await;
        world.send(session, vec![message("hi")]).await;
        let frames = until(&mut feed, IDLE).await;
        assert_eq!(names(&frames).first(), Some(&"session.status_running"));
    }
    live(&world, 0).await;
}
