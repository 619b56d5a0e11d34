//! `GET /v1/sessions/{session_id}/threads/{thread_id}/events`: what happened on one thread.

use std::collections::BTreeSet;

use engine::{EventQuery, ListOrder, TimeRange};
use protocol::page::LOGS;

use super::found::named;
use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{ListName, Listing},
    routes::{events::listed, sessions::outcome},
};

/// Answers with a page of the thread's events, oldest first.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let (session, thread) = named(&call).await?;
    let order = call.query.order(ListOrder::Ascending)?;
    let query = EventQuery {
        thread: Some(thread.id),
        order,
        after: None,
        limit: call.query.limit(LOGS)?,
        bytes: call.page_bytes(),
        types: BTreeSet::new(),
        created: TimeRange::default(),
    };
    let listing = Listing { list: ListName::ThreadEvents, parent: thread.id.bits(), order };
    listed::page(&call, session, listing, query, || outcome::missing(session)).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message, types};
    use serde_json::Value;

    #[tokio::test]
    async fn a_childs_inside_is_its_own_and_what_needs_the_client_is_on_both() {
        let house = TestServer::open().await;
        let (path, child) = house.family("call").await;
        house.settled(&path).await;
        let own = house.get(&format!("{path}/threads/{}/events", id(&child))).await.ok();
        let inside = [
            "session.thread_status_running",
            "agent.thread_message_received",
            "span.model_request_start",
            "agent.custom_tool_use",
            "span.model_request_end",
            "session.thread_status_idle",
        ];
        assert_eq!(types(&own), inside);
        let seen = house.get(&format!("{path}/events")).await.ok();
        let seen: Vec<&Value> = seen["data"].as_array().into_iter().flatten().collect();
        let shared: Vec<(&Value, &Value)> = own["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|event| {
                seen.iter().find(|shown| shown["id"] == event["id"]).map(|shown| (event, *shown))
            })
            .collect();
        let kinds: Vec<&Value> = shared.iter().map(|(event, _)| &event["type"]).collect();
        assert_eq!(
            kinds,
            ["session.thread_status_running", "agent.custom_tool_use", "session.thread_status_idle"]
        );
        for (event, shown) in shared {
            let mut crossed = event.clone();
            crossed["session_thread_id"] = child["id"].clone();
            assert_eq!(*shown, crossed);
        }
    }

    #[tokio::test]
    async fn the_primarys_events_are_the_sessions() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hi")]).await));
        house.settled(&path).await;
        let id = id(&house.get(&format!("{path}/threads")).await.ok()["data"][0]);
        let events = house.get(&format!("{path}/events")).await.ok();
        let events = events["data"].as_array().cloned().unwrap_or_default();
        assert_eq!(house.pages(&format!("{path}/threads/{id}/events?limit=5"), &[5, 4]).await, events);
        let page = house.get(&format!("{path}/events?limit=2")).await.ok();
        let token = page["next_page"].as_str().unwrap_or_default();
        let told = house.get(&format!("{path}/threads/{id}/events?page={token}")).await;
        told.refused(400, "invalid_request_error", "page: this page token belongs to another list");
        let told = house.get(&format!("{path}/threads/sthr_1111111111111111111111/events")).await;
        told.refused(404, "not_found_error", "the session");
    }
}
