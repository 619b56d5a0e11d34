//! What differs between two contracts, in words: operations, schemas, and the fields of either.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Keys of an operation under which the shapes of its answer stand, whatever kind of answer it is.
const ANSWERS: [&str; 3] = ["response", "item", "event"];

/// One finding a line, `+` for what is new, `-` for what is gone and `~` for what changed; nothing where
/// nothing differs but the versions. What changed alike in several places is one line that names them all.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<String> {
    let (old, new) = (operations(before), operations(after));
    let mut lines = named("operation", &old, &new, &|operation| {
        let text = |key| operation.get(key).and_then(Value::as_str).unwrap_or_default();
        format!(", {} {}", text("http"), text("path"))
    });
    lines.extend(grouped(&old, &new, &|before, after| {
        let parts = |operation: &Schema| {
            let mut parts = operation.clone();
            for key in ANSWERS {
                if let Some(shape) = parts.remove(key) {
                    parts.insert("answer".to_owned(), shape);
                }
            }
            parts
        };
        let (before, after) = (parts(before), parts(after));
        let mut said = Vec::new();
        for key in keys(&before, &after) {
            match (before.get(key), after.get(key)) {
                (Some(before), Some(after)) => shapes(key, before, after, &mut said),
                (Some(_), None) => said.push(format!("{key} is gone")),
                (None, Some(_)) => said.push(format!("{key} is new")),
                (None, None) => {}
            }
        }
        said
    }));
    let (old, new) = (schemas(before), schemas(after));
    lines.extend(named("schema", &old, &new, &|schema| match schema.get("properties") {
        Some(Value::Object(fields)) => format!(": {}", list(fields.keys().map(String::as_str))),
        Some(_) | None => String::new(),
    }));
    lines.extend(grouped(&old, &new, &|before, after| {
        let mut said = Vec::new();
        objects("", before, after, &mut said);
        said
    }));
    lines
}

/// An operation, or a JSON Schema.
type Schema = Map<String, Value>;
type Named<'a> = BTreeMap<&'a str, &'a Schema>;

fn operations(contract: &Value) -> Named<'_> {
    let listed = contract.get("operations").and_then(Value::as_array).into_iter().flatten();
    listed
        .filter_map(|operation| Some((operation.get("operation")?.as_str()?, operation.as_object()?)))
        .collect()
}

fn schemas(contract: &Value) -> Named<'_> {
    let listed = contract.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    listed.filter_map(|(name, schema)| Some((name.as_str(), schema.as_object()?))).collect()
}

/// Lines for what stands in one of the two alone.
fn named(
    kind: &str,
    before: &Named<'_>,
    after: &Named<'_>,
    about: &dyn Fn(&Schema) -> String,
) -> Vec<String> {
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| format!("- {kind} {name}"));
    gone.chain(new.map(|(name, it)| format!("+ {kind} {name}{}", about(it)))).collect()
}

/// Lines for what stands in both and changed; who changed alike is named in one line.
fn grouped(
    before: &Named<'_>,
    after: &Named<'_>,
    changes: &dyn Fn(&Schema, &Schema) -> Vec<String>,
) -> Vec<String> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, old) in before {
        for said in after.get(name).map(|new| changes(old, new)).unwrap_or_default() {
            match found.iter_mut().find(|(known, _)| *known == said) {
                Some((_, names)) => names.push(name),
                None => found.push((said, vec![name])),
            }
        }
    }
    found.iter().map(|(said, names)| format!("~ {}: {said}", names.join(", "))).collect()
}

/// What changed between two schemas at one place; each is what it says, or any of its alternatives.
fn shapes(place: &str, before: &Value, after: &Value, said: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(_), Value::Object(_)) => {}
        (Value::Array(_), Value::Array(_)) => return members(place, "has", before, after, said),
        _ => return said.push(format!("{place} was {before}, is {after}")),
    }
    let (old, new) = (alternatives(before), alternatives(after));
    let gone: Vec<&Value> = old.iter().filter(|it| !new.contains(it)).copied().collect();
    let come: Vec<&Value> = new.iter().filter(|it| !old.contains(it)).copied().collect();
    match (gone.as_slice(), come.as_slice()) {
        ([Value::Object(before)], [Value::Object(after)]) if before.get("$ref") == after.get("$ref") => {
            objects(place, before, after, said);
        }
        (gone, come) => {
            said.extend(gone.iter().map(|it| format!("{place} may no longer be {}", short(it))));
            said.extend(come.iter().map(|it| format!("{place} may now be {}", short(it))));
        }
    }
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        Some(branches) => branches.iter().collect(),
        None => vec![schema],
    }
}

/// What changed between two schemas of one kind, key by key.
fn objects(place: &str, before: &Schema, after: &Schema, said: &mut Vec<String>) {
    for key in keys(before, after) {
        let (old, new) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
        // What is required is told with the fields.
        if old == new || key == "required" {
            continue;
        }
        match key {
            "properties" => fields(place, before, after, said),
            "items" | "additionalProperties" if old.is_object() && new.is_object() => {
                shapes(&format!("{place}[]"), old, new, said);
            }
            "enum" => members(place, "knows", old, new, said),
            _ => said.push(format!("{} was {old}, is {new}", below(place, key))),
        }
    }
    if before.get("properties") == after.get("properties") && before.get("required") != after.get("required")
    {
        fields(place, before, after, said);
    }
}

/// What came to a list and went from it.
fn members(place: &str, verb: &str, before: &Value, after: &Value, said: &mut Vec<String>) {
    let (old, new) = (words(before), words(after));
    said.extend(old.difference(&new).map(|word| format!("{place} no longer {verb} {word}")));
    said.extend(new.difference(&old).map(|word| format!("{place} now {verb} {word}")));
}

