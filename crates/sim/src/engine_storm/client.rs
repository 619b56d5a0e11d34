//! A client: sends, answers, interrupts, renames, archives and deletes by dice, and remembers what it
//! was told.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{CommitError, EngineFault, NewSession, PostAttempt};
use futures_util::future::join_all;
use kernel::{Input, Refusal, SessionChange};
use protocol::content::ContentBlock;
use protocol::event::{ConfirmationVerdict, Event};
use protocol::input::ClientEvent;
use protocol::parse::{GivenField, Metadata};
use protocol::session::Session;
use protocol::{EnvironmentId, EventId};

use super::place::ActorPlace;
use super::run_record::HOME;
use super::session_log::SessionLog;
use crate::call_ledger::{LedgerCall, LedgerKind};
use crate::client::{as_before, other};
use crate::dice::Dice;
use crate::law::law;

/// A conflict that lasts longer than a commit tries.
pub(super) const LASTING: &str = "lasting conflict";

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Say,
    SayTwice,
    Burst,
    Result,
    Results,
    ResultRace,
    ResultAgain,
    ResultUnknown,
    Verdict,
    VerdictAgain,
    Mistake,
    Interrupt,
    InterruptSay,
    SayInterrupt,
    GiveUp,
    Again,
    Rename,
    Archive,
    Delete,
}

/// Disturbs a session until it is told to be calm.
pub(super) async fn run(place: ActorPlace, mut dice: Dice, opens: bool) {
    let talkative = dice.once_in(3);
    while !place.book.calm() {
        pause(&mut dice, talkative).await;
        let done = match place.book.id(place.session) {
            None if opens => open(&place, &mut dice).await,
            None => Ok(()),
            Some(_) => act(&place, &mut dice).await,
        };
        if let Err(why) = done {
            return place.book.object(place.session, why);
        }
    }
}

async fn pause(dice: &mut Dice, talkative: bool) {
    let span = match dice.below(10) {
        0..=2 if talkative => return tokio::task::yield_now().await,
        0..=3 => 100,
        4..=8 => 4_000,
        _ => 20_000,
    };
    tokio::time::sleep(Duration::from_millis(dice.below(span))).await;
}

async fn open(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    place.book.refresh_all().await;
    if place.book.id(place.session).is_some() {
        return Ok(());
    }
    let events: Vec<ClientEvent> = (0..dice.below(3)).map(|_| say(place)).collect();
    let new = NewSession {
        agent: place.book.agent(place.session),
        environment: EnvironmentId::from_bits(3),
        title: Some(place.session.to_string()),
        metadata: Metadata::new(),
        events,
    };
    let name = (u128::MAX - place.session as u128).to_be_bytes();
    let mut told =
        place.engine.open(HOME, new.clone(), Vec::new(), Some(&PostAttempt::plain(name, false))).await;
    if matches!(told, Err(CommitError::Fault(_))) {
        place.book.count("open in doubt");
        if dice.once_in(2) {
            told = open_again(place, new, PostAttempt::plain(name, true)).await;
        }
    }
    match told {
        Ok(session) => place.book.opened(place.session, session.id),
        Err(CommitError::Fault(_) | CommitError::Stopping) => {}
        Err(why) => return Err(format!("open: {why}")),
    }
    place.book.refresh_all().await;
    Ok(())
}

/// Opens a session as one does who has not heard whether it was opened: there must be one.
async fn open_again(
    place: &ActorPlace,
    new: NewSession,
    mut attempt: PostAttempt,
) -> Result<Session, CommitError> {
    place.engine.recall(&mut attempt).await?;
    match place.engine.opened(HOME, &attempt).await? {
        Some(session) => Ok(session),
        None => place.engine.open(HOME, new, Vec::new(), Some(&attempt)).await,
    }
}

