//! A life: one session with its threads from its opening until it rests for good, under dice.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Change, Input, Want};
use protocol::parse::Given;
use protocol::{EventId, Stamp, ThreadId, limits};

use super::act::{self, Act, Cell, Role, State};
use super::cover::Cover;
use super::line::Line;
use super::reading::Printed;
use super::world::{PRIMARY, World};
use super::{client, model};
use crate::act::Verdict;
use crate::dice::Dice;
use crate::life::{Broken, Lived};
use crate::model as small;

/// Steps of a life.
const STEPS: u64 = 90;
/// Steps that a session is given to come to rest once nobody disturbs it.
const PATIENCE: u64 = 400;
/// Steps before the end from which on a session may be archived or deleted.
const CLOSING: u64 = 20;
/// Steps that an ended session is still poked.
const AFTERLIFE: u64 = 10;

/// Lives one life.
///
/// # Errors
/// The law that it broke.
pub(super) fn live(seed: u64, cover: &mut Cover) -> Result<Lived<Line>, Box<Broken<Line>>> {
    let opened = World::open(Dice::new(seed));
    let mut world = opened.map_err(|why| Box::new(Broken { why, log: Vec::new() }))?;
    match steps(&mut world, cover) {
        Ok(()) => Ok(Lived { bodies: world.bodies().to_vec(), log: world.log }),
        Err(why) => Err(Box::new(Broken { why, log: world.log })),
    }
}

fn steps(world: &mut World, cover: &mut Cover) -> Result<(), String> {
    let mut left = STEPS;
    while left > 0 {
        left -= 1;
        world.tick();
        if world.reading.over() {
            left = left.min(AFTERLIFE);
        }
        for _ in 0..4 {
            let Some((thread, act)) = choice(world, left < CLOSING) else { break };
            if step(world, thread, act, cover)? {
                break;
            }
        }
    }
    rest(world)?;
    world.crash()
}

/// What is done next, to which thread.
fn choice(world: &mut World, closing: bool) -> Option<(ThreadId, Act)> {
    let mut acts: Vec<((ThreadId, Act), u64)> = Vec::new();
    for thread in &world.reading.threads {
        let (role, state) = (Role::of(thread), State::of(&world.reading, thread));
        let gone = matches!(state, State::Failed | State::Archived);
        for act in Act::ALL.iter().copied().filter(|act| act.cell(role, state) != Cell::Never) {
            let weight = act::weight(act, state, closing);
            // What is met seldom sees more of everything.
            let weight = if state.rare() && weight > 0 { weight.max(5) } else { weight };
            acts.push(((thread.id, act), if gone { weight.min(2) } else { weight * 2 }));
        }
    }
    world.dice.weighted(&acts)
}

/// Does it; false when there is nothing to do it to.
fn step(world: &mut World, thread: ThreadId, act: Act, cover: &mut Cover) -> Result<bool, String> {
    let Some(known) = world.reading.thread(thread) else { return Ok(false) };
    let (role, state) = (Role::of(known), State::of(&world.reading, known));
    let law = act.law(&world.reading, known);
    let Some((input, at)) = input(world, thread, act)? else { return Ok(false) };
    let verdict = world.commit(input, at)?;
    cover.count(role, state, act, verdict);
    let lawful = law.is_none_or(|law| law == verdict);
    if lawful { Ok(true) } else { Err(format!("verdict: {act:?} of {thread} in {state:?} was {verdict:?}")) }
}

/// Nobody disturbs the session any more: its wants are served and its calls answered until it rests.
fn rest(world: &mut World) -> Result<(), String> {
    for _ in 0..PATIENCE {
        let job = world.jobs.iter().next().cloned();
        let needs = matches!(world.reading.session(), Printed::Needs(_));
        let (thread, act) = match job {
            Some(Want::Ask { thread, .. }) => (thread, Act::Text),
            Some(Want::Run { thread, .. }) => (thread, Act::Ran),
            Some(Want::Wake { thread, .. }) => (thread, Act::Wake),
            None if needs && !world.reading.over() => (PRIMARY, Act::AllResults),
            None => return rested(world),
        };
        let Some((input, at)) = input(world, thread, act)? else {
            return Err(format!("rest: stuck at {act:?}"));
        };
        if world.commit(input, at)? == Verdict::Refused {
            return Err(format!("rest: {act:?} of {thread} was refused"));
        }
    }
    Err("rest: it never comes to rest".into())
}

/// Nothing is left undone in a session that rests.
fn rested(world: &World) -> Result<(), String> {
    if world.reading.over() {
        return Ok(());
    }
    for thread in world.reading.threads.iter().filter(|thread| !thread.ended) {
        let left = !thread.rests() || !thread.waits.is_empty() || !thread.queue.is_empty();
        if left {
            return Err(format!("rest: {} only seems to rest", thread.id));
        }
    }
    Ok(())
}

