//! A client under dice: the requests that each act makes, for whatever the session waits for.

use protocol::content::Block;
use protocol::event::Verdict;
use protocol::input::ClientEvent;
use protocol::{EventId, ThreadId};

use crate::act::Act;
use crate::desk::{Call, Given, Kind};
use crate::dice::Dice;
use crate::world::{THREAD, World};

const STOP: ClientEvent = ClientEvent::Interrupt { thread: None };

/// The events of a request that does `act`; `None` when there is nothing to do it to.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn said(world: &mut World, act: Act) -> Option<Vec<ClientEvent>> {
    let unknown = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    Some(match act {
        Act::Message => vec![world.message()],
        Act::TwoMessages => vec![world.message(), world.message()],
        Act::Result => vec![one_result(world)?],
        Act::AllResults => all(world)?,
        Act::ResultAgain => vec![result_again(world)?],
        Act::ResultOther => vec![result_other(world)?],
        Act::ResultUnknown => vec![result(world, unknown)],
        Act::ResultNotYours => {
            let ours = pick(world, |call| call.kind != Kind::Custom).unwrap_or(unknown);
            vec![result(world, ours)]
        }
        Act::Allow => vec![verdict(asked(world)?, Verdict::Allow, None)],
        Act::Deny => {
            let call = asked(world)?;
            vec![deny(world, call)]
        }
        Act::VerdictAgain => vec![verdict_again(world)?],
        Act::ConfirmUnasked => {
            let unasked = pick(world, |call| call.kind != Kind::Ask).unwrap_or(unknown);
            vec![any_verdict(world, unasked)]
        }
        Act::ConfirmUnknown => vec![any_verdict(world, unknown)],
        Act::Interrupt => vec![STOP],
        Act::InterruptNamed => vec![ClientEvent::Interrupt { thread: Some(THREAD) }],
        Act::InterruptUnknown => vec![ClientEvent::Interrupt { thread: Some(ThreadId::from_bits(8)) }],
        Act::InterruptMessage => vec![STOP, world.message()],
        Act::MessageInterrupt => vec![world.message(), STOP],
        Act::ResultInterrupt => vec![one_result(world)?, STOP],
        Act::VerdictInterrupt => vec![verdict(asked(world)?, Verdict::Allow, None), STOP],
        Act::Mixed => (0..2 + world.dice.below(4)).map(|_| any(world)).collect(),
        _ => return None,
    })
}

/// Whether a session holds what `act` is done to, beyond its state.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn able(world: &World, act: Act) -> bool {
    let calls = world.desk.all();
    match act {
        Act::Result | Act::ResultInterrupt => calls.iter().any(waits_for_result),
        Act::Allow | Act::Deny | Act::VerdictInterrupt => calls.iter().any(waits_for_verdict),
        Act::AllResults => calls.iter().any(Call::needs_client),
        Act::ResultAgain => calls.iter().any(has_result),
        Act::ResultOther => calls.iter().any(|call| call.given.is_some()),
        Act::VerdictAgain => calls.iter().any(has_verdict),
        Act::RanEarly => !world.waiting().is_empty(),
        _ => true,
    }
}

fn waits_for_result(call: &Call) -> bool {
    call.kind == Kind::Custom && !call.answered
}

fn waits_for_verdict(call: &Call) -> bool {
    call.kind == Kind::Ask && call.needs_client()
}

fn has_result(call: &Call) -> bool {
    call.kind == Kind::Custom && call.answered
}

fn has_verdict(call: &Call) -> bool {
    call.kind == Kind::Ask && !call.needs_client()
}

fn pick(world: &mut World, fits: impl Fn(&Call) -> bool) -> Option<EventId> {
    let calls = world.desk.all().iter().rev().filter(|call| fits(call)).take(60);
    let calls: Vec<EventId> = calls.map(|call| call.id).collect();
    // Mostly a late one.
    let few = if world.dice.once_in(4) { calls.len() } else { calls.len().min(6) };
    world.dice.pick(calls.get(..few)?).copied()
}

