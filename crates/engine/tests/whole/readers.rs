//! Readers who are slow, or stop reading, of commits that are large: what is held for them, and that they
//! miss nothing.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use engine::{Feed, FeedFrame, PreviewKind, Previews};
use futures_util::{FutureExt as _, future::join_all};
use protocol::{content::ContentBlock, event::Body, limits};
use store::Store;

const IDLE: &str = "session.status_idle";
const HALF: usize = limits::STALLED_READER_BYTES / 2;

/// Messages of so many bytes, each with its number in front.
fn messages(count: usize, bytes: usize) -> Vec<protocol::input::ClientEvent> {
    (0..count).map(|place| message(&format!("{place} {}", "x".repeat(bytes)))).collect()
}

/// The number of a message that was processed.
fn number(frame: &FeedFrame) -> Option<usize> {
    let FeedFrame::Event(event) = frame else { return None };
    let Body::UserMessage { content } = &event.body else { return None };
    let [ContentBlock::Text { text }] = content.as_slice() else { return None };
    text.split(' ').next()?.parse().ok()
}

/// Reads on until so many have been seen.
async fn rest(feed: &mut Feed, seen: &mut Vec<usize>, count: usize) {
    while seen.len() < count {
        seen.extend(number(&feed.next().await.unwrap().unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_stopped_hold_little_and_miss_nothing() {
    const MESSAGES: usize = 12;
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    let mut feeds = Vec::new();
    for _ in 0..20 {
        feeds.push((world.follow(session).await, Vec::new()));
    }
    let mut watcher = world.follow(session).await;
    for said in messages(MESSAGES, 200_000) {
        world.send(session, vec![said]).await;
        until(&mut watcher, IDLE).await;
        // Each looks once, as a connection does that has room for a frame.
        for (feed, seen) in &mut feeds {
            seen.extend(number(&feed.next().await.unwrap().unwrap()));
            assert!(feed.waiting_bytes() <= HALF, "{}", feed.waiting_bytes());
        }
        let told = world.engine.memory().told_bytes;
        assert!(told <= limits::FLOW_BURST_BYTES, "{told} bytes are kept for those who may still come");
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let told = world.engine.memory().told_bytes;
    assert!(told <= HALF, "{told} bytes are kept for those who are slow");
    assert_eq!(world.engine.memory().reading_bytes, 0);
    for (feed, seen) in &mut feeds {
        rest(feed, seen, MESSAGES).await;
        assert_eq!(*seen, (0..MESSAGES).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_commit_is_shown_piece_by_piece_and_read_once_for_all() {
    const MESSAGES: usize = 100;
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    let mut feeds = [world.follow(session).await, world.follow(session).await];
    world.send(session, messages(MESSAGES, 20_000)).await;
    for place in 0..MESSAGES {
        for feed in &mut feeds {
            let frame = feed.next().await.unwrap().unwrap();
            let FeedFrame::Queued(event) = frame else { panic!("{frame:?}") };
            let Body::UserMessage { content } = &event.body else { panic!("{event:?}") };
            assert!(
                matches!(&content[0], ContentBlock::Text { text } if text.starts_with(&format!("{place} ")))
            );
            assert!(feed.waiting_bytes() <= HALF, "{}", feed.waiting_bytes());
        }
        let shared = world.engine.memory().reading_bytes;
        assert!((2_000_000..3_000_000).contains(&shared), "at {place}: {shared}");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.engine.memory().reading_bytes, 0, "nobody is in the middle of it any more");
}

#[tokio::test]
async fn readers_who_come_together_do_not_each_read_a_large_commit() {
    const READERS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let world = world(Store::sqlite(&folder.path().join("heddle.db")).unwrap(), vec![]).await;
    let session = world.open(vec![]).await;
    let mut feeds = Vec::new();
    for _ in 0..READERS {
        feeds.push(world.follow(session).await);
    }
    world.send(session, messages(1, 2_000_000)).await;
    let frames = join_all(feeds.iter_mut().map(Feed::next)).await;
    let events = frames.into_iter().map(|frame| match frame {
        Ok(Some(FeedFrame::Queued(event) | FeedFrame::Event(event))) => Arc::as_ptr(&event).addr(),
        other => panic!("{other:?}"),
    });
    // Two may have their turn at once.
    let kept = events.collect::<BTreeSet<_>>().len();
    assert!(kept <= 2, "{READERS} readers hold {kept} copies");
    let read = counted(&world, "heddle_large_commits_read_total");
    assert!(read <= 2, "{READERS} readers read {read} commits");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_an_event_that_a_reader_gives_back_and_it_comes_again() {
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    let mut feed = world.follow(session).await;
    assert!(!feed.take_back(), "nothing was handed out");
    let said = [messages(1, 20), messages(1, 200_000), messages(3, 20_000), messages(1, 20)].concat();
    let sent = world.send(session, said).await;
    for event in &sent {
        let mut kept = None;
        for _ in 0..3 {
            let Some(FeedFrame::Queued(again)) = feed.next().await.unwrap() else {
                panic!("no queued event")
            };
            assert_eq!(*again, *event);
            assert!(feed.told_of_much());
            let before = kept.replace(Arc::downgrade(&again));
            assert!(before.is_none_or(|before| before.upgrade().is_none()), "it was kept");
            drop(again);
            assert!(feed.take_back() && !feed.take_back());
            assert_eq!(feed.waiting_bytes(), 0);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        assert!(matches!(feed.next().await.unwrap(), Some(FeedFrame::Queued(again)) if *again == *event));
    }
    assert!(feed.next().now_or_never().is_none(), "none comes twice");
}

#[tokio::test]
async fn a_large_commit_in_the_middle_of_an_answer_sheds_no_preview() {
    let world = world(Store::memory(), vec![Act::Halt(&["one ", "two"])]).await;
    let session = world.open(vec![]).await;
    let previews = Previews { message: true, thinking: false };
    let mut feed = world.engine.follow(HOME, session, None, None, previews).await.unwrap();
    world.send(session, vec![message("hi")]).await;
    while !matches!(feed.next().await.unwrap(), Some(FeedFrame::Delta { .. })) {}
    world.send(session, messages(1, 200_000)).await;
    assert!(matches!(feed.next().await.unwrap(), Some(FeedFrame::Queued(_))));
    world.puppet.go.notify_one();
    let frame = feed.next().await.unwrap();
    assert!(matches!(&frame, Some(FeedFrame::Delta { text, .. }) if &**text == "two"), "{frame:?}");
}

#[tokio::test]
async fn who_comes_in_the_middle_of_a_request_is_shown_what_begins_from_then_on() {
    let world = world(Store::memory(), vec![Act::Mused("one", "two")]).await;
    let session = world.open(vec![]).await;
    let mut early = world.follow(session).await;
    let sent = world.send(session, vec![message("hi")]).await;
    while !matches!(early.next().await.unwrap(), Some(FeedFrame::Delta { .. })) {}
    let thread = world.engine.threads(HOME, session).await.unwrap().unwrap()[0].id;
    let previews = Previews { message: true, thinking: true };
    let mut late = Vec::new();
    for (thread, after) in [(None, None), (Some(thread), None), (None, Some(sent[0].id))] {
        let mut feed = world.engine.follow(HOME, session, thread, after, previews).await.unwrap();
        // One that goes on behind an event has then caught up.
        while feed.next().now_or_never().is_some() {}
        late.push(feed);
    }
    world.puppet.go.notify_one();
    for (place, mut feed) in late.into_iter().enumerate() {
        let frames = until(&mut feed, "span.model_request_end").await;
        let shown = frames.iter().filter(|frame| !matches!(frame, FeedFrame::Event(_))).cloned();
        let said: Vec<_> = events(&frames);
        let id = |name: &str| said.iter().rfind(|event| event.body.name() == name).unwrap().id;
        let (thought, message) = (id("agent.thinking"), id("agent.message"));
        let expected = vec![
            FeedFrame::Start { event: thought, kind: PreviewKind::Thinking },
            FeedFrame::Start { event: message, kind: PreviewKind::Message },
            FeedFrame::Delta { event: message, index: 0, text: "two".into() },
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{place}: {:?}", names(&frames));
    }
}

#[tokio::test]
async fn who_comes_in_the_middle_of_a_request_is_shown_nothing_of_it_behind_its_end() {
    let world = world(Store::memory(), vec![Act::Mused("one", "two"), Act::Halt(&["three ", "four"])]).await;
    let session = world.open(vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    let mut late = world.follow(session).await;
    world.send(session, vec![protocol::input::ClientEvent::Interrupt { thread: None }, message("on")]).await;
    let frames = until(&mut late, "span.model_request_start").await;
    assert!(!names(&frames).contains(&"delta"), "{:?}", names(&frames));
    let mut shown = String::new();
    world.puppet.asked.notified().await;
    world.puppet.go.notify_one();
    for frame in until(&mut late, "span.model_request_end").await {
        if let FeedFrame::Delta { text, .. } = frame {
            shown.push_str(&text);
        }
    }
    assert_eq!(shown, "three four");
}

#[tokio::test]
async fn no_delta_follows_one_that_was_shed() {
    let large: &'static str = Box::leak("x".repeat(300 * 1024).into_boxed_str());
    let mut pieces = vec!["a", large];
    pieces.extend([" more"; 200]);
    let world = world(Store::memory(), vec![Act::Halt(pieces.leak())]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    while !matches!(feed.next().await.unwrap(), Some(FeedFrame::Delta { .. })) {}
    world.puppet.go.notify_one();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let frames = until(&mut feed, "span.model_request_end").await;
    let shown = names(&frames);
    assert!(!shown.contains(&"delta"), "{shown:?}");
}