/// The input that does `act` to this thread, and its time; `None` when there is nothing to do it to.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
fn input(world: &mut World, thread: ThreadId, act: Act) -> Result<Option<(Input, Stamp)>, String> {
    let now = world.now;
    let input = match act {
        Act::FailAgain | Act::FailForever | Act::FailNamed => {
            let asking = world.reading.thread(thread).and_then(|thread| thread.asking);
            let named = if act == Act::FailNamed { world.named(thread) } else { Vec::new() };
            let failure = match act {
                Act::FailNamed => small::refusal(&mut world.dice),
                _ => small::failure(&mut world.dice, act == Act::FailForever),
            };
            let (failure, attempts) = small::attempts(failure);
            asking.map(|request| Input::Failed { thread, request, failure, named, attempts })
        }
        Act::StaleAnswer => {
            let request = gone_request(world, thread);
            let answer = model::answer(world, thread, Act::Text);
            answer.map(|answer| Input::Answered { thread, request, answer, attempts: limits::ATTEMPTS })
        }
        Act::StaleFailure => {
            let request = gone_request(world, thread);
            let (failure, attempts) = small::attempts(small::failure(&mut world.dice, false));
            Some(Input::Failed { thread, request, failure, named: Vec::new(), attempts })
        }
        Act::Ran => {
            let of = |job: &Want| match job {
                Want::Run { thread: own, call, .. } if *own == thread => Some(*call),
                Want::Run { .. } | Want::Ask { .. } | Want::Wake { .. } => None,
            };
            let running: Vec<EventId> = world.jobs.iter().filter_map(of).collect();
            let Some(call) = world.dice.pick(&running).copied() else { return Ok(None) };
            world.begin(call)?;
            Some(gave(world, thread, call))
        }
        Act::RanEarly => {
            let early = world.early(thread);
            world.dice.pick(&early).copied().map(|call| gave(world, thread, call))
        }
        Act::RanStale => Some(gone_run(world, thread)),
        Act::Wake | Act::WakeEarly => return Ok(wake(world, thread, act == Act::WakeEarly)),
        Act::WakeStale => {
            let until = gone_wake(world, thread);
            return Ok(Some((Input::Woke { thread, until }, now.max(until))));
        }
        Act::Crash => {
            world.crash()?;
            Some(Input::Recovered)
        }
        Act::Rename => Some(rename(world)),
        Act::Retool => {
            let tools = Given::Value(world.other_kit().tools());
            Some(Input::Update(Change { title: Given::Absent, metadata: Given::Absent, tools }))
        }
        Act::Archive => Some(Input::ArchiveThread { thread }),
        Act::ArchiveUnknown => Some(Input::ArchiveThread { thread: client::NOBODY }),
        Act::ArchiveSession => Some(Input::Archive),
        Act::Delete => Some(Input::Delete),
        _ => {
            let asking = world.reading.thread(thread).and_then(|thread| thread.asking);
            let answer = asking.and_then(|request| Some((request, model::answer(world, thread, act)?)));
            match answer {
                Some((request, answer)) => {
                    Some(Input::Answered { thread, request, answer, attempts: limits::ATTEMPTS })
                }
                None => client::said(world, thread, act)
                    .map(|events| Input::Client { events, made: BTreeMap::new() }),
            }
        }
    };
    Ok(input.map(|input| (input, now)))
}

/// A request of this thread that is over, or that never was.
fn gone_request(world: &mut World, thread: ThreadId) -> EventId {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Ask { thread: own, request } if *own == thread => Some(*request),
        Want::Ask { .. } | Want::Run { .. } | Want::Wake { .. } => None,
    });
    // Another thread's open request is none of this one's.
    let other =
        world.reading.threads.iter().filter(|other| other.id != thread).find_map(|other| other.asking);
    let never = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    match world.dice.below(4) {
        0 => never,
        1 => other.unwrap_or(never),
        _ => newest.unwrap_or(never),
    }
}

fn gave(world: &mut World, thread: ThreadId, call: EventId) -> Input {
    let content = small::out(&mut world.dice);
    Input::Ran { thread, call, content, is_error: world.dice.once_in(4) }
}

/// The outcome of a run that nobody wants: it is over, its thread is another, or it never was.
fn gone_run(world: &mut World, thread: ThreadId) -> Input {
    let desk = world.reading.thread(thread).map(|thread| &thread.desk);
    let answered =
        desk.and_then(|desk| desk.all().iter().rev().find(|call| call.answered)).map(|call| call.id);
    let others = world.jobs.iter().find_map(|job| match job {
        Want::Run { thread: own, call, .. } if *own != thread => Some(*call),
        Want::Run { .. } | Want::Ask { .. } | Want::Wake { .. } => None,
    });
    let never = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    let call = match world.dice.below(3) {
        0 => never,
        1 => others.unwrap_or(never),
        _ => answered.unwrap_or(never),
    };
    gave(world, thread, call)
}

fn gone_wake(world: &World, thread: ThreadId) -> Stamp {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Wake { thread: own, at } if *own == thread => Some(*at),
        Want::Wake { .. } | Want::Ask { .. } | Want::Run { .. } => None,
    });
    newest.unwrap_or(world.now.after(Duration::from_micros(1)))
}

fn wake(world: &mut World, thread: ThreadId, early: bool) -> Option<(Input, Stamp)> {
    let until = world.reading.thread(thread)?.until?;
    let off = 1 + world.dice.below(400_000);
    if early {
        return Some((Input::Woke { thread, until }, Stamp::from_micros(until.micros() - off as i64)));
    }
    world.now =
        if world.dice.once_in(3) { until } else { world.now.max(until).after(Duration::from_micros(off)) };
    world.now = world.now.max(until);
    Some((Input::Woke { thread, until }, world.now))
}

fn rename(world: &mut World) -> Input {
    let title = if world.dice.once_in(3) { Given::Null } else { Given::Value(world.word('n')) };
    Input::Update(Change { title, metadata: Given::Absent, tools: Given::Absent })
}
