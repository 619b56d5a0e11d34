//! A world: one session, the log that its store would keep, and the laws that are judged at each commit.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kernel::{
    Change, Decision, Fact, Input, Moment, Opening, Piece, Refusal, Search, Seed, Session, Transcript, Want,
    decide, fact, wants,
};
use protocol::agent::{AgentDefinition, SessionAgent};
use protocol::content::Block;
use protocol::input::ClientEvent;
use protocol::parse::Given;
use protocol::prompt::{Prompt, Spot, Toolbox};
use protocol::{AgentId, EnvironmentId, EventId, SessionId, Stamp, ThreadId};

use crate::act::Verdict;
use crate::counters::Counters;
use crate::desk::{Desk, reads};
use crate::dice::{Dice, Entropy};
use crate::kit::Kit;
use crate::law::law;
use crate::ledger;
use crate::line::{self, Line};
use crate::model;
use crate::outcome::Outcome;
use crate::referee::{Bench, Script, runs};
use crate::words::UNKNOWN;

/// Stale jobs that are kept to be offered again.
const GONE: usize = 8;

/// The primary thread of every world.
pub(crate) const THREAD: ThreadId = ThreadId::from_bits(2);

/// One session and its log.
#[derive(Debug)]
pub struct World {
    /// The dice of everything outside the kernel.
    pub dice: Dice,
    /// The time; may be behind the log's.
    pub now: Stamp,
    /// The state as an engine would hold it.
    pub session: Session,
    /// The jobs that are running.
    pub jobs: BTreeSet<Want>,
    /// Jobs that nobody wants any more, the newest last.
    pub gone: VecDeque<Want>,
    /// The log as lines.
    pub log: Vec<Line>,
    /// Every call, by the log.
    pub(crate) desk: Desk,
    /// The tools that the agent holds.
    pub(crate) kit: Kit,
    /// The tools it held at first.
    opened: Kit,
    /// What the outside has begun to run.
    pub(crate) counters: Counters,
    /// Model requests since a message was last taken.
    pub requests: u32,
    /// Messages said so far: each has a text of its own.
    pub said: u64,
    seed: Seed,
    bodies: Vec<Vec<u8>>,
    facts: Vec<Fact>,
    transcript: Transcript,
    bench: Bench,
    script: Script,
    asking: Option<EventId>,
    until: Option<Stamp>,
    /// Calls that the last commit let run.
    running: BTreeSet<EventId>,
    /// Calls that a crash made unknown.
    unknown: BTreeSet<EventId>,
    /// Histories are judged at one request in this many.
    judged: u64,
}

impl World {
    /// Opens a session with these messages.
    ///
    /// # Errors
    /// A law is broken.
    pub fn open(mut dice: Dice, messages: u64, judged: u64) -> Result<Self, String> {
        let seed = dice.seed();
        let kit = Kit::throw(&mut dice);
        let mut world = Self {
            now: Stamp::from_micros(1_700_000_000_000_000),
            session: blank(&kit),
            jobs: BTreeSet::new(),
            gone: VecDeque::new(),
            log: Vec::new(),
            desk: Desk::default(),
            opened: kit.clone(),
            kit,
            counters: Counters::default(),
            requests: 0,
            said: 0,
            seed,
            bodies: Vec::new(),
            facts: Vec::new(),
            transcript: Transcript::new(THREAD),
            bench: Bench::new(),
            script: Script::default(),
            asking: None,
            until: None,
            running: BTreeSet::new(),
            unknown: BTreeSet::new(),
            judged,
            dice,
        };
        let events: Vec<_> = (0..messages).map(|_| world.message()).collect();
        let opening = Opening {
            session: world.session.id,
            thread: THREAD,
            agent: world.session.agent.clone(),
            environment: EnvironmentId::from_bits(3),
            title: None,
            metadata: std::collections::BTreeMap::new(),
            tree: kernel::Tree::default(),
            events: events.clone(),
        };
        let moment = Moment { at: world.now, seed };
        let decision = kernel::open(opening, moment).map_err(|why| format!("open: refused: {why:?}"))?;
        world.append(decision, &events)?;
        Ok(world)
    }

