//! The tools that a model is offered.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use protocol::{
    Object,
    agent::RosterMember,
    prompt::{ToolSpec, Toolbox},
    roster::DelegationTool,
    tool::{AgentTool, BuiltinName, Toolset},
};
use serde_json::{Value, json};

use crate::session::ActingAgent;

/// What `cast` is offered, in the order of its tools; the delegation tools last.
pub(crate) fn tools(cast: &ActingAgent<'_>, toolbox: &Toolbox) -> Vec<Arc<ToolSpec>> {
    let own = cast.tools.iter().flat_map(|tool| match tool {
        AgentTool::Custom(custom) => alloc::vec![Arc::new(ToolSpec {
            name: custom.name.clone(),
            description: custom.description.clone(),
            input_schema: custom.input_schema.clone(),
        })],
        AgentTool::Toolset(toolset) => builtins(toolset, toolbox),
    });
    let errands = DelegationTool::ALL.into_iter().filter(|errand| cast.may(*errand));
    own.chain(errands.map(|errand| Arc::new(errand_spec(errand, cast)))).collect()
}

fn builtins(toolset: &Toolset, toolbox: &Toolbox) -> Vec<Arc<ToolSpec>> {
    let offered = BuiltinName::ALL.into_iter().filter(|tool| tool.served() && toolset.of(*tool).enabled);
    offered.filter_map(|tool| toolbox.of(tool).map(Arc::clone)).collect()
}

fn errand_spec(errand: DelegationTool, cast: &ActingAgent<'_>) -> ToolSpec {
    let text = |description: &str| json!({"type": "string", "description": description});
    let task =
        text("What it is to do, with all that it needs to know: it sees nothing of your conversation.");
    let (description, properties, required): (String, Value, &[&str]) = match errand {
        DelegationTool::CreateAgent => (
            format!(
                "Starts an agent on a task of its own and returns at once: several work in parallel, in the same \
                 files as you. Its report comes later as a message; end your turn to wait for it. The agents:\n{}",
                roster(cast)
            ),
            json!({"agent": who(cast), "task": task}),
            &["agent", "task"],
        ),
        DelegationTool::Agent => (
            "Starts an agent on a task of its own, as `create_agent` does, and waits for its report, which is the \
             result. Several calls in one answer run in parallel."
                .into(),
            json!({"agent": who(cast), "task": task}),
            &["agent", "task"],
        ),
        DelegationTool::SendToAgent => (
            "Writes to an agent that you have started. One that rests goes to work on it; one that works reads it \
             at its next step. It remembers its earlier tasks."
                .into(),
            json!({
                "thread_id": text("The agent's thread_id."),
                "message": text("What to tell it."),
            }),
            &["thread_id", "message"],
        ),
        DelegationTool::ListAgents => (
            "Lists the agents that you have started: thread_id, agent, status, and how many messages wait for each."
                .into(),
            json!({}),
            &[],
        ),
        DelegationTool::SendToParent => (
            "Tells the agent that started you something before you are done: progress, or a question. You go on. \
             Your last message of a turn is your report, unless you have sent something in that turn."
                .into(),
            json!({"message": text("What to tell it.")}),
            &["message"],
        ),
    };
    ToolSpec { name: errand.name().into(), description, input_schema: schema(properties, required) }
}

fn roster(cast: &ActingAgent<'_>) -> String {
    let line = |member: &RosterMember| {
        let about = member
            .agent
            .definition
            .description
            .as_deref()
            .map(|about| format!(": {about}"))
            .unwrap_or_default();
        format!("- {}{about}", member.agent.definition.name)
    };
    cast.roster.iter().map(line).collect::<Vec<String>>().join("\n")
}

fn who(cast: &ActingAgent<'_>) -> Value {
    let own = cast.roster.iter().any(|member| member.agent.definition.id == cast.own).then_some("self");
    let names: Vec<&str> =
        cast.roster.iter().map(|member| member.agent.definition.name.as_str()).chain(own).collect();
    json!({"type": "string", "enum": names, "description": "Which agent."})
}

fn schema(properties: Value, required: &[&str]) -> Object {
    let mut schema = Object::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties);
    schema.insert("required".into(), required.into());
    schema.insert("additionalProperties".into(), false.into());
    schema
}
