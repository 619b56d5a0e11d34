//! A few words in which the shape of a request is written; what they make is JSON Schema.

use serde_json::{Map, Value, json};

/// How a field of an object is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It must be there, and not null.
    Required,
    /// It may be left out or null.
    Optional,
    /// It may be left out, and not be null.
    Kept,
}

/// One field of an object.
#[derive(Debug, Clone)]
pub(crate) struct ShapeField(Presence, &'static str, Value);

/// A field that must be there.
pub(crate) fn required(name: &'static str, shape: Value) -> ShapeField {
    ShapeField(Presence::Required, name, shape)
}

/// A field that may be left out or null.
pub(crate) fn optional(name: &'static str, shape: Value) -> ShapeField {
    ShapeField(Presence::Optional, name, shape)
}

/// A field that may be left out and is never null.
pub(crate) fn kept(name: &'static str, shape: Value) -> ShapeField {
    ShapeField(Presence::Kept, name, shape)
}

/// The owner's own notes.
pub(crate) fn metadata() -> ShapeField {
    optional("metadata", named("MetadataParams"))
}

/// A change of the owner's own notes.
pub(crate) fn metadata_patch() -> ShapeField {
    optional("metadata", named("MetadataPatchParams"))
}

/// An object of these fields and no others.
pub(crate) fn object(fields: impl IntoIterator<Item = ShapeField>) -> Value {
    let (mut properties, mut names) = (Map::new(), Vec::new());
    for ShapeField(presence, name, shape) in fields {
        let shape = match presence {
            Presence::Required | Presence::Kept => shape,
            Presence::Optional => or_null(shape),
        };
        properties.insert(name.to_owned(), shape);
        if presence == Presence::Required {
            names.push(name);
        }
    }
    let mut object = json!({"type": "object", "properties": properties});
    if !names.is_empty() {
        object["required"] = json!(names);
    }
    object["additionalProperties"] = json!(false);
    object
}

/// An object of these fields that says its kind in `type`.
pub(crate) fn tagged(tag: &str, fields: impl IntoIterator<Item = ShapeField>) -> Value {
    object(std::iter::once(required("type", constant(tag))).chain(fields))
}

/// One of several shapes.
pub(crate) fn either(shapes: impl IntoIterator<Item = Value>) -> Value {
    json!({"anyOf": shapes.into_iter().collect::<Vec<_>>()})
}

/// The shape, or null.
fn or_null(mut shape: Value) -> Value {
    let plain = shape.get("const").is_none() && shape.get("enum").is_none();
    match shape.get("type").and_then(Value::as_str) {
        Some("null") => shape,
        Some(kind) if plain => {
            shape["type"] = json!([kind, "null"]);
            shape
        }
        Some(_) | None => match shape.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(choices) => {
                choices.push(null());
                shape
            }
            None => either([shape, null()]),
        },
    }
}

/// Nothing but null.
pub(crate) fn null() -> Value {
    json!({"type": "null"})
}

/// A string of `min` to `max` characters.
pub(crate) fn text(min: usize, max: usize) -> Value {
    json!({"type": "string", "minLength": min, "maxLength": max})
}

/// A string of any length.
pub(crate) fn any_text() -> Value {
    json!({"type": "string"})
}

/// The same string, which must also match `pattern`, as `examples` do.
pub(crate) fn like(mut text: Value, pattern: &str, examples: &[&str]) -> Value {
    text["pattern"] = json!(pattern);
    text["examples"] = json!(examples);
    text
}

/// The same shape with a word on what it is.
pub(crate) fn said(mut shape: Value, description: &str) -> Value {
    shape["description"] = json!(description);
    shape
}

/// Exactly this string.
pub(crate) fn constant(text: &str) -> Value {
    json!({"type": "string", "const": text})
}

/// One of these strings.
pub(crate) fn one_of(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

/// `true` or `false`.
pub(crate) fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A whole number of `min` to `max`.
pub(crate) fn whole(min: u64, max: u64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// A list of `min` to `max` elements.
pub(crate) fn list(min: usize, max: usize, items: Value) -> Value {
    let mut list = json!({"type": "array", "items": items});
    if min > 0 {
        list["minItems"] = json!(min);
    }
    list["maxItems"] = json!(max);
    list
}

/// A list that Heddle takes only empty: what it would hold is not supported yet.
pub(crate) fn unserved() -> Value {
    said(json!({"type": "array", "maxItems": 0}), "Not supported yet: leave it out, or empty.")
}

/// A schema among the components.
pub(crate) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
