//! Agents: create, change, archive (docs/rules.md 14).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    AgentId, Fields, Invalid, Timestamp,
    agent::{Agent, AgentDefinition, ExecutionIdentity},
    limits,
    model::{self, ModelConfig},
    parse::{self, GivenField, MetadataPatch},
    roster::RosterEntry,
    routes::Routes,
    tool::{self, AgentTool},
};
use serde_json::Value;

use super::{DocumentRefusal, document::DocumentRules, roster, routed, text_or_none, unserved};

impl DocumentRules for Agent {
    const DELETED: Option<&'static str> = None;

    fn version(&self) -> Option<u64> {
        Some(self.definition.version)
    }

    fn archived(&self) -> Invalid {
        let message =
            format!("the agent {} is archived and cannot be changed; create a new agent", self.definition.id);
        Invalid::new("", message)
    }
}

/// A new agent, at version 1, and whom its roster names; that is still to be found ([`enlist`]).
///
/// # Errors
/// The field that is wrong, not served yet, or a model without a route.
pub fn create(
    body: Value,
    routes: &Routes,
    id: AgentId,
    at: Timestamp,
) -> Result<(Agent, Option<Vec<RosterEntry>>), Invalid> {
    let mut fields = Fields::of(body, "")?;
    let name = fields.required("name", parse::text(1, limits::NAME_CHARS))?;
    let model = routed(fields.required("model", model::model)?, routes, "model")?;
    let rest = Rest::read(&mut fields)?;
    let metadata = fields.optional("metadata", parse::metadata)?.unwrap_or_default();
    fields.finish()?;
    let roster = rest.roster.value();
    let definition = AgentDefinition {
        id,
        version: 1,
        name,
        description: rest.description.value().flatten(),
        model,
        system: rest.system.value().flatten(),
        tools: rest.tools.value().unwrap_or_default(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    let agent = Agent {
        definition,
        multiagent: None,
        execution_identity: ExecutionIdentity::ServiceAccount,
        metadata,
        created_at: at,
        updated_at: at,
        archived_at: None,
    };
    Ok((agent, roster))
}

/// The agent with the roster that `sent` names; `found` as in [`roster::pinned`].
///
/// # Errors
/// An entry of the roster, or a tool of the agent, that may not be in one.
pub fn enlist(
    agent: Agent,
    sent: &[RosterEntry],
    found: &[Option<Agent>],
    nested: bool,
) -> Result<Agent, Invalid> {
    let coordinator = roster::pinned(&agent, sent, found, nested)?;
    roster::free_of_conflict(&agent.definition.tools, "tools")?;
    Ok(Agent { multiagent: Some(coordinator), ..agent })
}

/// The next version of `agent`; `None` when the change changes nothing. `found` are those that
/// [`AgentChange::named`] names; see [`roster::pinned`].
///
/// Omitted keeps; arrays are replaced whole, null or `[]` clears; metadata is changed key by key; null or
/// `""` clears description and system; the model is replaced whole (docs/rules.md 14).
///
/// # Errors
/// What may not be in a roster; an archived agent; a `version` that is not the current one, even when nothing
/// would change.
pub fn revise(
    agent: &Agent,
    change: AgentChange,
    found: &[Option<Agent>],
    nested: bool,
    at: Timestamp,
) -> Result<Option<Agent>, DocumentRefusal> {
    if agent.archived_at.is_some() {
        return Err(agent.archived().into());
    }
    if let Some(sent) = change.version.filter(|sent| *sent != agent.definition.version) {
        return Err(DocumentRefusal::Stale { sent, current: agent.definition.version });
    }
    let mut next = agent.clone();
    if let Some(name) = change.name {
        next.definition.name = name;
    }
    if let Some(model) = change.model {
        next.definition.model = model;
    }
    replace(&mut next.definition.description, change.rest.description);
    replace(&mut next.definition.system, change.rest.system);
    replace(&mut next.definition.tools, change.rest.tools);
    if let Some(patch) = change.metadata {
        next.metadata = parse::patched(&agent.metadata, patch, false, "metadata")?;
    }
    let next = match change.rest.roster {
        GivenField::Absent => next,
        GivenField::Null => Agent { multiagent: None, ..next },
        GivenField::Value(sent) => enlist(next, &sent, found, nested)?,
    };
    if next.multiagent.is_some() {
        roster::free_of_conflict(&next.definition.tools, "tools")?;
    }
    if at_version(next.clone(), agent.definition.version)
        == at_version(agent.clone(), agent.definition.version)
    {
        return Ok(None);
    }
    Ok(Some(Agent { updated_at: at, ..at_version(next, agent.definition.version + 1) }))
}

/// The agent as this version of it; its own place in its roster goes with it.
fn at_version(mut agent: Agent, version: u64) -> Agent {
    agent.definition.version = version;
    let id = agent.definition.id;
    let own = agent.multiagent.iter_mut().flat_map(|roster| &mut roster.agents);
    own.filter(|pinned| pinned.id == id).for_each(|pinned| pinned.version = version);
    agent
}

/// A change to an agent.
#[derive(Debug)]
pub struct AgentChange {
    version: Option<u64>,
    name: Option<String>,
    model: Option<ModelConfig>,
    rest: Rest,
    metadata: Option<MetadataPatch>,
}

impl AgentChange {
    /// Whom the roster names that it brings; they are to be found before it is made.
    pub fn named(&self) -> &[RosterEntry] {
        match &self.rest.roster {
            GivenField::Value(sent) => sent,
            GivenField::Absent | GivenField::Null => &[],
        }
    }

    /// Reads the body of an update.
    ///
    /// # Errors
    /// The field that is wrong, not served yet, or a model without a route.
    pub fn read(body: Value, routes: &Routes) -> Result<Self, Invalid> {
        let mut fields = Fields::of(body, "")?;
        let version = fields.optional("version", parse::whole(1, u64::MAX))?;
        let name = uncleared("name", fields.given("name", parse::text(1, limits::NAME_CHARS))?)?;
        let model = uncleared("model", fields.given("model", model::model)?)?;
        let model = model.map(|model| routed(model, routes, "model")).transpose()?;
        let rest = Rest::read(&mut fields)?;
        let metadata = fields.optional("metadata", parse::metadata_patch)?;
        fields.finish()?;
        Ok(Self { version, name, model, rest, metadata })
    }
}

/// What creating and changing read alike.
#[derive(Debug)]
struct Rest {
    description: GivenField<Option<String>>,
    system: GivenField<Option<String>>,
    tools: GivenField<Vec<AgentTool>>,
    roster: GivenField<Vec<RosterEntry>>,
}

impl Rest {
    fn read(fields: &mut Fields) -> Result<Self, Invalid> {
        let description = fields.given("description", parse::text(0, limits::DESCRIPTION_CHARS))?;
        let system = fields.given("system", parse::text(0, limits::SYSTEM_CHARS))?;
        let tools = fields.given("tools", tool::tools)?;
        let roster = fields.given("multiagent", protocol::roster::roster)?;
        for key in ["mcp_servers", "skills"] {
            unserved(fields, key)?;
        }
        fields.given("execution_identity", execution_identity)?;
        let (description, system) = (description.map(text_or_none), system.map(text_or_none));
        Ok(Self { description, system, tools, roster })
    }
}

fn execution_identity(value: Value, path: &str) -> Result<ExecutionIdentity, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["service_account", "aws_role"];
    let tag = fields.tag(&known)?;
    match tag.as_str() {
        "service_account" => fields.finish().map(|()| ExecutionIdentity::ServiceAccount),
        "aws_role" => Err(Invalid::unsupported(fields.at("type"), "`aws_role`")),
        _ => Err(fields.unknown_tag(&tag, &known)),
    }
}

/// Refuses null where a field cannot be cleared.
fn uncleared<T>(key: &str, given: GivenField<T>) -> Result<Option<T>, Invalid> {
    match given {
        GivenField::Absent => Ok(None),
        GivenField::Null => Err(Invalid::new(key, "cannot be cleared; leave it out to keep it")),
        GivenField::Value(value) => Ok(Some(value)),
    }
}

fn replace<T: Default>(stored: &mut T, given: GivenField<T>) {
    match given {
        GivenField::Absent => {}
        GivenField::Null => *stored = T::default(),
        GivenField::Value(value) => *stored = value,
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
