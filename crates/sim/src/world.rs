//! A world: one session with its threads, one or several, the log that its store would keep, and the laws
//! that are judged at each commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kernel::{
    CallSearch, Decision, Fact, Input, Moment, Refusal, SessionOpening, SessionState, Transcript,
    TranscriptPiece, Want, decide, fact, wants,
};
use protocol::agent::SessionAgent;
use protocol::input::ClientEvent;
use protocol::parse::GivenField;
use protocol::prompt::{HistorySpot, Prompt, Toolbox};
use protocol::{EnvironmentId, EventId, SessionId, ThreadId, Timestamp};

use crate::act::InputVerdict;
use crate::agent_tools::AgentTools;
use crate::call_ledger::reads;
use crate::counters::CountersReferee;
use crate::dice::{Dice, Entropy};
use crate::law::law;
use crate::ledger;
use crate::model;
use crate::outcome::OutcomeReferee;
use crate::referee::runs;
use crate::size::LifeSize;
use crate::team::alike::alike;
use crate::team::bench::Bench;
use crate::team::line::{self, TeamLine};
use crate::team::reading::TeamReading;
use crate::team::roster::TeamRoster;
use crate::team::view;
use crate::voice::ClientVoice;
use crate::words::UNKNOWN;

/// One input of a team in this many is decided twice, to compare; of a thread alone each is.
const TWICE: u64 = 16;

/// The primary thread of every world.
pub(crate) const PRIMARY: ThreadId = ThreadId::from_bits(2);

/// One session and its log.
pub(crate) struct StormWorld {
    pub(crate) dice: Dice,
    pub(crate) size: LifeSize,
    pub(crate) voice: ClientVoice,
    /// The time; may be behind the log's.
    pub(crate) now: Timestamp,
    pub(crate) team: Arc<TeamRoster>,
    pub(crate) reading: TeamReading,
    /// The jobs that are running.
    pub(crate) jobs: BTreeSet<Want>,
    /// Jobs that nobody wants any more, the newest last.
    pub(crate) gone: VecDeque<Want>,
    /// The log as lines.
    pub(crate) log: Vec<TeamLine>,
    session: SessionState,
    bodies: Vec<Vec<u8>>,
    facts: Vec<Fact>,
    transcripts: BTreeMap<ThreadId, Transcript>,
    /// What the session's agent holds now.
    kit: AgentTools,
    counters: CountersReferee,
    bench: Bench,
    /// Calls that the last commit let run, by thread.
    running: BTreeMap<ThreadId, BTreeSet<EventId>>,
    /// Calls that a crash made unknown.
    unknown: BTreeSet<EventId>,
    tokens: BTreeMap<ThreadId, u64>,
}

impl StormWorld {
    /// Opens a session with so many messages.
    ///
    /// # Errors
    /// A law is broken.
    pub(crate) fn open(mut dice: Dice, size: LifeSize, messages: u64) -> Result<Self, String> {
        let seed = dice.seed();
        let team = Arc::new(TeamRoster::throw(&mut dice, size));
        let mut voice = ClientVoice::new(size.alone());
        let events: Vec<ClientEvent> = (0..messages).map(|_| voice.message(&mut dice)).collect();
        let mut world = Self {
            size,
            voice,
            now: Timestamp::from_micros(1_700_000_000_000_000),
            reading: TeamReading::default(),
            jobs: BTreeSet::new(),
            gone: VecDeque::new(),
            log: Vec::new(),
            session: blank(&team),
            bodies: Vec::new(),
            facts: Vec::new(),
            transcripts: BTreeMap::new(),
            kit: AgentTools::of(team.agent.definition.tools.clone()),
            counters: CountersReferee::default(),
            bench: Bench::new(team.clone()),
            running: BTreeMap::new(),
            unknown: BTreeSet::new(),
            tokens: BTreeMap::new(),
            team,
            dice,
        };
        let opening = SessionOpening {
            session: world.session.id,
            thread: PRIMARY,
            agent: world.session.agent.clone(),
            environment: EnvironmentId::from_bits(3),
            title: None,
            metadata: BTreeMap::new(),
            tree: world.team.tree,
            events: events.clone(),
        };
        let moment = Moment { at: world.now, seed };
        let decision = kernel::open(opening, moment).map_err(|why| format!("open: refused: {why:?}"))?;
        world.append(decision, &events)?;
        Ok(world)
    }

