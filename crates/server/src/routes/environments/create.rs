//! `POST /v1/environments`: makes an environment; packages and self-hosted ones are not supported yet.

use protocol::environment::Environment;

use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem, routes::verbs};

/// Answers with the environment, fully populated.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    verbs::create::<Environment>(call).await
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn an_environment_is_made_and_read_back() {
        let house = TestServer::open().await;
        let networking = json!({"type": "limited", "allowed_hosts": ["*.example.com"]});
        let config = json!({"type": "cloud", "networking": networking});
        let made = house.post("/v1/environments", &json!({"name": "n", "config": config})).await.ok();
        let expected = json!({
            "type": "environment", "id": made["id"], "name": "n", "description": null,
            "config": {
                "type": "cloud",
                "networking": {
                    "type": "limited", "allow_mcp_servers": false, "allow_package_managers": false,
                    "allowed_hosts": ["*.example.com"],
                },
                "packages": {
                    "type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": [],
                },
            },
            "metadata": {}, "scope": "organization", "created_at": TIME, "updated_at": TIME, "archived_at": null,
        });
        assert_eq!(made, expected);
        assert_eq!(house.get(&format!("/v1/environments/{}", id(&made))).await.ok(), expected);
    }

    #[tokio::test]
    async fn the_older_name_of_a_cloud_is_read_as_a_cloud() {
        let house = TestServer::open().await;
        let body = json!({"name": "n", "config": {"type": "anthropic_cloud"}});
        let made = house.post("/v1/environments", &body).await.ok();
        assert_eq!(made["config"]["type"], "cloud");
        let path = format!("/v1/environments/{}", id(&made));
        let body = json!({"config": {"type": "anthropic_cloud", "networking": {"type": "limited"}}});
        let changed = house.post(&path, &body).await.ok();
        let config = (&changed["config"]["type"], &changed["config"]["networking"]["type"]);
        assert_eq!(config, (&json!("cloud"), &json!("limited")));
    }

    #[tokio::test]
    async fn a_name_is_given_once_until_it_is_free_again() {
        let house = TestServer::open().await;
        let body = json!({"name": "n"});
        let first = house.post("/v1/environments", &body).await.ok();
        let told = house.post("/v1/environments", &body).await;
        assert_eq!(told.header("x-should-retry"), Some("false"));
        told.refused(409, "conflict_error", "name: ");
        let path = format!("/v1/environments/{}", id(&first));
        house.post(&format!("{path}/archive"), &Value::Null).await.ok();
        let second = house.post("/v1/environments", &body).await.ok();
        house.delete(&format!("/v1/environments/{}", id(&second))).await.ok();
        house.post("/v1/environments", &body).await.ok();
    }

    #[tokio::test]
    async fn what_is_not_served_is_refused_by_name() {
        let house = TestServer::open().await;
        for (config, field) in [
            (json!({"type": "self_hosted"}), "config.type: "),
            (json!({"type": "cloud", "packages": {"pip": ["numpy"]}}), "config.packages.pip: "),
        ] {
            let told = house.post("/v1/environments", &json!({"name": "n", "config": config})).await;
            told.refused(400, "invalid_request_error", field);
        }
    }
}