async fn act(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    place.book.refresh(place.session).await;
    let look = |tale: &SessionLog| {
        let settled = |call: &LedgerCall| {
            matches!(call.kind, LedgerKind::Custom | LedgerKind::Ask) && !call.needs_client()
        };
        (tale.calls(LedgerCall::needs_client), tale.calls(settled))
    };
    let (open, settled) = place.book.tale(place.session, look).unwrap_or_default();
    let of =
        |calls: &[(EventId, LedgerKind)], kind| calls.iter().filter(|call| call.1 == kind).copied().collect();
    let customs: Vec<_> = of(&open, LedgerKind::Custom);
    let asked: Vec<_> = of(&open, LedgerKind::Ask);
    let stop = ClientEvent::Interrupt { thread: None };
    let events = match deed(dice, !open.is_empty()) {
        Deed::Say => vec![say(place)],
        Deed::SayTwice => vec![say(place), say(place)],
        Deed::Burst => return burst(place, dice).await,
        Deed::Result => one(place, dice, &customs),
        Deed::Results => open.iter().map(|call| word(place, dice, *call)).collect(),
        Deed::ResultRace => return race(place, dice, &customs).await,
        Deed::ResultAgain => return answer_again(place, dice, &of(&settled, LedgerKind::Custom)).await,
        Deed::Verdict => one(place, dice, &asked),
        Deed::VerdictAgain => one(place, dice, &of(&settled, LedgerKind::Ask)),
        Deed::Mistake => return mistake(place, dice).await,
        Deed::ResultUnknown => {
            let call = EventId::minted(u128::from(dice.bits()) << 40, dice.below(40));
            vec![result(place, dice, call)]
        }
        Deed::Interrupt => vec![stop],
        Deed::InterruptSay => vec![stop, say(place)],
        Deed::SayInterrupt => vec![say(place), stop],
        Deed::GiveUp => return give_up(place, dice).await,
        Deed::Again => return send_again(place, dice).await,
        Deed::Rename => return change(place, rename(place)).await,
        Deed::Archive => return change(place, Input::Archive).await,
        Deed::Delete => return change(place, Input::Delete).await,
    };
    if events.is_empty() { Ok(()) } else { send(place, events).await.map(drop) }
}

fn deed(dice: &mut Dice, calls: bool) -> Deed {
    let answers = if calls { 40 } else { 1 };
    let deeds = [
        (Deed::Say, 40),
        (Deed::SayTwice, 6),
        (Deed::Burst, 5),
        (Deed::Result, answers),
        (Deed::Results, answers),
        (Deed::ResultRace, answers / 4),
        (Deed::ResultAgain, 8),
        (Deed::ResultUnknown, 2),
        (Deed::Verdict, answers),
        (Deed::VerdictAgain, 6),
        (Deed::Mistake, 2),
        (Deed::Interrupt, 6),
        (Deed::InterruptSay, 4),
        (Deed::SayInterrupt, 3),
        (Deed::GiveUp, 5),
        (Deed::Again, 12),
        (Deed::Rename, 3),
        (Deed::Archive, 1),
        (Deed::Delete, 1),
    ];
    dice.weighted(&deeds).unwrap_or(Deed::Say)
}

/// A message that nobody else says.
pub(super) fn say(place: &ActorPlace) -> ClientEvent {
    ClientEvent::Message { content: vec![ContentBlock::text(place.book.text())] }
}

fn one(place: &ActorPlace, dice: &mut Dice, calls: &[(EventId, LedgerKind)]) -> Vec<ClientEvent> {
    dice.pick(calls).map(|call| word(place, dice, *call)).into_iter().collect()
}

/// What a client says to a call: a result, or a verdict.
fn word(place: &ActorPlace, dice: &mut Dice, (call, kind): (EventId, LedgerKind)) -> ClientEvent {
    if kind == LedgerKind::Custom {
        return result(place, dice, call);
    }
    place.book.count("verdict");
    let verdict = if dice.once_in(4) { ConfirmationVerdict::Deny } else { ConfirmationVerdict::Allow };
    let deny_message = (verdict == ConfirmationVerdict::Deny && dice.once_in(2)).then(|| place.book.text());
    ClientEvent::Confirmation { call, verdict, deny_message }
}

/// Two clients answer one call at the same time, each otherwise: the log tells whether both were taken.
async fn race(place: &ActorPlace, dice: &mut Dice, calls: &[(EventId, LedgerKind)]) -> Result<(), String> {
    let Some((call, _)) = dice.pick(calls).copied() else { return Ok(()) };
    let answers = [result(place, dice, call), result(place, dice, call)];
    let told = join_all(answers.map(|answer| send(place, vec![answer]))).await;
    told.into_iter().try_for_each(|told| told.map(drop))
}

