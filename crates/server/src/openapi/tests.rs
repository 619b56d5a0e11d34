//! Holds the document, the routes and the readers together.

mod generated;
mod places;
mod readers;

use std::collections::BTreeSet;

use axum::{body::Body, extract::Request};
use protocol::parse;
use serde_json::{Value, json};

use crate::{
    operation::{KeyScope, Method},
    routes::operations,
    testing::{TestServer, asked, contract, described, id, message},
};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Every operation of the document that is built: method, path, itself.
fn built() -> Vec<(String, &'static str, &'static Value)> {
    let paths = described::whole()["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        operations.iter().map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    });
    all.filter(|(_, _, operation)| operation.get("x-heddle-status").is_none()).collect()
}

#[tokio::test]
async fn a_path_takes_the_methods_that_the_document_has_and_no_others() {
    let house = TestServer::open().await;
    for (path, operations) in described::whole()["paths"].as_object().expect("paths") {
        for method in METHODS {
            let place = path.replace(['{', '}'], "");
            let request =
                Request::builder().method(method).uri(place).body(Body::empty()).expect("a request");
            let (status, ..) = house.raw(request).await;
            let known = operations.get(method.to_lowercase()).is_some();
            assert_eq!(known, status != 405 && status != 404, "{method} {path}: {status}");
        }
    }
}

#[test]
fn every_operation_has_a_name_a_method_and_a_path_of_its_own() {
    let names: BTreeSet<_> = operations().map(|operation| operation.name).collect();
    let places: BTreeSet<_> =
        operations().map(|operation| (operation.path, operation.method.as_str())).collect();
    assert_eq!([names.len(), places.len()], [operations().count(); 2]);
}

#[test]
fn who_may_only_read_may_ask_for_all_that_changes_nothing() {
    for operation in operations() {
        let reads = operation.method == Method::Get;
        assert_eq!(operation.scope == KeyScope::Read, reads, "{}", operation.name);
    }
}

#[test]
fn a_summary_is_the_first_line_of_its_file() {
    let mut compared = 0;
    for operation in operations().filter(|operation| operation.is_served()) {
        let (resource, verb) = operation.name.rsplit_once('.').expect("a resource and a verb");
        let file = match (resource, verb) {
            ("agents.versions", _) => "agents/versions".to_owned(),
            ("sessions.threads.events", "list") => "threads/events".to_owned(),
            ("sessions.threads.events", _) => "threads/stream".to_owned(),
            ("heddle", _) => "threads/prompt".to_owned(),
            (resource, verb) => format!("{}/{verb}", resource.trim_start_matches("sessions.")),
        };
        let path = format!("{}/src/routes/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        // What needs nothing of its own has no file either.
        let Ok(source) = std::fs::read_to_string(&path) else { continue };
        let first = source.lines().next().unwrap_or_default();
        let said = first.split_once("`: ").map(|(_, said)| said.trim_end_matches('.'));
        assert_eq!(said, Some(operation.summary), "{}", operation.name);
        compared += 1;
    }
    assert!(compared >= 28, "{compared}");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    references(described::whole(), &mut found);
    let components = described::whole()["components"].as_object().expect("components");
    let kinds = components.iter().filter(|(kind, _)| *kind != "securitySchemes");
    let there: BTreeSet<String> = kinds
        .flat_map(|(kind, all)| {
            all.as_object().expect("an object").keys().map(move |name| format!("#/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(found, there);
}

#[test]
fn no_description_points_into_the_source() {
    let document = described::whole().to_string();
    let found: Vec<&str> = document.split('"').filter(|text| text.contains(".md")).collect();
    assert_eq!(found, Vec::<&str>::new());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings, and this is for `cargo x conform` alone"
)]
fn the_document_in_docs_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let served = format!("{:#}\n", described::whole());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &served).expect("a place to write");
    }
    let kept = std::fs::read_to_string(path).expect("the document in docs");
    assert!(kept == served, "docs/openapi.json is not up to date; `cargo x conform` writes it");
}

#[tokio::test]
async fn the_document_is_had_without_a_key_and_not_sent_twice() {
    let house = TestServer::open().await;
    let asked = |tag: &str| {
        let request = Request::get("/openapi.json").header("if-none-match", tag);
        house.raw(request.body(Body::empty()).expect("a request"))
    };
    let (status, headers, body) = asked("\"other\"").await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"application/json".parse().expect("text"))
    );
    let document: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&document["openapi"], &document), (&json!("3.1.0"), described::whole()));
    let tag = headers["etag"].to_str().expect("text");
    for tags in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let (status, _, body) = asked(&tags).await;
        assert_eq!((status.as_u16(), body.len()), (304, 0), "{tags}");
    }
}

#[test]
fn the_known_models_are_those_of_the_contract() {
    let operations = contract::whole()["operations"].as_array().expect("operations");
    let create = operations.iter().find(|it| it["operation"] == "agents.create").expect("the operation");
    let names = &create["body"]["properties"]["model"]["anyOf"][0]["enum"];
    assert_eq!(names, &json!(engine::KNOWN));
}

/// A house with a session, and the path of an operation in it.
async fn furnished(house: &TestServer, path: &str) -> String {
    let session = house.session(&[message("hi")]).await;
    house.settled(&format!("/v1/sessions/{}", id(&session))).await;
    let thread = id(&house.get(&format!("/v1/sessions/{}/threads", id(&session))).await.ok()["data"][0]);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    path.replace("{session_id}", &id(&session))
        .replace("{thread_id}", &thread)
        .replace("{agent_id}", &text(&session["agent"]["id"]))
        .replace("{environment_id}", &text(&session["environment_id"]))
        .replace("{model_id}", "test-1")
}

