//! Requests that are sent again: each is done once, over restarts too, and a plain turn pays nothing for it.

use std::time::Duration;

use engine::{CommitError, Committed, Engine, PostAttempt, RecalledAttempts};
use kernel::{Input, SessionChange};
use protocol::input::ClientEvent;
use protocol::parse::GivenField;
use protocol::{SessionId, limits};
use store::{MemoryStoreFaults, Store};

use crate::support::{
    Act, BEGAN, HOME, World, client, counted, message, until, world, world_over, world_with_clock,
};

const IDLE: &str = "session.status_idle";

fn first(name: u8) -> PostAttempt {
    PostAttempt::plain([name; 16], false)
}

fn again(name: u8) -> PostAttempt {
    PostAttempt::plain([name; 16], true)
}

async fn sent(
    engine: &Engine,
    session: SessionId,
    events: Vec<ClientEvent>,
    attempt: &PostAttempt,
) -> Committed {
    engine.commit_attempt(HOME, session, client(events), Some(attempt)).await.unwrap()
}

async fn said(world: &World, session: SessionId) -> usize {
    let all = world.list(session).await;
    all.iter().filter(|event| event.body.name() == "user.message").count()
}

#[tokio::test]
async fn a_turn_pays_twenty_one_bytes_in_the_row_of_its_message_and_no_row_or_query_more() {
    let mut turns = Vec::new();
    for attempt in [None, Some(first(1))] {
        let world = world(Store::memory(), vec![Act::Say(&["x"])]).await;
        let session = world.open(vec![]).await;
        let mut feed = world.follow(session).await;
        let begun = world.store.commits();
        world
            .engine
            .commit_attempt(HOME, session, client(vec![message("hi")]), attempt.as_ref())
            .await
            .unwrap();
        until(&mut feed, IDLE).await;
        let rows = world.store.read(session, 0, usize::MAX).await.unwrap();
        let receipts: Vec<_> = rows.iter().filter_map(|row| row.receipt.as_ref().map(Vec::len)).collect();
        let found = world.store.receipt(&[1; 16], BEGAN).await.unwrap();
        let searched = counted(&world, "heddle_rows_searched_total");
        turns.push((world.store.commits() - begun, rows.len(), receipts, found, searched));
    }
    let (plain, posted) = (turns.remove(0), turns.remove(0));
    assert_eq!(posted, (plain.0, plain.1, vec![21], None, plain.4));
    assert_eq!((plain.2, plain.4), (vec![], 0));
}

