//! Agents: saved with whom their rosters name (docs/rules.md 9), and found for the sessions that are made of
//! them.

use kernel::rules::{
    agent,
    roster::{self, FoundAgent},
};
use protocol::{
    AgentId, Invalid, WorkspaceId,
    agent::{Agent, SessionAgent, SessionCoordinator},
    roster::{PinnedAgent, RosterEntry},
};
use serde_json::Value;

use crate::{
    Engine, EngineFault,
    documents::{DocumentChange, DocumentError},
};

/// Agents that rosters may hold together, where they nest.
const MEMBERS: usize = 100;

impl Engine {
    /// Saves an agent, and gives its bytes.
    ///
    /// # Errors
    /// What the rules refuse.
    pub async fn create_agent(
        &self,
        errand: DocumentChange<'_>,
        body: Value,
    ) -> Result<Vec<u8>, DocumentError> {
        let (agent, sent) = agent::create(body, self.routes(), self.mint(), self.now())?;
        let agent = match sent {
            None => agent,
            Some(sent) => {
                let found = self.named(errand.workspace, &sent).await?;
                agent::enlist(agent, &sent, &found, self.nested())?
            }
        };
        self.create_document(errand, &agent).await
    }

    /// Makes the next version of an agent, and gives its bytes; the old one's when nothing changes.
    ///
    /// # Errors
    /// There is none; what the rules refuse.
    pub async fn update_agent(
        &self,
        errand: DocumentChange<'_>,
        id: AgentId,
        body: Value,
    ) -> Result<Vec<u8>, DocumentError> {
        self.revise_document(errand, id, |stored: Agent| {
            let body = body.clone();
            async move {
                let change = agent::AgentChange::read(body, self.routes())?;
                let found = self.named(errand.workspace, change.named()).await?;
                Ok(agent::revise(&stored, change, &found, self.nested(), self.now())?)
            }
        })
        .await
    }

    /// The roster of a session's agent, with the rosters below it as deep as threads may lie; and everybody
    /// in it.
    ///
    /// # Errors
    /// A member that is missing, archived or without a route; more than 100 of them.
    pub(crate) async fn roster(
        &self,
        workspace: WorkspaceId,
        agent: &Agent,
        effective: &SessionAgent,
    ) -> Result<(Option<SessionCoordinator>, Vec<PinnedAgent>), DocumentError> {
        let mut members = Vec::new();
        let depth = self.tree().max_depth;
        let roster = self.below(workspace, agent, effective, depth, &mut members).await?;
        Ok((roster, members))
    }

    async fn below(
        &self,
        workspace: WorkspaceId,
        agent: &Agent,
        effective: &SessionAgent,
        depth: u32,
        members: &mut Vec<PinnedAgent>,
    ) -> Result<Option<SessionCoordinator>, DocumentError> {
        let pinned = agent.multiagent.as_ref().map(|roster| roster.agents.clone()).unwrap_or_default();
        let mut found = Vec::with_capacity(pinned.len());
        for pinned in pinned {
            if pinned.id == agent.definition.id {
                found.push(None);
                continue;
            }
            members.push(pinned);
            if members.len() > MEMBERS {
                let message = format!("the rosters below this agent hold more than {MEMBERS} agents");
                return Err(Invalid::new("agent.multiagent", message).into());
            }
            let member = self.document_in::<Agent>(workspace, pinned.id, Some(pinned.version)).await?;
            let Some(member) = member else {
                found.push(None);
                continue;
            };
            let multiagent = if depth > 1 && member.multiagent.is_some() {
                let plain = SessionAgent::of(&member, None);
                Box::pin(self.below(workspace, &member, &plain, depth - 1, members)).await?
            } else {
                None
            };
            found.push(Some(FoundAgent { agent: member, multiagent }));
        }
        Ok(roster::whole(agent, effective, found, self.routes())?)
    }

    /// Whether a roster's agents may have rosters of their own on this server.
    fn nested(&self) -> bool {
        self.tree().max_depth > 1
    }

    /// The agents that `sent` names, in its order; `None` where there is none, or where it is the agent
    /// itself.
    async fn named(
        &self,
        workspace: WorkspaceId,
        sent: &[RosterEntry],
    ) -> Result<Vec<Option<Agent>>, EngineFault> {
        let mut found = Vec::with_capacity(sent.len());
        for sent in sent {
            found.push(match sent {
                RosterEntry::Own => None,
                RosterEntry::Agent { id, version } => self.document_in(workspace, *id, *version).await?,
            });
        }
        Ok(found)
    }
}
