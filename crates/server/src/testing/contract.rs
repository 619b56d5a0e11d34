//! The API's contract, as a check on answers: the few keywords of JSON Schema that it uses.

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Value, json};

const TEXT: &str = include_str!("../../../../clients/contract/contract.json");

static CONTRACT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(TEXT).expect("the contract is JSON"));

/// The whole contract.
pub(crate) fn whole() -> &'static Value {
    &CONTRACT
}

/// Every operation: method, path, name.
pub(crate) fn operations() -> Vec<(&'static str, &'static str, &'static str)> {
    let text = |operation: &'static Value, key: &str| operation[key].as_str().expect("text");
    let operations = CONTRACT["operations"].as_array().expect("operations").iter();
    operations.map(|it| (text(it, "http"), text(it, "path"), text(it, "operation"))).collect()
}

/// Fails unless `body` is what the contract lets the operation answer.
pub(super) fn check(method: &Method, path: &str, body: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = find(method.as_str(), path) else { return };
    if let Some(response) = operation.get("response") {
        obeys(body, response, "answer");
    }
    if let Some(item) = operation.get("item") {
        let bare = json!({"type": "array"});
        obeys(&body["data"], &bare, "data");
        for (index, value) in body["data"].as_array().into_iter().flatten().enumerate() {
            obeys(value, item, &format!("data.{index}"));
        }
        let tokens: Vec<_> = body.as_object().expect("an object").keys().skip(1).collect();
        let expected: &[&str] = match operation["page_class"].as_str().expect("a page's class") {
            "SyncPage" => &["has_more", "first_id", "last_id"],
            class if class.contains("Bidirectional") => &["next_page", "prev_page"],
            _ => &["next_page"],
        };
        assert_eq!(tokens, expected);
    }
}

/// Fails unless `data` is what the contract lets a stream show.
pub(super) fn check_frame(data: &Value) {
    let stream = find("GET", "/v1/sessions/x/events/stream").expect("the stream");
    obeys(data, &stream["event"], "frame");
}

fn find(method: &str, path: &str) -> Option<&'static Value> {
    let matches = |pattern: &str| leads(pattern, path);
    let operations = CONTRACT["operations"].as_array().expect("operations").iter();
    operations.rev().find(|it| it["http"] == method && it["path"].as_str().is_some_and(matches))
}

/// Whether a path with parameters is the pattern of this one.
pub(super) fn leads(pattern: &str, path: &str) -> bool {
    let (mut asked, mut known) = (path.split('/'), pattern.split('/'));
    asked.by_ref().zip(known.by_ref()).all(|(asked, known)| known.starts_with('{') || asked == known)
        && path.split('/').count() == pattern.split('/').count()
}

fn obeys(value: &Value, schema: &Value, at: &str) {
    if let Err(wrong) = fits(&CONTRACT, value, schema, at) {
        panic!("against the contract: {wrong}");
    }
}

/// What `value` breaks of `schema`, which stands in `root`.
pub(super) fn fits(root: &Value, value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        fits(root, value, root.pointer(pointer).expect("a schema"), at)?;
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let wrongs: Vec<_> =
            choices.iter().filter_map(|choice| fits(root, value, choice, at).err()).collect();
        if wrongs.len() == choices.len() {
            return Err(wrongs.into_iter().max_by_key(String::len).unwrap_or_default());
        }
    }
    let kinds = types(schema);
    let legal = kinds.is_empty() || kinds.iter().any(|kind| is(value, kind));
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    let listed = schema["enum"].as_array().is_none_or(|names| names.contains(value));
    if !legal || !constant || !listed {
        return Err(format!("{at} is {value}, not {schema}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        value.get(name).ok_or_else(|| format!("{at}.{name} is missing"))?;
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let other = schema.get("additionalProperties").filter(|other| other.is_object());
        if let Some(schema) = schema["properties"].get(name).or(other) {
            fits(root, value, schema, &format!("{at}.{name}"))?;
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        fits(root, value, &schema["items"], &format!("{at}.{index}"))?;
    }
    Ok(())
}

/// The types that a schema names; none: any.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    schema["type"].as_str().into_iter().chain(several).collect()
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{kind} is no type"),
    }
}

#[test]
fn what_breaks_the_contract_is_found() {
    let agent = find("POST", "/v1/agents/agent_1").expect("an operation");
    assert_eq!(agent["operation"], "agents.update");
    let wrong = fits(&CONTRACT, &json!({"id": 7}), &agent["response"], "agent");
    assert_eq!(wrong, Err("agent.created_at is missing".into()));
    let event = &find("GET", "/v1/sessions/x/events").expect("an operation")["item"];
    let shout = json!({"type": "agent.shout", "id": "x", "processed_at": null});
    assert!(fits(&CONTRACT, &shout, event, "event").is_err());
}