    /// A message with a text that no other message has.
    pub fn message(&mut self) -> ClientEvent {
        self.said += 1;
        let mut content = vec![Block::text(format!("m{}", self.said))];
        if self.dice.once_in(8) {
            content.push(Block::text(format!("and m{}", self.said)));
        }
        ClientEvent::Message { content }
    }

    /// Decides an input at `at` and appends what it makes.
    ///
    /// # Errors
    /// A law is broken.
    pub fn commit(&mut self, input: Input, at: Stamp) -> Result<Verdict, String> {
        self.seed = self.dice.seed();
        let moment = Moment { at, seed: self.seed };
        let events = if let Input::Client { events, .. } = &input { events.clone() } else { Vec::new() };
        let tools = if let Input::Update(change) = &input { change.tools.clone() } else { Given::Absent };
        let (recovers, outcome) = (input == Input::Recovered, Outcome::of(&input));
        let input = self.looked_up(input, moment);
        let decided = decide(&self.session, input.clone(), moment);
        if decided != decide(&self.session, input, moment) {
            return Err("pure: the same input twice was decided in two ways".into());
        }
        let asked = self.asking;
        let Ok(decision) = decided else { return Ok(Verdict::Refused) };
        let before = self.log.len();
        self.append(decision, &events)?;
        let lines = self.log.get(before..).unwrap_or_default();
        outcome.judge(lines, &self.kit)?;
        let unknown = if recovers { core::mem::take(&mut self.unknown) } else { BTreeSet::new() };
        recovered(lines, &unknown)?;
        law!(
            !recovers || asked.is_none() || self.asking != asked,
            "recovered: a request whose answer is lost is still open"
        );
        if let Given::Value(tools) = tools {
            self.kit = Kit::of(tools);
        }
        for call in self.running.clone() {
            if !self.dice.once_in(6) {
                self.begin(call)?;
            }
        }
        Ok(Verdict::Accepted)
    }

    /// What an engine does with a word on a call that is not open: it looks into the log and asks again.
    fn looked_up(&self, mut input: Input, moment: Moment) -> Input {
        if let Err(Refusal::UnknownCall { .. }) = decide(&self.session, input.clone(), moment) {
            look_up(&mut input, &self.session, &self.facts);
        }
        input
    }

    fn append(&mut self, decision: Decision, events: &[ClientEvent]) -> Result<(), String> {
        let Decision { facts, session, accepted } = decision;
        if facts.is_empty() {
            let lost = || Err("ledger: accepted, and not in the log".into());
            return if events.is_empty() { self.judge() } else { lost() };
        }
        let body = fact::encode(&facts).map_err(|why| format!("stored: {why}"))?;
        let stored = fact::decode(&body).map_err(|why| format!("stored: {why}"))?;
        if stored != facts {
            return Err("stored: the log does not hold what was decided".into());
        }
        let lines = line::read(&body, self.log.len() as u64).map_err(|why| format!("stored: {why}"))?;
        self.log.extend(lines.iter().cloned());
        for fact in &stored {
            self.session.apply(fact);
            self.transcript.apply(fact);
        }
        law!(self.session == session, "folded: the log makes another session than was decided on");
        self.facts.extend(stored);
        self.bodies.push(body);
        self.bench.see(&lines)?;
        ledger::judge(events, &accepted, &lines)?;
        for line in &lines {
            self.note(line);
        }
        self.judge()
    }

    fn note(&mut self, line: &Line) {
        self.script.see(line);
        self.desk.see(line);
        match line.kind.as_str() {
            "user.message" => self.requests = 0,
            "span.model_request_start" => {
                self.requests += 1;
                (self.asking, self.until) = (line.id, None);
            }
            "span.model_request_end" => self.asking = None,
            "note.retry" => self.until = line.until,
            "user.interrupt" => self.until = None,
            "session.error" if line.error[1] == "exhausted" => self.until = None,
            _ => {}
        }
    }

