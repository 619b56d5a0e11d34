//! What creating, changing and archiving an agent does.

use alloc::{collections::BTreeMap, string::ToString, vec};

use proptest::prelude::*;
use protocol::{Object, routes::Route, tool::CustomTool};
use serde_json::json;

use super::*;
use crate::rules::document::archive;

const MADE: Timestamp = Timestamp::from_micros(1_000_000);
const LATER: Timestamp = Timestamp::from_micros(2_000_000);

fn routes() -> Routes {
    Routes(vec![Route::script("m*")])
}

fn tool(name: &str) -> Value {
    json!({"type": "custom", "name": name, "description": "d", "input_schema": {"type": "object"}})
}

fn full() -> Agent {
    let body = json!({
        "name": "n", "model": "m1", "description": "d", "system": "s", "tools": [tool("t")],
        "metadata": {"a": "1", "b": "2"},
    });
    create(body, &routes(), AgentId::from_bits(7), MADE).expect("legal").0
}

fn revised(agent: &Agent, body: Value) -> Result<Option<Agent>, DocumentRefusal> {
    revise(agent, AgentChange::read(body, &routes())?, &[], false, LATER)
}

fn changed(body: Value) -> Result<Option<Agent>, DocumentRefusal> {
    revised(&full(), body)
}

#[test]
fn a_bare_agent_is_fully_populated() {
    let agent = create(json!({"name": "n", "model": {"id": "m1"}}), &routes(), AgentId::from_bits(7), MADE);
    assert_eq!(
        serde_json::to_value(agent.expect("legal").0).expect("writes"),
        json!({
            "type": "agent", "id": "agent_1111111111111111111118", "version": 1, "name": "n", "description": null,
            "model": {"id": "m1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"},
            "system": null, "tools": [], "mcp_servers": [], "skills": [], "multiagent": null,
            "execution_identity": {"type": "service_account"}, "metadata": {},
            "created_at": "1970-01-01T00:00:01.000000Z", "updated_at": "1970-01-01T00:00:01.000000Z",
            "archived_at": null,
        })
    );
}

#[test]
fn null_and_empty_are_accepted_where_nothing_is_served() {
    let body = json!({
        "name": "n", "model": "m1", "description": "", "system": null, "tools": [], "mcp_servers": [],
        "skills": null, "multiagent": null, "execution_identity": {"type": "service_account"}, "metadata": {},
    });
    let bare = create(json!({"name": "n", "model": "m1"}), &routes(), AgentId::from_bits(7), MADE);
    assert_eq!(create(body, &routes(), AgentId::from_bits(7), MADE), bare);
}

#[test]
fn each_mistake_in_a_create_names_its_field() {
    for (key, value) in [
        ("name", json!("")),
        ("name", json!("n".repeat(257))),
        ("name", Value::Null),
        ("model", Value::Null),
        ("model", json!("gpt")),
        ("description", json!("d".repeat(2_049))),
        ("system", json!("s".repeat(100_001))),
        ("mcp_servers", json!([{"type": "url", "name": "x", "url": "https://x"}])),
        ("skills", json!([{"type": "custom", "skill_id": "skill_1"}])),
        ("multiagent", json!(7)),
        ("modle", json!("m1")),
    ] {
        let mut body = json!({"name": "n", "model": "m1"});
        body.as_object_mut().unwrap().insert(key.into(), value);
        let wrong = create(body, &routes(), AgentId::from_bits(7), MADE).expect_err(key);
        assert_eq!(wrong.path, key);
    }
}

#[test]
fn a_model_without_a_route_is_refused_with_the_table() {
    let body = json!({"name": "n", "model": "gpt"});
    let wrong = create(body, &routes(), AgentId::from_bits(7), MADE).expect_err("no route");
    for says in ["`gpt`", "`m*`", "heddle.toml, which the server reads when it starts"] {
        assert!(wrong.message.contains(says), "{}", wrong.message);
    }
}

#[test]
fn another_identity_is_not_served() {
    let body = json!({"execution_identity": {"type": "aws_role", "role_arn": "arn:x"}});
    let wrong = Invalid::unsupported("execution_identity.type", "`aws_role`");
    assert_eq!(changed(body), Err(DocumentRefusal::Invalid(wrong)));
}

#[test]
fn a_change_is_a_new_version() {
    let next = changed(json!({"name": "other", "version": 1})).expect("legal").expect("a change");
    let definition = AgentDefinition { version: 2, name: "other".into(), ..full().definition };
    assert_eq!(next, Agent { definition, updated_at: LATER, ..full() });
}