fn asked(world: &mut World) -> Option<EventId> {
    pick(world, waits_for_verdict)
}

fn one_result(world: &mut World) -> Option<ClientEvent> {
    let call = pick(world, waits_for_result)?;
    Some(result(world, call))
}

/// An answer or a verdict for all that waits for one, in any order.
fn all(world: &mut World) -> Option<Vec<ClientEvent>> {
    let mut calls: Vec<(EventId, Kind)> = Vec::new();
    for call in world.desk.open().into_iter().filter(|call| call.needs_client()) {
        calls.push((call.id, call.kind));
    }
    if world.dice.once_in(2) {
        calls.reverse();
    }
    let event =
        |(call, kind)| if kind == Kind::Custom { result(world, call) } else { any_verdict(world, call) };
    let events: Vec<ClientEvent> = calls.into_iter().map(event).collect();
    (!events.is_empty()).then_some(events)
}

fn any(world: &mut World) -> ClientEvent {
    let event = match world.dice.below(10) {
        0 | 1 => Some(world.message()),
        2 => Some(STOP),
        3 if world.dice.once_in(3) => result_other(world),
        3 => result_again(world),
        4 => verdict_again(world),
        5..=7 => asked(world).map(|call| any_verdict(world, call)),
        _ => one_result(world),
    };
    event.unwrap_or_else(|| world.message())
}

/// The answer that a client has given before, or any to a call that the server closed.
fn result_again(world: &mut World) -> Option<ClientEvent> {
    let call = pick(world, has_result)?;
    let given = world.desk.call(call).and_then(|call| call.given.clone());
    Some(given.map_or_else(|| result(world, call), |given| again(call, given)))
}

/// Another answer than a client has given before.
fn result_other(world: &mut World) -> Option<ClientEvent> {
    let call = pick(world, |call| call.given.is_some())?;
    let given = world.desk.call(call)?.given.clone()?;
    Some(other(&mut world.dice, call, given))
}

/// The result that was given before, word for word.
pub(crate) fn again(call: EventId, (content, is_error): Given) -> ClientEvent {
    let content = content.and_then(|content| serde_json::from_value(content).ok());
    ClientEvent::CustomResult { call, content, is_error: is_error.then_some(true) }
}

/// A result that is nearly the one that was given before.
pub(crate) fn other(dice: &mut Dice, call: EventId, given: Given) -> ClientEvent {
    let before = again(call, given);
    let ClientEvent::CustomResult { mut content, mut is_error, .. } = before else { return before };
    match dice.below(4) {
        0 => is_error = if is_error.is_some() { None } else { Some(true) },
        1 => is_error = Some(false),
        _ => content.get_or_insert_default().push(Block::text("and more")),
    }
    ClientEvent::CustomResult { call, content, is_error }
}

/// A verdict on a call that has one, or was answered without.
fn verdict_again(world: &mut World) -> Option<ClientEvent> {
    let call = pick(world, has_verdict)?;
    Some(any_verdict(world, call))
}

fn any_verdict(world: &mut World, call: EventId) -> ClientEvent {
    if world.dice.once_in(3) { deny(world, call) } else { verdict(call, Verdict::Allow, None) }
}

fn deny(world: &mut World, call: EventId) -> ClientEvent {
    let why = match world.dice.below(5) {
        0 => None,
        1 => Some(String::new()),
        2 => Some(" \n".into()),
        3 => Some(format!(" not {} ", world.dice.below(100))),
        _ => Some(format!("because {}", world.dice.below(100))),
    };
    verdict(call, Verdict::Deny, why)
}

const fn verdict(call: EventId, verdict: Verdict, deny_message: Option<String>) -> ClientEvent {
    ClientEvent::Confirmation { call, verdict, deny_message }
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