    /// After each commit: wants are those of the log, the history may be sent, the jobs follow the wants.
    fn judge(&mut self) -> Result<(), String> {
        let asked = self.asking.map(|request| Want::Ask { thread: THREAD, request });
        let woken = self.until.map(|at| Want::Wake { thread: THREAD, at });
        let expected: BTreeSet<Want> = asked.into_iter().chain(woken).collect();
        let wanted = wants(&self.session);
        let (tools, rest) = wanted.clone().into_iter().partition(|want| matches!(want, Want::Run { .. }));
        law!(rest == expected, "wants: {rest:?}, and by the log {expected:?}");
        self.judge_runs(&tools)?;
        if self.asking.is_some() && (self.facts.len() as u64).is_multiple_of(self.judged) {
            self.judge_history()?;
        }
        for job in self.jobs.difference(&wanted).cloned() {
            self.gone.push_back(job);
        }
        while self.gone.len() > GONE {
            self.gone.pop_front();
        }
        self.jobs = wanted;
        Ok(())
    }

    /// The calls that are wanted to run are those that the log lets run.
    fn judge_runs(&mut self, tools: &BTreeSet<Want>) -> Result<(), String> {
        let over = self.session.over();
        let mut running = BTreeSet::new();
        for want in tools {
            let Want::Run { thread, call, runner } = want else { continue };
            let made = self.desk.call(*call).is_some_and(|made| made.name == runner.name());
            law!(made && *thread == THREAD, "wants: {want:?} is none of the log's calls");
            running.insert(*call);
        }
        if over {
            law!(running.is_empty(), "runs: {running:?} run in a session that is over");
        } else {
            runs::judge(&self.desk, &self.running, &running)?;
        }
        for gone in self.running.difference(&running) {
            self.counters.end(*gone);
        }
        self.running = running;
        Ok(())
    }

    /// The outside begins a call, unless it has; what does more than read is written down first.
    ///
    /// # Errors
    /// It may not begin again, or once more, or not at all.
    pub(crate) fn begin(&mut self, call: EventId) -> Result<(), String> {
        if self.counters.runs(call) {
            return Ok(());
        }
        let name = self.desk.call(call).map(|call| call.name.clone()).unwrap_or_default();
        let (begins, moment) = (Input::Begins { thread: THREAD, call }, self.moment());
        let decided = decide(&self.session, begins.clone(), moment);
        let decision = decided.map_err(|why| format!("begins: {name} {call} is to run, and {why:?}"))?;
        self.append(decision, &[])?;
        let (noted, again) = (self.desk.call(call).is_some_and(|call| call.begun), reads(&name));
        law!(noted != again, "begins: {name} {call} is written down: {noted}");
        law!(decide(&self.session, begins, moment).is_ok() == again, "begins: {name} {call} twice");
        self.counters.begin(call, &name)
    }

    fn moment(&mut self) -> Moment {
        Moment { at: self.now, seed: self.dice.seed() }
    }

    /// Calls that are open and that the law does not let run now.
    pub(crate) fn waiting(&self) -> Vec<EventId> {
        let open = self.desk.open().into_iter().map(|call| call.id);
        open.filter(|call| !self.running.contains(call)).collect()
    }

    /// Judges what the model is told now.
    ///
    /// # Errors
    /// The law it breaks.
    pub fn judge_history(&self) -> Result<(), String> {
        if self.asking.is_none() {
            return Ok(());
        }
        let Some(cast) = self.session.cast(THREAD) else { return Err("offered: no primary thread".into()) };
        let prompt = self.transcript.prompt(&cast, &Toolbox::plain());
        let offered: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
        law!(offered == self.kit.offered(), "offered: {offered:?}, and the agent holds {:?}", self.kit);
        self.script.judge(&prompt.messages).map_err(|why| format!("transcript: {why}"))
    }

