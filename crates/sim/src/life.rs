//! A life: one session from its opening until it rests for good, under dice.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Input, SessionChange, Want};
use protocol::parse::GivenField;
use protocol::prompt::ModelAnswer;
use protocol::{EventId, ThreadId, Timestamp, limits};

use crate::act::{Act, InputVerdict};
use crate::act_weights::ActWeights;
use crate::coverage::ActCoverage;
use crate::dice::Dice;
use crate::size::LifeSize;
use crate::state::{Role, State};
use crate::team::line::TeamLine;
use crate::team::reading::PrintedThread;
use crate::world::{PRIMARY, StormWorld};
use crate::{client, model, team};

/// Steps that a session is given to come to rest once nobody disturbs it, and some more for what is queued.
const PATIENCE: usize = 400;
/// Steps that an ended session is still poked.
const AFTERLIFE: u64 = 10;

/// A life that broke a law.
#[derive(Debug)]
pub struct BrokenLife<L = TeamLine> {
    /// The referee and its sentence.
    pub why: String,
    /// The log up to there.
    pub log: Vec<L>,
}

/// What a life left behind.
#[derive(Debug)]
pub struct LivedLife<L = TeamLine> {
    /// The log as its store would keep it, one body a commit.
    pub bodies: Vec<Vec<u8>>,
    /// The log as lines.
    pub log: Vec<L>,
}

/// Lives one life.
///
/// # Errors
/// The law that it broke.
pub fn live(seed: u64, size: LifeSize, coverage: &mut ActCoverage) -> Result<LivedLife, Box<BrokenLife>> {
    let mut dice = Dice::new(seed);
    let mood = ActWeights::of(&mut dice, size);
    let messages = if size.alone() && dice.once_in(4) { 1 + dice.below(3) } else { 0 };
    let opened = StormWorld::open(dice, size, messages);
    let mut world = opened.map_err(|why| Box::new(BrokenLife { why, log: Vec::new() }))?;
    match steps(&mut world, mood, coverage) {
        Ok(()) => Ok(LivedLife { bodies: world.bodies().to_vec(), log: world.log }),
        Err(why) => Err(Box::new(BrokenLife { why, log: world.log })),
    }
}

fn steps(world: &mut StormWorld, mood: ActWeights, coverage: &mut ActCoverage) -> Result<(), String> {
    let size = world.size;
    let mut left = size.steps();
    while left > 0 {
        left -= 1;
        world.tick();
        if world.reading.over() {
            left = left.min(AFTERLIFE);
        }
        for _ in 0..size.tries() {
            let Some((thread, act)) = choice(world, mood, left < size.closing()) else { break };
            if step(world, thread, act, coverage)? {
                break;
            }
        }
    }
    rest(world)?;
    world.crash()
}

/// What is done next, to which thread.
fn choice(world: &mut StormWorld, mood: ActWeights, closing: bool) -> Option<(ThreadId, Act)> {
    let mut acts: Vec<((ThreadId, Act), u64)> = Vec::new();
    for thread in &world.reading.threads {
        let what = (Role::of(thread), State::of(&world.reading, thread));
        let weights = mood.weights(world.size, what, thread.requests, closing);
        acts.extend(weights.map(|(act, weight)| ((thread.id, act), weight)));
    }
    world.dice.weighted(&acts)
}

/// Does it; false when there is nothing to do it to.
fn step(
    world: &mut StormWorld,
    thread: ThreadId,
    act: Act,
    coverage: &mut ActCoverage,
) -> Result<bool, String> {
    let Some(known) = world.reading.thread(thread) else { return Ok(false) };
    let (role, state) = (Role::of(known), State::of(&world.reading, known));
    let law = act.law(&world.reading, known);
    let Some((input, at)) = input(world, thread, act)? else { return Ok(false) };
    let verdict = world.commit(input, at)?;
    coverage.count(role, state, act, verdict);
    let lawful = law.is_none_or(|law| law == verdict);
    if lawful { Ok(true) } else { Err(format!("verdict: {act:?} of {thread} in {state:?} was {verdict:?}")) }
}

