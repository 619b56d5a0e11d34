//! What a new session is made from, and what a change to one may say (docs/rules.md 18).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    AgentId, EnvironmentId, Fields, Invalid,
    agent::{Agent, SessionAgent},
    environment::{EnvironmentConfig, Networking},
    input::{self, ClientEvent},
    limits,
    model::{self, ModelConfig},
    parse::{self, GivenField, Metadata},
    routes::Routes,
    tool::{self, AgentTool},
};
use serde_json::Value;

use super::{environment, routed, text_or_none, unserved};
use crate::SessionChange;

/// A session as a client asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRequest {
    /// The agent, and what is different about it.
    pub agent: AgentReference,
    /// Where its tools run.
    pub environment: EnvironmentId,
    /// What it is called.
    pub title: Option<String>,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// What it begins with; empty for an idle session.
    pub events: Vec<ClientEvent>,
}

/// An agent as a session names it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentReference {
    /// Which agent.
    pub id: AgentId,
    /// Which version; `None` is the latest.
    pub version: Option<u64>,
    /// What is different in this session.
    pub overrides: AgentOverrides,
}

/// What is different about a session's agent: omitted inherits, null or empty clears, a value replaces.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentOverrides {
    /// Another model.
    pub model: Option<ModelConfig>,
    /// Another system prompt.
    pub system: GivenField<Option<String>>,
    /// Other tools.
    pub tools: GivenField<Vec<AgentTool>>,
}

impl AgentOverrides {
    /// Nothing is different.
    pub const NONE: Self = Self { model: None, system: GivenField::Absent, tools: GivenField::Absent };
}

/// Reads the body of a create.
///
/// # Errors
/// The field that is wrong or not served yet.
pub fn create(body: Value) -> Result<SessionRequest, Invalid> {
    let mut fields = Fields::of(body, "")?;
    let agent = fields.required("agent", agent)?;
    let environment = fields.required("environment_id", environment::reference)?;
    let title = fields.optional("title", parse::text(0, limits::NAME_CHARS))?;
    let metadata = fields.optional("metadata", parse::metadata)?.unwrap_or_default();
    for key in ["resources", "vault_ids"] {
        unserved(&mut fields, key)?;
    }
    fields.optional("budget", |_, path| Err::<(), _>(Invalid::unsupported(path, "`budget`")))?;
    let events = fields.optional("initial_events", input::initial)?.unwrap_or_default();
    fields.finish()?;
    Ok(SessionRequest { agent, environment, title, metadata, events })
}

/// Reads the body of an update; what it does to the session is decided by [`crate::decide`].
///
/// # Errors
/// The field that is wrong or not served yet.
pub fn update(body: Value) -> Result<SessionChange, Invalid> {
    let mut fields = Fields::of(body, "")?;
    let title = fields.given("title", parse::text(0, limits::NAME_CHARS))?;
    let metadata = fields.given("metadata", parse::metadata_patch)?;
    unserved(&mut fields, "vault_ids")?;
    fields.optional("budget", |_, path| {
        let message = "a budget is set when a session is created, and this one was created without one";
        Err::<(), _>(Invalid::new(path, message).with_code("budget_create_only"))
    })?;
    let tools = fields.optional("agent", |value, path| {
        let mut fields = Fields::of(value, path)?;
        let tools = fields.given("tools", tool::tools)?;
        unserved(&mut fields, "mcp_servers")?;
        fields.finish()?;
        Ok(tools)
    })?;
    fields.finish()?;
    Ok(SessionChange { title, metadata, tools: tools.unwrap_or(GivenField::Absent) })
}

