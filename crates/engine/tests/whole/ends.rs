//! Tasks of the engine that panic, each once, while a session is at work.

use std::sync::Arc;
use std::time::Duration;

use engine::{CommitError, EngineFault};
use protocol::event::{Body, Event};
use store::Store;

use crate::support::*;

const IDLE: &str = "session.status_idle";
const UNKNOWN: &str =
    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";

#[tokio::test(start_paused = true)]
async fn the_engines_own_tasks_begin_again() {
    let world = world(Store::memory(), vec![]).await;
    for name in ["engine-sweep", "engine-lease", "engine-sweep", "engine-lease"] {
        world.engine.ends().end(name);
        // Longer than any pause: whoever did not begin again would not hear of the second end.
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(!world.engine.ends().waits(name), "{name} has ended, and nothing hears of its next end");
        assert!(!world.engine.stopping());
    }
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    assert!(names(&until(&mut feed, IDLE).await).contains(&"agent.message"));
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_follower_panics_goes_on_and_runs_nothing_twice() {
    let world = world_with_hands(Store::memory(), vec![Act::Call("bash")], vec![Touch::Hold("never")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    world.glove.began.notified().await;
    world.engine.ends().end("session-follower");
    world.glove.cut.notified().await;
    let shown = events(&until(&mut feed, IDLE).await);
    let result = |event: &Arc<Event>| {
        let Body::AgentToolResult { content, .. } = &event.body else { return None };
        content.clone()
    };
    let results: Vec<_> = shown.iter().filter_map(result).collect();
    assert_eq!(results, [vec![protocol::content::ContentBlock::text(UNKNOWN)]]);
    assert_eq!(world.glove.calls.lock().unwrap().len(), 1);
    world.send(session, vec![message("again")]).await;
    until(&mut feed, IDLE).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_is_answered_as_failed() {
    let world = world(Store::memory(), vec![Act::Hang]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    world.puppet.asked.notified().await;
    world.engine.ends().end("session-job");
    let told = names(&until(&mut feed, IDLE).await);
    assert!(told.contains(&"session.error") && told.contains(&"agent.message"), "{told:?}");
}

#[tokio::test]
async fn a_session_whose_commits_panic_answers_with_a_fault_and_goes_on() {
    // One that takes its time, so that a commit is under way when it ends.
    let folder = tempfile::tempdir().unwrap();
    let world = world(Store::sqlite(&folder.path().join("heddle.db")).unwrap(), vec![]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.engine.ends().end("session-commits");
    let refused = world.engine.commit(HOME, session, client(vec![message("lost")])).await;
    assert_eq!(refused, Err(CommitError::Fault(EngineFault::Died)));
    world.send(session, vec![message("hi")]).await;
    let told = names(&until(&mut feed, IDLE).await);
    // The caller was told that nobody knows what became of the first: it may have been on its way to the
    // disk.
    let messages = told.iter().filter(|name| **name == "user.message").count();
    assert!((1..=2).contains(&messages), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_at_work_is_taken_up_though_whoever_does_that_panics() {
    // More than are taken up at once, so that it is at work still when it is told to end.
    const AT_WORK: usize = 100;
    let store = Store::memory();
    let hang = || (0..AT_WORK).map(|_| Act::Hang).collect();
    let asked = async |world: &World| {
        while world.puppet.prompts.lock().unwrap().len() < AT_WORK {
            world.puppet.asked.notified().await;
        }
    };
    let before = world(store.clone(), hang()).await;
    for _ in 0..AT_WORK {
        let session = before.open(vec![]).await;
        before.send(session, vec![message("hi")]).await;
    }
    asked(&before).await;
    before.engine.stop().await;
    for name in ["engine-recovery", "session-recovery"] {
        let next = world(store.clone(), hang()).await;
        next.engine.ends().end(name);
        asked(&next).await;
        assert!(!next.engine.ends().waits(name), "{name} has not ended");
        next.engine.stop().await;
    }
}
