//! A client under dice: the requests that each act makes, for whatever the session waits for. Where that of a
//! thread alone does otherwise than a team's, its dice have always fallen so: each seed keeps its log.

use protocol::content::ContentBlock;
use protocol::input::ClientEvent;
use protocol::{EventId, ThreadId};

use crate::act::Act;
use crate::call_ledger::{LedgerCall, LedgerKind, LedgerResult};
use crate::dice::Dice;
use crate::voice::allow;
use crate::world::{PRIMARY, StormWorld};

const STOP: ClientEvent = ClientEvent::Interrupt { thread: None };

/// A thread that no session has.
pub(crate) const NOBODY: ThreadId = ThreadId::from_bits(8);

/// The events of a request that does `act` to this thread; `None` when there is nothing to do it to.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn said(world: &mut StormWorld, thread: ThreadId, act: Act) -> Option<Vec<ClientEvent>> {
    let alone = world.size.alone();
    let unknown = EventId::minted(u128::from(world.dice.bits()) << 40, 0);
    let stop = ClientEvent::Interrupt { thread: Some(thread) };
    Some(match act {
        Act::Result => vec![one_result(world, thread)?],
        Act::Allow => vec![allow(pick(world, thread, waits_for_verdict)?)],
        Act::Deny => {
            let call = pick(world, thread, waits_for_verdict)?;
            vec![deny(world, call)]
        }
        Act::ResultAgain => vec![again(world, thread, LedgerKind::Custom)?],
        Act::ResultOther => vec![another(world, thread)?],
        Act::VerdictAgain => vec![again(world, thread, LedgerKind::Ask)?],
        Act::NotYours => {
            let ours = pick(world, thread, |call| call.kind != LedgerKind::Custom).unwrap_or(unknown);
            vec![result(world, ours)]
        }
        Act::Unasked => {
            let unasked = pick(world, thread, |call| call.kind != LedgerKind::Ask).unwrap_or(unknown);
            vec![word(world, unasked)]
        }
        Act::ConfirmUnknown => vec![verdict(world, unknown)],
        Act::ResultUnknown if !alone && world.dice.once_in(2) => vec![deny(world, unknown)],
        Act::ResultUnknown => vec![result(world, unknown)],
        Act::Interrupt => vec![stop],
        Act::InterruptBoth => {
            let primary = ClientEvent::Interrupt { thread: Some(PRIMARY) };
            if world.dice.once_in(2) { vec![stop, primary] } else { vec![primary, stop] }
        }
        Act::ResultInterrupt => vec![one_result(world, thread)?, if alone { STOP } else { stop }],
        Act::VerdictInterrupt => vec![allow(pick(world, thread, waits_for_verdict)?), STOP],
        Act::Message => vec![message(world)],
        Act::Messages => vec![message(world), message(world)],
        Act::AllResults => all(world)?,
        Act::InterruptAll => vec![STOP],
        Act::InterruptUnknown => vec![ClientEvent::Interrupt { thread: Some(NOBODY) }],
        Act::InterruptMessage => vec![STOP, message(world)],
        Act::MessageInterrupt => vec![message(world), STOP],
        Act::Any if alone => (0..2 + world.dice.below(4)).map(|_| any_alone(world, thread)).collect(),
        Act::Any => (0..2 + world.dice.below(4)).map(|_| any(world)).collect(),
        _ => return None,
    })
}

fn message(world: &mut StormWorld) -> ClientEvent {
    world.voice.message(&mut world.dice)
}

fn result(world: &mut StormWorld, call: EventId) -> ClientEvent {
    world.voice.result(&mut world.dice, call)
}

fn verdict(world: &mut StormWorld, call: EventId) -> ClientEvent {
    world.voice.verdict(&mut world.dice, call)
}

fn deny(world: &mut StormWorld, call: EventId) -> ClientEvent {
    world.voice.deny(&mut world.dice, call)
}

/// A verdict that no call waits for: in a team, always no.
fn word(world: &mut StormWorld, call: EventId) -> ClientEvent {
    if world.size.alone() { verdict(world, call) } else { deny(world, call) }
}

/// Whether a call waits for a client's answer.
fn waits_for_result(call: &LedgerCall) -> bool {
    call.kind == LedgerKind::Custom && !call.answered
}

/// Whether it waits for a person's verdict.
fn waits_for_verdict(call: &LedgerCall) -> bool {
    call.kind == LedgerKind::Ask && call.needs_client()
}

