//! `DELETE /v1/environments/{environment_id}`: removes an environment that no session uses; with `force` any.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the id of what is gone. A session that is terminated is no hindrance, and with `force` none
/// is: they go on.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let force = call.query.flag("force")?;
    verbs::delete::<Environment>(call, async |engine, errand, id| {
        engine.delete_environment(errand, id, force).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id, message};
    use serde_json::{Value, json};

    fn place(session: &Value) -> String {
        format!("/v1/environments/{}", session["environment_id"].as_str().expect("an id"))
    }

    #[tokio::test]
    async fn what_is_deleted_by_force_is_gone_and_its_sessions_are_not() {
        let house = TestServer::open().await;
        let session = house.session(&[]).await;
        let path = place(&session);
        house.delete(&format!("{path}?force=false")).await.refused(409, "invalid_request_error", "");
        let gone = json!({"id": session["environment_id"], "type": "environment_deleted"});
        assert_eq!(house.delete(&format!("{path}?force=true")).await.ok(), gone);
        house.get(&path).await.refused(404, "not_found_error", "there is no environment");
        house.delete(&path).await.refused(404, "not_found_error", "there is no environment");
        let session = format!("/v1/sessions/{}", id(&session));
        house.post(&format!("{session}/events"), &json!({"events": [message("hi")]})).await.ok();
        house.settled(&session).await;
    }

    #[tokio::test]
    async fn what_sessions_use_is_not_deleted_and_they_are_counted() {
        let house = TestServer::open().await;
        let first = house.session(&[]).await;
        let path = place(&first);
        let body = json!({"agent": first["agent"]["id"], "environment_id": first["environment_id"]});
        let second = house.post("/v1/sessions", &body).await.ok();
        let third = house.post("/v1/sessions", &body).await.ok();
        for (active, end) in [("3 active sessions;", &first), ("2 active sessions;", &second)] {
            let told = house.delete(&path).await;
            assert_eq!((told.header("x-should-retry"), told.code()), (Some("false"), None));
            let message = told.json()["error"]["message"].as_str().expect("a message").to_owned();
            assert!(message.contains(active) && message.contains("force=true"), "{message}");
            told.refused(409, "invalid_request_error", "the environment env_");
            house.post(&format!("/v1/sessions/{}/archive", id(end)), &Value::Null).await.ok();
        }
        assert_eq!(house.get(&path).await.ok()["id"], first["environment_id"]);
        let told = house.delete(&path).await;
        told.refused(409, "invalid_request_error", "the environment env_");
        house.delete(&format!("/v1/sessions/{}", id(&third))).await.ok();
        house.delete(&path).await.ok();
        house.post("/v1/sessions", &body).await.refused(404, "not_found_error", "environment_id: ");
    }

    /// A session is opened while its environment is deleted: whoever was first, none is left that uses
    /// what is gone.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_session_slips_in_while_its_environment_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let house =
            TestServer::on(store::Store::sqlite(&folder.path().join("heddle.db")).expect("a store")).await;
        let agent = house.agent().await;
        for _ in 0..40 {
            let environment = house.environment().await;
            let body = json!({"agent": agent["id"], "environment_id": environment["id"]});
            let path = format!("/v1/environments/{}", id(&environment));
            let (opened, deleted) = tokio::join!(house.post("/v1/sessions", &body), house.delete(&path));
            let (opened, deleted) = (opened.status.as_u16(), deleted.status.as_u16());
            assert!([(200, 409), (404, 200)].contains(&(opened, deleted)), "{opened} {deleted}");
        }
    }
}
