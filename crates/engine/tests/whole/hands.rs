//! Built-in tools through the whole engine: what runs, what is shown, what a stop and a crash leave.

use std::sync::Arc;
use std::time::Duration;

use protocol::{
    EventId,
    content::{ContentBlock, MediaSource},
    event::{Body, ConfirmationVerdict, Event},
    input::ClientEvent,
    limits,
    prompt::MessagePart,
    tool::BuiltinName,
};
use store::Store;
use tokio::time::Instant;
use tools::ToolCall;

use crate::support::*;

const IDLE: &str = "session.status_idle";

fn results(events: &[Arc<Event>]) -> Vec<(Vec<ContentBlock>, bool)> {
    let result = |event: &Arc<Event>| {
        let Body::AgentToolResult { content, is_error, .. } = &event.body else { return None };
        Some((content.clone()?, (*is_error)?))
    };
    events.iter().filter_map(result).collect()
}

fn uses(events: &[Arc<Event>]) -> Vec<EventId> {
    let made = |event: &&Arc<Event>| matches!(event.body, Body::AgentToolUse { .. });
    events.iter().filter(made).map(|event| event.id).collect()
}

fn said(text: &str, is_error: bool) -> (Vec<ContentBlock>, bool) {
    (vec![ContentBlock::text(text)], is_error)
}

#[tokio::test]
async fn a_tool_gets_the_call_of_the_log_and_the_model_gets_what_it_gave() {
    let world = world(Store::memory(), vec![Act::Call("bash")]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let shown = events(&until(&mut feed, IDLE).await);

    let thread = world.engine.threads(HOME, session).await.unwrap().unwrap()[0].id;
    let event = uses(&shown)[0];
    let call = ToolCall { session, thread, event, tool: BuiltinName::Bash, input: protocol::Object::new() };
    assert_eq!(*world.glove.calls.lock().unwrap(), [call]);
    assert_eq!(results(&shown), [said("ok", false)]);
    let prompts = world.puppet.prompts.lock().unwrap();
    let result = MessagePart::ToolResult {
        id: "toolu_1".into(),
        content: vec![ContentBlock::text("ok")],
        is_error: false,
    };
    assert_eq!(prompts[1].messages[2].parts, [result]);
    let offered: Vec<_> = prompts[0].tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["look_up", "bash", "edit", "read", "write", "glob", "grep"]);
}

#[tokio::test]
async fn a_picture_stands_beside_the_log_and_whole_before_every_reader() {
    let data = "aGVk".repeat(20);
    let source = MediaSource::Base64 { data: data.clone(), media_type: "image/png".into() };
    let picture = ContentBlock::Image { source };
    let touches = vec![Touch::Give(vec![picture.clone()])];
    let world = world_with_hands(Store::memory(), vec![Act::Call("read")], touches).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let shown = events(&until(&mut feed, IDLE).await);

    let whole = [(vec![picture.clone()], false)];
    assert_eq!(results(&shown), whole);
    assert_eq!(results(&world.list(session).await), whole);
    let mut resumed = world
        .engine
        .follow(HOME, session, None, Some(shown[0].id), engine::Previews::default())
        .await
        .unwrap();
    assert_eq!(results(&events(&until(&mut resumed, IDLE).await)), whole);
    let result = MessagePart::ToolResult { id: "toolu_1".into(), content: vec![picture], is_error: false };
    assert_eq!(world.puppet.prompts.lock().unwrap()[1].messages[2].parts, [result]);
    let rows = world.store.read(session, 0, 1 << 20).await.unwrap();
    assert!(rows.iter().all(|row| !String::from_utf8_lossy(&row.body).contains(&data)));
}

#[tokio::test]
async fn an_interrupt_cancels_the_tool_that_runs() {
    let touches = vec![Touch::Hold("never")];
    let world = world_with_hands(Store::memory(), vec![Act::Call("bash")], touches).await;
    let session = world.open(vec![message("hi")]).await;
    world.glove.began.notified().await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![ClientEvent::Interrupt { thread: None }]).await;
    let shown = events(&until(&mut feed, IDLE).await);
    world.glove.cut.notified().await;
    let told = "Tool execution was interrupted before completion. Please retry.";
    assert_eq!(results(&shown), [said(told, true)]);
}

