//! `GET /v1/sessions/{session_id}/events/stream`: what happens, as it happens.

use super::follow::follow;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, sse};

/// Answers with the session's stream, from behind `Last-Event-ID` or `after_id`, else from now.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let session = call.id("session_id")?;
    let feed = follow(&call, session, None).await?;
    Ok(ApiAnswer::Stream(sse::told(feed, call.records())))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestAnswer, TestServer, id, message};
    use serde_json::{Value, json};

    async fn ended(house: &TestServer, text: &str) -> String {
        let path = format!("/v1/sessions/{}", id(&house.session(&[message(text)]).await));
        house.settled(&path).await;
        path
    }

    async fn archived(house: &TestServer, path: &str) {
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
    }

    fn ids(told: &TestAnswer) -> Vec<String> {
        told.text().lines().filter_map(|line| line.strip_prefix("id: ")).map(String::from).collect()
    }

    #[tokio::test]
    async fn a_stream_has_the_published_headers_and_records() {
        let house = TestServer::open().await;
        let path = ended(&house, "hi").await;
        archived(&house, &path).await;
        let told = house.get(&format!("{path}/events/stream")).await;
        assert_eq!(
            ["content-type", "cache-control", "x-accel-buffering"].map(|name| told.header(name)),
            [Some("text/event-stream"), Some("no-cache, no-transform"), Some("no")]
        );
        let listed = house.get(&format!("{path}/events?types[]=session.status_terminated")).await;
        let closing: Value = serde_json::from_str(listed.text()).unwrap_or_default();
        let (id, at) = (&closing["data"][0]["id"], &closing["data"][0]["processed_at"]);
        let data = format!(r#"{{"id":{id},"processed_at":{at},"type":"session.status_terminated"}}"#);
        let id = id.as_str().unwrap_or_default();
        assert_eq!(told.text(), format!("event: message\nid: {id}\ndata: {data}\n\n"));
    }

    #[tokio::test]
    async fn a_resumed_stream_goes_on_behind_any_event() {
        let house = TestServer::open().await;
        let path = ended(&house, "hi").await;
        archived(&house, &path).await;
        let listed = house.get(&format!("{path}/events")).await.ok();
        let all: Vec<_> = listed["data"].as_array().into_iter().flatten().cloned().collect();
        let all: Vec<_> =
            all.iter().map(|event| event["id"].as_str().unwrap_or_default().to_owned()).collect();
        for at in 0..all.len() - 1 {
            let by_query = house.get(&format!("{path}/events/stream?after_id={}", all[at])).await;
            assert_eq!(ids(&by_query), all[at + 1..]);
            let by_header = house.get_with(&format!("{path}/events/stream"), "last-event-id", &all[at]).await;
            assert_eq!(by_header.text(), by_query.text());
        }
    }

    #[tokio::test]
    async fn previews_add_up_to_the_message_under_its_own_id() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[]).await));
        let url = format!("{path}/events/stream?event_deltas[]=agent.message&event_deltas[]=agent.thinking");
        let mut stream = house.stream(&url).await;
        house.post(&format!("{path}/events"), &json!({"events": [message("think")]})).await.ok();
        let (mut started, mut text) = (Vec::new(), String::new());
        let said = loop {
            let record = stream.next().await;
            let data = record.data();
            match data["type"].as_str().unwrap_or_default() {
                "event_start" => {
                    assert_eq!(record.id(), None);
                    started.push(data["event"].clone());
                }
                "event_delta" => {
                    assert_eq!((record.id(), &data["event_id"]), (None, &started[1]["id"]));
                    text.push_str(data["delta"]["content"]["text"].as_str().unwrap_or_default());
                }
                "agent.message" => break data,
                _ => {}
            }
        };
        let kinds: Vec<_> = started.iter().map(|start| start["type"].clone()).collect();
        assert_eq!(kinds, [json!("agent.thinking"), json!("agent.message")]);
        assert_eq!(
            (&said["id"], said["content"][0]["text"].as_str()),
            (&started[1]["id"], Some(text.as_str()))
        );
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_engine() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[]).await));
        let mut stream = house.stream(&format!("{path}/events/stream")).await;
        house.engine().stop().await;
        assert!(stream.ended().await);
    }

    #[tokio::test]
    async fn a_foreign_cursor_and_bad_previews_are_refused() {
        let house = TestServer::open().await;
        let path = ended(&house, "hi").await;
        let other = ended(&house, "hi").await;
        let listed = house.get(&format!("{other}/events")).await.ok();
        let foreign = listed["data"][0]["id"].as_str().unwrap_or_default();
        let many = "event_deltas[]=agent.message&".repeat(101);
        for (query, name) in [
            (format!("after_id={foreign}"), "after_id: this stream has no such event"),
            ("after_id=sevt_1111111111111111111111".to_owned(), "after_id: this stream has no such event"),
            ("after_id=nonsense".to_owned(), "after_id: "),
            ("event_deltas[]=agent.tool_use".to_owned(), "event_deltas: "),
            (many, "event_deltas: must have at most 100"),
        ] {
            let told = house.get(&format!("{path}/events/stream?{query}")).await;
            told.refused(400, "invalid_request_error", name);
        }
        // The header goes first, and is the one that is named.
        for (id, message) in [("nonsense", "expected the id"), (foreign, "this stream has no such event")] {
            let url = format!("{path}/events/stream?after_id=nonsense");
            let told = house.get_with(&url, "last-event-id", id).await;
            told.refused(400, "invalid_request_error", &format!("Last-Event-ID: {message}"));
        }
        let told = house.get("/v1/sessions/sesn_1111111111111111111111/events/stream").await;
        told.refused(404, "not_found_error", "");
    }
}
