//! `GET /v1/sessions/{session_id}/threads`: a session's threads, the primary first.

use protocol::{SessionId, page::LOGS, session::SessionStatus};
use store::ListOrder;

use super::found::all;
use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{ListName, Listing, PageItems, PageToken},
};

/// Answers with a page of threads, archived ones too.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let session: SessionId = call.id("session_id")?;
    let limit = call.query.limit(LOGS)?;
    let statuses = call.query.names("statuses", SessionStatus::NAMES)?;
    let listing = Listing { list: ListName::Threads, parent: session.bits(), order: ListOrder::Ascending };
    let from = listing.asked(&call.query)?.map_or(0, |token| token.key as usize);
    let threads = all(&call, session).await?;
    // A thread keeps its place, so a place is a cursor.
    let shown: Vec<_> = (0_u64..)
        .zip(&threads)
        .skip(from)
        .filter(|(_, thread)| statuses.is_empty() || statuses.contains(&thread.status.name()))
        .collect();
    let items = PageItems::fit(shown.iter().map(|(_, thread)| thread), limit, call.page_bytes())?;
    let next = shown.get(items.len()).filter(|_| items.more);
    let next =
        next.map(|(place, _)| listing.seal(PageToken { backwards: false, key: *place, id: 0, at: None }));
    items.answer(next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id, message, tool};
    use serde_json::json;

    #[tokio::test]
    async fn the_primary_is_listed_with_its_agent() {
        let house = TestServer::open().await;
        let session = house.session(&[]).await;
        let listed = house.get(&format!("/v1/sessions/{}/threads", id(&session))).await.ok();
        let thread = json!({
            "type": "session_thread", "id": listed["data"][0]["id"], "session_id": session["id"],
            "parent_thread_id": null,
            "agent": {
                "type": "agent", "id": session["agent"]["id"], "version": 1, "name": "an agent",
                "description": null,
                "model": {"id": "test-1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"},
                "system": null, "tools": [tool("look_up")], "mcp_servers": [], "skills": [],
                "execution_identity": {"type": "service_account"},
            },
            "status": "idle", "stats": null, "usage": null, "workflow_run_id": null,
            "created_at": TIME, "updated_at": TIME, "archived_at": null,
        });
        assert_eq!(listed, json!({"data": [thread], "next_page": null}));
    }

    #[tokio::test]
    async fn a_child_is_listed_behind_its_parent_with_its_own_agent() {
        let house = TestServer::open().await;
        let (path, child) = house.family("hold").await;
        let listed = house.pages(&format!("{path}/threads?limit=1"), &[1, 1]).await;
        assert_eq!(listed[1]["parent_thread_id"], listed[0]["id"]);
        assert_eq!((&listed[1]["id"], &listed[1]["status"]), (&child["id"], &json!("running")));
        assert!(listed[1]["stats"].is_object() && listed[1]["usage"].is_object(), "{}", listed[1]);
        let agent = json!({
            "type": "agent", "id": child["agent"]["id"], "version": 1, "name": "a helper", "description": null,
            "model": {"id": "test-1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"},
            "system": null, "tools": [tool("look_up")], "mcp_servers": [], "skills": [],
            "execution_identity": {"type": "service_account"},
        });
        assert_eq!(listed[1]["agent"], agent);
    }

    #[tokio::test]
    async fn statuses_choose() {
        let house = TestServer::open().await;
        let path = format!("/v1/sessions/{}/threads", id(&house.session(&[message("hold")]).await));
        for (query, found) in [("statuses[]=running", 1), ("statuses[]=idle&statuses[]=terminated", 0)] {
            let listed = house.get(&format!("{path}?{query}")).await.ok();
            assert_eq!(listed["data"].as_array().map(Vec::len), Some(found), "{query}");
        }
        house.get(&format!("{path}?statuses[]=x")).await.refused(400, "invalid_request_error", "statuses: ");
        let told = house.get("/v1/sessions/sesn_1111111111111111111111/threads").await;
        told.refused(404, "not_found_error", "there is no session");
    }
}