#[test]
fn no_effective_change_is_no_version() {
    for body in [
        json!({}),
        json!({"name": "n", "model": "m1", "description": "d", "metadata": {"a": "1", "c": null}}),
        json!({"tools": [tool("t")], "metadata": null, "execution_identity": null}),
    ] {
        assert_eq!(changed(body), Ok(None));
    }
}

#[test]
fn null_and_empty_clear_what_can_be_cleared() {
    let definition = AgentDefinition {
        version: 2,
        description: None,
        system: None,
        tools: Vec::new(),
        ..full().definition
    };
    let cleared = Agent {
        definition,
        metadata: BTreeMap::from([("b".to_string(), "2".to_string())]),
        updated_at: LATER,
        ..full()
    };
    for body in [
        json!({"description": null, "system": null, "tools": null, "metadata": {"a": null}}),
        json!({"description": "", "system": "", "tools": [], "metadata": {"a": null}}),
    ] {
        assert_eq!(changed(body), Ok(Some(cleared.clone())));
    }
}

#[test]
fn name_and_model_cannot_be_cleared() {
    for key in ["name", "model"] {
        let body = Value::Object(Object::from_iter([(key.to_string(), Value::Null)]));
        let wrong = Invalid::new(key, "cannot be cleared; leave it out to keep it");
        assert_eq!(changed(body), Err(DocumentRefusal::Invalid(wrong)));
    }
}

#[test]
fn a_stale_version_is_refused_even_when_nothing_would_change() {
    assert_eq!(changed(json!({"version": 3})), Err(DocumentRefusal::Stale { sent: 3, current: 1 }));
}

#[test]
fn archive_is_idempotent_and_final() {
    let archived = archive(&full(), LATER).expect("the first time");
    assert_eq!(archived, Agent { archived_at: Some(LATER), updated_at: LATER, ..full() });
    assert_eq!(archive(&archived, Timestamp::from_micros(3_000_000)), None);
    let wrong = revised(&archived, json!({"name": "n"})).expect_err("archived");
    assert!(
        matches!(&wrong, DocumentRefusal::Invalid(wrong) if wrong.message.contains("is archived")),
        "{wrong}"
    );
}

fn maybe<T>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<GivenField<T>>
where
    T: core::fmt::Debug + Clone + 'static,
{
    prop_oneof![Just(GivenField::Absent), Just(GivenField::Null), value.prop_map(GivenField::Value)].boxed()
}

fn put<T: Into<Value>>(body: &mut Object, key: &str, given: GivenField<T>) {
    match given {
        GivenField::Absent => {}
        GivenField::Null => drop(body.insert(key.into(), Value::Null)),
        GivenField::Value(value) => drop(body.insert(key.into(), value.into())),
    }
}

proptest! {
    #[test]
    fn a_change_follows_the_merge_rules_and_repeated_changes_nothing(
        description in maybe("[a-c]{0,2}"),
        system in maybe("[a-c]{0,2}"),
        tools in maybe(prop::collection::btree_set("[a-c]", 0..3)),
        metadata in prop::collection::btree_map("[a-d]", prop::option::of("[0-3]"), 0..4),
    ) {
        let before = full();
        let names = tools.clone().map(|names| names.iter().map(|name| tool(name)).collect::<Vec<_>>());
        let patch: Object = metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let mut body = Object::new();
        put(&mut body, "description", description.clone());
        put(&mut body, "system", system.clone());
        put(&mut body, "tools", names);
        body.insert("metadata".into(), Value::Object(patch));
        let body = Value::Object(body);

        let text = |given: GivenField<String>, stored: &Option<String>| match given {
            GivenField::Absent => stored.clone(),
            GivenField::Null => None,
            GivenField::Value(text) => Some(text).filter(|text| !text.is_empty()),
        };
        let mut kept = before.metadata.clone();
        for (key, value) in metadata {
            match value {
                Some(value) => drop(kept.insert(key, value)),
                None => drop(kept.remove(&key)),
            }
        }
        let custom = |name: &String| {
            let input_schema = json!({"type": "object"}).as_object().cloned().unwrap();
            AgentTool::Custom(CustomTool { name: name.clone(), description: "d".into(), input_schema })
        };
        let stored = before.definition.clone();
        let definition = AgentDefinition {
            description: text(description, &stored.description),
            system: text(system, &stored.system),
            tools: match tools {
                GivenField::Absent => stored.tools.clone(),
                GivenField::Null => Vec::new(),
                GivenField::Value(names) => names.iter().map(custom).collect(),
            },
            ..stored
        };
        let expected = Agent { definition, metadata: kept, ..before.clone() };
        let next = revised(&before, body.clone()).expect("legal");
        if expected == before {
            prop_assert_eq!(next, None);
        } else {
            let next = next.expect("a change");
            prop_assert_eq!(&next, &at_version(Agent { updated_at: LATER, ..expected }, 2));
            prop_assert_eq!(revised(&next, body), Ok(None));
        }
    }
}