/// Nobody disturbs the session any more: its wants are served and its calls answered until it rests.
fn rest(world: &mut StormWorld) -> Result<(), String> {
    world.judge_histories()?;
    let queued: usize = world.reading.threads.iter().map(|thread| thread.queue.len()).sum();
    for _ in 0..PATIENCE + queued {
        let job = world.jobs.iter().next().cloned();
        let needs = matches!(world.reading.session(), PrintedThread::Needs(_));
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
        if world.commit(input, at)? == InputVerdict::Refused {
            return Err(format!("rest: {act:?} of {thread} was refused"));
        }
    }
    Err("rest: it never comes to rest".into())
}

/// Nothing is left undone in a session that rests.
fn rested(world: &StormWorld) -> Result<(), String> {
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
pub(crate) fn input(
    world: &mut StormWorld,
    thread: ThreadId,
    act: Act,
) -> Result<Option<(Input, Timestamp)>, String> {
    let now = world.now;
    let input = match act {
        Act::FailAgain | Act::FailForever | Act::FailNamed => {
            let asking = world.reading.thread(thread).and_then(|thread| thread.asking);
            let named = if act == Act::FailNamed { world.named(thread) } else { Vec::new() };
            let failure = match act {
                Act::FailNamed => model::refusal(&mut world.dice),
                _ => model::failure(&mut world.dice, act == Act::FailForever),
            };
            let (failure, attempts) = model::attempts(failure);
            asking.map(|request| Input::Failed { thread, request, failure, named, attempts })
        }
        Act::StaleAnswer => {
            let request = gone_request(world, thread);
            answer(world, thread, Act::Text).map(|answer| answered(thread, request, answer))
        }
        Act::StaleFailure => {
            let request = gone_request(world, thread);
            let (failure, attempts) = model::attempts(model::failure(&mut world.dice, false));
            Some(Input::Failed { thread, request, failure, named: Vec::new(), attempts })
        }
        Act::Ran => {
            let running: Vec<EventId> = world.jobs.iter().filter_map(|job| run(job, thread)).collect();
            let Some(call) = world.dice.pick(&running).copied() else { return Ok(None) };
            world.begin(call)?;
            Some(gave(world, thread, call))
        }
        Act::RanEarly => {
            let early = world.early(thread);
            world.dice.pick(&early).copied().map(|call| began_or_gave(world, thread, call))
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
        Act::Rename => Some(Input::Update(world.voice.rename(&mut world.dice))),
        Act::Retool => {
            let tools = GivenField::Value(world.other_kit().tools());
            Some(Input::Update(SessionChange {
                title: GivenField::Absent,
                metadata: GivenField::Absent,
                tools,
            }))
        }
        Act::Archive => Some(Input::ArchiveThread { thread }),
        Act::ArchiveUnknown => Some(Input::ArchiveThread { thread: client::NOBODY }),
        Act::ArchiveSession => Some(Input::Archive),
        Act::Delete => Some(Input::Delete),
        _ => {
            let asking = world.reading.thread(thread).and_then(|thread| thread.asking);
            match asking.and_then(|request| Some((request, answer(world, thread, act)?))) {
                Some((request, answer)) => Some(answered(thread, request, answer)),
                None => client::said(world, thread, act)
                    .map(|events| Input::Client { events, made: BTreeMap::new() }),
            }
        }
    };
    Ok(input.map(|input| (input, now)))
}

const fn answered(thread: ThreadId, request: EventId, answer: ModelAnswer) -> Input {
    Input::Answered { thread, request, answer, attempts: limits::ATTEMPTS }
}

/// What the model of a thread answers; `None` for an act that is no answer.
fn answer(world: &mut StormWorld, thread: ThreadId, act: Act) -> Option<ModelAnswer> {
    if world.size.alone() {
        let kit = world.kit_of(thread);
        return model::answer(&mut world.dice, act, &kit);
    }
    team::model::answer(world, thread, act)
}

/// A request of this thread that is over, or that never was.
fn gone_request(world: &mut StormWorld, thread: ThreadId) -> EventId {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Ask { thread: own, request } if *own == thread => Some(*request),
        Want::Ask { .. } | Want::Run { .. } | Want::Wake { .. } => None,
    });
    // Another thread's open request is none of this one's.
    let other =
        world.reading.threads.iter().filter(|other| other.id != thread).find_map(|other| other.asking);
    let never = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    if world.size.alone() && newest.is_none() {
        return never;
    }
    match world.dice.below(4) {
        0 => never,
        1 => other.or(newest).unwrap_or(never),
        _ => newest.unwrap_or(never),
    }
}