    /// What a thread holds beside the delegation tools.
    pub(crate) fn kit_of(&self, thread: ThreadId) -> AgentTools {
        self.team.kit(&self.reading, thread, &self.kit)
    }

    /// Other tools for the session's agent.
    pub(crate) fn other_kit(&mut self) -> AgentTools {
        self.kit.other(&mut self.dice)
    }

    /// Decides an input at `at` and appends what it makes.
    ///
    /// # Errors
    /// A law is broken.
    pub(crate) fn commit(&mut self, input: Input, at: Timestamp) -> Result<InputVerdict, String> {
        let moment = Moment { at, seed: self.dice.seed() };
        let (input, decided) = self.decided(input, moment);
        if (self.size.alone() || self.dice.once_in(TWICE))
            && decided != decide(&self.session, input.clone(), moment)
        {
            return Err("pure: the same input twice was decided in two ways".into());
        }
        let Ok(decision) = decided else { return Ok(InputVerdict::Refused) };
        let asked: Vec<EventId> = self.reading.threads.iter().filter_map(|thread| thread.asking).collect();
        let whose = outcome_of(&input).unwrap_or(PRIMARY);
        let (kit, offered) = (self.kit_of(whose), self.team.errands(&self.reading, whose));
        let before = self.log.len();
        let events = if let Input::Client { events, .. } = &input { events.as_slice() } else { &[] };
        self.append(decision, events)?;
        let lines = self.log.get(before..).unwrap_or_default();
        OutcomeReferee::of(&input).without(&offered).judge(&plain(lines), &kit)?;
        calls(&input, lines, &offered, self.bench.unread())?;
        let recovers = input == Input::Recovered;
        let unknown = if recovers { core::mem::take(&mut self.unknown) } else { BTreeSet::new() };
        recovered(lines, &unknown)?;
        let still = asked.iter().find(|request| {
            recovers && self.reading.threads.iter().any(|thread| thread.asking == Some(**request))
        });
        law!(still.is_none(), "recovered: the request {still:?}, whose answer is lost, is still open");
        if let Input::Update(change) = input
            && let GivenField::Value(tools) = change.tools
        {
            self.kit = AgentTools::of(tools);
        }
        let all: Vec<EventId> = self.running.values().flatten().copied().collect();
        for call in all {
            if !self.dice.once_in(6) {
                self.begin(call)?;
            }
        }
        Ok(InputVerdict::Accepted)
    }

    /// What an engine does: of a word on a call that is not open it looks into the log and asks again.
    fn decided(&self, mut input: Input, moment: Moment) -> (Input, Result<Decision, Refusal>) {
        let mut decided = decide(&self.session, input.clone(), moment);
        if let Err(Refusal::UnknownCall { .. }) = decided {
            look_up(&mut input, &self.session, &self.facts);
            decided = decide(&self.session, input.clone(), moment);
        }
        (input, decided)
    }

