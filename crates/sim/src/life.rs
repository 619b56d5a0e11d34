//! A life: one session from its opening until it rests for good, under dice.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Change, Input, Want};
use protocol::parse::Given;
use protocol::prompt::Failure;
use protocol::{EventId, Stamp, ThreadId, limits};

use crate::act::{Act, Law, State, Verdict};
use crate::client;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::line::Line;
use crate::model;
use crate::mood::Mood;
use crate::size::Size;
use crate::world::{THREAD, World};

/// Steps that a session is given to come to rest once nobody disturbs it.
const PATIENCE: u64 = 100;
/// Steps before the end from which on a session may be archived or deleted.
const CLOSING: u64 = 25;
/// Steps that an ended session is still poked.
const AFTERLIFE: u64 = 10;

/// A life that broke a law.
#[derive(Debug)]
pub struct Broken<L = Line> {
    /// The referee and its sentence.
    pub why: String,
    /// The log up to there.
    pub log: Vec<L>,
}

/// What a life left behind.
#[derive(Debug)]
pub struct Lived<L = Line> {
    /// The log as its store would keep it, one body a commit.
    pub bodies: Vec<Vec<u8>>,
    /// The log as lines.
    pub log: Vec<L>,
}

/// Lives one life.
///
/// # Errors
/// The law that it broke.
pub fn live(seed: u64, size: Size, coverage: &mut Coverage) -> Result<Lived, Box<Broken>> {
    let mut dice = Dice::new(seed);
    let mood = Mood::of(&mut dice);
    let messages = if dice.once_in(4) { 1 + dice.below(3) } else { 0 };
    let opened = World::open(dice, messages, size.judged());
    let mut world = opened.map_err(|why| Box::new(Broken { why, log: Vec::new() }))?;
    match steps(&mut world, mood, size, coverage) {
        Ok(()) => Ok(Lived { bodies: world.bodies().to_vec(), log: world.log }),
        Err(why) => Err(Box::new(Broken { why, log: world.log })),
    }
}

fn steps(world: &mut World, mood: Mood, size: Size, coverage: &mut Coverage) -> Result<(), String> {
    let mut left = size.steps();
    while left > 0 {
        left -= 1;
        world.tick();
        let state = State::of(&world.session);
        if state.over() {
            left = left.min(AFTERLIFE);
        }
        let weights = mood.weights(state, world.requests, size, left < CLOSING);
        if let Some(act) = world.dice.weighted(&weights) {
            step(world, state, act, coverage)?;
        }
    }
    rest(world)?;
    world.crash()
}

fn step(world: &mut World, state: State, act: Act, coverage: &mut Coverage) -> Result<(), String> {
    let law = act.law(state);
    let Some((input, at)) = input(world, act)? else {
        let lawful = law == Law::Impossible || !client::able(world, act);
        return if lawful { Ok(()) } else { Err(format!("able: {act:?} could not be done in {state:?}")) };
    };
    let verdict = world.commit(input, at)?;
    coverage.count(state, act, verdict);
    let lawful = match law {
        Law::Impossible => false,
        Law::Accepted => verdict == Verdict::Accepted,
        Law::Refused => verdict == Verdict::Refused,
        Law::Either => true,
    };
    if lawful { Ok(()) } else { Err(format!("verdict: {act:?} in {state:?} was {verdict:?}")) }
}

/// Nobody disturbs the session any more: its wants are served and its calls answered until it rests.
fn rest(world: &mut World) -> Result<(), String> {
    world.judge_history()?;
    for _ in 0..PATIENCE + world.session.queued().count() as u64 {
        let state = State::of(&world.session);
        let act = if state.asks() {
            Act::Text
        } else if state.waits() {
            Act::Wake
        } else if state.runs() {
            Act::Ran
        } else if state.calls() {
            Act::AllResults
        } else {
            return if world.rests() || state.over() {
                Ok(())
            } else {
                Err("rest: it only seems to rest".into())
            };
        };
        let Some((input, at)) = input(world, act)? else { return Err(format!("rest: stuck in {state:?}")) };
        if world.commit(input, at)? == Verdict::Refused {
            return Err(format!("rest: {act:?} was refused in {state:?}"));
        }
    }
    Err("rest: it never comes to rest".into())
}

/// The input that does `act`, and its time; `None` when there is nothing to do it to.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn input(world: &mut World, act: Act) -> Result<Option<(Input, Stamp)>, String> {
    let now = world.now;
    let input = match act {
        Act::Text
        | Act::Texts
        | Act::Nothing
        | Act::Tools
        | Act::Builtins
        | Act::UnknownTool
        | Act::CutTool
        | Act::MixedTools
        | Act::Refusal
        | Act::MaxTokens
        | Act::Pause
        | Act::FailAgain
        | Act::FailForever
        | Act::FailNamed => {
            let asked = world.asked();
            asked.and_then(|(thread, request)| outcome(world, thread, request, act))
        }
        Act::StaleAnswer | Act::StaleFailure => {
            let (thread, request) = gone_request(world);
            let act = if act == Act::StaleAnswer { Act::Text } else { Act::FailAgain };
            outcome(world, thread, request, act)
        }
        Act::Ran => ran(world)?,
        Act::RanEarly => {
            let waiting = world.waiting();
            world.dice.pick(&waiting).copied().map(|call| began_or_gave(world, THREAD, call))
        }
        Act::RanStale => Some(gone_run(world)),
        Act::Wake | Act::WakeEarly => return Ok(wake(world, act == Act::WakeEarly)),
        Act::WakeStale => {
            let (thread, until) = gone_wake(world);
            return Ok(Some((Input::Woke { thread, until }, now.max(until))));
        }
        Act::Crash => {
            world.crash()?;
            Some(Input::Recovered)
        }
        Act::Rename => Some(rename(world)),
        Act::Retool => Some(Input::Update(world.other_tools())),
        Act::Archive => Some(Input::Archive),
        Act::Delete => Some(Input::Delete),
        _ => client::said(world, act).map(|events| Input::Client { events, made: BTreeMap::new() }),
    };
    Ok(input.map(|input| (input, now)))
}