#[tokio::test]
async fn what_a_person_allows_runs_and_what_is_denied_does_not() {
    let acts = vec![Act::Calls(&["write", "write"])];
    let world = world(Store::memory(), acts).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let calls = uses(&events(&until(&mut feed, IDLE).await));
    let verdict = |call, verdict, message: Option<&str>| ClientEvent::Confirmation {
        call,
        verdict,
        deny_message: message.map(Into::into),
    };
    let echo =
        world.send(session, vec![verdict(calls[0], ConfirmationVerdict::Deny, Some("not here"))]).await;
    assert_eq!(echo.len(), 1);
    until(&mut feed, IDLE).await;
    assert!(world.glove.calls.lock().unwrap().is_empty());
    world.send(session, vec![verdict(calls[1], ConfirmationVerdict::Allow, None)]).await;
    let shown = events(&until(&mut feed, IDLE).await);
    let denied = said("Permission to use write has been rejected. Rejection message: not here", true);
    assert_eq!(results(&shown), [denied, said("ok", false)]);
    assert_eq!(world.glove.calls.lock().unwrap()[0].event, calls[1]);

    let again = world.send(session, vec![verdict(calls[0], ConfirmationVerdict::Allow, None)]).await;
    assert_eq!(again.len(), 1, "an answered call's verdict is found in the log and recorded");
    assert_eq!(world.glove.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_the_tool_and_the_next_life_goes_on_behind_it() {
    let store = Store::memory();
    let touches = vec![Touch::Hold("in time")];
    let first = world_with_hands(store.clone(), vec![Act::Call("bash")], touches).await;
    let session = first.open(vec![message("hi")]).await;
    first.glove.began.notified().await;
    let engine = first.engine.clone();
    let (stopped, ()) = tokio::join!(engine.stop(), async {
        first.engine.stop_token().cancelled().await;
        first.glove.go.notify_one();
    });
    let () = stopped;

    let second = world(store, vec![Act::Say(&["done"])]).await;
    let mut feed = second.follow(session).await;
    until(&mut feed, IDLE).await;
    assert_eq!(results(&second.list(session).await), [said("in time", false)]);
    assert!(second.glove.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn after_a_crash_a_bash_is_unknown_and_what_reads_runs_again() {
    let store = Store::memory();
    let touches = vec![Touch::Hold("never")];
    let first = world_with_hands(store.clone(), vec![Act::Calls(&["bash", "read"])], touches).await;
    let session = first.open(vec![message("hi")]).await;
    first.glove.began.notified().await;
    // The next life takes over while the first still believes that it runs the call.
    let second = world(store, vec![Act::Say(&["done"])]).await;
    let mut feed = second.follow(session).await;
    until(&mut feed, IDLE).await;
    let unknown = "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";
    assert_eq!(results(&second.list(session).await), [said(unknown, true), said("ok", false)]);
    let ran: Vec<_> = second.glove.calls.lock().unwrap().iter().map(|call| call.tool).collect();
    assert_eq!(ran, [BuiltinName::Read]);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_call_without_a_place_and_the_next_life_runs_it() {
    for tool in ["bash", "read"] {
        let store = Store::memory();
        let first = world_with_hands(store.clone(), vec![Act::Call(tool)], vec![Touch::Wait]).await;
        let session = first.open(vec![message("hi")]).await;
        first.glove.waits.notified().await;
        let before = Instant::now();
        first.engine.stop().await;
        assert!(before.elapsed() < Duration::from_secs(limits::DRAIN_S), "{:?}", before.elapsed());
        assert!(first.glove.calls.lock().unwrap().is_empty());

        let second = world(store, vec![Act::Say(&["done"])]).await;
        let mut feed = second.follow(session).await;
        until(&mut feed, IDLE).await;
        assert_eq!(results(&second.list(session).await), [said("ok", false)]);
        assert_eq!(second.glove.calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_call_that_waits_at_a_crash_is_run_by_the_next_life_and_by_no_other() {
    let store = Store::memory();
    let first = world_with_hands(store.clone(), vec![Act::Call("bash")], vec![Touch::Wait]).await;
    let session = first.open(vec![message("hi")]).await;
    first.glove.waits.notified().await;
    // The next life takes over while the first still waits for a place, which comes too late.
    let second = world_with_hands(store, vec![Act::Say(&["done"])], vec![Touch::Hold("second")]).await;
    let mut feed = second.follow(session).await;
    second.glove.began.notified().await;
    first.glove.place.notify_one();
    first.glove.refused.notified().await;
    second.glove.go.notify_one();
    until(&mut feed, IDLE).await;
    assert_eq!(results(&second.list(session).await), [said("second", false)]);
    assert!(first.glove.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn hands_that_panic_answer_the_call_and_the_turn_goes_on() {
    let world = world_with_hands(Store::memory(), vec![Act::Call("bash")], vec![Touch::Panic]).await;
    let session = world.open(vec![]).await;
    let mut feed = world.follow(session).await;
    world.send(session, vec![message("hi")]).await;
    let shown = events(&until(&mut feed, IDLE).await);
    let told = "The server failed before this could be run to its end; its outcome is unknown. Check before you \
                repeat it.";
    assert_eq!(results(&shown), [said(told, true)]);
}

#[tokio::test]
async fn an_archived_session_loses_its_jail_and_a_deleted_one_its_files() {
    let world = world(Store::memory(), vec![]).await;
    let session = world.open(vec![]).await;
    world.engine.commit(HOME, session, kernel::Input::Archive).await.unwrap();
    world.glove.part.notified().await;
    world.engine.commit(HOME, session, kernel::Input::Delete).await.unwrap();
    world.glove.part.notified().await;
    assert_eq!(*world.glove.parted.lock().unwrap(), [("end", session), ("remove", session)]);
}
