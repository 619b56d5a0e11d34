//! `POST /v1/sessions/{session_id}/events`: a client speaks to a session; outcomes are not supported yet.

use std::collections::BTreeMap;

use kernel::Input;
use protocol::{
    Invalid,
    event::{Body, Event},
    input::{self, ClientEvent},
};
use serde::Serialize;
use serde_json::Value;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the events as they were taken, in order, with their ids.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let session = call.id("session_id")?;
    let events = call.read(events).await?;
    let input = Input::Client { events, made: BTreeMap::new() };
    let committed = call.engine().commit_attempt(call.workspace(), session, input, call.attempt()).await?;
    let data = committed.accepted.into_iter().map(echoed).collect();
    ApiAnswer::json(&Sent { data })
}

/// The events of a body, with pictures that a model can be shown.
fn events(body: Value) -> Result<Vec<ClientEvent>, Invalid> {
    let events = input::send(body)?;
    engine::shown(&events, "events")?;
    Ok(events)
}

#[derive(Serialize)]
struct Sent {
    data: Vec<Event>,
}

/// What is taken up later is echoed as waiting, even if it was taken up at once (docs/rules.md 4).
fn echoed(event: Event) -> Event {
    let waits = matches!(
        event.body,
        Body::UserMessage { .. }
            | Body::UserInterrupt { .. }
            | Body::UserToolConfirmation { .. }
            | Body::SystemMessage { .. }
    );
    Event { processed_at: event.processed_at.filter(|_| !waits), ..event }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id, message, types};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_echoed_as_waiting_with_the_id_it_keeps() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[]).await));
        let told = house.post(&format!("{path}/events"), &json!({"events": [message("hi")]})).await.ok();
        let id = told["data"][0]["id"].clone();
        let content = json!([{"type": "text", "text": "hi"}]);
        assert_eq!(
            told,
            json!({"data": [{"id": id, "processed_at": null, "type": "user.message", "content": content}]})
        );
        house.settled(&path).await;
        let listed = house.get(&format!("{path}/events?types[]=user.message")).await.ok();
        assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["processed_at"]), (&id, &json!(TIME)));
    }

    #[tokio::test]
    async fn a_tools_result_is_echoed_as_taken() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("call")]).await));
        house.settled(&path).await;
        let calls = house.get(&format!("{path}/events?types[]=agent.custom_tool_use")).await.ok();
        let result = json!({"type": "user.custom_tool_result", "custom_tool_use_id": calls["data"][0]["id"]});
        let refused = house.post(&format!("{path}/events"), &json!({"events": [message("hi")]})).await;
        let parked = "events.0: waiting on responses to events [sevt_";
        refused.refused(400, "invalid_request_error", parked);
        let told = house.post(&format!("{path}/events"), &json!({"events": [result]})).await.ok();
        assert_eq!(told["data"][0]["processed_at"], json!(TIME));
        house.settled(&path).await;
        let idle = house.get(&format!("{path}/events?order=desc&limit=1")).await.ok();
        assert_eq!(idle["data"][0]["stop_reason"], json!({"type": "end_turn"}));
        let call = calls["data"][0]["id"].as_str().unwrap_or_default();
        let other = json!({"type": "user.custom_tool_result", "custom_tool_use_id": call, "is_error": true});
        let told = house.post(&format!("{path}/events"), &json!({"events": [result, other]})).await;
        let why = format!("events.1.custom_tool_use_id: {call} has been answered with another result");
        told.refused(400, "invalid_request_error", &why);
        assert_eq!(house.get(&format!("{path}/events?order=desc&limit=1")).await.ok(), idle);
        house.post(&format!("{path}/events"), &json!({"events": [result]})).await.ok();
    }

    #[tokio::test]
    async fn an_interrupt_names_a_thread_of_the_session() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}/events", id(&house.session(&[]).await));
        let other = format!("/v1/sessions/{}/threads", id(&house.session(&[]).await));
        let foreign = house.get(&other).await.ok()["data"][0]["id"].clone();
        let field = "events.0.session_thread_id: ";
        for (thread, status, kind) in [
            (foreign, 404, "not_found_error"),
            (json!("sthr_1111111111111111111112"), 404, "not_found_error"),
            (json!("sthr_1"), 400, "invalid_request_error"),
            (json!(7), 400, "invalid_request_error"),
        ] {
            let stop = json!({"type": "user.interrupt", "session_thread_id": thread});
            house.post(&path, &json!({"events": [stop, message("a")]})).await.refused(status, kind, field);
        }
        assert_eq!(types(&house.get(&path).await.ok()), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_picture_that_no_model_can_be_shown_is_refused_by_its_field() {
        let house = TestServer::open().await;
        let made = house.session(&[]).await;
        let path = format!("/v1/sessions/{}/events", id(&made));
        let source = json!({"type": "base64", "media_type": "image/png", "data": "aGVsbG8="});
        let shown = json!({"type": "user.message", "content": [{"type": "image", "source": source}]});
        let told = house.post(&path, &json!({"events": [message("a"), shown]})).await;
        told.refused(400, "invalid_request_error", "events.1.content.0.source.data: ");
        let call = "sevt_1111111111111111111112";
        let result = json!({"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": shown["content"]});
        let told = house.post(&path, &json!({"events": [result]})).await;
        told.refused(400, "invalid_request_error", "events.0.content.0.source.data: ");
        assert_eq!(types(&house.get(&path).await.ok()), Vec::<String>::new());
        let body = json!({
            "agent": made["agent"]["id"], "environment_id": made["environment_id"], "initial_events": [shown],
        });
        let told = house.post("/v1/sessions", &body).await;
        told.refused(400, "invalid_request_error", "initial_events.0.content.0.source.data: ");
    }

    #[tokio::test]
    async fn one_bad_event_refuses_all_of_them() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}/events", id(&house.session(&[]).await));
        let unknown = json!({
            "type": "user.custom_tool_result", "custom_tool_use_id": "sevt_1111111111111111111111",
        });
        for (second, name) in [
            (unknown, "events.1.custom_tool_use_id: "),
            (json!({"type": "user.shout"}), "events.1.type: "),
            (json!({"type": "system.message", "content": []}), "events.1.type: "),
        ] {
            let told = house.post(&path, &json!({"events": [message("a"), second]})).await;
            told.refused(400, "invalid_request_error", name);
        }
        assert_eq!(types(&house.get(&path).await.ok()), Vec::<String>::new());
        let unknown = "/v1/sessions/sesn_1111111111111111111111/events";
        let told = house.post(unknown, &json!({"events": [message("a")]})).await;
        told.refused(404, "not_found_error", "");
    }
}
