//! A life: one session from its opening until it rests for good, under dice.

use std::time::Duration;

use kernel::{Change, Input, Want};
use protocol::content::Block;
use protocol::event::Verdict as Confirmed;
use protocol::input::ClientEvent;
use protocol::parse::Given;
use protocol::prompt::Failure;
use protocol::tool::Tool;
use protocol::{EventId, Stamp, ThreadId};

use crate::act::{Act, Law, State};
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::line::Line;
use crate::model;
use crate::mood::Mood;
use crate::world::{Verdict, World};

/// How large a life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 60 steps.
    Small,
    /// 1,000 steps.
    Wide,
}

impl Size {
    const fn steps(self) -> u64 {
        match self {
            Self::Small => 60,
            Self::Wide => 1_000,
        }
    }

    /// The history of a long life is judged now and then, that of a short one at each request.
    const fn judged(self) -> u64 {
        match self {
            Self::Small => 1,
            Self::Wide => 16,
        }
    }
}

/// Steps that a session is given to come to rest once nobody disturbs it.
const PATIENCE: u64 = 100;
/// Steps before the end from which on a session may be archived or deleted.
const CLOSING: u64 = 25;
/// Steps that an ended session is still poked.
const AFTERLIFE: u64 = 10;

/// A life that broke a law.
#[derive(Debug)]
pub struct Broken {
    /// The referee and its sentence.
    pub why: String,
    /// The log up to there.
    pub log: Vec<Line>,
}

/// What a life left behind.
#[derive(Debug)]
pub struct Lived {
    /// The log as its store would keep it, one body a commit.
    pub bodies: Vec<Vec<u8>>,
    /// The log as lines.
    pub log: Vec<Line>,
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
        // A second answer needs a first one.
        let able =
            law == Law::Impossible || (act == Act::ResultAgain && world.calls.len() == world.open.len());
        return if able { Ok(()) } else { Err(format!("able: {act:?} could not be done in {state:?}")) };
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
    for _ in 0..PATIENCE + world.session.queued().len() as u64 {
        let state = State::of(&world.session);
        let act = if state.asks() {
            Act::Text
        } else if state.waits() {
            Act::Wake
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
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty acts")]
fn input(world: &mut World, act: Act) -> Result<Option<(Input, Stamp)>, String> {
    let now = world.now;
    let input = match act {
        Act::Text
        | Act::Texts
        | Act::Nothing
        | Act::Tools
        | Act::UnknownTool
        | Act::CutTool
        | Act::MixedTools
        | Act::Refusal
        | Act::MaxTokens
        | Act::Pause
        | Act::FailAgain
        | Act::FailForever => {
            let asked = asked(world);
            asked.and_then(|(thread, request)| outcome(world, thread, request, act))
        }
        Act::StaleAnswer | Act::StaleFailure => {
            let (thread, request) = gone_request(world);
            let act = if act == Act::StaleAnswer { Act::Text } else { Act::FailAgain };
            outcome(world, thread, request, act)
        }
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
        _ => said(world, act).map(|events| Input::Client { events, made: std::collections::BTreeSet::new() }),
    };
    Ok(input.map(|input| (input, now)))
}

fn asked(world: &World) -> Option<(ThreadId, EventId)> {
    world.jobs.iter().find_map(|job| match job {
        Want::Ask { thread, request } => Some((*thread, *request)),
        Want::Wake { .. } => None,
    })
}

/// A request that is over, or that never was.
fn gone_request(world: &mut World) -> (ThreadId, EventId) {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Ask { thread, request } => Some((*thread, *request)),
        Want::Wake { .. } => None,
    });
    let never = (ThreadId::from_bits(2), EventId::minted(u128::from(world.dice.bits()) << 40, 0));
    newest.filter(|_| !world.dice.once_in(4)).unwrap_or(never)
}

fn gone_wake(world: &mut World) -> (ThreadId, Stamp) {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Wake { thread, at } => Some((*thread, *at)),
        Want::Ask { .. } => None,
    });
    let never = (ThreadId::from_bits(2), world.now.after(Duration::from_micros(1)));
    newest.unwrap_or(never)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty acts")]
