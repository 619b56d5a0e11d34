//! Agents and their versions.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod roster;
pub(super) mod update;
pub(super) mod versions;

use protocol::{AgentId, WorkspaceId, agent::Agent};
use store::{Document, Kind};

use crate::{
    document::{self, Stored},
    error::Problem,
    extract::Call,
    openapi::{
        bodies,
        queries::{ARCHIVED, CREATED_GTE, CREATED_LTE, Form, LIMIT, PAGE, parameter},
    },
    operation::{Body, Good, Operation, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/agents", "agents.list", "the agents, newest first")
        .asks(&[CREATED_GTE, CREATED_LTE, ARCHIVED, LIMIT, PAGE])
        .gives(Good::Page("Agent"), |call| Box::pin(list::run(call))),
    post("/v1/agents", "agents.create", "saves an agent; MCP servers and skills are not supported yet")
        .takes(Body::Needed(bodies::AGENT_CREATE))
        .gives(Good::One("Agent"), |call| Box::pin(create::run(call))),
    get("/v1/agents/{agent_id}", "agents.retrieve", "one agent, now or as it was")
        .asks(&[parameter("version", Form::Whole, "The agent as it was in this version.")])
        .gives(Good::One("Agent"), |call| Box::pin(retrieve::run(call))),
    post("/v1/agents/{agent_id}", "agents.update", "the next version of an agent")
        .takes(Body::Welcome(bodies::AGENT_UPDATE))
        .refuses(&[409])
        .gives(Good::One("Agent"), |call| Box::pin(update::run(call))),
    post(
        "/v1/agents/{agent_id}/archive",
        "agents.archive",
        "no new session may use it; those that run go on",
    )
    .gives(Good::One("Agent"), |call| Box::pin(archive::run(call))),
    get("/v1/agents/{agent_id}/versions", "agents.versions.list", "an agent's versions, newest first")
        .asks(&[LIMIT, PAGE])
        .gives(Good::Page("Agent"), |call| Box::pin(versions::run(call))),
];

/// The agent in its current version.
async fn current(call: &Call, id: AgentId) -> Result<Stored<Agent>, Problem> {
    let found = document::find(call, Kind::Agent, id.bits(), None).await?;
    found.ok_or_else(|| Problem::missing(format!("there is no agent {id}")))
}

/// The agent in this version, or in its latest; archived is archived in every version. `None`: there is none.
pub(super) async fn version(
    call: &Call,
    id: AgentId,
    version: Option<u64>,
) -> Result<Option<Agent>, Problem> {
    let current: Option<Stored<Agent>> = document::find(call, Kind::Agent, id.bits(), None).await?;
    let Some(Stored { value: current, .. }) = current else { return Ok(None) };
    let Some(version) = version.filter(|version| *version != current.version) else {
        return Ok(Some(current));
    };
    let then: Option<Stored<Agent>> = document::find(call, Kind::Agent, id.bits(), Some(version)).await?;
    Ok(then.map(|then| Agent { archived_at: current.archived_at, ..then.value }))
}

/// The row that keeps `agent`. Its version is the agent's own.
fn row(workspace: WorkspaceId, agent: &Agent) -> Result<Document, Problem> {
    Ok(Document {
        kind: Kind::Agent,
        id: agent.id.bits(),
        version: agent.version,
        workspace,
        unique_key: None,
        body: document::written(agent)?,
        created_at: agent.created_at,
        updated_at: agent.updated_at,
        archived_at: agent.archived_at,
    })
}
