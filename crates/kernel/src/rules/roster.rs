//! Rosters: whom a coordinator may call, pinned when it is saved, whole when a session is made of it
//! (docs/rules.md 9, 15).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    Invalid,
    agent::{Agent, RosterMember, SessionAgent, SessionCoordinator, ThreadAgent},
    roster::{Coordinator, DelegationTool, PinnedAgent, RosterEntry},
    routes::Routes,
    tool::AgentTool,
};

use super::routed;

/// Names that no member may have: one belongs to the API, the other is what a model calls its own agent.
const RESERVED: [&str; 2] = ["anthropic.advisor", "self"];

/// The roster of `agent`, which is about to be saved. `found` are the agents that `sent` names, in its
/// order, in the versions it names or else the latest; `None` where there is none, or where it is `agent`
/// itself. `nested` says whether a member may have a roster of its own.
///
/// # Errors
/// The entry that is missing, archived, has a roster, or has another's name; a tool of a member that is
/// named like a delegation tool.
pub fn pinned(
    agent: &Agent,
    sent: &[RosterEntry],
    found: &[Option<Agent>],
    nested: bool,
) -> Result<Coordinator, Invalid> {
    let mut pinned = Vec::with_capacity(sent.len());
    let mut names: Vec<&str> = Vec::with_capacity(sent.len());
    for (index, sent) in sent.iter().enumerate() {
        let path = format!("multiagent.agents.{index}");
        let member = match sent {
            RosterEntry::Own => agent,
            // What an answer shows of the agent itself may be sent back.
            RosterEntry::Agent { id, version } if *id == agent.definition.id => {
                if version.is_some_and(|version| version != agent.definition.version) {
                    return Err(Invalid::new(path, "name the agent itself as {\"type\": \"self\"}"));
                }
                agent
            }
            RosterEntry::Agent { id, version } => {
                let member = found.get(index).and_then(Option::as_ref).ok_or_else(|| {
                    let version = version.map(|version| format!(" in version {version}")).unwrap_or_default();
                    Invalid::new(path.as_str(), format!("there is no agent {id}{version}"))
                })?;
                fit(member, nested, &path)?;
                member
            }
        };
        let name = member.definition.name.as_str();
        if RESERVED.contains(&name) {
            return Err(Invalid::new(path, format!("the name `{name}` is reserved; rename the agent")));
        }
        if names.contains(&name) {
            let message = format!("two agents of the roster are named `{name}`; rename one of them");
            return Err(Invalid::new(path, message));
        }
        names.push(name);
        pinned.push(PinnedAgent { id: member.definition.id, version: member.definition.version });
    }
    Ok(Coordinator { agents: pinned })
}

fn fit(member: &Agent, nested: bool, path: &str) -> Result<(), Invalid> {
    let id = member.definition.id;
    if member.archived_at.is_some() {
        return Err(Invalid::new(path, format!("the agent {id} is archived")));
    }
    if member.multiagent.is_some() && !nested {
        let message = format!(
            "the agent {id} has a roster of its own, and rosters do not nest on this server, where \
             `[threads] max_depth` is 1; with 2 in its heddle.toml they do"
        );
        return Err(Invalid::new(path, message));
    }
    match conflict(&member.definition.tools) {
        None => Ok(()),
        Some((_, name)) => {
            let message =
                format!("the agent {id} has a tool named `{name}`, which is a delegation tool's name");
            Err(Invalid::new(path, message))
        }
    }
}

/// Refuses custom tools of an agent with a roster that are named like a delegation tool. `path` is that of
/// the tools.
///
/// # Errors
/// The tool's name.
pub fn free_of_conflict(tools: &[AgentTool], path: &str) -> Result<(), Invalid> {
    match conflict(tools) {
        None => Ok(()),
        Some((index, name)) => {
            let message =
                format!("`{name}` is a delegation tool's name, which an agent with a roster has already");
            Err(Invalid::new(format!("{path}.{index}.name"), message))
        }
    }
}

fn conflict(tools: &[AgentTool]) -> Option<(usize, &str)> {
    tools.iter().enumerate().find_map(|(index, tool)| match tool {
        AgentTool::Custom(custom) => {
            DelegationTool::named(&custom.name).map(|_| (index, custom.name.as_str()))
        }
        AgentTool::Toolset(_) => None,
    })
}

/// A roster's agent, found for a new session.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundAgent {
    /// The agent, in the pinned version; `archived_at` is that of its latest.
    pub agent: Agent,
    /// Its own roster, where rosters may nest.
    pub multiagent: Option<SessionCoordinator>,
}

/// The roster of a session's agent. `found` are the agents that `agent` has pinned, in its order; where that
/// is itself, `effective` takes its place, without a roster.
///
/// # Errors
/// A member that is missing, archived, or whose model has no route.
pub fn whole(
    agent: &Agent,
    effective: &SessionAgent,
    found: Vec<Option<FoundAgent>>,
    routes: &Routes,
) -> Result<Option<SessionCoordinator>, Invalid> {
    let Some(roster) = &agent.multiagent else { return Ok(None) };
    let mut agents = Vec::with_capacity(roster.agents.len());
    for ((index, pinned), found) in roster.agents.iter().enumerate().zip(found) {
        let path: String = format!("agent.multiagent.agents.{index}");
        if pinned.id == agent.definition.id {
            agents.push(RosterMember { agent: ThreadAgent::from(effective), multiagent: None });
            continue;
        }
        let PinnedAgent { id, version } = *pinned;
        let missing = || Invalid::new(path.as_str(), format!("there is no agent {id} in version {version}"));
        let FoundAgent { agent: member, multiagent } = found.ok_or_else(missing)?;
        if member.archived_at.is_some() {
            return Err(Invalid::new(
                path,
                format!("the agent {id} is archived; give {} another", agent.definition.id),
            ));
        }
        routed(member.definition.model.clone(), routes, &path)?;
        let member = SessionAgent::of(&member, None);
        agents.push(RosterMember { agent: ThreadAgent::from(&member), multiagent });
    }
    free_of_conflict(&effective.definition.tools, "agent.tools")?;
    for (index, member) in agents.iter().enumerate() {
        let name = &member.agent.definition.name;
        if agents.iter().take(index).any(|other| other.agent.definition.name == *name) {
            let path = format!("agent.multiagent.agents.{index}");
            let message = format!("two agents of the roster are named `{name}`; rename one of them");
            return Err(Invalid::new(path, message));
        }
    }
    Ok(Some(SessionCoordinator { agents }))
}