#[tokio::test]
async fn what_was_sent_before_is_found_in_the_log_by_the_next_engine() {
    let store = Store::memory();
    let session = {
        let world = world(store.clone(), vec![Act::Say(&["x"]), Act::Hang]).await;
        let session = world.open(vec![]).await;
        let mut feed = world.follow(session).await;
        sent(&world.engine, session, vec![message("one")], &first(1)).await;
        until(&mut feed, IDLE).await;
        sent(&world.engine, session, vec![message("two"), message("three")], &first(2)).await;
        world.puppet.asked.notified().await;
        // It waits in the queue, and is told so.
        sent(&world.engine, session, vec![message("four")], &first(3)).await;
        sent(
            &world.engine,
            session,
            vec![ClientEvent::Interrupt { thread: None }, message("five")],
            &first(4),
        )
        .await;
        world.engine.stop().await;
        session
    };
    let before = store.read(session, 0, usize::MAX).await.unwrap();
    let told = |row: u8| {
        let row = before
            .iter()
            .find(|other| other.receipt.as_ref().is_some_and(|receipt| receipt[0] == row))
            .unwrap();
        let facts = kernel::fact::decode(&row.body).unwrap();
        facts
            .into_iter()
            .filter_map(|fact| match fact.what {
                kernel::FactContent::Event { event, .. } => Some(event),
                kernel::FactContent::Note { note: kernel::Note::Queued { event, .. }, .. } => Some(*event),
                kernel::FactContent::Note { .. } => None,
            })
            .collect::<Vec<_>>()
    };
    let next = world(store.clone(), vec![]).await;
    for (name, texts) in [(1, vec!["one"]), (2, vec!["two", "three"]), (3, vec!["four"]), (4, vec!["five"])] {
        let events = match name {
            4 => vec![ClientEvent::Interrupt { thread: None }, message("five")],
            _ => texts.iter().map(|text| message(text)).collect(),
        };
        let committed = sent(&next.engine, session, events.clone(), &again(name)).await;
        let made = told(name);
        assert!(
            committed.accepted.iter().all(|event| made.contains(event)),
            "{name}: {:?}",
            committed.accepted
        );
        assert_eq!(committed.accepted.len(), events.len(), "{name}");
        let once_more = sent(&next.engine, session, events, &again(name)).await;
        assert_eq!(once_more.accepted, committed.accepted, "{name}");
    }
    assert_eq!(said(&next, session).await, 5);
    // The same in another session was never sent.
    let other = next.open(vec![]).await;
    sent(&next.engine, other, vec![message("one")], &again(1)).await;
    assert_eq!(said(&next, other).await, 1);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_and_one_that_failed_is_made() {
    let faults = MemoryStoreFaults::default();
    let world = world(Store::memory_with(faults.clone()), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    let send = |text: &str, attempt: PostAttempt| {
        let (engine, input) = (world.engine.clone(), client(vec![message(text)]));
        async move { engine.commit_attempt(HOME, session, input, Some(&attempt)).await }
    };
    faults.lose_answers(1);
    assert!(matches!(send("kept", first(1)).await, Err(CommitError::Fault(_))));
    send("kept", again(1)).await.unwrap();
    faults.fail_next(1);
    assert!(matches!(send("failed", first(2)).await, Err(CommitError::Fault(_))));
    let made = send("failed", again(2)).await.unwrap();
    assert_eq!(send("failed", again(2)).await.unwrap(), made);
    assert_eq!(said(&world, session).await, 3);
}

#[tokio::test]
async fn a_repeat_that_comes_while_the_first_is_decided_is_not_decided_with_it() {
    let faults = MemoryStoreFaults::default();
    let world = world(Store::memory_with(faults.clone()), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    faults.stall();
    let (first, again) = (first(1), again(1));
    let (one, other) = (client(vec![message("x")]), client(vec![message("x")]));
    let both = futures_util::future::join3(
        world.engine.commit_attempt(HOME, session, client(vec![message("y")]), None),
        world.engine.commit_attempt(HOME, session, one, Some(&first)),
        world.engine.commit_attempt(HOME, session, other, Some(&again)),
    );
    let go_on = async {
        tokio::task::yield_now().await;
        faults.sync();
    };
    let ((_, made, found), ()) = futures_util::future::join(both, go_on).await;
    assert_eq!(made.unwrap().accepted, found.unwrap().accepted);
    assert_eq!(said(&world, session).await, 3);
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_it_is_done_again() {
    let clock = engine::Clock::from(BEGAN);
    let world = world_with_clock(vec![Act::Say(&["x"]), Act::Say(&["x"])], clock).await;
    let session = world.open(vec![]).await;
    sent(&world.engine, session, vec![message("one")], &first(1)).await;
    tokio::time::advance(std::time::Duration::from_secs(limits::RETRIED_POST_S - 1)).await;
    sent(&world.engine, session, vec![message("one")], &again(1)).await;
    assert_eq!(said(&world, session).await, 1);
    // A commit's moment is that of its last fact, some microseconds on.
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    sent(&world.engine, session, vec![message("one")], &again(1)).await;
    assert_eq!(said(&world, session).await, 2);
}

/// How many of two messages, sent `gap` before an engine ended and just before, the next one takes for new
/// when they are sent again.
async fn made_anew_after(gap: Duration, killed: bool) -> usize {
    let (store, clock) = (Store::memory(), engine::Clock::from(BEGAN));
    let session = {
        let world = world_over(store.clone(), vec![Act::Say(&["x"]), Act::Say(&["x"])], clock).await;
        let session = world.open(vec![]).await;
        sent(&world.engine, session, vec![message("one")], &first(1)).await;
        tokio::time::sleep(gap).await;
        sent(&world.engine, session, vec![message("two")], &first(2)).await;
        world.engine.stop().await;
        session
    };
    if killed {
        // Its lease would have lasted.
        let now = clock.now();
        store.claim("node", "killed", now, now.after(Duration::from_secs(30))).await.unwrap();
    }
    let next = world_over(store, vec![Act::Say(&["x"]), Act::Say(&["x"])], clock).await;
    for (text, name) in [("one", 1), ("two", 2)] {
        sent(&next.engine, session, vec![message(text)], &again(name)).await;
    }
    said(&next, session).await - 2
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_engine_has_surely_answered_is_no_repeats() {
    let second = Duration::from_secs(1);
    assert_eq!(made_anew_after(second, false).await, 0);
    assert_eq!(made_anew_after(15 * second, false).await, 1, "one that ends well answers before");
    assert_eq!(made_anew_after(25 * second, true).await, 0, "one that is killed may not have");
    assert_eq!(made_anew_after(45 * second, true).await, 1);
}

#[tokio::test]
async fn a_change_is_told_as_it_was_when_it_was_made() {
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    let rename = |title: &str| {
        Input::Update(SessionChange {
            title: GivenField::Value(title.into()),
            metadata: GivenField::Absent,
            tools: GivenField::Absent,
        })
    };
    let first_told =
        world.engine.commit_attempt(HOME, session, rename("one"), Some(&first(1))).await.unwrap();
    world.engine.commit(HOME, session, rename("two")).await.unwrap();
    let told = world.engine.commit_attempt(HOME, session, rename("one"), Some(&again(1))).await.unwrap();
    assert_eq!(told, first_told);
    let object = world.engine.object_at(&told.head, told.at).await.unwrap();
    assert_eq!(object.title.as_deref(), Some("one"));
    assert_eq!(world.engine.session(HOME, session).await.unwrap().unwrap().title.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_key_leads_to_its_commit_and_to_no_other_request() {
    let store = Store::memory();
    let world = world(store.clone(), vec![Act::Say(&["x"])]).await;
    let session = world.open(vec![]).await;
    let mut attempt = PostAttempt::keyed([1; 16], [2; 16]);
    assert_eq!(world.engine.recall(&mut attempt).await.unwrap(), RecalledAttempts::Nothing);
    let made = sent(&world.engine, session, vec![message("one")], &attempt).await;
    assert_eq!(
        world.engine.recall(&mut PostAttempt::keyed([1; 16], [3; 16])).await.unwrap(),
        RecalledAttempts::Another
    );
    assert_eq!(
        world.engine.recall(&mut PostAttempt::keyed([3; 16], [2; 16])).await.unwrap(),
        RecalledAttempts::Nothing
    );
    assert_eq!(world.engine.recall(&mut attempt).await.unwrap(), RecalledAttempts::Commit);
    assert_eq!(sent(&world.engine, session, vec![message("one")], &attempt).await.accepted, made.accepted);
    assert_eq!(said(&world, session).await, 1);
}