/// A call is answered once more: as before, which is taken; otherwise than a client has, which is not; or
/// although the server has closed it, which is taken.
async fn answer_again(
    place: &ActorPlace,
    dice: &mut Dice,
    calls: &[(EventId, LedgerKind)],
) -> Result<(), String> {
    let (Some(id), Some((call, _))) = (place.book.id(place.session), dice.pick(calls).copied()) else {
        return Ok(());
    };
    let given = place.book.tale(place.session, |tale| tale.desk.call(call)?.given.clone()).flatten();
    let (answer, taken) = match given {
        None => (result(place, dice, call), true),
        // Words that are said twice are not told apart from an event that is in the log twice.
        Some(given) if given.0.is_none() && dice.once_in(2) => (as_before(call, given), true),
        Some(given) => (other(dice, call, given), false),
    };
    match place.engine.commit(HOME, id, client(vec![answer])).await {
        Ok(_) if taken => Ok(()),
        Ok(_) => Err(format!("verdict: another answer to {call} was taken")),
        Err(CommitError::Refused(Refusal::Answered { .. })) if !taken => {
            place.book.count("other answer");
            Ok(())
        }
        Err(wrong) => doubted(place, &wrong),
    }
}

/// A word that fits no call of its kind: it must be refused.
async fn mistake(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    let calls = place.book.tale(place.session, |tale| tale.calls(|_| true)).unwrap_or_default();
    let (Some(id), Some((call, kind))) = (place.book.id(place.session), dice.pick(&calls).copied()) else {
        return Ok(());
    };
    let event = if kind == LedgerKind::Ask {
        result(place, dice, call)
    } else {
        ClientEvent::Confirmation { call, verdict: ConfirmationVerdict::Allow, deny_message: None }
    };
    match place.engine.commit(HOME, id, client(vec![event])).await {
        Ok(_) => Err(format!("verdict: a mistaken word on {call} was taken")),
        Err(CommitError::Refused(Refusal::NotAsked { .. } | Refusal::NotYours { .. })) => Ok(()),
        Err(wrong) => doubted(place, &wrong),
    }
}

fn result(place: &ActorPlace, dice: &mut Dice, call: EventId) -> ClientEvent {
    let is_error = dice.once_in(4).then_some(true);
    let content = (!dice.once_in(4)).then(|| vec![ContentBlock::text(place.book.text())]);
    ClientEvent::CustomResult { call, content, is_error }
}

fn rename(place: &ActorPlace) -> Input {
    let (title, metadata) = (GivenField::Value(place.book.text()), GivenField::Absent);
    Input::Update(SessionChange { title, metadata, tools: GivenField::Absent })
}

fn client(events: Vec<ClientEvent>) -> Input {
    Input::Client { events, made: BTreeMap::new() }
}

/// Sends, and checks what it is told against the log. False: it is not known to have been done.
pub(super) async fn send(place: &ActorPlace, events: Vec<ClientEvent>) -> Result<bool, String> {
    let Some(id) = place.book.id(place.session) else { return Ok(false) };
    let (ticket, attempt) = place.book.sending(place.session, events.clone(), place.engine.now());
    let told = place.engine.commit_attempt(HOME, id, client(events.clone()), Some(&attempt)).await;
    let accepted = told.as_ref().map(|committed| committed.accepted.as_slice());
    place.book.told(ticket, accepted);
    place.book.refresh(place.session).await;
    match told {
        Ok(committed) => {
            law!(committed.accepted.len() == events.len(), "ledger: {} accepted", committed.accepted.len());
            durable(place, &committed.accepted, committed.head.position)?;
            Ok(true)
        }
        Err(wrong) => doubted(place, &wrong).map(|()| false),
    }
}

/// What is acknowledged is in the log.
fn durable(place: &ActorPlace, accepted: &[Event], head: u64) -> Result<(), String> {
    let judged = place.book.tale(place.session, |tale| {
        let kept = tale.session.head >= head
            && accepted.iter().all(|event| tale.posts.iter().any(|post| post.event == *event));
        if kept { Ok(()) } else { Err("ledger: acknowledged, and not in the log".to_owned()) }
    });
    judged.unwrap_or(Ok(()))
}