/// Calls of this thread, the late ones mostly.
fn pick(world: &mut StormWorld, thread: ThreadId, fits: impl Fn(&LedgerCall) -> bool) -> Option<EventId> {
    let desk = &world.reading.thread(thread)?.desk;
    let late = if world.size.alone() { 60 } else { 6 };
    let mut calls: Vec<EventId> =
        desk.all().iter().rev().filter(|call| fits(call)).take(late).map(|call| call.id).collect();
    if world.size.alone() && !world.dice.once_in(4) {
        calls.truncate(6);
    }
    world.dice.pick(&calls).copied()
}

fn one_result(world: &mut StormWorld, thread: ThreadId) -> Option<ClientEvent> {
    let call = pick(world, thread, waits_for_result)?;
    Some(result(world, call))
}

/// What a client gave a call.
fn given(world: &StormWorld, thread: ThreadId, call: EventId) -> Option<LedgerResult> {
    world.reading.thread(thread)?.desk.call(call)?.given.clone()
}

/// Another answer than a client has given before.
fn another(world: &mut StormWorld, thread: ThreadId) -> Option<ClientEvent> {
    let call = pick(world, thread, |call| call.given.is_some())?;
    let given = given(world, thread, call)?;
    Some(other(&mut world.dice, call, given))
}

/// A word on a call that has had one; of a client's answer the same.
fn again(world: &mut StormWorld, thread: ThreadId, kind: LedgerKind) -> Option<ClientEvent> {
    let call = pick(world, thread, |call| call.kind == kind && !call.needs_client())?;
    Some(match kind {
        LedgerKind::Custom => match given(world, thread, call) {
            Some(given) => as_before(call, given),
            None => result(world, call),
        },
        LedgerKind::Ask | LedgerKind::Allow | LedgerKind::Deny => word(world, call),
    })
}

/// The result that was given before, word for word.
pub(crate) fn as_before(call: EventId, (content, is_error): LedgerResult) -> ClientEvent {
    let content = content.and_then(|content| serde_json::from_value(content).ok());
    ClientEvent::CustomResult { call, content, is_error: is_error.then_some(true) }
}

/// A result that is nearly the one that was given before.
pub(crate) fn other(dice: &mut Dice, call: EventId, given: LedgerResult) -> ClientEvent {
    let before = as_before(call, given);
    let ClientEvent::CustomResult { mut content, mut is_error, .. } = before else { return before };
    match dice.below(4) {
        0 => is_error = if is_error.is_some() { None } else { Some(true) },
        1 => is_error = Some(false),
        _ => content.get_or_insert_default().push(ContentBlock::text("and more")),
    }
    ClientEvent::CustomResult { call, content, is_error }
}

/// An answer or a verdict for all that waits for one, of every thread, in any order.
fn all(world: &mut StormWorld) -> Option<Vec<ClientEvent>> {
    let live = world.reading.threads.iter().filter(|thread| !thread.ended);
    let open = live.flat_map(|thread| thread.desk.open()).filter(|call| call.needs_client());
    let mut calls: Vec<(EventId, LedgerKind)> = open.map(|call| (call.id, call.kind)).collect();
    if world.dice.once_in(2) {
        calls.reverse();
    }
    let event = |(call, kind)| match kind {
        LedgerKind::Custom => result(world, call),
        LedgerKind::Ask | LedgerKind::Allow | LedgerKind::Deny => verdict(world, call),
    };
    let events: Vec<ClientEvent> = calls.into_iter().map(event).collect();
    (!events.is_empty()).then_some(events)
}

fn any(world: &mut StormWorld) -> ClientEvent {
    let threads: Vec<ThreadId> = world.reading.threads.iter().map(|thread| thread.id).collect();
    let thread = world.dice.pick(&threads).copied().unwrap_or(NOBODY);
    let event = match world.dice.below(8) {
        0 => None,
        1 => Some(ClientEvent::Interrupt { thread: Some(thread) }),
        2 if world.dice.once_in(3) => Some(STOP),
        3 if world.dice.once_in(3) => another(world, thread),
        3 => again(world, thread, LedgerKind::Custom),
        4 => again(world, thread, LedgerKind::Ask),
        5 => pick(world, thread, waits_for_verdict).map(|call| verdict(world, call)),
        _ => one_result(world, thread),
    };
    event.unwrap_or_else(|| message(world))
}

fn any_alone(world: &mut StormWorld, thread: ThreadId) -> ClientEvent {
    let event = match world.dice.below(10) {
        0 | 1 => None,
        2 => Some(STOP),
        3 if world.dice.once_in(3) => another(world, thread),
        3 => again(world, thread, LedgerKind::Custom),
        4 => again(world, thread, LedgerKind::Ask),
        5..=7 => pick(world, thread, waits_for_verdict).map(|call| verdict(world, call)),
        _ => one_result(world, thread),
    };
    event.unwrap_or_else(|| message(world))
}
