//! What a session's body may say, and which agent comes of it.

use alloc::{string::ToString, vec};

use protocol::{
    Timestamp, agent::AgentDefinition, content::ContentBlock, environment::EnvironmentPackages,
    model::ModelConfig, routes::Route,
};
use serde_json::json;

use super::*;
use crate::rules::{agent as agents, document};

const AGENT: AgentId = AgentId::from_bits(7);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_bits(8);

fn routes() -> Routes {
    Routes(vec![Route::script("m*")])
}

fn tool(name: &str) -> Value {
    json!({"type": "custom", "name": name, "description": "d", "input_schema": {"type": "object"}})
}

fn saved() -> Agent {
    let body =
        json!({"name": "n", "model": "m1", "system": "s", "tools": [tool("t")], "metadata": {"a": "b"}});
    agents::create(body, &routes(), AGENT, Timestamp::from_micros(1)).expect("legal").0
}

fn asked(agent: Value) -> Result<AgentReference, Invalid> {
    create(json!({"agent": agent, "environment_id": ENVIRONMENT})).map(|request| request.agent)
}

fn made(agent: Value) -> Result<SessionAgent, Invalid> {
    effective(&saved(), asked(agent)?.overrides, &routes())
}

#[test]
fn every_field_is_read() {
    let body = json!({
        "agent": {"type": "agent", "id": AGENT, "version": 3}, "environment_id": ENVIRONMENT, "title": "t",
        "metadata": {"a": "b"}, "resources": [], "vault_ids": null, "budget": null,
        "initial_events": [{"type": "user.message", "content": [{"type": "text", "text": "hi"}]}],
    });
    let request = SessionRequest {
        agent: AgentReference { id: AGENT, version: Some(3), overrides: AgentOverrides::NONE },
        environment: ENVIRONMENT,
        title: Some("t".into()),
        metadata: Metadata::from([("a".to_string(), "b".to_string())]),
        events: vec![ClientEvent::Message { content: vec![ContentBlock::text("hi")] }],
    };
    assert_eq!(create(body), Ok(request));
}

#[test]
fn what_was_sent_in_place_of_a_field_is_named() {
    for (body, said) in [
        (
            json!({"agent_id": AGENT, "environment_id": ENVIRONMENT}),
            "agent: this field is required; `agent_id` was sent, did you mean that?",
        ),
        (
            json!({"agent": AGENT, "environment": ENVIRONMENT}),
            "environment_id: this field is required; `environment` was sent, did you mean that?",
        ),
        (
            json!({"agent": {"type": "agent", "agent_id": AGENT}, "environment_id": ENVIRONMENT}),
            "agent.id: this field is required; `agent_id` was sent, did you mean that?",
        ),
        (
            json!({"agent": {"id": AGENT}, "environment_id": ENVIRONMENT}),
            "agent.type: this field is required: `agent` or `agent_with_overrides`",
        ),
        (json!({"environment_id": ENVIRONMENT}), "agent: this field is required"),
    ] {
        assert_eq!(create(body).expect_err("a mistake").to_string(), said);
    }
}

#[test]
fn an_agent_is_named_in_three_ways() {
    let plain = AgentReference { id: AGENT, version: None, overrides: AgentOverrides::NONE };
    for (sent, expected) in [
        (json!(AGENT), plain.clone()),
        (json!({"type": "agent", "id": AGENT}), plain.clone()),
        (json!({"type": "agent_with_overrides", "id": AGENT}), plain.clone()),
        (json!({"type": "agent", "id": AGENT, "version": 2}), AgentReference { version: Some(2), ..plain }),
    ] {
        assert_eq!(asked(sent), Ok(expected));
    }
}

#[test]
fn overrides_inherit_clear_and_replace() {
    let base = SessionAgent::of(&saved(), None);
    let with = |definition| SessionAgent { definition, ..base.clone() };
    let own = || base.definition.clone();
    let other = with(AgentDefinition { model: ModelConfig::plain("m2"), system: Some("z".into()), ..own() });
    let cleared = with(AgentDefinition { system: None, tools: vec![], ..own() });
    let of = |more: Value| {
        let mut sent = json!({"type": "agent_with_overrides", "id": AGENT});
        sent.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        made(sent)
    };
    assert_eq!(of(json!({})), Ok(base.clone()));
    assert_eq!(of(json!({"model": "m2", "system": "z"})), Ok(other));
    assert_eq!(
        of(json!({"system": null, "tools": null, "skills": [], "mcp_servers": null})),
        Ok(cleared.clone())
    );
    assert_eq!(of(json!({"system": "", "tools": []})), Ok(cleared));
}

#[test]
fn each_mistake_names_its_field() {
    for (agent, path, code) in [
        (json!(7), "agent", None),
        (json!("sesn_1"), "agent", None),
        (json!({"type": "moon", "id": AGENT}), "agent.type", None),
        (json!({"type": "agent"}), "agent.id", None),
        (json!({"type": "agent", "id": AGENT, "version": 0}), "agent.version", None),
        (json!({"type": "agent", "id": AGENT, "system": "s"}), "agent.system", None),
        (
            json!({"type": "agent_with_overrides", "id": AGENT, "model": null}),
            "agent.model",
            Some("agent_model_required"),
        ),
        (json!({"type": "agent_with_overrides", "id": AGENT, "model": "gpt"}), "agent.model", None),
        (json!({"type": "agent_with_overrides", "id": AGENT, "skills": [{}]}), "agent.skills", None),
        (json!({"type": "agent_with_overrides", "id": AGENT, "tools": [{}]}), "agent.tools.0.type", None),
    ] {
        let wrong = made(agent).expect_err(path);
        assert_eq!((wrong.path.as_str(), wrong.code), (path, code));
    }
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    for (key, value) in [
        ("resources", json!([{"type": "file", "file_id": "file_1"}])),
        ("vault_ids", json!(["vlt_1"])),
        ("budget", json!({"type": "limit"})),
        ("budget", json!([])),
    ] {
        let mut body = json!({"agent": AGENT, "environment_id": ENVIRONMENT});
        body.as_object_mut().expect("an object").insert(key.into(), value);
        assert_eq!(create(body), Err(Invalid::unsupported(key, &alloc::format!("`{key}`"))));
    }
}

