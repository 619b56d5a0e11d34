//! Agents: what is saved, and the snapshot that a session works with (docs/rules.md 14, 18).

use alloc::{string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentId, Object, Timestamp,
    model::ModelConfig,
    parse::Metadata,
    roster::Coordinator,
    schema::{Described, Tagged},
    tool::AgentTool,
};

/// What an agent is wherever it is shown: saved, in a session, in a thread.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct AgentDefinition {
    /// The agent it was made from.
    pub id: AgentId,
    /// The version it was made from.
    pub version: u64,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which model thinks for it.
    pub model: ModelConfig,
    /// Its system prompt.
    pub system: Option<String>,
    /// Its tools.
    pub tools: Vec<AgentTool>,
    /// Always empty: MCP servers are not served.
    pub mcp_servers: Vec<Object>,
    /// Always empty: skills are not served.
    pub skills: Vec<Object>,
}

/// What the schema of a saved agent says of these fields: it is the one that others are made from, and the
/// one whose limits are looked at.
const SAVED: &[(&str, &str)] = &[
    ("id", "Its id."),
    ("version", "From 1; each change makes the next."),
    ("name", "What it is called: 1 to 256 characters."),
    ("description", "What it is for: at most 2,048 characters."),
    ("system", "Its system prompt: at most 100,000 characters."),
    ("tools", "Its tools: at most 256."),
];

/// A saved agent, one version of it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent")]
#[schemars(rename = "Agent", transform = Tagged("agent"), transform = Described(SAVED))]
pub struct Agent {
    /// What it is.
    #[serde(flatten)]
    pub definition: AgentDefinition,
    /// Whom it may call.
    pub multiagent: Option<Coordinator>,
    /// Whom it acts as.
    pub execution_identity: ExecutionIdentity,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// When version 1 was saved.
    pub created_at: Timestamp,
    /// When this version was saved, or archived.
    pub updated_at: Timestamp,
    /// Since when it may not be used any more.
    pub archived_at: Option<Timestamp>,
}

resource!(Agent, crate::id::Agent, "agent", definition.id);

/// Whom an agent acts as. Only the default is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExecutionIdentity {
    /// The server's own account.
    #[default]
    ServiceAccount,
}

/// The agent as a session works with it: a snapshot with the session's overrides in it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent")]
#[schemars(rename = "SessionAgent", transform = Tagged("agent"))]
pub struct SessionAgent {
    /// What it is.
    #[serde(flatten)]
    pub definition: AgentDefinition,
    /// Whom it may call, definitions and all.
    pub multiagent: Option<SessionCoordinator>,
    /// Whom it acts as.
    pub execution_identity: ExecutionIdentity,
}

impl SessionAgent {
    /// The agent with its roster, nothing overridden.
    pub fn of(agent: &Agent, multiagent: Option<SessionCoordinator>) -> Self {
        Self {
            definition: agent.definition.clone(),
            multiagent,
            execution_identity: agent.execution_identity,
        }
    }

    /// The roster's agents; none without a roster.
    pub fn members(&self) -> &[RosterMember] {
        self.multiagent.as_ref().map(|roster| roster.agents.as_slice()).unwrap_or_default()
    }
}

/// The agent as a thread shows it: the session's snapshot without its roster.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent")]
#[schemars(rename = "ThreadAgent", transform = Tagged("agent"))]
pub struct ThreadAgent {
    /// What it is.
    #[serde(flatten)]
    pub definition: AgentDefinition,
    /// Whom it acts as.
    pub execution_identity: ExecutionIdentity,
}

impl From<&SessionAgent> for ThreadAgent {
    fn from(agent: &SessionAgent) -> Self {
        Self { definition: agent.definition.clone(), execution_identity: agent.execution_identity }
    }
}

