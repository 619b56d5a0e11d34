//! `GET /v1/models`: the models that agents may name.

use serde_json::json;

use super::model::{LIFECYCLES, MODELS, Model};
use crate::{answer::ApiAnswer, call::ApiRequest, error::ApiProblem};

/// Answers with a page of models: the newest first, then by name. The ids are the places.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let limit = call.query.limit(MODELS)?;
    let place = |name| call.query.scalar(name).filter(|id| !id.is_empty());
    let (after, before) = (place("after_id"), place("before_id"));
    if after.is_some() && before.is_some() {
        return Err(ApiProblem::parameter("before_id", "goes not with `after_id`; send one of them"));
    }
    let stages = call.query.few("lifecycle", LIFECYCLES, LIFECYCLES.len())?;
    // A model that a route answers for is in use: there are no others here.
    let any = stages.is_empty() || stages.contains(&"active");
    let offers = if any { call.engine().models().await } else { Vec::new() };
    let models: Vec<Model> = offers.into_iter().map(Model::from).collect();
    let find = |name, id: &str| {
        let unknown =
            || ApiProblem::parameter(name, format!("the list has no model `{id}`; begin without it"));
        models.iter().position(|model| model.id == id).ok_or_else(unknown)
    };
    let (from, to) = match (after, before) {
        (Some(id), _) => (find("after_id", id)? + 1, None),
        (None, Some(id)) => (0, Some(find("before_id", id)?)),
        (None, None) => (0, None),
    };
    let rest = models.get(from..to.unwrap_or(models.len())).unwrap_or_default();
    let more = rest.len() > limit;
    // Backwards the page is the nearest part, not the first.
    let begin = if to.is_some() { rest.len().saturating_sub(limit) } else { 0 };
    let page: Vec<&Model> = rest.iter().skip(begin).take(limit).collect();
    let (first, last) = (page.first().map(|model| &model.id), page.last().map(|model| &model.id));
    ApiAnswer::json(&json!({"data": page, "has_more": more, "first_id": first, "last_id": last}))
}

#[cfg(test)]
mod tests {
    use crate::testing::TestServer;
    use serde_json::{Value, json};

    fn page(ids: &[&str], more: bool) -> Value {
        json!({"ids": ids, "has_more": more, "first_id": ids.first(), "last_id": ids.last()})
    }

    async fn listed(house: &TestServer, query: &str) -> Value {
        let list = house.get(&format!("/v1/models{query}")).await.ok();
        let ids: Vec<&Value> = list["data"].as_array().into_iter().flatten().map(|it| &it["id"]).collect();
        let (more, first, last) = (&list["has_more"], &list["first_id"], &list["last_id"]);
        json!({"ids": ids, "has_more": more, "first_id": first, "last_id": last})
    }

    #[tokio::test]
    async fn the_list_is_walked_from_either_end() {
        let house = TestServer::open().await;
        for (query, expected) in [
            ("", page(&["test-4", "test-3", "test-1", "test-2"], false)),
            ("?limit=3", page(&["test-4", "test-3", "test-1"], true)),
            ("?limit=3&after_id=test-1", page(&["test-2"], false)),
            ("?after_id=test-2", page(&[], false)),
            ("?limit=2&before_id=test-2", page(&["test-3", "test-1"], true)),
            ("?limit=2&before_id=test-3", page(&["test-4"], false)),
            ("?limit=0&before_id=test-4", page(&[], false)),
            ("?limit=1&lifecycle[]=retired&lifecycle[]=active", page(&["test-4"], true)),
            ("?lifecycle[]=retired&lifecycle[]=deprecated", page(&[], false)),
        ] {
            assert_eq!(listed(&house, query).await, expected, "{query}");
        }
    }

    #[tokio::test]
    async fn a_place_that_is_not_in_the_list_and_a_limit_out_of_bounds_are_refused_by_name() {
        let house = TestServer::open().await;
        for (query, message) in [
            ("after_id=gone", "after_id: the list has no model `gone`"),
            ("before_id=gone", "before_id: the list has no model `gone`"),
            ("before_id=test-1&after_id=test-1", "before_id: goes not with `after_id`"),
            ("limit=1001", "limit: must be at most 1000"),
            ("lifecycle[]=young", "lifecycle: `young` is not one of"),
            (
                "lifecycle=active&lifecycle=active&lifecycle=active&lifecycle=active",
                "lifecycle: must have at most 3",
            ),
        ] {
            house.get(&format!("/v1/models?{query}")).await.refused(400, "invalid_request_error", message);
        }
    }
}