    fn append(&mut self, decision: Decision, events: &[ClientEvent]) -> Result<(), String> {
        let Decision { facts, session, accepted } = decision;
        if facts.is_empty() {
            law!(events.is_empty(), "ledger: accepted, and not in the log");
            return self.judge_wants();
        }
        let body = fact::encode(&facts).map_err(|why| format!("stored: {why}"))?;
        let before = self.log.len();
        self.log.extend(line::read(&body, before as u64).map_err(|why| format!("stored: {why}"))?);
        let lines = self.log.get(before..).unwrap_or_default();
        let stored = fact::decode(&body).map_err(|why| format!("stored: {why}"))?;
        law!(stored == facts, "stored: the log does not hold what was decided");
        self.bench.see(lines, &mut self.reading)?;
        for (fact, line) in stored.iter().zip(lines) {
            if line.kind() == "span.model_request_end" {
                let sum: u64 = line.plain.tokens.iter().sum();
                *self.tokens.entry(fact.thread).or_default() += sum;
            }
            self.session.apply(fact);
            let transcript = self.transcripts.entry(fact.thread);
            transcript.or_insert_with(|| Transcript::new(fact.thread)).apply(fact);
        }
        law!(self.session == session, "folded: the log makes another session than was decided on");
        let threads: Vec<ThreadId> = self.reading.threads.iter().map(|thread| thread.id).collect();
        view::judge(&stored, lines, &threads)?;
        if !events.is_empty() {
            ledger::judge(events, &accepted, &plain(lines))?;
        }
        self.facts.extend(stored);
        self.bodies.push(body);
        if (self.facts.len() as u64).is_multiple_of(self.size.judged()) {
            self.judge_histories()?;
        }
        self.judge_wants()
    }

    /// After each commit: wants and sums are those of the log, the jobs follow the wants.
    fn judge_wants(&mut self) -> Result<(), String> {
        let mut expected: BTreeSet<Want> = BTreeSet::new();
        for thread in self.reading.threads.iter().filter(|thread| !thread.ended) {
            let id = thread.id;
            expected.extend(thread.asking.map(|request| Want::Ask { thread: id, request }));
            expected.extend(thread.until.map(|at| Want::Wake { thread: id, at }));
        }
        let wanted = wants(&self.session);
        let (tools, rest): (BTreeSet<Want>, BTreeSet<Want>) =
            wanted.clone().into_iter().partition(|want| matches!(want, Want::Run { .. }));
        law!(rest == expected, "wants: {rest:?}, and by the log {expected:?}");
        self.judge_runs(&tools)?;
        for thread in self.session.threads() {
            let tokens = &thread.tokens;
            let kept = tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h;
            let (is, due) = (tokens.input + tokens.output + kept, self.tokens.get(&thread.id).copied());
            law!(is == due.unwrap_or(0), "usage: {} has {is} tokens, and by the log {due:?}", thread.id);
        }
        self.gone.extend(self.jobs.difference(&wanted).cloned());
        while self.gone.len() > self.size.gone() {
            self.gone.pop_front();
        }
        self.jobs = wanted;
        Ok(())
    }

    /// The calls that are wanted to run are those that the log lets run.
    fn judge_runs(&mut self, tools: &BTreeSet<Want>) -> Result<(), String> {
        let mut running: BTreeMap<ThreadId, BTreeSet<EventId>> = BTreeMap::new();
        for want in tools {
            let Want::Run { thread, call, runner } = want else { continue };
            let made = self.reading.thread(*thread).and_then(|thread| thread.desk.call(*call));
            law!(
                made.is_some_and(|made| made.name == runner.name()),
                "wants: {want:?} is none of the log's calls"
            );
            running.entry(*thread).or_default().insert(*call);
        }
        let none = BTreeSet::new();
        for thread in &self.reading.threads {
            let now = running.get(&thread.id).unwrap_or(&none);
            if thread.ended {
                law!(now.is_empty(), "runs: {now:?} run in a thread that is over");
            } else {
                runs::judge(&thread.desk, self.running.get(&thread.id).unwrap_or(&none), now)?;
            }
        }
        let all: BTreeSet<EventId> = running.values().flatten().copied().collect();
        for gone in self.running.values().flatten().filter(|call| !all.contains(call)) {
            self.counters.end(*gone);
        }
        self.running = running;
        Ok(())
    }

