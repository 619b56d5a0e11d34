//! Finding the agents that a roster names (spec/behaviour.md b.8).

use kernel::rules::roster::{self, Found};
use protocol::{
    Invalid,
    agent::{Agent, SessionAgent, SessionCoordinator},
    roster::{Pinned, Sent},
};
use store::{Kind, Write};

use super::version;
use crate::{error::Problem, extract::Call};

/// Agents that rosters may hold together, where they nest.
const MEMBERS: usize = 100;

/// Whether a roster's agents may have rosters of their own on this server.
pub(super) fn nested(call: &Call) -> bool {
    call.engine().tree().max_depth > 1
}

/// The agents that `sent` names, in its order; `None` where there is none, or where it is the agent itself.
pub(super) async fn named(call: &Call, sent: &[Sent]) -> Result<Vec<Option<Agent>>, Problem> {
    let mut found = Vec::with_capacity(sent.len());
    for sent in sent {
        found.push(match sent {
            Sent::Own => None,
            Sent::Agent { id, version: wanted } => version(call, *id, *wanted).await?,
        });
    }
    Ok(found)
}

/// What must still hold when a session is made with a roster's agents: that they are not archived.
pub(crate) fn expected(members: &[Pinned]) -> impl Iterator<Item = Write> + '_ {
    let live = |pinned: &Pinned| Write::ExpectLive { kind: Kind::Agent, id: pinned.id.bits(), version: None };
    members.iter().map(live)
}

/// The roster of a session's agent, with the rosters below it as deep as threads may lie; and everybody
/// in it.
///
/// # Errors
/// A member that is missing, archived or without a route; more than 100 of them.
pub(crate) async fn whole(
    call: &Call,
    agent: &Agent,
    effective: &SessionAgent,
) -> Result<(Option<SessionCoordinator>, Vec<Pinned>), Problem> {
    let mut members = Vec::new();
    let depth = call.engine().tree().max_depth;
    let roster = below(call, agent, effective, depth, &mut members).await?;
    Ok((roster, members))
}

async fn below(
    call: &Call,
    agent: &Agent,
    effective: &SessionAgent,
    depth: u32,
    members: &mut Vec<Pinned>,
) -> Result<Option<SessionCoordinator>, Problem> {
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
        let Some(member) = version(call, pinned.id, Some(pinned.version)).await? else {
            found.push(None);
            continue;
        };
        let multiagent = if depth > 1 && member.multiagent.is_some() {
            let plain = SessionAgent::of(&member, None);
            Box::pin(below(call, &member, &plain, depth - 1, members)).await?
        } else {
            None
        };
        found.push(Some(Found { agent: member, multiagent }));
    }
    Ok(roster::whole(agent, effective, found, call.engine().routes())?)
}
