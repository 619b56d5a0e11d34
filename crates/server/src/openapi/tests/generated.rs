//! Bodies made from a schema by dice: none of them is refused for its shape.

use std::cell::Cell;

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
    strategy::Union,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use super::{built, furnished, places::resolved};
use crate::testing::{TestServer, contract::types, id, message};

/// Bodies tried for each operation.
const BODIES: u32 = 150;
/// Elements of a list, and pairs of an object, that are made at most: the bounds have a test of their own.
const MANY: usize = 3;

/// What a body of the right shape may still be refused for: what exists, what state that is in, and what two
/// parts of the body mean together.
const REASONS: &[&str] = &[
    "no route answers for the model",
    "and the data begins as",
    "this domain is already in the list",
    "Only one of allowed_domains or blocked_domains may be set",
    "must leave at least one source",
    "is no custom tool of this list",
    "this tool is already in the list",
    "` is already in the list",
    "this agent is already in the roster",
    "there is no agent",
    "there is no environment",
    "has no version",
    "name the agent itself as",
    "two agents of the roster are named",
    "has a roster of its own",
    "must have at most 16 pairs",
    "concurrent modification",
    "another environment is called",
    "event in this session",
    "has no thread",
];

/// Ids that exist, by the prefix of their kind.
type Known = Vec<(&'static str, Vec<String>)>;

/// Values of a schema.
fn made(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let schema = resolved(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        return Union::new(choices.iter().map(|choice| made(choice, known))).boxed();
    }
    if let Some(constant) = schema.get("const") {
        return Just(constant.clone()).boxed();
    }
    if let Some(names) = schema["enum"].as_array() {
        return select(names.clone()).boxed();
    }
    let kinds = match types(&schema).as_slice() {
        [] => vec!["boolean", "null", "string"],
        several => several.to_vec(),
    };
    Union::new(kinds.into_iter().map(|kind| of_kind(kind, &schema, known))).boxed()
}

fn of_kind(kind: &str, schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    match kind {
        "null" => Just(Value::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => {
            let (least, most) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64());
            let most = most.unwrap_or(u64::MAX);
            prop_oneof![least..=least + 3, Just(most), least..=most].prop_map(Value::from).boxed()
        }
        "string" => text(schema, known),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            let most = schema["maxItems"].as_u64().map_or(MANY, |most| (most as usize).min(MANY));
            match schema.get("items").filter(|_| most > 0) {
                Some(items) => vec(made(items, known), least..=most).prop_map(Value::from).boxed(),
                None => Just(json!([])).boxed(),
            }
        }
        "object" => object(schema, known),
        other => panic!("{other} is not known here"),
    }
}

fn text(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    if let Some(format) = schema["format"].as_str() {
        let prefix = format.trim_end_matches("-id").to_owned();
        let there = known.iter().find(|(kind, _)| *kind == prefix).map(|(_, ids)| ids.clone());
        let there = select(there.unwrap_or_else(|| panic!("no {prefix} is known"))).prop_map(Value::from);
        let strange = any::<u128>().prop_map(move |bits| json!(format!("{prefix}_{bits:032x}")));
        return prop_oneof![3 => there, 1 => strange].boxed();
    }
    if let Some(examples) = schema["examples"].as_array() {
        return select(examples.clone()).boxed();
    }
    let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
    let most = schema["maxLength"].as_u64().map(|most| most as usize);
    let short = most.map_or(least + 12, |most| most.min(least + 12));
    let any_length =
        vec(any::<char>(), least..=short).prop_map(|letters| letters.into_iter().collect::<String>());
    match most {
        // Characters are counted, not bytes.
        Some(most) => {
            prop_oneof![9 => any_length, 1 => Just("\u{1f9f6}".repeat(most))].prop_map(Value::from).boxed()
        }
        None => any_length.prop_map(Value::from).boxed(),
    }
}

fn object(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let needed: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut whole = Just(Map::new()).boxed();
    for (name, property) in properties.into_iter().filter(|(_, property)| *property != false) {
        let value = made(&property, known);
        let value = if needed.contains(&name.as_str()) {
            value.prop_map(Some).boxed()
        } else {
            proptest::option::weighted(0.4, value).boxed()
        };
        whole = (whole, value)
            .prop_map(move |(mut whole, value)| {
                whole.extend(value.map(|value| (name.clone(), value)));
                whole
            })
            .boxed();
    }
    let pairs = match schema.get("additionalProperties").filter(|it| it.is_object()) {
        Some(value) => {
            let name = text(&schema["propertyNames"], known)
                .prop_map(|name| name.as_str().unwrap_or_default().to_owned());
            btree_map(name, made(value, known), 0..=MANY).boxed()
        }
        None => Just(std::collections::BTreeMap::new()).boxed(),
    };
    (whole, pairs)
        .prop_map(|(mut whole, pairs)| {
            whole.extend(pairs);
            whole.into()
        })
        .boxed()
}

#[test]
fn a_body_made_from_its_schema_is_never_refused_for_its_shape() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let house = runtime.block_on(TestServer::open());
    let known = runtime.block_on(known(&house));
    for (_, path, operation) in built() {
        let Some(body) = operation.get("requestBody") else { continue };
        let place = runtime.block_on(furnished(&house, path));
        let taken = Cell::new(0);
        let config = Config { cases: BODIES, failure_persistence: None, ..Config::default() };
        let bodies = made(&body["content"]["application/json"]["schema"], &known);
        let outcome = TestRunner::new(config).run(&bodies, |body| {
            let told = runtime.block_on(house.post(&place, &body));
            let message = told.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            let reason = REASONS.iter().any(|reason| message.contains(reason));
            prop_assert!(told.status == 200 || reason, "{path}: {} {message}\n{body}", told.status);
            taken.set(taken.get() + u32::from(told.status == 200));
            Ok(())
        });
        outcome.unwrap_or_else(|wrong| panic!("{wrong}"));
        // A body that is never taken shows nothing of what comes behind the reading.
        assert!(taken.get() > 0, "{path}");
        println!("{path}: {} of {BODIES} were taken", taken.get());
    }
}

/// What exists in the house, by the prefixes of the ids.
async fn known(house: &TestServer) -> Known {
    let session = house.session(&[message("call")]).await;
    let path = format!("/v1/sessions/{}", id(&session));
    house.settled(&path).await;
    let ids =
        |list: Value| -> Vec<String> { list["data"].as_array().into_iter().flatten().map(id).collect() };
    let events = ids(house.get(&format!("{path}/events")).await.ok());
    let threads = ids(house.get(&format!("{path}/threads")).await.ok());
    vec![
        ("agent", vec![id(&house.agent().await), id(&house.coordinator().await)]),
        ("env", vec![id(&house.environment().await)]),
        ("sevt", events),
        ("sthr", threads),
        ("model", vec!["test-1".into(), "test-2".into()]),
    ]
}