/// What changed of the fields of an object.
fn fields(place: &str, before: &Schema, after: &Schema, said: &mut Vec<String>) {
    let none = Map::new();
    let of = |schema: &'_ Schema| schema.get("properties").and_then(Value::as_object).cloned();
    let (old, new) = (of(before).unwrap_or_else(|| none.clone()), of(after).unwrap_or(none));
    let must = |schema: &Schema| words(schema.get("required").unwrap_or(&Value::Null));
    let (old_must, new_must) = (must(before), must(after));
    let word = |required: bool| if required { "required" } else { "optional" };
    for name in keys(&old, &new) {
        let field = below(place, name);
        let (was, is) = (old_must.contains(name), new_must.contains(name));
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) => {
                if was != is {
                    said.push(format!("{field} was {}, is {}", word(was), word(is)));
                }
                shapes(&field, before, after, said);
            }
            (Some(_), None) => said.push(format!("{field} is gone")),
            (None, Some(after)) => said.push(format!("{field} is new: {}, {}", word(is), short(after))),
            (None, None) => {}
        }
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn keys<'a>(before: &'a Schema, after: &'a Schema) -> BTreeSet<&'a str> {
    before.keys().chain(after.keys()).map(String::as_str).collect()
}

fn words(listed: &Value) -> BTreeSet<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    listed.as_array().into_iter().flatten().map(word).collect()
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// A schema in a few words.
fn short(schema: &Value) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    if let Some(reference) = text("$ref") {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    let branches = alternatives(schema);
    if branches.len() > 1 {
        return branches.iter().map(|branch| short(branch)).collect::<Vec<_>>().join(" or ");
    }
    match (text("type"), schema.get("enum"), schema.get("items")) {
        (_, Some(listed), _) => format!("one of {}", list(words(listed).iter().map(String::as_str))),
        (Some("array"), None, Some(items)) => format!("a list of {}", short(items)),
        (Some(kind), None, _) => text("format").map_or_else(|| kind.to_owned(), str::to_owned),
        (None, None, _) => schema.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contract() -> Value {
        let agent = json!({"type": "object", "required": ["id", "name"], "properties": {
            "id": {"type": "string"}, "name": {"type": "string"}, "tools": {"type": "array",
            "items": {"$ref": "#/components/schemas/Tool"}}}});
        let create = json!({"operation": "agents.create", "http": "POST", "path": "/v1/agents",
            "betas": ["a-1"], "response": agent, "body": {"type": "object", "required": ["model"],
            "properties": {"model": {"anyOf": [{"type": "string", "enum": ["m-1", "m-2"]},
            {"$ref": "#/components/schemas/Model"}]}}}});
        let list = json!({"operation": "agents.list", "http": "GET", "path": "/v1/agents",
            "betas": ["a-1"], "item": agent});
        json!({"sdk": "anthropic 1", "operations": [create, list], "components": {"schemas": {
            "Model": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            "Tool": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 64}}}}}})
    }

    #[test]
    fn two_versions_that_say_the_same_differ_in_nothing() {
        let mut newer = contract();
        newer["sdk"] = json!("anthropic 2");
        assert_eq!(between(&contract(), &newer), Vec::<String>::new());
    }

    #[test]
    fn what_came_went_and_changed_is_said_with_its_place() {
        let mut newer = contract();
        newer["operations"][0]["betas"] = json!(["a-2"]);
        newer["operations"][0]["body"]["required"] = json!([]);
        newer["operations"][0]["body"]["properties"]["model"]["anyOf"][0]["enum"] = json!(["m-2", "m-3"]);
        for (at, key) in [(0, "response"), (1, "item")] {
            let fields = &mut newer["operations"][at][key]["properties"];
            fields["effort"] = json!({"anyOf": [{"type": "string", "enum": ["low"]}, {"type": "null"}]});
            fields["name"] = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
            fields.as_object_mut().unwrap().remove("id");
        }
        newer["operations"][1]["query"] = json!({"type": "object", "properties": {}});
        newer["operations"].as_array_mut().unwrap().push(
            json!({"operation": "agents.delete", "http": "DELETE", "path": "/v1/agents/{id}", "betas": []}),
        );
        let schemas = newer["components"]["schemas"].as_object_mut().unwrap();
        schemas.remove("Model");
        schemas.insert("Role".to_owned(), json!({"properties": {"a": {"type": "string"}, "b": {}}}));
        schemas["Tool"]["properties"]["name"]["maxLength"] = json!(128);
        let expected = [
            "+ operation agents.delete, DELETE /v1/agents/{id}",
            "~ agents.create, agents.list: answer.effort is new: optional, one of low or null",
            "~ agents.create, agents.list: answer.id is gone",
            "~ agents.create, agents.list: answer.name may now be null",
            "~ agents.create: betas no longer has a-1",
            "~ agents.create: betas now has a-2",
            "~ agents.create: body.model was required, is optional",
            "~ agents.create: body.model no longer knows m-1",
            "~ agents.create: body.model now knows m-3",
            "~ agents.list: query is new",
            "- schema Model",
            "+ schema Role: a, b",
            "~ Tool: name.maxLength was 64, is 128",
        ];
        assert_eq!(between(&contract(), &newer), expected);
        let back = between(&newer, &contract());
        assert_eq!(
            back[..2],
            ["- operation agents.delete", "~ agents.create, agents.list: answer.effort is gone"]
        );
    }
}
