//! What a schema forbids its reader refuses, and names the place.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    built, furnished,
    places::{Place, branches, inside, kinds, put, resolved, samples},
};
use crate::testing::{TestServer, contract};

/// Each operation that has a body: its name, path in a house, and the body's schema.
async fn bodies(house: &TestServer) -> Vec<(&'static str, String, Value)> {
    let mut found = Vec::new();
    for (_, path, operation) in built() {
        if let Some(body) = operation.get("requestBody") {
            let name = operation["operationId"].as_str().expect("a name");
            let schema = body["content"]["application/json"]["schema"].clone();
            found.push((name, furnished(house, path).await, schema));
        }
    }
    assert_eq!(found.len(), 7);
    found
}

/// Posts a body; gives the status and the message of an error.
async fn told(house: &TestServer, path: &str, body: &Value) -> (StatusCode, String) {
    let told = house.post(path, body).await;
    let message = told.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    (told.status, message)
}

async fn refused(house: &TestServer, path: &str, body: &Value, at: &str) {
    let (status, message) = told(house, path, body).await;
    let begin = if at.is_empty() { String::new() } else { format!("{at}: ") };
    assert!(status == 400 && message.starts_with(&begin), "{at} of {path}: {status} {message}\n{body}");
}

/// Values that may not be at a place: of every wrong type, and beyond every bound.
fn wrong(place: &Place) -> Vec<Value> {
    let known = kinds(&place.schema);
    if known.is_empty() {
        return Vec::new();
    }
    let each = [
        ("null", json!(null)),
        ("boolean", json!(true)),
        ("integer", json!(7)),
        ("number", json!(7.5)),
        ("string", json!("no such thing")),
        ("array", json!([])),
        ("object", json!({})),
    ];
    let mut wrong: Vec<Value> = each
        .into_iter()
        .filter(|(kind, _)| !known.iter().any(|it| it == kind))
        .map(|(_, value)| value)
        .collect();
    let texts: Vec<Value> =
        branches(&place.schema).into_iter().filter(|it| kinds(it).contains(&"string".into())).collect();
    for schema in &texts {
        if schema.get("const").or_else(|| schema.get("enum")).is_some() && texts.len() == 1 {
            wrong.push(json!("no such thing"));
        }
        if schema["minLength"].as_u64().is_some_and(|least| least > 0) {
            wrong.push(json!(""));
        }
        if let Some(most) = schema["maxLength"].as_u64() {
            wrong.push(json!("x".repeat(most as usize + 1)));
        }
        if schema.get("pattern").is_some() {
            wrong.push(json!("  "));
        }
    }
    for schema in branches(&place.schema) {
        if schema["minItems"].as_u64().is_some_and(|least| least > 0) {
            wrong.push(json!([]));
        }
        if let Some(most) = schema["maxItems"].as_u64() {
            let item = if most == 0 { json!("x") } else { samples(&schema["items"])[0].value.clone() };
            wrong.push(json!(vec![item; most as usize + 1]));
        }
        if let Some(least) = schema["minimum"].as_u64().filter(|least| *least > 0) {
            wrong.push(json!(least - 1));
        }
        if let Some(most) = schema["maxProperties"].as_u64() {
            wrong.push((0..=most).map(|key| (key.to_string(), json!("x"))).collect::<Map<_, _>>().into());
        }
    }
    wrong
}

