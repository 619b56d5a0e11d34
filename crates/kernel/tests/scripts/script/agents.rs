//! The agents of scripts: a weaver, a coordinator with a team, and one whose team has helpers.

use protocol::AgentId;
use protocol::agent::{
    AgentDefinition, ExecutionIdentity, RosterMember, SessionAgent, SessionCoordinator, ThreadAgent,
};
use protocol::model::ModelConfig;
use protocol::tool::{
    AgentTool, BuiltinName, CustomTool, PermissionPolicy, ToolConfig, ToolDefault, Toolset,
};
use serde_json::json;

pub(crate) fn weaver() -> SessionAgent {
    named(4, "weaver")
}

/// One that may call a spinner, a dyer and itself.
pub(crate) fn coordinator() -> SessionAgent {
    let member = |agent: &SessionAgent| RosterMember { agent: ThreadAgent::from(agent), multiagent: None };
    let (mut spinner, mut dyer) = (named(5, "spinner"), named(6, "dyer"));
    spinner.definition.description = Some("spins yarn".to_owned());
    dyer.definition.system = Some("Dye.".into());
    let agents = vec![member(&spinner), member(&dyer), member(&weaver())];
    SessionAgent { multiagent: Some(SessionCoordinator { agents }), ..weaver() }
}

/// One whose members may each call a helper of their own.
pub(crate) fn deep_coordinator() -> SessionAgent {
    let helper = RosterMember { agent: ThreadAgent::from(&named(7, "helper")), multiagent: None };
    let mut agent = coordinator();
    for member in agent.multiagent.iter_mut().flat_map(|roster| &mut roster.agents) {
        member.multiagent = Some(SessionCoordinator { agents: vec![helper.clone()] });
    }
    agent
}

fn named(id: u128, name: &str) -> SessionAgent {
    let definition = AgentDefinition {
        id: AgentId::from_bits(id),
        version: 1,
        name: name.into(),
        description: None,
        model: ModelConfig::plain("any"),
        system: None,
        tools: ["look_up", "weigh"].map(custom_tool).into_iter().chain([toolset()]).collect(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    SessionAgent { definition, multiagent: None, execution_identity: ExecutionIdentity::default() }
}

/// One that the client runs.
pub(crate) fn custom_tool(name: &str) -> AgentTool {
    let schema = json!({"type": "object"});
    let input_schema = schema.as_object().cloned().expect("an object");
    AgentTool::Custom(CustomTool { name: name.into(), description: "does it".into(), input_schema })
}

/// write and edit are asked about, grep is off.
fn toolset() -> AgentTool {
    let ask = |name, enabled| ToolConfig {
        name,
        enabled,
        permission_policy: PermissionPolicy::AlwaysAsk,
        web: None,
    };
    let configs =
        vec![ask(BuiltinName::Write, true), ask(BuiltinName::Edit, true), ask(BuiltinName::Grep, false)];
    AgentTool::Toolset(Toolset { default_config: ToolDefault::BARE, configs })
}