#[test]
fn an_archived_agent_starts_no_session() {
    let archived = document::archive(&saved(), Timestamp::from_micros(2)).expect("live");
    let wrong = effective(&archived, AgentOverrides::NONE, &routes()).expect_err("archived");
    assert_eq!(wrong.path, "agent");
}

#[test]
fn a_change_tells_absent_null_and_value_apart() {
    let body = json!({"title": null, "metadata": {"a": null}, "agent": {"tools": [], "mcp_servers": []}});
    let metadata = GivenField::Value([("a".to_string(), None)].into_iter().collect());
    assert_eq!(
        update(body),
        Ok(SessionChange { title: GivenField::Null, metadata, tools: GivenField::Value(vec![]) })
    );
    let wrong = update(json!({"budget": {"type": "limit"}})).expect_err("no budget");
    assert_eq!((wrong.path.as_str(), wrong.code), ("budget", Some("budget_create_only")));
    let nothing =
        SessionChange { title: GivenField::Absent, metadata: GivenField::Absent, tools: GivenField::Absent };
    assert_eq!(update(json!({"vault_ids": [], "budget": null, "agent": {}})), Ok(nothing));
    for (body, path) in [
        (json!({"agent": {"model": "m"}}), "agent.model"),
        (json!({"agent": {"mcp_servers": [{}]}}), "agent.mcp_servers"),
        (json!({"vault_ids": ["vlt_1"]}), "vault_ids"),
        (json!({"status": "idle"}), "status"),
    ] {
        assert_eq!(update(body).map_err(|wrong| wrong.path), Err(path.to_string()));
    }
}

#[test]
fn what_a_web_tool_may_reach_is_within_what_the_network_reaches() {
    let limited = |hosts: &[&str]| EnvironmentConfig::Cloud {
        networking: Networking::Limited {
            allow_mcp_servers: false,
            allow_package_managers: false,
            allowed_hosts: hosts.iter().map(ToString::to_string).collect(),
        },
        packages: EnvironmentPackages::default(),
    };
    let tools = |config: Value| {
        let tools =
            json!([tool("t"), {"type": "agent_toolset_20260401", "configs": [{"name": "bash"}, config]}]);
        protocol::tool::tools(tools, "tools").expect("legal")
    };
    let fetch = tools(json!({"name": "web_fetch", "allowed_domains": ["A.example.com", "b.example.com/"]}));
    let second = "agent.tools.1.configs.1.allowed_domains.1".to_string();
    for (config, told) in [
        (EnvironmentConfig::default(), Ok(())),
        (limited(&["a.example.com", "B.example.com"]), Ok(())),
        (limited(&["*.example.com"]), Ok(())),
        (limited(&["*.com"]), Ok(())),
        (limited(&["a.example.com", "example.com"]), Err(second.clone())),
        (limited(&["a.example.com", "*.b.example.com"]), Err(second)),
        (limited(&[]), Err("agent.tools.1.configs.1.allowed_domains.0".to_string())),
    ] {
        assert_eq!(reachable(&fetch, &config, "agent.tools").map_err(|wrong| wrong.path), told, "{config:?}");
    }
    let search = json!({"name": "web_search", "allowed_domains": ["x.example/docs"]});
    assert_eq!(reachable(&tools(search), &limited(&["x.example"]), "agent.tools"), Ok(()));
    for harmless in [
        json!({"name": "web_fetch", "enabled": false, "allowed_domains": ["x.example"]}),
        json!({"name": "web_fetch", "blocked_domains": ["x.example"]}),
        json!({"name": "web_fetch"}),
    ] {
        assert_eq!(reachable(&tools(harmless), &limited(&[]), "agent.tools"), Ok(()));
    }
}

#[test]
fn a_member_of_a_roster_needs_a_route_and_must_not_be_archived() {
    use crate::rules::roster::{self, FoundAgent};
    use protocol::roster::RosterEntry;
    let everything = Routes(vec![Route::script("*")]);
    let body = json!({"name": "helper", "model": "gpt"});
    let helper =
        agents::create(body, &everything, AgentId::from_bits(9), Timestamp::from_micros(1)).expect("legal").0;
    let sent = [RosterEntry::Agent { id: AgentId::from_bits(9), version: None }];
    let agent = agents::enlist(saved(), &sent, &[Some(helper.clone())], false).expect("legal");
    let alone = effective(&agent, AgentOverrides::NONE, &routes()).expect("legal");
    let whole = |member: Agent, routes: &Routes| {
        roster::whole(&agent, &alone, vec![Some(FoundAgent { agent: member, multiagent: None })], routes)
    };
    assert!(whole(helper.clone(), &everything).is_ok());
    let archived = Agent { archived_at: Some(Timestamp::from_micros(2)), ..helper.clone() };
    for (wrong, said) in [(whole(helper, &routes()), "`gpt`"), (whole(archived, &everything), "is archived")]
    {
        let wrong = wrong.expect_err(said);
        assert_eq!(wrong.path, "agent.multiagent.agents.0");
        assert!(wrong.message.contains(said), "{}", wrong.message);
    }
}
