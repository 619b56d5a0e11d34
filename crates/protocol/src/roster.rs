//! Rosters: whom a coordinator may call, and with which tools (docs/rules.md 15).

use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AgentId, limits,
    parse::{self, Fields, Invalid},
    schema::Tagged,
};

/// A saved agent's roster: pinned versions, which never follow later ones.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "coordinator")]
#[schemars(rename = "Coordinator", transform = Tagged("coordinator"))]
pub struct Coordinator {
    /// 1 to 20 different agents.
    pub agents: Vec<PinnedAgent>,
}

/// One version of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent")]
#[schemars(rename = "Pinned", transform = Tagged("agent"))]
pub struct PinnedAgent {
    /// Which agent.
    pub id: AgentId,
    /// Which version.
    pub version: u64,
}

/// A delegation tool: how the agents of a session call, write to and report to each other (docs/rules.md 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegationTool {
    /// Makes a child, and goes on.
    CreateAgent,
    /// Makes a child, and waits for its report.
    Agent,
    /// Writes to a child.
    SendToAgent,
    /// Lists the children.
    ListAgents,
    /// Writes to the parent.
    SendToParent,
}

impl DelegationTool {
    /// All of them, in the order in which a model is offered them.
    pub const ALL: [Self; 5] =
        [Self::CreateAgent, Self::Agent, Self::SendToAgent, Self::ListAgents, Self::SendToParent];

    /// The tool's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateAgent => "create_agent",
            Self::Agent => "Agent",
            Self::SendToAgent => "send_to_agent",
            Self::ListAgents => "list_agents",
            Self::SendToParent => "send_to_parent",
        }
    }

    /// The tool of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|errand| errand.name() == name)
    }
}

/// An entry of a roster as a client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterEntry {
    /// An agent; without a version its latest.
    Agent {
        /// Which agent.
        id: AgentId,
        /// Which version.
        version: Option<u64>,
    },
    /// The agent that is being saved.
    Own,
}

/// Reads an agent's `multiagent`.
///
/// # Errors
/// The field that is wrong: none or more than 20 entries, an entry twice, or a kind of roster or entry
/// that is not served.
pub fn roster(value: Value, path: &str) -> Result<Vec<RosterEntry>, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["coordinator", "multiagent_20261001"];
    let tag = fields.tag(&known)?;
    match tag.as_str() {
        "coordinator" => {}
        "multiagent_20261001" => {
            let what = "`multiagent_20261001` (use `coordinator`, which spawns the same threads)";
            return Err(Invalid::unsupported(fields.at("type"), what));
        }
        _ => return Err(fields.unknown_tag(&tag, &known)),
    }
    let at = fields.at("agents");
    let agents = fields.required("agents", parse::list(1, limits::ROSTER, sent))?;
    fields.finish()?;
    for (index, sent) in agents.iter().enumerate() {
        let twice = |other: &RosterEntry| match (other, sent) {
            (RosterEntry::Own, RosterEntry::Own) => true,
            (RosterEntry::Agent { id: one, .. }, RosterEntry::Agent { id: other, .. }) => one == other,
            (RosterEntry::Own, RosterEntry::Agent { .. }) | (RosterEntry::Agent { .. }, RosterEntry::Own) => {
                false
            }
        };
        if agents.iter().take(index).any(twice) {
            return Err(Invalid::new(alloc::format!("{at}.{index}"), "this agent is already in the roster"));
        }
    }
    Ok(agents)
}

fn sent(value: Value, path: &str) -> Result<RosterEntry, Invalid> {
    if value.is_string() {
        return Ok(RosterEntry::Agent { id: parse::id(value, path)?, version: None });
    }
    let mut fields = Fields::of(value, path)?;
    let known = ["agent", "self", "advisor"];
    let tag = fields.tag(&known)?;
    match tag.as_str() {
        "agent" => {
            let id = fields.required("id", parse::id)?;
            let version = fields.optional("version", parse::whole(1, u64::MAX))?;
            fields.finish()?;
            Ok(RosterEntry::Agent { id, version })
        }
        "self" => fields.finish().map(|()| RosterEntry::Own),
        "advisor" => {
            let message = "an advisor is not supported yet; save an agent that gives advice, and name it here as \
                           {\"type\": \"agent\", \"id\": ID}";
            Err(fields.wrong("type", message))
        }
        _ => Err(fields.unknown_tag(&tag, &known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    const ID: &str = "agent_1111111111111111111112";

    #[test]
    fn each_form_of_an_entry_is_read() {
        let sent = json!({"type": "coordinator", "agents": [
            ID, {"type": "agent", "id": "agent_1111111111111111111113", "version": 3}, {"type": "self"},
        ]});
        let wanted = vec![
            RosterEntry::Agent { id: AgentId::from_bits(1), version: None },
            RosterEntry::Agent { id: AgentId::from_bits(2), version: Some(3) },
            RosterEntry::Own,
        ];
        assert_eq!(roster(sent, "multiagent"), Ok(wanted));
    }

    #[test]
    fn each_mistake_names_its_field() {
        let of = |agents: Value| json!({"type": "coordinator", "agents": agents});
        let again = json!({"type": "agent", "id": ID, "version": 2});
        for (sent, path) in [
            (of(json!([])), "multiagent.agents"),
            (of((0..21).map(|_| json!({"type": "self"})).collect()), "multiagent.agents"),
            (of(json!([ID, again])), "multiagent.agents.1"),
            (of(json!([{"type": "self"}, {"type": "self"}])), "multiagent.agents.1"),
            (of(json!(["x"])), "multiagent.agents.0"),
            (of(json!([{"type": "agent"}])), "multiagent.agents.0.id"),
            (of(json!([{"type": "advisor", "model": "m"}])), "multiagent.agents.0.type"),
            (of(json!([{"type": "other"}])), "multiagent.agents.0.type"),
            (json!({"type": "coordinator"}), "multiagent.agents"),
            (json!({"type": "multiagent_20261001"}), "multiagent.type"),
            (json!({"type": "other"}), "multiagent.type"),
        ] {
            assert_eq!(roster(sent, "multiagent").map_err(|wrong| wrong.path), Err(path.into()));
        }
    }
}
