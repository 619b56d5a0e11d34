//! Lists of models on loopback: pages, bounds, filters and failures of both wires.

use axum::{body::Body, http::Response};
use futures_util::stream;
use models::{ModelClient, ProviderKeys, RoutedModels};
use protocol::{
    Timestamp,
    prompt::{FailureClass, ModelFailure},
    routes::{OfferedModel, ProviderKey, Route, RouteProvider, Routes},
};
use serde_json::{Value, json};

use crate::{
    chat::route,
    provider::{Fake, Seen, direct},
};

async fn offered(route: Route) -> Result<Vec<OfferedModel>, ModelFailure> {
    let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
    let models = RoutedModels::new(Routes(vec![route.clone()]), keys, direct()).expect("good settings");
    models.offered(&route).await
}

fn messages_route(base_url: &str) -> Route {
    Route { provider: RouteProvider::Messages, base_url: base_url.to_owned(), ..route("") }
}

fn named(id: &str) -> OfferedModel {
    OfferedModel { id: id.to_owned(), display_name: None, created_at: None }
}

fn answered(body: &Value) -> Response<Body> {
    Response::new(Body::from(body.to_string()))
}

#[tokio::test]
async fn a_chat_provider_lists_its_models_and_those_of_other_routes_are_left_out() {
    let data = json!([
        {"id": "chat-b", "object": "model", "created": 1_700_000_000, "owned_by": "x"},
        {"id": "other", "object": "model", "created": 1},
        {"object": "model"}, "x", 7,
        {"id": "chat-a", "created": 0},
    ]);
    // This wire has no pages, whatever a list says.
    let list = json!({"object": "list", "data": data, "has_more": true, "last_id": "chat-a"});
    let provider = Fake::start(move |_| answered(&list)).await;
    let stamp = "2023-11-14T22:13:20Z".parse::<Timestamp>().expect("a time");
    let first = OfferedModel { created_at: Some(stamp), ..named("chat-b") };
    assert_eq!(offered(route(&provider.base_url)).await, Ok(vec![first, named("chat-a")]));
    let seen = provider.seen();
    let asked: Vec<_> = seen.iter().map(|seen| (seen.uri.as_str(), seen.header("authorization"))).collect();
    assert_eq!(asked, [("/v1/models", Some("Bearer secret"))]);
}

#[tokio::test]
async fn a_list_is_read_in_each_form_that_there_is() {
    for list in [
        json!([{"id": "chat-a"}, {"id": "chat-b"}]),
        json!(["chat-a", "chat-b"]),
        json!({"data": ["chat-a", "chat-b"]}),
        json!({"models": [{"name": "chat-a"}, {"model": "chat-b"}]}),
        json!({"models": [{"name": "models/chat-a"}, {"id": "models/chat-b", "name": "B"}], "more": "x"}),
        json!({"data": [{"model_name": "chat-a"}, {"id": "chat-b", "created": "0"}], "has_more": null}),
        json!({"chat-a": {"object": "model"}, "chat-b": {}}),
    ] {
        let answer = list.clone();
        let provider = Fake::start(move |_| answered(&answer)).await;
        let read = offered(route(&provider.base_url)).await;
        assert_eq!(read, Ok(vec![named("chat-a"), named("chat-b")]), "{list}");
    }
    let none = Fake::start(|_| answered(&json!({"object": "list", "data": null}))).await;
    assert_eq!(offered(route(&none.base_url)).await, Ok(vec![]));
    for (wrong, words) in [
        (json!({"error": {"message": "why"}}), "gave what is no list of models: why."),
        (json!({"status": "ok", "n": 1}), "gave what is no list of models: an object with status, n."),
    ] {
        let provider = Fake::start(move |_| answered(&wrong)).await;
        let failure = offered(route(&provider.base_url)).await.expect_err("a failure");
        assert!(failure.message.ends_with(words), "{failure}");
    }
}

#[tokio::test]
async fn a_key_that_is_quoted_in_the_place_of_a_list_is_not_told() {
    let begun = |before: usize| format!("{}secret", "x".repeat(before));
    let quoted = (0..140).map(|before| json!({"error": {"message": begun(before)}}));
    let keyed = json!({"secret": 1, "b": 2});
    for body in quoted.chain([keyed, json!({"message": "no access for secret"}), json!("secret")]) {
        let answer = body.clone();
        let provider = Fake::start(move |_| answered(&answer)).await;
        let failure = offered(route(&provider.base_url)).await.expect_err("a failure");
        let words = failure.message.split_once("models: ").expect("words").1.trim_matches(['x', '.']);
        assert!(!"secret".starts_with(words) || words.is_empty(), "{body}: {failure}");
        assert!(!failure.message.contains("secret"), "{body}: {failure}");
    }
    let listed =
        json!({"data": [{"id": "chat-secret"}, {"id": "chat-a", "display_name": "secret"}, "chat-b"]});
    let provider = Fake::start(move |_| answered(&listed)).await;
    assert_eq!(offered(route(&provider.base_url)).await, Ok(vec![named("chat-b")]));
}

