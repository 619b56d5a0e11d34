//! JSON Schemas of what the derive cannot see: ids, times, and the `type` that a struct is written with.

use alloc::{borrow::Cow, format};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, transform::Transform};

use serde_json::{Value, json};

use crate::{
    Timestamp,
    id::{Id, IdKind},
};

/// Adds the `type` that serde writes into a tagged struct, first and always there.
#[derive(Debug)]
pub(crate) struct Tagged(pub(crate) &'static str);

impl Transform for Tagged {
    fn transform(&mut self, schema: &mut Schema) {
        let object = schema.ensure_object();
        object.entry("properties").or_insert(json!({}));
        object.entry("required").or_insert(json!([]));
        if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("type".into(), json!({"type": "string", "const": self.0}));
        }
        if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
            required.insert(0, "type".into());
        }
    }
}

/// Says of fields what their own type does not: of each name, the words.
#[derive(Debug)]
pub(crate) struct Described(pub(crate) &'static [(&'static str, &'static str)]);

impl Transform for Described {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(properties) = schema.get_mut("properties") else { return };
        for (name, about) in self.0 {
            if let Some(property) = properties.get_mut(name).and_then(Value::as_object_mut) {
                property.insert("description".into(), (*about).into());
            }
        }
    }
}

impl<K: IdKind> JsonSchema for Id<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_id", K::PREFIX).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^{}_[1-9A-HJ-NP-Y][1-9A-HJ-NP-Za-km-z]{{21}}$", K::PREFIX);
        json_schema!({"type": "string", "format": format!("{}-id", K::PREFIX), "pattern": pattern})
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Stamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}
