//! `POST /v1/environments/{environment_id}`: changes an environment in place.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the environment as it is now.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::update::<Environment>(call).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_is_omitted_stays() {
        let house = TestServer::open().await;
        let body = json!({"name": "n", "description": "d", "metadata": {"a": "1", "b": "2"}});
        let made = house.post("/v1/environments", &body).await.ok();
        let path = format!("/v1/environments/{}", id(&made));
        let mut expected = made;
        expected["description"] = json!("");
        expected["metadata"] = json!({"b": "2"});
        let patch = json!({"description": "", "metadata": {"a": ""}});
        assert_eq!(house.post(&path, &patch).await.ok(), expected);
        assert_eq!(house.get(&path).await.ok(), expected);
    }

    #[tokio::test]
    async fn what_changes_nothing_is_no_change_and_what_was_answered_may_come_back() {
        let house = TestServer::open().await;
        let config = json!({"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": true}});
        let body = json!({"name": "n", "config": config, "metadata": {"a": "1"}});
        let made = house.post("/v1/environments", &body).await.good();
        let path = format!("/v1/environments/{}", id(&made));
        let fields = ["name", "description", "config", "metadata", "scope"];
        let echo: serde_json::Map<_, _> =
            fields.iter().map(|key| ((*key).to_owned(), made[*key].clone())).collect();
        for body in [
            json!({}),
            json!(echo),
            json!({"config": {"type": "cloud", "networking": {"type": "limited"}}}),
            json!({"config": {"type": "cloud", "packages": null}, "metadata": {"gone": "", "never": null}}),
        ] {
            assert_eq!(house.post(&path, &body).await.good(), made, "{body}");
        }
        let body = json!({"description": "d"});
        assert_ne!(house.post(&path, &body).await.good()["updated_at"], made["updated_at"]);
        let cleared = house.post(&path, &json!({"description": null, "name": null})).await.good();
        assert_eq!((&cleared["description"], &cleared["name"]), (&Value::Null, &json!("n")));
        let many: serde_json::Map<_, _> = (0..16).map(|n| (n.to_string(), json!("v"))).collect();
        let told = house.post(&path, &json!({"metadata": many})).await;
        assert_eq!(told.code().as_deref(), Some("invalid_metadata"));
        told.refused(400, "invalid_request_error", "metadata: must have at most 16 pairs, has 17");
        let mut swapped = json!({"metadata": many});
        swapped["metadata"]["a"] = json!("");
        assert_eq!(house.post(&path, &swapped).await.good()["metadata"], json!(many));
    }

    #[tokio::test]
    async fn a_taken_name_another_type_and_an_archived_one_are_refused() {
        let house = TestServer::open().await;
        house.post("/v1/environments", &json!({"name": "taken"})).await.ok();
        let made = house.post("/v1/environments", &json!({"name": "n"})).await.ok();
        let path = format!("/v1/environments/{}", id(&made));
        house.post(&path, &json!({"name": "taken"})).await.refused(409, "conflict_error", "name: ");
        let told = house.post(&path, &json!({"config": {"type": "self_hosted"}})).await;
        assert_eq!(told.code(), Some("invalid_config_type_change".to_owned()));
        told.refused(400, "invalid_request_error", "config.type: ");
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        let told = house.post(&path, &json!({"name": "m"})).await;
        assert_eq!(told.code(), Some("environment_archived".to_owned()));
        told.refused(400, "invalid_request_error", "the environment");
    }
}