fn parameters(operation: &'static Value) -> Vec<(&'static str, &'static Value)> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let query = all.filter(|parameter| parameter["in"] == "query");
    query.map(|it| (it["name"].as_str().expect("a name"), &it["schema"])).collect()
}

#[tokio::test]
async fn an_endpoint_asks_for_the_parameters_of_the_document_and_the_contract_has_no_others() {
    let house = TestServer::open().await;
    let known = contract::whole()["operations"].as_array().expect("operations");
    for (method, path, operation) in built().into_iter().filter(|(_, path, _)| path.starts_with("/v1/")) {
        let name = operation["operationId"].as_str().expect("a name");
        let described: BTreeSet<String> =
            parameters(operation).iter().map(|(name, _)| name.trim_end_matches("[]").to_owned()).collect();
        let place = furnished(&house, path).await;
        asked::taken();
        house.opened(&method, &place).await;
        assert_eq!(asked::taken(), described, "{name}");
        let contract = known.iter().find(|it| it["operation"] == name).expect("an operation");
        for parameter in contract["query"]["properties"].as_object().into_iter().flat_map(|it| it.keys()) {
            assert!(described.contains(parameter), "{name} does not take {parameter}");
        }
    }
}

#[tokio::test]
async fn each_parameter_has_the_bounds_that_the_document_says() {
    let house = TestServer::open().await;
    let mut tried = 0;
    for (method, path, operation) in built() {
        for (name, schema) in parameters(operation) {
            let place = furnished(&house, path).await;
            for (value, good) in values(&house, schema).await {
                let (status, message) = house.opened(&method, &format!("{place}?{name}={value}")).await;
                let named = message.starts_with(&format!("{}: ", name.trim_end_matches("[]")));
                // One parameter needs another beside it.
                let refused = status == 400 && named && !message.contains("goes only with");
                assert_eq!(refused, !good, "{path}?{name}={value}: {status} {message}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[tokio::test]
async fn a_parameter_that_an_operation_does_not_have_is_refused_before_anything_is_done() {
    let house = TestServer::open().await;
    for (method, path, operation) in built() {
        let place = furnished(&house, path).await;
        let known: Vec<&str> =
            parameters(operation).into_iter().map(|(name, _)| name).chain(["beta"]).collect();
        for unknown in ["after", "Limit", "created_at", "page[x]", "limit]", ""] {
            let (status, message) = house.opened(&method, &format!("{place}?beta=true&{unknown}=1")).await;
            let expected =
                format!("{unknown}: unknown query parameter; this takes {}", parse::listed(&known));
            assert_eq!((status.as_u16(), message), (400, expected), "{method} {path}?{unknown}");
        }
        for name in &known {
            let bare = name.trim_end_matches("[]");
            for form in [bare.to_owned(), format!("{bare}[]"), format!("{bare}%5B0%5D")] {
                let (_, message) = house.opened(&method, &format!("{place}?{form}=1")).await;
                assert!(!message.contains("unknown query parameter"), "{method} {path}?{form}: {message}");
            }
        }
    }
    // A change that was refused for its query was not made.
    let before = house.get("/v1/agents").await.ok();
    let body = json!({"name": "n", "model": "test-1"});
    let told = house.post("/v1/agents?dry_run=true", &body).await;
    told.refused(400, "invalid_request_error", "dry_run: unknown query parameter; this takes `beta`");
    assert_eq!(house.get("/v1/agents").await.ok(), before);
}

/// Values that a parameter may have and may not have.
async fn values(house: &TestServer, schema: &Value) -> Vec<(String, bool)> {
    let kind = schema["items"]["type"].as_str().or(schema["type"].as_str()).expect("a type");
    let names = schema["items"]["enum"].as_array().or(schema["enum"].as_array());
    let good = |values: &[&str]| values.iter().map(|it| ((*it).to_owned(), true)).collect::<Vec<_>>();
    let bad = |values: &[&str]| values.iter().map(|it| ((*it).to_owned(), false)).collect::<Vec<_>>();
    match (kind, schema["format"].as_str(), names) {
        ("boolean", ..) => [good(&["true", "false"]), bad(&["maybe", "1", ""])].concat(),
        ("integer", ..) => {
            let most = schema["maximum"].as_u64().expect("a bound");
            let over = (u128::from(most) + 1).to_string();
            [good(&["0", "1", &most.to_string()]), bad(&["x", "-1", "1.5", "", &over])].concat()
        }
        ("string", Some("date-time"), _) => {
            [good(&["2026-11-21T09:43:00Z", "2026-11-21T09:43:00.5-01:00"]), bad(&["yesterday", ""])].concat()
        }
        ("string", Some("agent-id"), _) => {
            [good(&[&id(&house.agent().await)]), bad(&["x", "sesn_1111111111111111111111"])].concat()
        }
        ("string", Some("sevt-id"), _) => bad(&["x", "sesn_1111111111111111111111"]),
        ("string", None, Some(names)) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            [good(&names), bad(&["no-such-name"])].concat()
        }
        ("string", None, None) => Vec::new(),
        other => panic!("{other:?} is not known here"),
    }
}
