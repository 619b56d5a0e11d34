//! `GET /v1/models/{model_id}`: one model.

use super::model::Model;
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with the model, whether or not its provider lists it: what a route answers for may be named.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = call.text("model_id")?;
    let found = call.engine().model(id).await;
    let none = || {
        let wrong = protocol::model::unrouted(id, &call.engine().routes().patterns(), "model_id");
        ApiProblem::missing(wrong.to_string())
    };
    ApiAnswer::json(&Model::from(found.ok_or_else(none)?))
}

#[cfg(test)]
mod tests {
    use crate::testing::{TIME, TestServer};
    use serde_json::{Value, json};

    fn model(id: &str, name: &str) -> Value {
        json!({
            "type": "model", "id": id, "display_name": name, "created_at": TIME, "lifecycle": "active",
            "deprecated_at": null, "retires_at": null, "line": null, "capabilities": null,
            "allowed_fallback_models": null, "max_input_tokens": 128_000, "max_tokens": 8_192,
        })
    }

    #[tokio::test]
    async fn what_a_route_answers_for_is_there_listed_or_not() {
        let house = TestServer::open().await;
        let known = house.get("/v1/models/test-4").await;
        assert_eq!(known.times(), ["2026-01-02T00:00:00.000000Z"]);
        assert_eq!(known.ok(), model("test-4", "The Fourth"));
        let bare = house.get("/v1/models/test-org%2Fmodel").await;
        assert_eq!(bare.times(), ["1970-01-01T00:00:00.000000Z"]);
        assert_eq!(bare.ok(), model("test-org/model", "test-org/model"));
    }

    #[tokio::test]
    async fn what_no_route_answers_for_is_404_and_told_the_routes() {
        let house = TestServer::open().await;
        let told = house.get("/v1/models/gpt").await;
        let message = "model_id: no route answers for the model `gpt`; the route table has `test-*`";
        told.refused(404, "not_found_error", message);
    }
}
