//! `POST /v1/sessions/{session_id}`: title, metadata, and the tools of an idle session.

use kernel::{Input, rules::session};

use super::after;
use crate::{answer::Answer, error::Problem, extract::Call};

/// Answers with the session as it is now.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    after(&call, Input::Update(session::update(call.body()?)?)).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id, message};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_change_is_seen_and_told_and_no_change_is_not() {
        let house = House::open().await;
        let session = house.session(&[]).await;
        let path = format!("/v1/sessions/{}", id(&session));
        let body = json!({"title": "new", "metadata": {"a": "b"}, "agent": {"tools": []}});
        for _ in 0..2 {
            let told = house.post(&path, &body).await.ok();
            let seen = (&told["title"], &told["metadata"], &told["agent"]["tools"]);
            assert_eq!(seen, (&json!("new"), &json!({"a": "b"}), &json!([])));
        }
        let events = house.get(&format!("{path}/events?types[]=session.updated")).await.ok();
        assert_eq!(events["data"].as_array().map(Vec::len), Some(1));
        let told = house.post(&path, &json!({"title": null, "metadata": {"a": null}})).await.ok();
        assert_eq!((&told["title"], &told["metadata"]), (&Value::Null, &json!({})));
    }

    #[tokio::test]
    async fn a_mistake_a_busy_agent_and_an_unknown_session_are_refused() {
        let house = House::open().await;
        let path = format!("/v1/sessions/{}", id(&house.session(&[message("hold")]).await));
        let told = house.post(&path, &json!({"vault_ids": ["vlt_1"]})).await;
        told.refused(400, "invalid_request_error", "vault_ids: ");
        let told = house.post(&path, &json!({"agent": {"tools": []}})).await;
        told.refused(400, "invalid_request_error", "cannot update the agent of");
        house.post(&path, &json!({"title": "while it runs"})).await.ok();
        let told = house.post("/v1/sessions/sesn_1111111111111111111111", &json!({"title": "x"})).await;
        told.refused(404, "not_found_error", "there is no such session");
    }
}
