//! A team: the coordinator, its roster and what each holds. It reads rosters by itself (docs/rules.md 9).

use kernel::ThreadLimits;
use protocol::agent::{
    AgentDefinition, ExecutionIdentity, RosterMember, SessionAgent, SessionCoordinator, ThreadAgent,
};
use protocol::{AgentId, ThreadId};

use super::reading::TeamReading;
use crate::agent_tools::AgentTools;
use crate::dice::Dice;
use crate::size::LifeSize;

/// What the primary's agent is called.
pub(crate) const WEAVER: &str = "weaver";
const WEAVER_ID: AgentId = AgentId::from_bits(4);

/// See the file.
#[derive(Debug, Clone)]
pub(crate) struct TeamRoster {
    /// The session's agent as it was at first.
    pub(crate) agent: SessionAgent,
    pub(crate) tree: ThreadLimits,
}

impl TeamRoster {
    /// A team by the dice. A thread alone has a roster of none.
    pub(crate) fn throw(dice: &mut Dice, size: LifeSize) -> Self {
        if size.alone() { Self::alone(agent(dice, 4, WEAVER)) } else { Self::several(dice) }
    }

    /// This agent, which may call nobody.
    pub(crate) fn alone(agent: SessionAgent) -> Self {
        Self { agent, tree: ThreadLimits::default() }
    }

    /// Two or three members and mostly itself; mostly three or four threads, one deep.
    fn several(dice: &mut Dice) -> Self {
        let deep = dice.once_in(3);
        let weaver = agent(dice, 4, WEAVER);
        let nested = |dice: &mut Dice, own: Option<RosterMember>| {
            let helper = member(&agent(dice, 7, "helper"), None);
            SessionCoordinator { agents: std::iter::once(helper).chain(own).collect() }
        };
        let spinner = agent(dice, 5, "spinner");
        // A member's roster is no use where threads lie one deep.
        let spinners = if deep || dice.once_in(6) {
            let own = dice.once_in(2).then(|| member(&spinner, None));
            Some(nested(dice, own))
        } else {
            None
        };
        let mut agents = vec![member(&spinner, spinners)];
        if dice.once_in(2) {
            let dyers = if deep && dice.once_in(2) { Some(nested(dice, None)) } else { None };
            agents.push(member(&agent(dice, 6, "dyer"), dyers));
        }
        if !dice.once_in(4) {
            let place = dice.below(agents.len() as u64 + 1) as usize;
            agents.insert(place, member(&weaver, None));
        }
        let agent = SessionAgent { multiagent: Some(SessionCoordinator { agents }), ..weaver };
        let max_threads = dice.weighted(&[(1, 1), (3, 4), (4, 4), (25, 1)]).unwrap_or(3);
        Self { agent, tree: ThreadLimits { max_threads, max_depth: if deep { 2 } else { 1 } } }
    }

    /// The agent that a thread plays, with its own roster; `None` for the primary's.
    fn member(&self, reading: &TeamReading, thread: ThreadId) -> Option<&RosterMember> {
        let thread = reading.thread(thread)?;
        let parent = reading.thread(thread.parent?)?;
        let roster = match self.member(reading, parent.id) {
            Some(member) => member.multiagent.as_ref(),
            None => self.agent.multiagent.as_ref(),
        };
        roster?.agents.get(thread.member)
    }

    /// Whom a thread may call.
    pub(crate) fn roster(&self, reading: &TeamReading, thread: ThreadId) -> &[RosterMember] {
        let deep = reading.thread(thread).map_or(0, |thread| thread.depth) as u32;
        let roster = match self.member(reading, thread) {
            Some(member) => member.multiagent.as_ref(),
            None => self.agent.multiagent.as_ref(),
        };
        let roster = roster.filter(|_| deep < self.tree.max_depth);
        roster.map(|roster| roster.agents.as_slice()).unwrap_or_default()
    }

    /// The place and the name of the one that a thread calls by this name; it may call its own agent `self`.
    pub(crate) fn named(
        &self,
        reading: &TeamReading,
        thread: ThreadId,
        name: &str,
    ) -> Option<(usize, String)> {
        let own = self.member(reading, thread).map_or(WEAVER_ID, |member| member.agent.definition.id);
        let roster = self.roster(reading, thread).iter().enumerate();
        let mut found = roster.filter(|(_, member)| {
            member.agent.definition.name == name || name == "self" && member.agent.definition.id == own
        });
        found.next().map(|(place, member)| (place, member.agent.definition.name.clone()))
    }

    /// The delegation tools that a thread is offered, in order.
    pub(crate) fn errands(&self, reading: &TeamReading, thread: ThreadId) -> Vec<&'static str> {
        let leads = !self.roster(reading, thread).is_empty();
        let leads = leads.then_some(["create_agent", "Agent", "send_to_agent", "list_agents"]);
        let reports = reading.thread(thread).is_some_and(|thread| thread.parent.is_some());
        leads.into_iter().flatten().chain(reports.then_some("send_to_parent")).collect()
    }

    /// What a thread holds beside them; `own` is what the session's agent holds now.
    pub(crate) fn kit(&self, reading: &TeamReading, thread: ThreadId, own: &AgentTools) -> AgentTools {
        match self.member(reading, thread) {
            Some(member) => AgentTools::of(member.agent.definition.tools.clone()),
            None => own.clone(),
        }
    }
}

fn member(agent: &SessionAgent, multiagent: Option<SessionCoordinator>) -> RosterMember {
    RosterMember { agent: ThreadAgent::from(agent), multiagent }
}

fn agent(dice: &mut Dice, id: u128, name: &str) -> SessionAgent {
    let definition = AgentDefinition {
        id: AgentId::from_bits(id),
        version: 1,
        name: name.into(),
        description: None,
        model: protocol::model::ModelConfig::plain("any"),
        system: None,
        tools: AgentTools::throw(dice).tools(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    SessionAgent { definition, multiagent: None, execution_identity: ExecutionIdentity::default() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{begun, spawned, thread};
    use super::*;

    #[test]
    fn a_member_leads_its_own_roster_only_where_threads_lie_deeper() {
        let mut dice = Dice::new(5);
        let mut team = TeamRoster::throw(&mut dice, LifeSize::Team);
        let spinner = agent(&mut dice, 5, "spinner");
        let helper = member(&agent(&mut dice, 7, "helper"), None);
        let own = SessionCoordinator { agents: vec![helper, member(&spinner, None)] };
        team.agent.multiagent = Some(SessionCoordinator { agents: vec![member(&spinner, Some(own))] });
        let mut reading = TeamReading::default();
        for line in [begun(), spawned("create_agent")].concat() {
            reading.see(&line, WEAVER);
        }
        let offers = |depth, team: &TeamRoster| {
            let team = TeamRoster { tree: ThreadLimits { max_depth: depth, ..team.tree }, ..team.clone() };
            (team.errands(&reading, thread(2)), team.named(&reading, thread(2), "self"))
        };
        assert_eq!(offers(1, &team), (vec!["send_to_parent"], None));
        let all = vec!["create_agent", "Agent", "send_to_agent", "list_agents", "send_to_parent"];
        assert_eq!(offers(2, &team), (all, Some((1, "spinner".into()))));
        assert_eq!(team.named(&reading, thread(1), "self"), None);
    }
}