/// The call of this thread that a job runs.
fn run(job: &Want, thread: ThreadId) -> Option<EventId> {
    match job {
        Want::Run { thread: own, call, .. } if *own == thread => Some(*call),
        Want::Run { .. } | Want::Ask { .. } | Want::Wake { .. } => None,
    }
}

fn gave(world: &mut StormWorld, thread: ThreadId, call: EventId) -> Input {
    let content = model::out(&mut world.dice);
    Input::Ran { thread, call, content, is_error: world.dice.once_in(4) }
}

/// The outcome of a call that may not run; of a thread alone now and then its beginning.
fn began_or_gave(world: &mut StormWorld, thread: ThreadId, call: EventId) -> Input {
    let begins = world.size.alone() && world.dice.once_in(3);
    if begins { Input::Begins { thread, call } } else { gave(world, thread, call) }
}

/// The outcome, or the beginning, of a run that nobody wants: it is over, its thread is another, or it never
/// was.
fn gone_run(world: &mut StormWorld, thread: ThreadId) -> Input {
    let desk = world.reading.thread(thread).map(|thread| &thread.desk);
    let answered =
        desk.and_then(|desk| desk.all().iter().rev().find(|call| call.answered)).map(|call| call.id);
    let newest = world.gone.iter().rev().find_map(|job| run(job, thread));
    let running = world.jobs.iter().find_map(|job| run(job, thread));
    let others = world.jobs.iter().find_map(|job| match job {
        Want::Run { thread: own, call, .. } if *own != thread => Some(*call),
        Want::Run { .. } | Want::Ask { .. } | Want::Wake { .. } => None,
    });
    let never = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    let team = [(thread, None), (thread, others), (thread, answered)];
    let alone = [(thread, None), (thread, answered), (client::NOBODY, running), (thread, newest)];
    let runs: &[(ThreadId, Option<EventId>)] = if world.size.alone() { &alone } else { &team };
    let (thread, call) = world.dice.pick(runs).copied().unwrap_or((thread, None));
    began_or_gave(world, thread, call.unwrap_or(never))
}

fn gone_wake(world: &StormWorld, thread: ThreadId) -> Timestamp {
    let newest = world.gone.iter().rev().find_map(|job| match job {
        Want::Wake { thread: own, at } if *own == thread => Some(*at),
        Want::Wake { .. } | Want::Ask { .. } | Want::Run { .. } => None,
    });
    newest.unwrap_or(world.now.after(Duration::from_micros(1)))
}

fn wake(world: &mut StormWorld, thread: ThreadId, early: bool) -> Option<(Input, Timestamp)> {
    let until = world.reading.thread(thread)?.until?;
    let off = 1 + world.dice.below(400_000);
    if early {
        return Some((Input::Woke { thread, until }, Timestamp::from_micros(until.micros() - off as i64)));
    }
    world.now =
        if world.dice.once_in(3) { until } else { world.now.max(until).after(Duration::from_micros(off)) };
    world.now = world.now.max(until);
    Some((Input::Woke { thread, until }, world.now))
}