fn member(id: u128, name: &str) -> Agent {
    let body = json!({"name": name, "model": "m1"});
    create(body, &routes(), AgentId::from_bits(id), MADE).expect("legal").0
}

fn enlisted(sent: &[RosterEntry], found: &[Option<Agent>]) -> Result<Agent, Invalid> {
    enlist(full(), sent, found, false)
}

#[test]
fn a_roster_is_pinned_and_the_agents_own_place_goes_with_its_version() {
    let sent = [RosterEntry::Agent { id: AgentId::from_bits(8), version: None }, RosterEntry::Own];
    let agent = enlisted(&sent, &[Some(at_version(member(8, "a"), 3)), None]).expect("legal");
    let pins = |agent: &Agent| {
        let agents = agent.multiagent.iter().flat_map(|roster| &roster.agents);
        agents.map(|pinned| (pinned.id.bits(), pinned.version)).collect::<Vec<_>>()
    };
    assert_eq!(pins(&agent), [(8, 3), (7, 1)]);
    let change = revised;
    let next = change(&agent, json!({"system": "other"})).expect("legal").expect("a change");
    assert_eq!((next.definition.version, pins(&next)), (2, vec![(8, 3), (7, 2)]));
    let own = json!({"multiagent": {"type": "coordinator", "agents": [{"type": "self"}]}});
    let alone = change(&next, own.clone()).expect("legal").expect("a change");
    assert_eq!((alone.definition.version, pins(&alone)), (3, vec![(7, 3)]));
    assert_eq!(change(&alone, own), Ok(None));
    let without = change(&alone, json!({"multiagent": null})).expect("legal").expect("a change");
    assert_eq!((without.definition.version, without.multiagent), (4, None));
}

#[test]
fn who_may_not_be_in_a_roster_is_named() {
    let of = |id: u128| RosterEntry::Agent { id: AgentId::from_bits(id), version: None };
    let two = [of(8), of(9)];
    let then = RosterEntry::Agent { id: AgentId::from_bits(7), version: Some(9) };
    let archived = Agent { archived_at: Some(LATER), ..member(8, "a") };
    let coordinator = enlisted(&[RosterEntry::Own], &[None]).expect("legal");
    let conflict = |id| {
        let body = json!({"name": "c", "model": "m1", "tools": [tool("create_agent")]});
        create(body, &routes(), AgentId::from_bits(id), MADE).expect("legal").0
    };
    for (sent, found, path, part, code) in [
        (&two[..], vec![Some(member(8, "a")), None], "multiagent.agents.1", "no agent", None),
        (&two[..1], vec![Some(archived)], "multiagent.agents.0", "archived", None),
        (
            &two[..],
            vec![Some(member(8, "a")), Some(member(9, "a"))],
            "multiagent.agents.1",
            "named `a`",
            None,
        ),
        (&two[..1], vec![Some(member(8, "self"))], "multiagent.agents.0", "reserved", None),
        (&two[..1], vec![Some(member(8, "anthropic.advisor"))], "multiagent.agents.0", "reserved", None),
        (&[then][..], vec![None], "multiagent.agents.0", "\"self\"", None),
        (&[of(7), RosterEntry::Own][..], vec![None, None], "multiagent.agents.1", "named `n`", None),
        (&two[..1], vec![Some(conflict(8))], "multiagent.agents.0", "create_agent", None),
        (&two[..1], vec![Some(coordinator)], "multiagent.agents.0", "`[threads] max_depth` is 1", None),
    ] {
        let wrong = enlisted(sent, &found).expect_err(part);
        assert_eq!((wrong.path.as_str(), wrong.code), (path, code));
        assert!(wrong.message.contains(part), "{}", wrong.message);
    }
    let own = enlist(conflict(7), &[RosterEntry::Own], &[None], false).expect_err("a conflict");
    assert_eq!((own.path.as_str(), own.code), ("tools.0.name", None));
}
