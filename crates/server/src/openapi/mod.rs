//! `GET /openapi.json`: the API in OpenAPI 3.1, made of the types that write the answers.

pub(crate) mod bodies;
mod paths;
pub(crate) mod queries;
pub(crate) mod shape;
#[cfg(test)]
mod tests;
mod web;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use protocol::error::ErrorBody;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{operation::Operation, routes};

/// The document as it is served: built once.
pub(crate) static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let body = document().to_string();
    let sum: [u8; 32] = Sha256::digest(&body).into();
    Served { body: body.into(), tag: format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(sum)) }
});

/// The document's bytes and what names them.
#[derive(Debug)]
pub(crate) struct Served {
    /// The document.
    pub(crate) body: Bytes,
    /// Its `etag`, in quotation marks.
    pub(crate) tag: String,
}

const ABOUT: &str = "Heddle serves the Claude Managed Agents API from your own machine. Operations that are not \
    built yet carry `x-heddle-status: not-built` and answer 501. What a request names and nobody knows is refused \
    with the path of the field, and a query parameter that the operation does not have with the names of those that it \
    has. `beta` may be sent with every operation of the API and chooses nothing.";

/// The whole document.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Heddle",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"bearer": []}],
        "tags": paths::tags(),
        "paths": paths::all(),
        "components": {
            "schemas": schemas(),
            "responses": paths::refusals(),
            "headers": paths::headers(),
            "parameters": paths::shared_parameters(),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    })
}

/// Every schema that the document refers to: what is answered, derived; what is sent, described.
fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    answers(&mut generator);
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(outward);
    let listed = routes::operations().filter_map(|operation| Some((operation.answer.listed()?.name)()));
    let listed: BTreeSet<_> = listed.collect();
    // Of these the pages have forms of their own.
    for name in listed.into_iter().filter(|name| !["Session", "Model"].contains(&&**name)) {
        schemas.insert(format!("{name}Page"), page(&name, &["next_page"]));
    }
    schemas.insert("SessionPage".into(), page("Session", &["next_page", "prev_page"]));
    schemas.insert("ModelPage".into(), models());
    schemas.extend(stream());
    let whole = routes::operations().filter_map(|operation| operation.body.shape());
    schemas.extend(whole.map(|shape| (shape.name.to_owned(), (shape.schema)())));
    schemas.extend(bodies::shared().into_iter().map(|(name, shape)| (name.to_owned(), shape)));
    schemas
}

/// Takes out of every description what only readers of the source can look up.
fn outward(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get_mut("description")
                && let Some((before, rest)) = text.split_once(" (docs/rules.md")
            {
                *text = format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after));
            }
            object.values_mut().for_each(outward);
        }
        Value::Array(items) => items.iter_mut().for_each(outward),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the operations answer with, threads before the events in them, and what refusals are.
fn answers(generator: &mut SchemaGenerator) {
    let of_events = |operation: &&Operation| operation.name.starts_with("sessions.events.");
    let (events, others): (Vec<_>, Vec<_>) = routes::operations().partition(of_events);
    let answers = others.into_iter().chain(events).filter_map(|operation| operation.answer.made_of());
    answers.for_each(|answer| (answer.describe)(generator));
    generator.subschema_for::<ErrorBody>();
}

/// A page of a list, with the tokens that lead on.
fn page(item: &str, tokens: &[&str]) -> Value {
    let mut properties = json!({"data": {"type": "array", "items": shape::named(item)}});
    for token in tokens {
        properties[*token] =
            json!({"type": ["string", "null"], "description": "For `page`; null at the end."});
    }
    let names: Vec<&str> = std::iter::once("data").chain(tokens.iter().copied()).collect();
    json!({"type": "object", "properties": properties, "required": names})
}

fn models() -> Value {
    let end = |about: &str| json!({"type": ["string", "null"], "description": about});
    json!({
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": shape::named("Model")},
            "has_more": {"type": "boolean", "description": "Whether there is more in the direction that was asked for."},
            "first_id": end("For `before_id`."),
            "last_id": end("For `after_id`."),
        },
        "required": ["data", "has_more", "first_id", "last_id"],
    })
}

/// What a stream shows: events, and previews of those that are being made.
fn stream() -> [(String, Value); 3] {
    let tag = |tag: &str| json!({"type": "string", "const": tag});
    let id = json!({"type": "string", "format": "sevt-id"});
    let start = json!({
        "type": "object",
        "properties": {
            "type": tag("event_start"),
            "event": {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": ["agent.message", "agent.thinking"]}, "id": id},
                "required": ["type", "id"],
            },
        },
        "required": ["type", "event"],
    });
    let content = json!({
        "type": "object",
        "properties": {"type": tag("text"), "text": {"type": "string"}},
        "required": ["type", "text"],
    });
    let delta = json!({
        "type": "object",
        "properties": {
            "type": tag("event_delta"),
            "event_id": id,
            "delta": {
                "type": "object",
                "properties": {
                    "type": tag("content_delta"),
                    "index": {"type": "integer", "minimum": 0},
                    "content": content,
                },
                "required": ["type", "index", "content"],
            },
        },
        "required": ["type", "event_id", "delta"],
    });
    let all = ["Event", "EventStart", "EventDelta"].map(shape::named);
    [("EventStart".into(), start), ("EventDelta".into(), delta), ("StreamEvent".into(), shape::either(all))]
}