    /// The power goes: what was only in memory is folded from the log again, and every job is lost.
    ///
    /// # Errors
    /// The folded state is not the one that was lost.
    pub fn crash(&mut self) -> Result<(), String> {
        let mut session = blank(&self.opened);
        let mut transcript = Transcript::new(THREAD);
        for fact in &self.facts {
            session = session.evolve(fact);
            transcript.apply(fact);
        }
        if session != self.session {
            return Err("folded: the log makes another session".into());
        }
        if transcript != self.transcript {
            return Err("folded: the log makes another history".into());
        }
        if wants(&session) != self.jobs {
            return Err("folded: the log makes other wants".into());
        }
        (self.session, self.transcript) = (session, transcript);
        self.jobs.clear();
        let begun = |call: &&EventId| self.desk.call(**call).is_some_and(|call| call.begun);
        self.unknown = self.running.iter().filter(begun).copied().collect();
        self.counters.crash();
        Ok(())
    }

    /// The request that is open.
    pub(crate) fn asked(&self) -> Option<(ThreadId, EventId)> {
        self.jobs.iter().find_map(|job| match job {
            Want::Ask { thread, request } => Some((*thread, *request)),
            Want::Run { .. } | Want::Wake { .. } => None,
        })
    }

    /// What the model is asked now.
    pub(crate) fn prompt(&self) -> Option<Prompt> {
        Some(self.transcript.prompt(&self.session.cast(THREAD)?, &Toolbox::plain()))
    }

    /// What stands at these places of what the model is told.
    pub(crate) fn pieces(&self, spots: &[Spot]) -> Vec<Piece> {
        self.transcript.pieces(spots)
    }

    /// Some of what the model is told, as a provider may name it.
    pub(crate) fn named(&mut self) -> Vec<Piece> {
        self.transcript.pieces(&model::spots(&mut self.dice, self.transcript.messages()))
    }

    /// Whether the session rests, by its log: nothing is being done and nobody is waited for.
    pub fn rests(&self) -> bool {
        self.asking.is_none() && self.until.is_none() && self.desk.open().is_empty()
    }

    /// The log as its store would keep it, one body a commit.
    pub fn bodies(&self) -> &[Vec<u8>] {
        &self.bodies
    }

    /// Moves the clock, mostly on, sometimes far, sometimes back.
    pub fn tick(&mut self) {
        let millis = self.dice.below(2_000);
        self.now = match self.dice.below(40) {
            0 => self.now.after(Duration::from_secs(self.dice.below(90))),
            1 => Stamp::from_micros(self.now.micros() - millis as i64 * 1_000),
            2..=9 => self.now,
            _ => self.now.after(Duration::from_millis(millis)),
        };
    }

    /// Another choice of tools than the session's.
    pub fn other_tools(&mut self) -> Change {
        let tools = self.kit.other(&mut self.dice).tools();
        Change { title: Given::Absent, metadata: Given::Absent, tools: Given::Value(tools) }
    }
}

/// Shows a request what the log holds of the calls that it answers.
pub(crate) fn look_up(input: &mut Input, session: &Session, facts: &[Fact]) {
    if let Input::Client { events, made } = input {
        let mut search = Search::of(session, events);
        for fact in facts {
            search.see(fact);
        }
        *made = search.made();
    }
}

/// Exactly what may have done something when the power went is answered as unknown.
pub(crate) fn recovered(lines: &[Line], unknown: &BTreeSet<EventId>) -> Result<(), String> {
    let told = lines.iter().filter(|line| line.texts() == [UNKNOWN]);
    let told: BTreeSet<EventId> = told.filter_map(|line| line.about).collect();
    law!(told == *unknown, "recovered: {told:?} are answered as unknown, and {unknown:?} ran");
    Ok(())
}

fn blank(kit: &Kit) -> Session {
    let definition = AgentDefinition {
        id: AgentId::from_bits(4),
        version: 1,
        name: "weaver".into(),
        description: None,
        model: protocol::model::ModelConfig::plain("any"),
        system: None,
        tools: kit.tools(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    let agent = SessionAgent {
        definition,
        multiagent: None,
        execution_identity: protocol::agent::ExecutionIdentity::default(),
    };
    Session::new(SessionId::from_bits(1), Arc::new(agent))
}
