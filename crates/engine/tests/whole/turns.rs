//! A turn through the whole engine: what is committed, what is shown, what survives.
use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{Clock, CommitError, EventQuery, FeedFrame, ListOrder, Previews, TimeRange};
use kernel::{Input, Refusal};
use protocol::{
    EventId, WorkspaceId,
    content::ContentBlock,
    event::{Body, Event, StopReason},
    input::ClientEvent,
    prompt::{FailureClass, MessagePart},
    session::SessionStatus,
};
use store::{MemoryStoreFaults, Store};

const IDLE: &str = "session.status_idle";

#[tokio::test]
async fn a_plain_turn_costs_two_commits_and_shows_its_events_in_order() {
    let world = world(Store::memory(), vec![Act::Say(&["Hel", "lo"])]).await;
    let session = world.open(vec![]).await;
    let before = world.store.commits();
    let mut feed = world.follow(session).await;
    let echo = world.send(session, vec![message("hi")]).await;
    assert_eq!(echo.iter().map(|event| event.body.name()).collect::<Vec<_>>(), ["user.message"]);

    let frames = until(&mut feed, IDLE).await;
    assert_eq!(
        names(&frames),
        [
            "session.status_running",
            "session.thread_status_running",
            "user.message",
            "span.model_request_start",
            "start",
            "delta",
            "delta",
            "agent.message",
            "span.model_request_end",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
    );
    assert_eq!(world.store.commits() - before, 2);
    assert_eq!(events(&frames), world.list(session).await);
    let status = world.engine.session(HOME, session).await.unwrap().unwrap().status;
    assert_eq!(status, SessionStatus::Idle);
}

#[tokio::test]
async fn a_commit_makes_its_head_row_once() {
    let world = world(Store::memory(), vec![Act::Say(&["x"]), Act::Hang]).await;
    let made = || (counted(&world, "heddle_commits_total"), counted(&world, "heddle_heads_total"));
    let session = world.open(vec![]).await;
    assert_eq!(made(), (1, 1), "opened");
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    until(&mut feed, IDLE).await;
    assert_eq!(made(), (3, 3), "a plain turn");
    world.send(session, vec![message("more")]).await;
    world.puppet.asked.notified().await;
    // They are decided together, and each is told where the log stood after it.
    let sent = (0..20).map(|_| world.engine.commit(HOME, session, client(vec![message("and")])));
    let told = futures_util::future::join_all(sent).await;
    let positions: Vec<u64> = told.into_iter().map(|told| told.unwrap().head.position).collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    assert_eq!(made(), (24, 24), "many at once");
}

#[tokio::test]
async fn previews_add_up_to_the_final_message_under_its_own_id() {
    let world = world(Store::memory(), vec![Act::Say(&["a", "b", "c"])]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let frames = until(&mut feed, IDLE).await;
    let mut text = String::new();
    let mut previewed = None;
    for frame in &frames {
        match frame {
            FeedFrame::Start { event, .. } => previewed = Some(*event),
            FeedFrame::Delta { event, text: more, index: 0 } if Some(*event) == previewed => {
                text.push_str(more);
            }
            FeedFrame::Delta { .. } => panic!("a delta of an event that was not started"),
            FeedFrame::Event(_) | FeedFrame::Queued(_) => {}
        }
    }
    let said = events(&frames).into_iter().find(|event| event.body.name() == "agent.message").unwrap();
    assert_eq!((Some(said.id), text.as_str()), (previewed, "abc"));
    assert_eq!(said.body, Body::AgentMessage { content: vec![protocol::content::ContentBlock::text("abc")] });
}

#[tokio::test]
async fn a_stream_resumes_behind_any_event_of_its_view() {
    let world = world(Store::memory(), vec![Act::Call("look_up")]).await;
    let session = world.open(vec![message("hi")]).await;
    let mut feed = world.engine.follow(HOME, session, None, None, Previews::default()).await.unwrap();
    if world.engine.session(HOME, session).await.unwrap().unwrap().status == SessionStatus::Running {
        until(&mut feed, IDLE).await;
    }
    let list = world.list(session).await;
    for (place, event) in list.iter().enumerate() {
        let mut feed =
            world.engine.follow(HOME, session, None, Some(event.id), Previews::default()).await.unwrap();
        if place + 1 < list.len() {
            let rest = events(&until(&mut feed, IDLE).await);
            assert_eq!(rest, list[place + 1..], "behind {}", event.body.name());
        }
    }
    let foreign = protocol::EventId::from_bits(9);
    let refused = world.engine.follow(HOME, session, None, Some(foreign), Previews::default()).await;
    assert!(matches!(refused, Err(engine::FollowError::UnknownCursor)));
}

#[tokio::test]
async fn a_reader_that_lags_far_behind_misses_nothing() {
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    let mut feed = world.follow(session).await;
    for n in 0..200 {
        world.send(session, vec![message(&format!("{n}"))]).await;
    }
    world.send(session, vec![ClientEvent::Interrupt { thread: None }]).await;
    let mut seen = Vec::new();
    while seen.iter().filter(|name| **name == IDLE).count() < 2 {
        seen.extend(names(&until(&mut feed, IDLE).await));
    }
    let count = |name: &str| seen.iter().filter(|seen| **seen == name).count();
    assert_eq!((count("queued"), count("user.message"), count("user.interrupt")), (200, 200, 1));
}

#[tokio::test]
async fn an_interrupt_cuts_the_request_and_the_session_rests() {
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    world.send(session, vec![ClientEvent::Interrupt { thread: None }]).await;
    world.puppet.cut.notified().await;
    let list = world.list(session).await;
    let last: Vec<_> = list.iter().rev().take(5).rev().map(|event| event.body.name()).collect();
    assert_eq!(
        last,
        ["span.model_request_end", "user.interrupt", "session.thread_status_idle", "session.usage", IDLE]
    );
}

#[tokio::test]
async fn a_request_that_was_open_when_the_server_went_is_closed_and_asked_again() {
    let store = Store::memory();
    let first = world(store.clone(), vec![Act::Hang]).await;
    let session = first.open(vec![message("hi")]).await;
    first.puppet.asked.notified().await;
    first.engine.stop().await;
    assert!(matches!(first.engine.commit(HOME, session, Input::Archive).await, Err(CommitError::Stopping)));

    let second = world(store, vec![Act::Say(&["back"])]).await;
    second.puppet.asked.notified().await;
    let mut feed = second.follow(session).await;
    if second.engine.session(HOME, session).await.unwrap().unwrap().status == SessionStatus::Running {
        until(&mut feed, IDLE).await;
    }
    let names: Vec<_> = second.list(session).await.iter().map(|event| event.body.name()).collect();
    assert_eq!(
        names,
        [
            "session.status_running",
            "session.thread_status_running",
            "user.message",
            "span.model_request_start",
            "span.model_request_end",
            "span.model_request_start",
            "agent.message",
            "span.model_request_end",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
    );
}

/// What stands beside the messages of the last prompt.
fn beside(world: &World) -> Vec<MessagePart> {
    let prompts = world.puppet.prompts.lock().unwrap();
    let parts = prompts.last().into_iter().flat_map(|prompt| &prompt.messages).flat_map(|said| &said.parts);
    parts.filter(|part| matches!(part, MessagePart::Beside { .. })).cloned().collect()
}

#[tokio::test]
async fn what_a_provider_put_beside_a_call_is_told_again_after_a_restart_and_shown_to_nobody() {
    const SIGNED: &str = "{\"signature\":\"5ecret\"}";
    let store = Store::memory();
    let first = world(store.clone(), vec![Act::Signed("read", SIGNED), Act::Hang]).await;
    let session = first.open(vec![message("hi")]).await;
    while first.puppet.prompts.lock().unwrap().len() < 2 {
        first.puppet.asked.notified().await;
    }
    let told = beside(&first);
    first.engine.stop().await;

    let second = world(store, vec![]).await;
    second.puppet.asked.notified().await;
    assert_eq!((told.len(), &beside(&second)), (2, &told));
    let mut feed = second.follow(session).await;
    if second.engine.session(HOME, session).await.unwrap().unwrap().status == SessionStatus::Running {
        until(&mut feed, IDLE).await;
    }
    let list = second.list(session).await;
    assert!(list.iter().any(|event| event.body.name() == "agent.tool_use"));
    let list: Vec<_> = list.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    assert!(!list.concat().contains("5ecret"), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_tried_again_after_its_pause() {
    let acts = vec![Act::Fail(FailureClass::Overloaded), Act::Fail(FailureClass::Overloaded)];
    let world = world(Store::memory(), acts).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let names = names(&until(&mut feed, IDLE).await);
    let retry = [
        "span.model_request_end",
        "session.error",
        "session.thread_status_rescheduled",
        "session.status_rescheduled",
        "session.status_running",
        "session.thread_status_running",
        "span.model_request_start",
    ];
    assert_eq!(names[4..18], [retry, retry].concat());
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_made_as_often_as_its_route_says() {
    for attempts in [1, 3, 10] {
        let acts = (0..20).map(|_| Act::Fail(FailureClass::Cut)).collect();
        let world = world_with_attempts(acts, attempts).await;
        let session = world.open(vec![]).await;
        let mut feed = world.follow(session).await;
        world.send(session, vec![message("hi")]).await;
        let names = names(&until(&mut feed, IDLE).await);
        let made = names.iter().filter(|name| **name == "span.model_request_start").count();
        assert_eq!(made, attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_is_a_failure_that_is_tried_again() {
    let world = world(Store::memory(), vec![Act::Panic]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let frames = until(&mut feed, IDLE).await;
    assert!(names(&frames).contains(&"session.status_rescheduled"));
    let idle = events(&frames).pop().unwrap();
    let end = Body::SessionStatusIdle { stop_reason: StopReason::EndTurn, stop_details: None };
    assert_eq!(idle.body, end);
}

#[tokio::test]
async fn a_second_result_of_an_answered_call_is_found_in_the_log_and_recorded() {
    let world = world(Store::memory(), vec![Act::Call("look_up")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let frames = until(&mut feed, IDLE).await;
    let call = events(&frames).iter().find(|event| event.body.name() == "agent.custom_tool_use").unwrap().id;
    let result = || ClientEvent::CustomResult { call, content: None, is_error: None };
    world.send(session, vec![result()]).await;
    until(&mut feed, IDLE).await;
    world.send(session, vec![result()]).await;
    assert_eq!(
        names(&until(&mut feed, IDLE).await),
        [
            "session.status_running",
            "session.thread_status_running",
            "user.custom_tool_result",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
    );
    let unknown =
        ClientEvent::CustomResult { call: protocol::EventId::from_bits(5), content: None, is_error: None };
    let refused = world.engine.commit(HOME, session, client(vec![unknown])).await;
    assert!(matches!(refused, Err(CommitError::Refused(Refusal::UnknownCall { .. }))));
}

/// The result of a call.
fn gives(call: EventId, text: &str) -> ClientEvent {
    ClientEvent::CustomResult { call, content: Some(vec![ContentBlock::text(text)]), is_error: None }
}

/// The calls of the client's among these frames.
fn customs(frames: &[FeedFrame]) -> Vec<EventId> {
    let made = |event: &Arc<Event>| matches!(event.body, Body::AgentCustomToolUse { .. });
    events(frames).into_iter().filter(made).map(|event| event.id).collect()
}

#[tokio::test]
async fn of_two_answers_at_the_same_time_the_second_is_refused_before_the_first_is_written() {
    let world = world(Store::memory(), vec![Act::Call("look_up")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let call = customs(&until(&mut feed, IDLE).await)[0];
    let send = |text| world.engine.commit(HOME, session, client(vec![gives(call, text)]));
    let (first, other, same) = tokio::join!(send("a"), send("b"), send("a"));
    assert!(first.is_ok() && same.is_ok(), "{first:?} {same:?}");
    let refused = CommitError::Refused(Refusal::Answered { event: 0, call });
    assert_eq!(format!("{:?}", other.unwrap_err()), format!("{refused:?}"));
}

#[tokio::test]
async fn what_answered_a_call_is_found_however_far_behind_it_that_stands() {
    let world = world(Store::memory(), vec![Act::Call("look_up"), Act::Call("look_up")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let first = customs(&until(&mut feed, IDLE).await)[0];
    let long = "a".repeat(20_000);
    world.send(session, vec![gives(first, &long)]).await;
    let second = customs(&until(&mut feed, IDLE).await)[0];
    for _ in 0..20 {
        world.send(session, vec![gives(first, &long)]).await;
    }
    world.send(session, vec![gives(second, "b")]).await;
    let both = |text| client(vec![gives(first, &long), gives(second, text)]);
    let other = world.engine.commit(HOME, session, both("c")).await;
    let refused = CommitError::Refused(Refusal::Answered { event: 1, call: second });
    assert_eq!(format!("{:?}", other.unwrap_err()), format!("{refused:?}"));
    world.engine.commit(HOME, session, both("b")).await.unwrap();
}

#[tokio::test]
async fn a_hundred_calls_that_nobody_made_are_looked_for_in_one_pass() {
    let world = world(Store::memory(), vec![Act::Call("look_up")]).await;
    let session = world.open(vec![message("hi")]).await;
    let mut feed = world.follow(session).await;
    for _ in 0..30 {
        world.send(session, vec![ClientEvent::Interrupt { thread: None }, message("hi")]).await;
        until(&mut feed, IDLE).await;
    }
    let rows = world.store.commits();
    let head = world.list(session).await.len() as u64;
    let searched = || counted(&world, "heddle_rows_searched_total");
    let unknown = |(place, at): (usize, &u64)| ClientEvent::CustomResult {
        call: EventId::minted((place as u128 + 1) << 40, *at),
        content: None,
        is_error: None,
    };
    // Behind the log, all at one request, and at many places.
    for (ids, most) in [(vec![10_000_000; 100], 0), (vec![0; 100], 2 * rows), ((0..100).collect(), 2 * rows)]
    {
        let before = searched();
        let events = ids.iter().enumerate().map(unknown).collect();
        let refused = world.engine.commit(HOME, session, client(events)).await;
        assert!(matches!(refused, Err(CommitError::Refused(Refusal::UnknownCall { .. }))), "{refused:?}");
        assert!(searched() - before <= most, "{} rows of {rows} for {head} events", searched() - before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_pause_longer() {
    let by: &AtomicI64 = Box::leak(Box::default());
    let clock = Clock::set_by(BEGAN, by);
    let world = world_with_clock(vec![Act::Fail(FailureClass::RateLimited)], clock).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    until(&mut feed, "session.status_rescheduled").await;
    by.store(-3_600_000_000, Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    until(&mut feed, IDLE).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(world.puppet.prompts.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_commit_the_disk_refused_leaves_nothing_and_one_it_lost_the_answer_of_is_there_once() {
    let faults = MemoryStoreFaults::default();
    let world = world(Store::memory_with(faults.clone()), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    let before = world.list(session).await.len();

    faults.fail_next(1);
    let failed = world.engine.commit(HOME, session, client(vec![message("lost")])).await;
    assert!(matches!(failed, Err(CommitError::Fault(_))));
    assert_eq!(world.list(session).await.len(), before);

    faults.lose_answers(1);
    let unsure = world.engine.commit(HOME, session, client(vec![message("unsure")])).await;
    assert!(matches!(unsure, Err(CommitError::Fault(_))));

    faults.conflict_next(1);
    world.send(session, vec![message("raced")]).await;
    let list = world.list(session).await;
    let queued = list.iter().filter(|event| event.processed_at.is_none()).count();
    assert_eq!((list.len(), queued), (before + 2, 2));
}

#[tokio::test]
async fn pages_join_to_the_whole_list_both_ways_with_the_queue_at_its_end() {
    let world = world(Store::memory(), vec![Act::Say(&["x"]), Act::Hang]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("one")]).await;
    until(&mut feed, IDLE).await;
    for text in ["two", "three", "four"] {
        world.send(session, vec![message(text)]).await;
    }
    let whole = world.list(session).await;
    let waiting: Vec<_> = whole.iter().map(|event| event.processed_at.is_none()).collect();
    assert_eq!(waiting.iter().filter(|waits| **waits).count(), 2);
    assert!(waiting.ends_with(&[false, true, true]));

    for order in [ListOrder::Ascending, ListOrder::Descending] {
        for limit in 1..whole.len() + 2 {
            let mut joined = Vec::new();
            let mut after = None;
            loop {
                let query = EventQuery {
                    thread: None,
                    order,
                    after,
                    limit,
                    bytes: usize::MAX,
                    types: std::collections::BTreeSet::new(),
                    created: TimeRange::default(),
                };
                let page = world.engine.events(HOME, session, query).await.unwrap().unwrap();
                assert!(!page.events.is_empty() && page.events.len() <= limit);
                joined.extend(page.events);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if order == ListOrder::Descending {
                joined.reverse();
            }
            assert_eq!(joined, whole, "{order:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn what_queued_before_the_agent_called_a_tool_is_still_listed_while_the_session_waits() {
    let world = world(Store::memory(), vec![Act::Held("look_up")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("one")]).await;
    world.puppet.asked.notified().await;
    world.send(session, vec![message("two")]).await;
    world.puppet.go.notify_one();
    until(&mut feed, IDLE).await;
    let list = world.list(session).await;
    let waiting: Vec<_> = list.iter().filter(|event| event.processed_at.is_none()).collect();
    assert_eq!(waiting.iter().map(|event| event.body.name()).collect::<Vec<_>>(), ["user.message"]);
}

#[tokio::test]
async fn what_is_archived_says_its_last_word_to_every_reader_and_what_is_deleted_is_gone() {
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    let mut open = world.follow(session).await;
    world.engine.commit(HOME, session, Input::Archive).await.unwrap();
    let last = ["session.thread_status_terminated", "session.status_terminated"];
    assert_eq!(names(&until(&mut open, "none").await), last);
    let mut late = world.follow(session).await;
    assert_eq!(names(&until(&mut late, "none").await), ["session.status_terminated"]);
    let refused = world.engine.commit(HOME, session, client(vec![message("hi")])).await;
    assert!(matches!(refused, Err(CommitError::Refused(Refusal::Terminated))));

    let elsewhere = WorkspaceId::from_bits(2);
    let foreign = world.engine.commit(elsewhere, session, Input::Delete).await;
    assert!(matches!(foreign, Err(CommitError::NotFound)));
    world.engine.commit(HOME, session, Input::Delete).await.unwrap();
    assert_eq!(world.engine.session(HOME, session).await.unwrap(), None);
    let gone = world.engine.commit(HOME, session, Input::Delete).await;
    assert!(matches!(gone, Err(CommitError::NotFound)));
}