/// Whether a client may be told this.
fn doubted(place: &ActorPlace, wrong: &CommitError) -> Result<(), String> {
    match wrong {
        CommitError::Fault(EngineFault::Died) => return Err("verdict: a task of the engine died".into()),
        CommitError::Fault(EngineFault::Contended(_)) => {
            let lasting = place.book.counts().contains_key(LASTING);
            law!(lasting, "verdict: a short conflict was told instead of run again");
            place.book.count("fault told");
        }
        CommitError::Fault(_) => place.book.count("fault told"),
        CommitError::Stopping => place.book.count("stopping told"),
        CommitError::Refused(
            Refusal::Stale | Refusal::NotAsked { .. } | Refusal::NotYours { .. } | Refusal::Invalid(_),
        ) => {
            return Err(format!("verdict: {wrong}"));
        }
        CommitError::Refused(Refusal::UnknownCall { call, .. }) => {
            let known = place.book.tale(place.session, |tale| tale.desk.call(*call).is_some());
            law!(known != Some(true), "verdict: {call} is in the log and is refused as unknown");
            place.book.count("refusal");
        }
        CommitError::Refused(Refusal::Answered { call, .. }) => {
            let given = place.book.tale(place.session, |tale| tale.desk.call(*call)?.given.clone()).flatten();
            law!(given.is_some(), "verdict: {call} is refused as answered by a client, and is not");
            place.book.count("other answer");
        }
        CommitError::Refused(_) => place.book.count("refusal"),
        CommitError::NotFound => {
            let gone = place.book.tale(place.session, |tale| tale.session.deleted_at.is_some());
            law!(gone == Some(true), "verdict: there is such a session");
        }
        CommitError::Conflict { .. } => return Err("verdict: a conflict without expectations".into()),
    }
    Ok(())
}

/// Many requests at once.
async fn burst(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    place.book.count("burst");
    let many = if dice.once_in(8) { 90 } else { 2 + dice.below(8) };
    let requests = (0..many).map(|_| vec![say(place)]).map(|events| send(place, events));
    join_all(requests).await.into_iter().try_for_each(|told| told.map(drop))
}

/// A client that does not wait for its answer.
async fn give_up(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    let events =
        if dice.once_in(3) { vec![ClientEvent::Interrupt { thread: None }] } else { vec![say(place)] };
    let patience = Duration::from_millis(dice.below(3));
    if let Ok(told) = tokio::time::timeout(patience, send(place, events)).await {
        return told.map(drop);
    }
    place.book.count("gave up");
    Ok(())
}

/// Sends again what nobody has heard of, from this life of the server or an earlier one, whether or not it
/// is on its way still.
async fn send_again(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    let unheard = place.book.doubted(place.session, place.engine.now());
    let (Some(id), Some(ticket)) = (place.book.id(place.session), dice.pick(&unheard).copied()) else {
        return Ok(());
    };
    let Some((events, attempt)) = place.book.sending_again(ticket) else { return Ok(()) };
    let before = place.book.tale(place.session, |tale| tale.session.head).unwrap_or_default();
    place.book.count("sent again");
    let told = place.engine.commit_attempt(HOME, id, client(events), Some(&attempt)).await;
    place.book.told(ticket, told.as_ref().map(|committed| committed.accepted.as_slice()));
    place.book.refresh(place.session).await;
    match told {
        Ok(committed) => {
            if committed.accepted.first().is_some_and(|event| event.id.minted_at() < before) {
                place.book.count("found again");
            }
            durable(place, &committed.accepted, committed.head.position)
        }
        // Its session may be over by now.
        Err(CommitError::NotFound) => Ok(()),
        Err(wrong) => doubted(place, &wrong),
    }
}

async fn change(place: &ActorPlace, input: Input) -> Result<(), String> {
    let Some(id) = place.book.id(place.session) else { return Ok(()) };
    let ends = matches!(input, Input::Archive | Input::Delete);
    let told = place.engine.commit(HOME, id, input).await;
    place.book.refresh(place.session).await;
    match told {
        Ok(committed) => {
            if ends {
                place.book.count("end");
            }
            durable(place, &[], committed.head.position)
        }
        Err(wrong) => doubted(place, &wrong),
    }
}

/// Answers and confirms all that waits for the client in a session that nobody disturbs.
pub(super) async fn settle(place: &ActorPlace, dice: &mut Dice) -> Result<(), String> {
    let calls =
        place.book.tale(place.session, |tale| tale.calls(LedgerCall::needs_client)).unwrap_or_default();
    if calls.is_empty() {
        return Ok(());
    }
    let answers = calls.into_iter().map(|call| word(place, dice, call)).collect();
    let done = send(place, answers).await?;
    law!(done, "rest: the answers to open calls were not taken");
    Ok(())
}
