//! `/openapi.json` as a check on answers: every status, every field and nothing beside them.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::{HeaderMap, Method};
use serde_json::Value;

use super::contract::{fits, leads};
use crate::openapi;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_slice(&openapi::SERVED.body).expect("the document is JSON"));

/// The whole document.
pub(crate) fn whole() -> &'static Value {
    &DOCUMENT
}

/// Fails unless the document has this answer; paths that it does not have are the tests' own.
pub(super) fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &str) {
    let path = path.split('?').next().unwrap_or_default();
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    // A part that is written out goes before a parameter.
    let found = paths.iter().filter(|(pattern, _)| leads(pattern, path));
    let Some((pattern, operations)) = found.min_by_key(|(pattern, _)| pattern.matches('{').count()) else {
        return;
    };
    let at = format!("{method} {pattern} {status}");
    // A HEAD is a GET whose body stays away.
    let (method, body) = if method == Method::HEAD { ("get", "") } else { (method.as_str(), body) };
    let Some(operation) = operations.get(method.to_lowercase()) else {
        // An agent is not there to be deleted.
        let expected = if at.starts_with("DELETE /v1/agents/{agent_id} ") { 404 } else { 405 };
        assert_eq!(status, expected, "{at}: the document has no such operation");
        return;
    };
    let answer = resolved(
        operation["responses"]
            .get(status.to_string())
            .unwrap_or_else(|| panic!("{at}: the document has no such status; the answer was {body}")),
    );
    for (name, header) in answer["headers"].as_object().into_iter().flatten() {
        let there = headers.contains_key(name.as_str());
        assert!(there || resolved(header)["required"] != true, "{at}: no header {name}");
    }
    if let Some(schema) = answer["content"].get("application/json").map(|content| &content["schema"])
        && !body.is_empty()
    {
        obeys(&serde_json::from_str(body).expect("JSON"), schema, &at);
    }
}

/// Fails unless the document has a stream show `data`.
pub(super) fn check_frame(data: &Value) {
    obeys(data, &DOCUMENT["components"]["schemas"]["StreamEvent"], "a stream's event");
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => DOCUMENT.pointer(pointer).expect("a reference that leads somewhere"),
        None => value,
    }
}

fn obeys(value: &Value, schema: &'static Value, at: &str) {
    if let Err(wrong) = fits(&DOCUMENT, value, schema, at) {
        panic!("against the document: {wrong}");
    }
    if let Err(strange) = known(value, schema, at) {
        panic!("not in the document: {strange}");
    }
}

/// The first key of `value` that `schema` does not have, if there is one.
fn known(value: &Value, schema: &'static Value, at: &str) -> Result<(), String> {
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        let mut items = parts(value, schema, "items");
        if let Some(items) = items.pop() {
            known(value, items, &format!("{at}.{index}"))?;
        }
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    let properties: BTreeMap<&str, &'static Value> = parts(value, schema, "properties")
        .into_iter()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
        .collect();
    let free = properties.is_empty() || !parts(value, schema, "additionalProperties").is_empty();
    for (name, value) in object {
        match properties.get(name.as_str()) {
            Some(schema) => known(value, schema, &format!("{at}.{name}"))?,
            None if free => {}
            None => return Err(format!("{at}.{name}")),
        }
    }
    Ok(())
}

/// What `schema` says under `key` for `value`, itself and where it leads.
fn parts(value: &Value, schema: &'static Value, key: &str) -> Vec<&'static Value> {
    let mut found: Vec<_> = schema.get(key).into_iter().collect();
    if schema.get("$ref").is_some() {
        found.extend(parts(value, resolved(schema), key));
    }
    let choices = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    for choice in choices.into_iter().flatten().filter(|choice| fits(&DOCUMENT, value, choice, "").is_ok()) {
        found.extend(parts(value, choice, key));
    }
    found
}