/// A request that is over, or that never was.
fn gone_request(world: &mut World) -> (ThreadId, EventId) {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Ask { thread, request } => Some((*thread, *request)),
        Want::Run { .. } | Want::Wake { .. } => None,
    });
    let never = (THREAD, EventId::minted(u128::from(world.dice.bits()) << 40, 0));
    newest.filter(|_| !world.dice.once_in(4)).unwrap_or(never)
}

/// The outcome of one of the tools that run.
fn ran(world: &mut World) -> Result<Option<Input>, String> {
    let running: Vec<EventId> = world.jobs.iter().filter_map(run).collect();
    let Some(call) = world.dice.pick(&running).copied() else { return Ok(None) };
    world.begin(call)?;
    Ok(Some(gave(world, THREAD, call)))
}

const fn run(job: &Want) -> Option<EventId> {
    match job {
        Want::Run { call, .. } => Some(*call),
        Want::Ask { .. } | Want::Wake { .. } => None,
    }
}

fn gave(world: &mut World, thread: ThreadId, call: EventId) -> Input {
    let content = model::out(&mut world.dice);
    Input::Ran { thread, call, content, is_error: world.dice.once_in(4) }
}

/// The outcome of a call that may not run, or its beginning.
fn began_or_gave(world: &mut World, thread: ThreadId, call: EventId) -> Input {
    if world.dice.once_in(3) { Input::Begins { thread, call } } else { gave(world, thread, call) }
}

/// The outcome, or the beginning, of a run that nobody wants: it is over, its thread is another, or it never
/// was.
fn gone_run(world: &mut World) -> Input {
    let newest = world.gone.iter().rev().find_map(run);
    let answered = world.desk.all().iter().rev().find(|call| call.answered).map(|call| call.id);
    let running = world.jobs.iter().find_map(run);
    let never = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    match world.dice.below(4) {
        0 => began_or_gave(world, THREAD, never),
        1 => began_or_gave(world, THREAD, answered.unwrap_or(never)),
        2 => began_or_gave(world, ThreadId::from_bits(8), running.unwrap_or(never)),
        _ => began_or_gave(world, THREAD, newest.unwrap_or(never)),
    }
}

fn gone_wake(world: &mut World) -> (ThreadId, Stamp) {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Wake { thread, at } => Some((*thread, *at)),
        Want::Ask { .. } | Want::Run { .. } => None,
    });
    let never = (THREAD, world.now.after(Duration::from_micros(1)));
    newest.unwrap_or(never)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
fn outcome(world: &mut World, thread: ThreadId, request: EventId, act: Act) -> Option<Input> {
    let named = if act == Act::FailNamed { world.named() } else { Vec::new() };
    let dice = &mut world.dice;
    let failed = |failure: Failure| {
        let (failure, attempts) = model::attempts(failure);
        Some(Input::Failed { thread, request, failure, named, attempts })
    };
    match act {
        Act::FailAgain => failed(model::failure(dice, false)),
        Act::FailForever => failed(model::failure(dice, true)),
        Act::FailNamed => failed(model::refusal(dice)),
        _ => {
            let answer = model::answer(dice, act, &world.kit)?;
            Some(Input::Answered { thread, request, answer, attempts: limits::ATTEMPTS })
        }
    }
}

fn wake(world: &mut World, early: bool) -> Option<(Input, Stamp)> {
    let (thread, until) = world.jobs.iter().find_map(|job| match job {
        Want::Wake { thread, at } => Some((*thread, *at)),
        Want::Ask { .. } | Want::Run { .. } => None,
    })?;
    let off = 1 + world.dice.below(400_000);
    if early {
        return Some((Input::Woke { thread, until }, Stamp::from_micros(until.micros() - off as i64)));
    }
    world.now =
        if world.dice.once_in(3) { until } else { world.now.max(until).after(Duration::from_micros(off)) };
    Some((Input::Woke { thread, until }, world.now))
}

fn rename(world: &mut World) -> Input {
    let title = match world.dice.below(3) {
        0 => Given::Null,
        1 => Given::Absent,
        _ => Given::Value(format!("t{}", world.dice.below(3))),
    };
    let value = if world.dice.once_in(2) { Some("v".into()) } else { None };
    let metadata = Given::Value([("k".to_owned(), value)].into());
    Input::Update(Change { title, metadata, tools: Given::Absent })
}
