//! What creating, changing and archiving an environment does.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use proptest::prelude::*;
use protocol::{
    Object,
    environment::{EnvironmentPackages, Networking},
    parse::Metadata,
};
use serde_json::json;

use super::*;
use crate::rules::document::{archive, create, revise};

const MADE: Timestamp = Timestamp::from_micros(1_000_000);
const LATER: Timestamp = Timestamp::from_micros(2_000_000);

fn made(body: Value) -> Result<Environment, Invalid> {
    create(body, EnvironmentId::from_bits(7), MADE)
}

fn full() -> Environment {
    made(json!({
        "name": "n", "description": "d", "metadata": {"a": "1", "b": "2"}, "scope": "organization",
        "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.example"]}},
    }))
    .expect("legal")
}

fn changed(body: Value) -> Result<Option<Environment>, Invalid> {
    revise(&full(), body, LATER)
}

#[test]
fn a_bare_environment_is_fully_populated() {
    let none: Vec<String> = Vec::new();
    let expected = json!({
        "type": "environment", "id": "env_1111111111111111111118", "name": "n", "description": null,
        "config": {
            "type": "cloud",
            "networking": {"type": "unrestricted"},
            "packages": {
                "type": "packages",
                "apt": none, "cargo": none, "gem": none, "go": none, "npm": none, "pip": none,
            },
        },
        "metadata": {}, "scope": "organization",
        "created_at": "1970-01-01T00:00:01.000000Z", "updated_at": "1970-01-01T00:00:01.000000Z",
        "archived_at": null,
    });
    for body in
        [json!({"name": "n"}), json!({"name": "n", "config": null, "scope": null, "description": null})]
    {
        assert_eq!(serde_json::to_value(made(body).expect("legal")).expect("writes"), expected);
    }
}

#[test]
fn each_mistake_names_its_field() {
    for (body, path, code) in [
        (json!({}), "name", None),
        (json!({"name": ""}), "name", None),
        (json!({"name": "n", "scope": "account"}), "scope", None),
        (json!({"name": "n", "config": {"type": "self_hosted"}}), "config.type", None),
        (json!({"name": "n", "metadata": {"": "x"}}), "metadata.", Some("invalid_metadata")),
        (json!({"name": "n", "state": "active"}), "state", None),
    ] {
        let wrong = made(body).expect_err(path);
        assert_eq!((wrong.path.as_str(), wrong.code), (path, code));
    }
}

#[test]
fn another_type_of_config_is_refused_by_code() {
    let wrong = changed(json!({"config": {"type": "self_hosted"}})).expect_err("another type");
    assert_eq!((wrong.path.as_str(), wrong.code), ("config.type", Some("invalid_config_type_change")));
}

#[test]
fn what_is_omitted_stays() {
    let networking = Networking::Limited {
        allow_mcp_servers: true,
        allow_package_managers: false,
        allowed_hosts: Vec::from(["a.example".to_string()]),
    };
    let config = EnvironmentConfig::Cloud { networking, packages: EnvironmentPackages::default() };
    let body =
        json!({"config": {"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": true}}});
    assert_eq!(changed(body), Ok(Some(Environment { config, updated_at: LATER, ..full() })));
}

#[test]
fn no_effective_change_is_none() {
    for body in [
        json!({}),
        json!({"name": null, "config": null, "metadata": null, "scope": null}),
        json!({"name": "n", "description": "d", "config": {"type": "cloud"}, "metadata": {"c": ""}}),
    ] {
        assert_eq!(changed(body), Ok(None));
    }
}

#[test]
fn archive_is_idempotent_and_final() {
    let archived = archive(&full(), LATER).expect("the first time");
    assert_eq!(archived, Environment { archived_at: Some(LATER), updated_at: LATER, ..full() });
    assert_eq!(archive(&archived, LATER), None);
    let wrong = revise(&archived, json!({}), LATER).expect_err("archived");
    assert_eq!((wrong.path.as_str(), wrong.code), ("", Some("environment_archived")));
}

proptest! {
    #[test]
    fn a_change_follows_the_merge_rules_and_repeated_changes_nothing(
        description in prop::option::of(prop::option::of("[a-c]{0,2}")),
        metadata in prop::collection::btree_map("[a-d]", prop::option::of("[0-3]?"), 0..4),
    ) {
        let mut body = Object::new();
        if let Some(description) = &description {
            body.insert("description".into(), json!(description));
        }
        body.insert("metadata".into(), json!(metadata));
        let body = Value::Object(body);

        let before = full();
        let mut kept: Metadata = before.metadata.clone();
        for (key, value) in metadata {
            match value.filter(|value| !value.is_empty()) {
                Some(value) => drop(kept.insert(key, value)),
                None => drop(kept.remove(&key)),
            }
        }
        let description = description.unwrap_or(before.description.clone());
        let expected = Environment { description, metadata: kept, ..before.clone() };
        let next = revise(&before, body.clone(), LATER).expect("legal");
        if expected == before {
            prop_assert_eq!(next, None);
        } else {
            let next = next.expect("a change");
            prop_assert_eq!(&next, &Environment { updated_at: LATER, ..expected });
            prop_assert_eq!(revise(&next, body, LATER), Ok(None));
        }
    }
}
