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
};

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
    let Some(version) = version.filter(|version| *version != current.definition.version) else {
        return Ok(Some(current));
    };
    let then: Option<Stored<Agent>> = document::find(call, Kind::Agent, id.bits(), Some(version)).await?;
    Ok(then.map(|then| Agent { archived_at: current.archived_at, ..then.value }))
}

/// The row that keeps `agent`. Its version is the agent's own.
fn row(workspace: WorkspaceId, agent: &Agent) -> Result<Document, Problem> {
    Ok(Document {
        kind: Kind::Agent,
        id: agent.definition.id.bits(),
        version: agent.definition.version,
        workspace,
        unique_key: None,
        body: document::written(agent)?,
        created_at: agent.created_at,
        updated_at: agent.updated_at,
        archived_at: agent.archived_at,
    })
}