/// Two pages, then the end.
fn paged(seen: &Seen) -> Response<Body> {
    let page = if seen.uri.contains("after_id=chat-2%26x") {
        json!({"data": [{"id": "chat-3", "type": "model"}], "has_more": false, "last_id": "chat-3"})
    } else {
        let made = "2025-09-29T00:00:00Z";
        let first = json!({"id": "chat-1", "type": "model", "display_name": "One", "created_at": made});
        json!({"data": [first, {"id": "chat-2&x"}], "has_more": true, "last_id": "chat-2&x"})
    };
    answered(&page)
}

#[tokio::test]
async fn the_messages_api_is_read_page_by_page() {
    let provider = Fake::start(paged).await;
    let stamp = "2025-09-29T00:00:00Z".parse::<Timestamp>().expect("a time");
    let first = OfferedModel {
        id: "chat-1".to_owned(),
        display_name: Some("One".to_owned()),
        created_at: Some(stamp),
    };
    let models = vec![first, named("chat-2&x"), named("chat-3")];
    assert_eq!(offered(messages_route(&provider.base_url)).await, Ok(models));
    let seen = provider.seen();
    let uris: Vec<&str> = seen.iter().map(|seen| seen.uri.as_str()).collect();
    assert_eq!(uris, ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=chat-2%26x"]);
    assert_eq!(seen[1].header("x-api-key"), Some("secret"));
    assert_eq!(seen[1].header("anthropic-version"), Some("2023-06-01"));
}

#[tokio::test]
async fn a_list_ends_at_a_thousand_models_and_a_page_that_leads_nowhere_is_the_last() {
    let page = |at: usize| (0..400).map(|n| json!({"id": format!("chat-{at}-{n}")})).collect::<Vec<_>>();
    let endless = Fake::start(move |seen| {
        let at = seen.uri.split("after_id=").nth(1).map_or(0, |at| at.parse::<usize>().expect("a number"));
        answered(&json!({"data": page(at), "has_more": true, "last_id": (at + 1).to_string()}))
    })
    .await;
    let models = offered(messages_route(&endless.base_url)).await.expect("a list");
    assert_eq!((models.len(), endless.seen().len()), (1_000, 3));
    let stuck = Fake::start(|_| answered(&json!({"data": [], "has_more": true, "last_id": "chat-1"}))).await;
    assert_eq!(offered(messages_route(&stuck.base_url)).await, Ok(vec![]));
    assert_eq!(stuck.seen().len(), 2);
}

#[tokio::test]
async fn a_list_without_bound_a_garbled_one_and_a_refused_one_are_failures() {
    let large = Fake::start(|_| {
        Response::new(Body::from_stream(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(vec![b' '; 64 * 1024])
        })))
    })
    .await;
    let failed = async |provider: &Fake| offered(route(&provider.base_url)).await.expect_err("a failure");
    let failure = failed(&large).await;
    let begin = format!("The model provider at {}/v1", large.base_url);
    assert_eq!(failure.message, format!("{begin} lists its models in more than 2097152 bytes."));
    let garbled = Fake::start(|_| answered(&json!("<html>"))).await;
    let failure = failed(&garbled).await;
    assert!(failure.message.contains("gave what is no list of models: <html>"), "{failure}");
    assert_eq!(failure.class, FailureClass::Unavailable);
    let denied = Fake::failing(401, &[], json!({"error": {"message": "no"}})).await;
    let failure = failed(&denied).await;
    let sentence = "The model provider does not accept the key in THE_KEY (401): no.";
    assert_eq!((failure.class, failure.message.as_str()), (FailureClass::Denied, sentence));
    let keyless =
        Route { key: Some(ProviderKey::Variable("OTHER".to_owned())), ..route("http://127.0.0.1:9") };
    assert_eq!(offered(keyless).await.expect_err("a failure").class, FailureClass::Denied);
}

#[tokio::test]
async fn the_script_offers_its_own_name() {
    assert_eq!(offered(Route::script("heddle-demo")).await, Ok(vec![named("heddle-demo")]));
    assert_eq!(offered(Route::script("heddle-*")).await, Ok(vec![named("heddle-demo")]));
    assert_eq!(offered(Route::script("mine")).await, Ok(vec![named("mine")]));
    assert_eq!(offered(Route::script("loom-*")).await, Ok(vec![]));
}