#[tokio::test]
async fn a_wrong_type_or_one_beyond_a_bound_is_refused_at_its_place() {
    let house = TestServer::open().await;
    let mut tried = 0;
    for (_, path, schema) in bodies(&house).await {
        for sample in samples(&schema) {
            for place in &sample.places {
                for wrong in wrong(place) {
                    let body =
                        if place.path.is_empty() { wrong } else { put(&sample.value, &place.path, wrong) };
                    // No body at all is an empty object.
                    if !body.is_null() {
                        refused(&house, &path, &body, &place.said()).await;
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 1_000, "only {tried}");
}

/// The branch of a schema that describes `object`.
fn fitting(schema: &Value, object: &Map<String, Value>) -> Option<Value> {
    branches(schema).into_iter().find(|branch| {
        let tag = &branch["properties"]["type"]["const"];
        let known = object.keys().all(|key| branch["properties"].get(key).is_some());
        known && (tag.is_null() || *tag == object["type"])
    })
}

#[tokio::test]
async fn what_a_schema_needs_is_missed_at_its_place() {
    let house = TestServer::open().await;
    for (_, path, schema) in bodies(&house).await {
        for sample in samples(&schema) {
            for Place { path: at, schema } in &sample.places {
                let Some(object) = inside(&sample.value, at).and_then(Value::as_object) else { continue };
                let needed = fitting(schema, object).map(|it| it["required"].clone()).unwrap_or_default();
                for name in needed.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let mut object = object.clone();
                    object.remove(name);
                    let body = put(&sample.value, at, object.into());
                    let said = at.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
                    refused(&house, &path, &body, &said).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_in_a_schema_is_refused_with_the_keys_that_are() {
    let house = TestServer::open().await;
    let mut tried = 0;
    for (_, path, schema) in bodies(&house).await {
        for sample in samples(&schema) {
            for place in &sample.places {
                let there = inside(&sample.value, &place.path).and_then(Value::as_object);
                let fitting = there.and_then(|it| fitting(&place.schema, it));
                let Some(closed) = fitting.filter(|it| it["additionalProperties"] == false) else { continue };
                let strange: Vec<String> =
                    place.path.iter().cloned().chain(["unheard_of".to_owned()]).collect();
                let body = put(&sample.value, &strange, json!(7));
                let (status, message) = told(&house, &path, &body).await;
                let taken =
                    message.strip_prefix(&format!("{}: unknown field; this takes ", strange.join(".")));
                let taken: BTreeSet<&str> = taken.unwrap_or_default().split('`').skip(1).step_by(2).collect();
                let described = closed["properties"].as_object().into_iter().flat_map(Map::keys);
                let described: BTreeSet<&str> = described.map(String::as_str).collect();
                assert_eq!((status.as_u16(), taken), (400, described), "{message}\n{body}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "only {tried}");
}

/// What the contract has and Heddle refuses by another reason than that it is not built.
const OTHER_REASONS: [&str; 6] = [
    "a budget is set when a session is created",
    "is not a public host name",
    "goes only with `result: deny`",
    "an API key may make only `organization` environments",
    "the type of an environment cannot be changed",
    "`redacted` is not one of",
];

#[tokio::test]
async fn what_the_contract_knows_is_taken_or_refused_as_not_supported_yet() {
    let house = TestServer::open().await;
    let operations = contract::whole()["operations"].as_array().expect("operations");
    let mut refused = BTreeSet::new();
    for (name, path, schema) in bodies(&house).await {
        let known = operations.iter().find(|it| it["operation"] == name).expect("an operation");
        for sample in samples(&schema) {
            for place in &sample.places {
                for (what, value) in beyond(&known["body"], &sample.value, place) {
                    let at: Vec<String> = place.path.iter().cloned().chain(what.clone()).collect();
                    let body = put(&sample.value, &at, value);
                    let (status, message) = told(&house, &path, &body).await;
                    let reason = message.contains(" is not supported yet")
                        || OTHER_REASONS.iter().any(|reason| message.contains(reason));
                    assert!(status == 400 && reason, "{name} {at:?}: {status} {message}\n{body}");
                    refused.insert(format!("{name} {}", at.join(".")));
                }
            }
        }
    }
    for expected in [
        "agents.create mcp_servers",
        "agents.create model.effort",
        "agents.create tools.0",
        "environments.create config.packages.apt",
        "sessions.create budget",
        "sessions.events.send events.0",
    ] {
        assert!(refused.contains(expected), "{expected} is not among {refused:?}");
    }
}

/// What the contract has at a place and our schema has not: properties, kinds, names, and what a list holds.
fn beyond(contract: &Value, body: &Value, place: &Place) -> Vec<(Option<String>, Value)> {
    let ours = branches(&place.schema);
    let mut found = Vec::new();
    for theirs in at(contract, body, &place.path) {
        let same = |branch: &&Value| tag(branch) == tag(&theirs);
        let twins: Vec<&Value> = ours
            .iter()
            .filter(same)
            .filter(|it| it["type"] == "object" || it["type"][0] == "object")
            .collect();
        if theirs["type"] == "object" && theirs.get("properties").is_some() {
            if twins.is_empty() {
                found.push((None, filled(&theirs)));
                continue;
            }
            for (name, property) in theirs["properties"].as_object().into_iter().flatten() {
                let has = |branch: &&Value| branch["properties"].get(name).is_some();
                if !twins.iter().any(has) && twins.iter().any(|it| it["additionalProperties"] == false) {
                    found.push((Some(name.clone()), filled(property)));
                }
            }
        }
        for name in theirs["enum"].as_array().into_iter().flatten() {
            let ours = |branch: &Value| {
                branch["const"] == *name
                    || branch["enum"].as_array().is_some_and(|names| names.contains(name))
                    || (branch["type"] == "string"
                        && branch.get("enum").is_none()
                        && branch.get("const").is_none())
            };
            // What tells branches apart has its other names in the other branches.
            let tells = place.path.last().is_some_and(|last| ["name", "result"].contains(&last.as_str()));
            if !tells && !branches(&place.schema).iter().any(ours) {
                found.push((None, name.clone()));
            }
        }
        if theirs["type"] == "array" && ours.iter().any(|branch| branch["maxItems"] == 0) {
            found.push((None, json!([filled(&theirs["items"])])));
        }
        let nothing = ours.iter().all(|branch| branch["type"] == "null");
        if nothing && theirs["type"] != "null" {
            found.push((None, filled(&theirs)));
        }
    }
    found
}

/// The contract's schemas for the place at `path` of `body`.
fn at(contract: &Value, body: &Value, path: &[String]) -> Vec<Value> {
    let branches = theirs(contract);
    let Some((step, rest)) = path.split_first() else { return branches };
    let deeper = inside(body, std::slice::from_ref(step)).expect("a place of the body");
    let fitting = branches.into_iter().filter(|branch| tag(branch).is_null() || named(body) == tag(branch));
    fitting
        .filter_map(|branch| {
            if body.is_array() {
                branch.get("items").cloned()
            } else {
                branch["properties"].get(step).cloned()
            }
        })
        .flat_map(|schema| at(&schema, deeper, rest))
        .collect()
}

/// What tells the branches of a union apart: `type`, else `name`.
fn tag(branch: &Value) -> Value {
    let constant = |name: &str| {
        let choices = theirs(&branch["properties"][name]);
        choices.into_iter().find_map(|choice| choice.get("const").cloned())
    };
    constant("type").or_else(|| constant("name")).unwrap_or_default()
}

fn named(body: &Value) -> Value {
    body.get("type").or_else(|| body.get("name")).cloned().unwrap_or_default()
}

fn theirs(schema: &Value) -> Vec<Value> {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = pointer.map_or(schema, |pointer| contract::whole().pointer(pointer).expect("a schema"));
    match schema["anyOf"].as_array() {
        Some(choices) => choices.iter().flat_map(theirs).collect(),
        None => vec![schema.clone()],
    }
}

/// Something that the contract allows here.
fn filled(schema: &Value) -> Value {
    let schema = theirs(schema).into_iter().find(|branch| branch["type"] != "null").expect("a branch");
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            needed
                .map(|name| (name.to_owned(), filled(&schema["properties"][name])))
                .collect::<Map<_, _>>()
                .into()
        }
        Some("array") => json!([filled(&schema["items"])]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        _ => json!("x"),
    }
}

/// Every shape that a body is made of, by its name.
fn shapes() -> Vec<(&'static str, Value)> {
    let whole = crate::routes::operations().filter_map(|operation| operation.body.shape());
    let whole = whole.map(|shape| (shape.name, (shape.schema)()));
    whole.chain(crate::openapi::bodies::shared()).collect()
}

#[test]
fn a_shape_refers_to_shapes_that_are_there() {
    for (name, shape) in shapes() {
        for sample in samples(&shape) {
            for place in sample.places {
                assert_ne!(resolved(&place.schema), Value::Null, "{name} {}", place.said());
            }
        }
    }
}