fn outcome(world: &mut World, thread: ThreadId, request: EventId, act: Act) -> Option<Input> {
    let dice = &mut world.dice;
    let failed = |failure: Failure| Some(Input::Failed { thread, request, failure });
    match act {
        Act::FailAgain => failed(model::failure(dice, false)),
        Act::FailForever => failed(model::failure(dice, true)),
        _ => {
            let names = world.session.agent.tools.iter().filter_map(|tool| match tool {
                Tool::Custom(custom) => Some(custom.name.clone()),
                Tool::Toolset(_) => None,
            });
            let answer = model::answer(dice, act, &names.collect::<Vec<_>>())?;
            Some(Input::Answered { thread, request, answer })
        }
    }
}

fn wake(world: &mut World, early: bool) -> Option<(Input, Stamp)> {
    let (thread, until) = world.jobs.iter().find_map(|job| match job {
        Want::Wake { thread, at } => Some((*thread, *at)),
        Want::Ask { .. } => None,
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

/// The events of a client's request.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty acts")]
fn said(world: &mut World, act: Act) -> Option<Vec<ClientEvent>> {
    let open = world.open.clone();
    let stop = ClientEvent::Interrupt { thread: None };
    Some(match act {
        Act::Message => vec![world.message()],
        Act::TwoMessages => vec![world.message(), world.message()],
        Act::Result => {
            let call = *world.dice.pick(&open)?;
            vec![result(world, call)]
        }
        Act::AllResults if open.is_empty() => return None,
        Act::AllResults => open.into_iter().map(|call| result(world, call)).collect(),
        Act::ResultAgain => vec![again(world)?],
        Act::ResultUnknown => {
            let call = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
            vec![result(world, call)]
        }
        Act::Confirm => {
            let call = open.first().copied().unwrap_or(EventId::from_bits(9));
            vec![ClientEvent::Confirmation { call, verdict: Confirmed::Allow, deny_message: None }]
        }
        Act::Interrupt => vec![stop],
        Act::InterruptNamed => vec![ClientEvent::Interrupt { thread: Some(ThreadId::from_bits(2)) }],
        Act::InterruptUnknown => vec![ClientEvent::Interrupt { thread: Some(ThreadId::from_bits(8)) }],
        Act::InterruptMessage => vec![stop, world.message()],
        Act::MessageInterrupt => vec![world.message(), stop],
        Act::ResultInterrupt => vec![result(world, *open.first()?), stop],
        Act::Mixed => (0..2 + world.dice.below(4)).map(|_| any(world)).collect(),
        _ => return None,
    })
}

fn any(world: &mut World) -> ClientEvent {
    let open = world.open.clone();
    match world.dice.below(8) {
        0 | 1 => world.message(),
        2 => ClientEvent::Interrupt { thread: None },
        3 => again(world).unwrap_or(ClientEvent::Interrupt { thread: Some(ThreadId::from_bits(2)) }),
        _ => match world.dice.pick(&open) {
            Some(call) => result(world, *call),
            None => world.message(),
        },
    }
}

/// An answer to a call that has been answered before.
fn again(world: &mut World) -> Option<ClientEvent> {
    let answered: Vec<EventId> =
        world.calls.iter().filter(|call| !world.open.contains(call)).copied().collect();
    let call = *world.dice.pick(&answered)?;
    Some(result(world, call))
}

fn result(world: &mut World, call: EventId) -> ClientEvent {
    let content = match world.dice.below(6) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(vec![Block::text("")]),
        _ => Some(vec![Block::text(format!("r{}", world.dice.below(100)))]),
    };
    let is_error = world.dice.once_in(3).then_some(true);
    ClientEvent::CustomResult { call, content, is_error }
}