    /// The outside begins a call, unless it has or it may not run any more; what does more than read is
    /// written down first.
    ///
    /// # Errors
    /// It may not begin again, or not at all.
    pub(crate) fn begin(&mut self, call: EventId) -> Result<(), String> {
        let Some((thread, _)) = self.running.iter().find(|(_, calls)| calls.contains(&call)) else {
            return Ok(());
        };
        if self.counters.runs(call) {
            return Ok(());
        }
        let begins = Input::Begins { thread: *thread, call };
        let moment = Moment { at: self.now, seed: self.dice.seed() };
        let decided = decide(&self.session, begins.clone(), moment);
        let decision = decided.map_err(|why| format!("begins: {call} is to run, and {why:?}"))?;
        self.append(decision, &[])?;
        let known = self.reading.threads.iter().find_map(|thread| thread.desk.call(call));
        let (name, noted) = known.map(|call| (call.name.clone(), call.begun)).unwrap_or_default();
        law!(noted != reads(&name), "begins: {name} {call} is written down: {noted}");
        law!(decide(&self.session, begins, moment).is_ok() == reads(&name), "begins: {name} {call} twice");
        self.counters.begin(call, &name)
    }

    /// Calls of a thread that are open and that the law does not let run now.
    pub(crate) fn early(&self, thread: ThreadId) -> Vec<EventId> {
        let Some(thread) = self.reading.thread(thread) else { return Vec::new() };
        let runs =
            |call: &EventId| self.running.get(&thread.id).is_some_and(|running| running.contains(call));
        thread.desk.open().into_iter().map(|call| call.id).filter(|call| !runs(call)).collect()
    }

    /// Judges what each thread's model is told that is asked now.
    ///
    /// # Errors
    /// The law it breaks.
    pub(crate) fn judge_histories(&self) -> Result<(), String> {
        let asked = self.reading.threads.iter().filter(|thread| thread.asking.is_some());
        asked.map(|thread| thread.id).try_for_each(|thread| self.judge_history(thread))
    }

    fn judge_history(&self, thread: ThreadId) -> Result<(), String> {
        let cast = self.session.cast(thread).ok_or("offered: no such thread")?;
        let transcript = self.transcripts.get(&thread).ok_or("offered: no history")?;
        let prompt = transcript.prompt(&cast, &Toolbox::plain());
        let offered: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
        let mut holds = self.kit_of(thread).offered();
        holds.extend(self.team.errands(&self.reading, thread).into_iter().map(String::from));
        law!(offered == holds, "offered: {offered:?}, and {thread} holds {holds:?}");
        let script = self.bench.script(thread).ok_or("transcript: no script")?;
        script.judge(&prompt.messages).map_err(|why| format!("transcript: {why} (of {thread})"))
    }

    /// What the model of a thread is told now.
    pub(crate) fn prompt(&self, thread: ThreadId) -> Option<Prompt> {
        Some(self.transcripts.get(&thread)?.prompt(&self.session.cast(thread)?, &Toolbox::plain()))
    }

    /// What stands at these places of it.
    pub(crate) fn pieces(&self, thread: ThreadId, spots: &[HistorySpot]) -> Vec<TranscriptPiece> {
        self.transcripts.get(&thread).map(|told| told.pieces(spots)).unwrap_or_default()
    }

    /// Some of what the model of this thread is told, as a provider may name it.
    pub(crate) fn named(&mut self, thread: ThreadId) -> Vec<TranscriptPiece> {
        let Some(transcript) = self.transcripts.get(&thread) else { return Vec::new() };
        transcript.pieces(&model::spots(&mut self.dice, transcript.messages()))
    }

