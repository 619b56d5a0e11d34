//! Opening a session: whoever asks for it, a client, a schedule or another face.

use kernel::rules::{environment, session};
use protocol::{AgentId, Invalid, WorkspaceId, agent::Agent, environment::Environment, session::Session};
use store::BatchWrite;

use crate::{
    Engine, NewSession,
    attempt::PostAttempt,
    documents::{DocumentError, live},
    fault::{CommitError, EngineFault},
};

/// Attempts when agents or environments change in between.
const RACES: u32 = 8;

/// Why a session was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// What it is to be made of is not there or not fit.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It was not written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<Invalid> for OpenError {
    fn from(wrong: Invalid) -> Self {
        Self::Document(wrong.into())
    }
}

impl Engine {
    /// Opens a session, for the request `attempt` if it is one that may be sent again.
    ///
    /// # Errors
    /// What is missing, archived, or not fit for a session.
    pub async fn open_session(
        &self,
        workspace: WorkspaceId,
        request: session::SessionRequest,
        attempt: Option<&PostAttempt>,
    ) -> Result<Session, OpenError> {
        for _ in 0..RACES {
            let (new, expects) = self.prepared(workspace, request.clone()).await?;
            match self.open(workspace, new, expects, attempt).await {
                Err(CommitError::Conflict { .. }) => {}
                opened => return Ok(opened?),
            }
        }
        Err(CommitError::Fault(EngineFault::Contended(RACES)).into())
    }

    /// What the session is made of, and what must still hold of it when it is.
    async fn prepared(
        &self,
        workspace: WorkspaceId,
        request: session::SessionRequest,
    ) -> Result<(NewSession, Vec<BatchWrite>), OpenError> {
        let agent = self.agent_of(workspace, request.agent.id, request.agent.version).await?;
        let mut effective = session::effective(&agent, request.agent.overrides, self.routes())?;
        let (multiagent, members) = self.roster(workspace, &agent, &effective).await?;
        effective.multiagent = multiagent;
        let id = request.environment;
        let environment = self.document_in::<Environment>(workspace, id, None).await;
        let environment = environment.map_err(DocumentError::from)?.ok_or_else(|| {
            let missing = kernel::rules::document::missing::<Environment>(id);
            Invalid { path: "environment_id".into(), ..missing }
        })?;
        if environment.archived_at.is_some() {
            return Err(environment::archived(id, "environment_id").into());
        }
        session::reachable(&effective.definition.tools, &environment.config, "agent.tools")?;
        let mut expects = vec![
            live::<Agent>(workspace, agent.definition.id, Some(agent.definition.version)),
            live::<Environment>(workspace, id, None),
        ];
        expects.extend(members.iter().map(|member| live::<Agent>(workspace, member.id, None)));
        let new = NewSession {
            agent: effective,
            environment: id,
            title: request.title,
            metadata: request.metadata,
            events: request.events,
        };
        Ok((new, expects))
    }

    /// The agent in the version that is asked for.
    async fn agent_of(
        &self,
        workspace: WorkspaceId,
        id: AgentId,
        wanted: Option<u64>,
    ) -> Result<Agent, OpenError> {
        let look = async |version| {
            let found = self.document_in::<Agent>(workspace, id, version).await;
            found.map_err(DocumentError::from)
        };
        if let Some(agent) = look(wanted).await? {
            return Ok(agent);
        }
        let known = wanted.is_some() && look(None).await?.is_some();
        let (path, message) = match wanted {
            Some(version) if known => ("agent.version", format!("the agent {id} has no version {version}")),
            Some(_) | None => ("agent", format!("there is no agent {id}")),
        };
        Err(Invalid { absent: true, ..Invalid::new(path, message) }.into())
    }
}
