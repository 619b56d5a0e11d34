//! A client under dice: the requests that each act makes of a session with several threads.

use protocol::content::Block;
use protocol::event::Verdict;
use protocol::input::ClientEvent;
use protocol::{EventId, ThreadId};

use super::act::{Act, waits_for_result, waits_for_verdict};
use super::world::{PRIMARY, World};
use crate::client;
use crate::desk::{Call, Given, Kind};

const STOP: ClientEvent = ClientEvent::Interrupt { thread: None };

/// A thread that no session has.
pub(crate) const NOBODY: ThreadId = ThreadId::from_bits(8);

/// The events of a request that does `act` to this thread; `None` when there is nothing to do it to.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn said(world: &mut World, thread: ThreadId, act: Act) -> Option<Vec<ClientEvent>> {
    let unknown = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    let stop = ClientEvent::Interrupt { thread: Some(thread) };
    Some(match act {
        Act::Result => vec![one_result(world, thread)?],
        Act::Allow => {
            let call = pick(world, thread, waits_for_verdict)?;
            vec![verdict(call, Verdict::Allow, None)]
        }
        Act::Deny => {
            let call = pick(world, thread, waits_for_verdict)?;
            vec![deny(world, call)]
        }
        Act::ResultAgain => vec![again(world, thread, Kind::Custom)?],
        Act::ResultOther => vec![other(world, thread)?],
        Act::VerdictAgain => vec![again(world, thread, Kind::Ask)?],
        Act::NotYours => {
            let ours = pick(world, thread, |call| call.kind != Kind::Custom).unwrap_or(unknown);
            vec![result(world, ours)]
        }
        Act::Unasked => {
            let unasked = pick(world, thread, |call| call.kind != Kind::Ask).unwrap_or(unknown);
            vec![deny(world, unasked)]
        }
        Act::ResultUnknown if world.dice.once_in(2) => vec![deny(world, unknown)],
        Act::ResultUnknown => vec![result(world, unknown)],
        Act::Interrupt => vec![stop],
        Act::InterruptBoth => {
            let primary = ClientEvent::Interrupt { thread: Some(PRIMARY) };
            if world.dice.once_in(2) { vec![stop, primary] } else { vec![primary, stop] }
        }
        Act::ResultInterrupt => vec![one_result(world, thread)?, stop],
        Act::Message => vec![message(world)],
        Act::Messages => vec![message(world), message(world)],
        Act::AllResults => all(world)?,
        Act::InterruptAll => vec![STOP],
        Act::InterruptUnknown => vec![ClientEvent::Interrupt { thread: Some(NOBODY) }],
        Act::InterruptMessage => vec![STOP, message(world)],
        Act::MessageInterrupt => vec![message(world), STOP],
        Act::Any => (0..2 + world.dice.below(4)).map(|_| any(world)).collect(),
        _ => return None,
    })
}

fn message(world: &mut World) -> ClientEvent {
    let mut content = vec![Block::text(world.word('m'))];
    if world.dice.once_in(8) {
        content.push(Block::text(world.word('m')));
    }
    ClientEvent::Message { content }
}

/// Calls of this thread, the late ones mostly.
fn pick(world: &mut World, thread: ThreadId, fits: impl Fn(&Call) -> bool) -> Option<EventId> {
    let desk = &world.reading.thread(thread)?.desk;
    let calls: Vec<EventId> =
        desk.all().iter().rev().filter(|call| fits(call)).take(6).map(|call| call.id).collect();
    world.dice.pick(&calls).copied()
}

fn one_result(world: &mut World, thread: ThreadId) -> Option<ClientEvent> {
    let call = pick(world, thread, waits_for_result)?;
    Some(result(world, call))
}

/// What a client gave a call.
fn given(world: &World, thread: ThreadId, call: EventId) -> Option<Given> {
    world.reading.thread(thread)?.desk.call(call)?.given.clone()
}

/// Another answer than a client has given before.
fn other(world: &mut World, thread: ThreadId) -> Option<ClientEvent> {
    let call = pick(world, thread, |call| call.given.is_some())?;
    let given = given(world, thread, call)?;
    Some(client::other(&mut world.dice, call, given))
}

/// A word on a call that has had one; of a client's answer the same.
fn again(world: &mut World, thread: ThreadId, kind: Kind) -> Option<ClientEvent> {
    let call = pick(world, thread, |call| call.kind == kind && !call.needs_client())?;
    Some(match kind {
        Kind::Custom => match given(world, thread, call) {
            Some(given) => client::again(call, given),
            None => result(world, call),
        },
        Kind::Ask | Kind::Allow | Kind::Deny => deny(world, call),
    })
}

/// An answer or a verdict for all that waits for one, of every thread, in any order.
fn all(world: &mut World) -> Option<Vec<ClientEvent>> {
    let live = world.reading.threads.iter().filter(|thread| !thread.ended);
    let open = live.flat_map(|thread| thread.desk.open()).filter(|call| call.needs_client());
    let mut calls: Vec<(EventId, Kind)> = open.map(|call| (call.id, call.kind)).collect();
    if world.dice.once_in(2) {
        calls.reverse();
    }
    let event = |(call, kind)| match kind {
        Kind::Custom => result(world, call),
        Kind::Ask | Kind::Allow | Kind::Deny => either(world, call),
    };
    let events: Vec<ClientEvent> = calls.into_iter().map(event).collect();
    (!events.is_empty()).then_some(events)
}

fn any(world: &mut World) -> ClientEvent {
    let threads: Vec<ThreadId> = world.reading.threads.iter().map(|thread| thread.id).collect();
    let thread = world.dice.pick(&threads).copied().unwrap_or(NOBODY);
    let event = match world.dice.below(8) {
        0 => None,
        1 => Some(ClientEvent::Interrupt { thread: Some(thread) }),
        2 if world.dice.once_in(3) => Some(STOP),
        3 if world.dice.once_in(3) => other(world, thread),
        3 => again(world, thread, Kind::Custom),
        4 => again(world, thread, Kind::Ask),
        5 => pick(world, thread, waits_for_verdict).map(|call| either(world, call)),
        _ => one_result(world, thread),
    };
    event.unwrap_or_else(|| message(world))
}

fn either(world: &mut World, call: EventId) -> ClientEvent {
    if world.dice.once_in(3) { deny(world, call) } else { verdict(call, Verdict::Allow, None) }
}

fn deny(world: &mut World, call: EventId) -> ClientEvent {
    let why = if world.dice.once_in(3) { None } else { Some(world.word('d')) };
    verdict(call, Verdict::Deny, why)
}

const fn verdict(call: EventId, verdict: Verdict, deny_message: Option<String>) -> ClientEvent {
    ClientEvent::Confirmation { call, verdict, deny_message }
}

fn result(world: &mut World, call: EventId) -> ClientEvent {
    let content = match world.dice.below(6) {
        0 => None,
        1 => Some(Vec::new()),
        _ => Some(vec![Block::text(world.word('r'))]),
    };
    let is_error = world.dice.once_in(3).then_some(true);
    ClientEvent::CustomResult { call, content, is_error }
}