/// The agent that a session works with: the saved one with the session's overrides in it, and still without
/// its roster ([`super::roster::whole`]).
///
/// # Errors
/// An archived agent, or a model without a route.
pub fn effective(agent: &Agent, overrides: AgentOverrides, routes: &Routes) -> Result<SessionAgent, Invalid> {
    if agent.archived_at.is_some() {
        let message =
            format!("the agent {} is archived; new sessions need another agent", agent.definition.id);
        return Err(Invalid::new("agent", message));
    }
    let mut effective = SessionAgent::of(agent, None);
    if let Some(model) = overrides.model {
        effective.definition.model = model;
    }
    effective.definition.model = routed(effective.definition.model, routes, "agent.model")?;
    match overrides.system {
        GivenField::Absent => {}
        GivenField::Null => effective.definition.system = None,
        GivenField::Value(system) => effective.definition.system = system,
    }
    match overrides.tools {
        GivenField::Absent => {}
        GivenField::Null => effective.definition.tools = Vec::new(),
        GivenField::Value(tools) => effective.definition.tools = tools,
    }
    Ok(effective)
}

/// Refuses web tools that are on and name domains that the environment's network does not reach
/// (docs/rules.md 16). `path` is that of the tools.
///
/// # Errors
/// The first such domain.
pub fn reachable(tools: &[AgentTool], config: &EnvironmentConfig, path: &str) -> Result<(), Invalid> {
    let EnvironmentConfig::Cloud { networking: Networking::Limited { allowed_hosts, .. }, .. } = config
    else {
        return Ok(());
    };
    for (tool, toolset) in tools.iter().enumerate().filter_map(|(index, tool)| match tool {
        AgentTool::Toolset(toolset) => Some((index, toolset)),
        AgentTool::Custom(_) => None,
    }) {
        let on = toolset.configs.iter().enumerate().filter(|(_, config)| config.enabled);
        let limited = on.filter_map(|(index, config)| Some((index, config.web.as_ref()?)));
        for (index, web) in limited {
            let allowed = web.domains().allowed_domains.iter().flatten();
            if let Some((place, domain)) =
                allowed.enumerate().find(|(_, domain)| !reached(domain, allowed_hosts))
            {
                let at = format!("{path}.{tool}.configs.{index}.allowed_domains.{place}");
                let message = format!("`{domain}` is not among the environment's allowed_hosts");
                return Err(Invalid::new(at, message));
            }
        }
    }
    Ok(())
}

fn reached(domain: &str, hosts: &[String]) -> bool {
    let host = domain.split('/').next().unwrap_or_default().to_ascii_lowercase();
    hosts.iter().map(|allowed| allowed.to_ascii_lowercase()).any(|allowed| match allowed.strip_prefix('*') {
        Some(parent) => host.ends_with(parent),
        None => host == allowed,
    })
}

fn agent(value: Value, path: &str) -> Result<AgentReference, Invalid> {
    if value.is_string() {
        return Ok(AgentReference {
            id: parse::reference(value, path)?,
            version: None,
            overrides: AgentOverrides::NONE,
        });
    }
    let mut fields = Fields::of(value, path)?;
    let known = ["agent", "agent_with_overrides"];
    let tag = fields.tag(&known)?;
    let id = fields.required("id", parse::reference)?;
    let version = fields.optional("version", parse::whole(1, u64::MAX))?;
    let overrides = match tag.as_str() {
        "agent" => AgentOverrides::NONE,
        "agent_with_overrides" => overrides(&mut fields)?,
        _ => return Err(fields.unknown_tag(&tag, &known)),
    };
    fields.finish()?;
    Ok(AgentReference { id, version, overrides })
}

fn overrides(fields: &mut Fields) -> Result<AgentOverrides, Invalid> {
    let model = match fields.given("model", model::model)? {
        GivenField::Absent => None,
        GivenField::Null => {
            let message = "an agent needs a model; leave `model` out to keep the agent's own";
            return Err(fields.wrong("model", message).with_code("agent_model_required"));
        }
        GivenField::Value(model) => Some(model),
    };
    let system = fields.given("system", parse::text(0, limits::SYSTEM_CHARS))?.map(text_or_none);
    let tools = fields.given("tools", tool::tools)?;
    for key in ["mcp_servers", "skills"] {
        unserved(fields, key)?;
    }
    Ok(AgentOverrides { model, system, tools })
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