/// A session's roster: the agents whole, as they were when the session was made.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "coordinator")]
#[schemars(rename = "SessionCoordinator", transform = Tagged("coordinator"))]
pub struct SessionCoordinator {
    /// The agents.
    pub agents: Vec<RosterMember>,
}

/// An agent of a session's roster.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Member")]
pub struct RosterMember {
    /// The agent.
    #[serde(flatten)]
    pub agent: ThreadAgent,
    /// Its own roster: only where the server lets threads lie deeper than one level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiagent: Option<SessionCoordinator>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    fn reads_and_writes<T: Serialize + DeserializeOwned>(kept: &str) {
        let read: T = serde_json::from_str(kept).expect("read");
        assert_eq!(serde_json::to_string(&read).expect("written"), kept);
    }

    /// Documents, logs and snapshots hold these bytes, and a snapshot is found by the hash of its own.
    #[test]
    fn agents_are_written_as_they_always_were() {
        reads_and_writes::<Agent>(
            "{\"type\":\"agent\",\"id\":\"agent_1111111111111111111112\",\"version\":3,\"name\":\"a\",\
             \"description\":null,\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
             \"inference_geo\":null,\"speed\":\"standard\"},\"system\":\"s\",\"tools\":[{\"type\":\"custom\",\
             \"name\":\"look_up\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\
             \"properties\":{\"b\":{},\"a\":{}}}}],\"mcp_servers\":[],\"skills\":[],\
             \"multiagent\":{\"type\":\"coordinator\",\"agents\":[{\"type\":\"agent\",\
             \"id\":\"agent_1111111111111111111113\",\"version\":1},{\"type\":\"agent\",\
             \"id\":\"agent_1111111111111111111112\",\"version\":3}]},\
             \"execution_identity\":{\"type\":\"service_account\"},\"metadata\":{\"k\":\"v\"},\
             \"created_at\":\"2026-01-02T03:04:05.000000Z\",\"updated_at\":\"2026-01-02T03:04:05.000006Z\",\
             \"archived_at\":null}",
        );
        reads_and_writes::<SessionAgent>(
            "{\"type\":\"agent\",\"id\":\"agent_1111111111111111111112\",\"version\":3,\"name\":\"a\",\
             \"description\":null,\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
             \"inference_geo\":null,\"speed\":\"standard\"},\"system\":\"s\",\"tools\":[{\"type\":\"custom\",\
             \"name\":\"look_up\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\
             \"properties\":{\"b\":{},\"a\":{}}}}],\"mcp_servers\":[],\"skills\":[],\
             \"multiagent\":{\"type\":\"coordinator\",\"agents\":[{\"type\":\"agent\",\
             \"id\":\"agent_1111111111111111111113\",\"version\":1,\"name\":\"b\",\"description\":\"d\",\
             \"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\"inference_geo\":null,\
             \"speed\":\"standard\"},\"system\":null,\"tools\":[],\"mcp_servers\":[],\"skills\":[],\
             \"execution_identity\":{\"type\":\"service_account\"},\"multiagent\":{\"type\":\"coordinator\",\
             \"agents\":[]}},{\"type\":\"agent\",\"id\":\"agent_1111111111111111111112\",\"version\":3,\
             \"name\":\"a\",\"description\":null,\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
             \"inference_geo\":null,\"speed\":\"standard\"},\"system\":null,\"tools\":[],\"mcp_servers\":[],\
             \"skills\":[],\"execution_identity\":{\"type\":\"service_account\"}}]},\
             \"execution_identity\":{\"type\":\"service_account\"}}",
        );
        reads_and_writes::<ThreadAgent>(
            "{\"type\":\"agent\",\"id\":\"agent_1111111111111111111113\",\"version\":1,\"name\":\"b\",\
             \"description\":\"d\",\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
             \"inference_geo\":null,\"speed\":\"standard\"},\"system\":null,\"tools\":[],\"mcp_servers\":[],\
             \"skills\":[],\"execution_identity\":{\"type\":\"service_account\"}}",
        );
    }
}
