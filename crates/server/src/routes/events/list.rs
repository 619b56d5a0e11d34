//! `GET /v1/sessions/{session_id}/events`: what happened, page by page.

use engine::{EventQuery, ListOrder};
use protocol::{SessionId, event::Body, page::LOGS};

use super::listed::page;
use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{ListName, Listing},
    routes::sessions::outcome,
};

/// Answers with a page of the session's events, oldest first.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let session: SessionId = call.id("session_id")?;
    let order = call.query.order(ListOrder::Ascending)?;
    let query = EventQuery {
        thread: None,
        order,
        after: None,
        limit: call.query.limit(LOGS)?,
        bytes: call.page_bytes(),
        types: call.query.names("types", Body::LISTED)?.into_iter().collect(),
        created: call.query.created()?,
    };
    let listing = Listing { list: ListName::SessionEvents, parent: session.bits(), order };
    page(&call, session, listing, query, || outcome::missing(session)).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message, types};
    use serde_json::{Value, json};

    const TURN: [&str; 9] = [
        "session.status_running",
        "session.thread_status_running",
        "user.message",
        "span.model_request_start",
        "agent.message",
        "span.model_request_end",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ];

    async fn turn(house: &TestServer) -> String {
        let session = house.session(&[message("hi")]).await;
        let path = format!("/v1/sessions/{}", id(&session));
        house.settled(&path).await;
        format!("{path}/events")
    }

    #[tokio::test]
    async fn a_turn_is_listed_whole_in_both_orders_and_by_pages() {
        let house = TestServer::open().await;
        let path = turn(&house).await;
        let whole = house.get(&path).await.ok();
        assert_eq!((types(&whole), &whole["next_page"]), (TURN.map(String::from).to_vec(), &Value::Null));
        let mut events = whole["data"].as_array().cloned().unwrap_or_default();
        assert_eq!(house.pages(&format!("{path}?limit=4"), &[4, 4, 1]).await, events);
        events.reverse();
        assert_eq!(house.pages(&format!("{path}?limit=3&order=desc"), &[3, 3, 3]).await, events);
    }

    #[tokio::test]
    async fn types_and_times_choose() {
        let house = TestServer::open().await;
        let path = turn(&house).await;
        let chosen = house.get(&format!("{path}?types[0]=agent.message&types[1]=user.message")).await.ok();
        assert_eq!(types(&chosen), ["user.message", "agent.message"]);
        let none = house.get(&format!("{path}?created_at[gt]=2100-01-01T00:00:00Z")).await.ok();
        assert_eq!(none, json!({"data": [], "next_page": null}));
        let unserved = house.get(&format!("{path}?types[]=workflow_run.created")).await.ok();
        assert_eq!(unserved, json!({"data": [], "next_page": null}));
    }

    #[tokio::test]
    async fn a_bad_parameter_and_a_foreign_token_are_refused() {
        let house = TestServer::open().await;
        let path = turn(&house).await;
        let other = turn(&house).await;
        let page = house.get(&format!("{path}?limit=2")).await.ok();
        let token = page["next_page"].as_str().unwrap_or_default();
        for (path, name) in [
            (format!("{path}?types[]=agent.shout"), "types: `agent.shout`"),
            (format!("{path}?limit=1001"), "limit: must be at most 1000"),
            (format!("{path}?created_at[lte]=now"), "created_at[lte]: "),
            (format!("{path}?order=desc&page={token}"), "page: this page token belongs to another `order`"),
            (format!("{other}?page={token}"), "page: this page token belongs to another list"),
        ] {
            house.get(&path).await.refused(400, "invalid_request_error", name);
        }
        let told = house.get("/v1/sessions/sesn_1111111111111111111111/events").await;
        told.refused(404, "not_found_error", "there is no session");
    }
}
