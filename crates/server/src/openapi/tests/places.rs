//! Bodies made from their schema, one for each branch, with every place in them.

use serde_json::{Map, Value, json};

use crate::testing::{contract::types, described};

/// A body, and the places in it that it was made for.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) value: Value,
    pub(super) places: Vec<Place>,
}

/// One place of a body: where it is, and what may be there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: Vec<String>,
    pub(super) schema: Value,
}

impl Place {
    /// The path as an error begins with it.
    pub(super) fn said(&self) -> String {
        self.path.join(".")
    }
}

/// `body` with `value` at `path`.
pub(super) fn put(body: &Value, path: &[String], value: Value) -> Value {
    let mut body = body.clone();
    let mut place = &mut body;
    for step in path {
        place = if place.is_array() {
            &mut place[step.parse::<usize>().expect("an index")]
        } else {
            &mut place[step]
        };
    }
    *place = value;
    body
}

/// What `body` has at `path`, if it is there.
pub(super) fn inside<'a>(body: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(body, |place, step| match place.as_array() {
        Some(items) => items.get(step.parse::<usize>().ok()?),
        None => place.get(step),
    })
}

/// The schema that `schema` leads to.
pub(super) fn resolved(schema: &Value) -> Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or_else(|| schema.clone(), |it| described::whole().pointer(it).expect("a schema").clone())
}

/// The branches of a schema; it is its own only one if it has none.
pub(super) fn branches(schema: &Value) -> Vec<Value> {
    let schema = resolved(schema);
    match schema["anyOf"].as_array() {
        Some(choices) => choices.iter().flat_map(branches).collect(),
        None => vec![schema],
    }
}

/// The types that a schema allows; none: any.
pub(super) fn kinds(schema: &Value) -> Vec<String> {
    let mut kinds = Vec::new();
    for branch in branches(schema) {
        match types(&branch).as_slice() {
            [] => return Vec::new(),
            several => kinds.extend(several.iter().map(|kind| (*kind).to_owned())),
        }
    }
    kinds
}

/// A body for each branch of the schema: full, and each place in it tried by one of them.
pub(super) fn samples(schema: &Value) -> Vec<Sample> {
    let whole = Place { path: Vec::new(), schema: schema.clone() };
    let mut made: Vec<Sample> = branches(schema).iter().flat_map(branch).collect();
    // Null is tried as a wrong type, where it is one.
    made.retain(|sample| !sample.value.is_null() || made_of_null(schema));
    made[0].places.insert(0, whole);
    made
}

fn made_of_null(schema: &Value) -> bool {
    kinds(schema).iter().all(|kind| kind == "null")
}

fn branch(schema: &Value) -> Vec<Sample> {
    match types(schema).first().copied() {
        Some("object") => object(schema),
        Some("array") => array(schema),
        Some("string") => vec![plain(text(schema))],
        Some("integer") => vec![plain(schema["minimum"].clone())],
        Some("boolean") => vec![plain(json!(true))],
        Some("null") => vec![plain(Value::Null)],
        None => vec![plain(json!("anything"))],
        Some(other) => panic!("{other} is not known here"),
    }
}

fn plain(value: Value) -> Sample {
    Sample { value, places: Vec::new() }
}

fn text(schema: &Value) -> Value {
    if let Some(text) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return text.clone();
    }
    match schema["format"].as_str() {
        Some("model-id") => json!("test-1"),
        Some(format) => json!(format!("{}_1111111111111111111111", format.trim_end_matches("-id"))),
        None => schema["examples"].get(0).cloned().unwrap_or_else(|| json!("x")),
    }
}

/// A full object, and one more for each further branch of a property.
fn object(schema: &Value) -> Vec<Sample> {
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut full = Sample { value: Value::Object(Map::new()), places: Vec::new() };
    let mut others = Vec::new();
    let mut entries: Vec<(String, Value)> = properties.into_iter().filter(|(_, it)| *it != false).collect();
    if let Some(other) = schema.get("additionalProperties").filter(|it| it.is_object()) {
        entries.push(("key".into(), other.clone()));
    }
    for (name, property) in entries {
        let mut made = samples(&property).into_iter().map(|sample| below(&name, sample));
        let first = made.next().expect("a sample");
        full.value[&name] = first.value;
        full.places.extend(first.places);
        others.extend(made.map(|sample| (name.clone(), sample)));
    }
    let further = others.into_iter().map(|(name, Sample { value, places })| {
        let mut whole = full.value.clone();
        whole[&name] = value;
        Sample { value: whole, places }
    });
    let further: Vec<_> = further.collect();
    std::iter::once(full).chain(further).collect()
}

fn array(schema: &Value) -> Vec<Sample> {
    if schema["maxItems"] == 0 {
        return vec![plain(json!([]))];
    }
    let items = samples(&schema["items"]).into_iter().map(|sample| below("0", sample));
    items.map(|Sample { value, places }| Sample { value: json!([value]), places }).collect()
}

fn below(step: &str, sample: Sample) -> Sample {
    let deeper = |place: Place| Place {
        path: std::iter::once(step.to_owned()).chain(place.path).collect(),
        schema: place.schema,
    };
    Sample { value: sample.value, places: sample.places.into_iter().map(deeper).collect() }
}
