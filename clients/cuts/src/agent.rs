//! The definition of an agent, and the tools that it may have.

use serde_json::{Value, json};

/// An agent with these tools.
pub(crate) fn definition(name: &str, tools: &[Value]) -> Value {
    json!({"name": name, "model": "claude-sonnet-4-5", "tools": tools})
}

/// The built-in tools; whether a command is asked about first is for `policy` to say.
pub(crate) fn built_in(policy: &str) -> Value {
    let bash = json!({"name": "bash", "permission_policy": {"type": policy}});
    json!({"type": "agent_toolset_20260401", "configs": [bash]})
}

/// A tool that the client runs.
pub(crate) fn look_up() -> Value {
    json!({"type": "custom", "name": "look_up", "description": "Looks a word up.",
        "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}})
}