    /// The power goes: what was only in memory is folded from the log again, and every job is lost.
    ///
    /// # Errors
    /// The folded state is not the one that was lost.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        let mut session = blank(&self.team);
        let mut transcripts: BTreeMap<ThreadId, Transcript> = BTreeMap::new();
        for fact in &self.facts {
            session.apply(fact);
            transcripts.entry(fact.thread).or_insert_with(|| Transcript::new(fact.thread)).apply(fact);
        }
        law!(session == self.session, "folded: the log makes another session");
        law!(transcripts == self.transcripts, "folded: the log makes another history");
        law!(wants(&session) == self.jobs, "folded: the log makes other wants");
        (self.session, self.transcripts) = (session, transcripts);
        self.jobs.clear();
        let begun = |call: &EventId| {
            let call = self.reading.threads.iter().find_map(|thread| thread.desk.call(*call));
            call.is_some_and(|call| call.begun)
        };
        self.unknown = self.running.values().flatten().copied().filter(begun).collect();
        self.counters.crash();
        Ok(())
    }

    /// The log as its store would keep it, one body a commit.
    pub(crate) fn bodies(&self) -> &[Vec<u8>] {
        &self.bodies
    }

    /// Moves the clock, mostly on, sometimes far, sometimes back.
    pub(crate) fn tick(&mut self) {
        let millis = self.dice.below(2_000);
        self.now = match self.dice.below(40) {
            0 => self.now.after(Duration::from_secs(self.dice.below(90))),
            1 => Timestamp::from_micros(self.now.micros() - millis as i64 * 1_000),
            2..=9 => self.now,
            _ => self.now.after(Duration::from_millis(millis)),
        };
    }
}

/// The thread whose job's outcome an input is.
const fn outcome_of(input: &Input) -> Option<ThreadId> {
    match input {
        Input::Answered { thread, .. } | Input::Failed { thread, .. } | Input::Ran { thread, .. } => {
            Some(*thread)
        }
        Input::Client { .. }
        | Input::Begins { .. }
        | Input::Woke { .. }
        | Input::Recovered
        | Input::Update(_)
        | Input::Archive
        | Input::ArchiveThread { .. }
        | Input::Delete => None,
    }
}

fn plain(lines: &[TeamLine]) -> Vec<crate::line::LogLine> {
    lines.iter().map(|line| line.plain.clone()).collect()
}

/// Every call of an answer stands in the log, in its order; of the delegation calls exactly those
/// without an input were told so, and rightly why.
fn calls(
    input: &Input,
    lines: &[TeamLine],
    offered: &[&str],
    unread: &[(EventId, String)],
) -> Result<(), String> {
    let Input::Answered { thread, answer, .. } = input else { return Ok(()) };
    let made: Vec<(&str, Option<String>)> = crate::outcome::calls(answer).collect();
    let logged: Vec<_> = lines
        .iter()
        .filter(|line| line.thread == Some(*thread))
        .filter_map(alike)
        .filter(|line| line.kind.ends_with("tool_use"))
        .collect();
    let names: Vec<&str> = logged.iter().map(|line| line.name.as_str()).collect();
    let called: Vec<&str> = made.iter().map(|(name, _)| *name).collect();
    law!(names == called, "outcome: the model called {called:?} and the log {names:?}");
    for (line, (name, right)) in logged.iter().zip(made) {
        let told = unread.iter().find(|(id, _)| line.id == Some(*id)).map(|(_, told)| told.clone());
        law!(!offered.contains(&name) || told == right, "outcome: {name} is told {told:?}, not {right:?}");
    }
    Ok(())
}

/// Shows a request what the log holds of the calls that it answers.
fn look_up(input: &mut Input, session: &SessionState, facts: &[Fact]) {
    if let Input::Client { events, made } = input {
        let mut search = CallSearch::of(session, events);
        for fact in facts {
            search.see(fact);
        }
        *made = search.made();
    }
}

/// Exactly what may have done something when the power went is answered as unknown.
fn recovered(lines: &[TeamLine], unknown: &BTreeSet<EventId>) -> Result<(), String> {
    let told = lines.iter().filter(|line| line.text() == UNKNOWN);
    let told: BTreeSet<EventId> = told.filter_map(|line| line.plain.about).collect();
    law!(told == *unknown, "recovered: {told:?} are answered as unknown, and {unknown:?} ran");
    Ok(())
}

fn blank(team: &TeamRoster) -> SessionState {
    SessionState::new(SessionId::from_bits(1), Arc::new(SessionAgent::clone(&team.agent)))
}
