//! Short ways to write a log of several threads, and to hear what a judge says of it. The primary is thread
//! 1, children are 2 and on.

use protocol::{EventId, ThreadId};
use serde_json::{Value, json};

use super::judge::Judge;
use super::line::TeamLine;
use super::reading::TeamReading;
use crate::line;

/// The thread with this number.
pub(crate) fn thread(number: u128) -> ThreadId {
    ThreadId::from_bits(number)
}

/// The id with this number.
pub(crate) fn id(number: u128) -> EventId {
    EventId::from_bits(number << 32)
}

/// A line of a thread.
pub(crate) fn of(own: u128, kind: &str) -> TeamLine {
    let plain = line::LogLine { kind: kind.into(), ..line::LogLine::default() };
    TeamLine { thread: Some(thread(own)), plain, ..TeamLine::default() }
}

/// An event with this id.
pub(crate) fn event(own: u128, number: u128, kind: &str) -> TeamLine {
    let mut line = of(own, kind);
    line.plain.id = Some(id(number));
    line
}

/// The same line with this text.
pub(crate) fn saying(mut line: TeamLine, text: &str) -> TeamLine {
    line.plain.content = Some(json!([{"type": "text", "text": text}]));
    line
}

/// The same line about this thread.
pub(crate) fn with(line: TeamLine, peer: u128) -> TeamLine {
    let agent = if peer == 1 { String::new() } else { "spinner".into() };
    TeamLine { peer: Some(thread(peer)), agent, ..line }
}

/// A status event of a thread.
pub(crate) fn status(own: u128, kind: &str) -> TeamLine {
    let agent = if own == 1 { "weaver".into() } else { "spinner".into() };
    TeamLine { agent, ..with(of(own, &format!("session.thread_status_{kind}")), own) }
}

/// An idle of a thread, or with 0 of the session, that needs these calls; `end_turn` without.
pub(crate) fn idle(own: u128, pending: &[u128]) -> TeamLine {
    let mut line = if own == 0 { of(1, "session.status_idle") } else { status(own, "idle") };
    line.plain.stop = if pending.is_empty() { "end_turn".into() } else { "requires_action".into() };
    line.plain.pending = pending.iter().map(|number| id(*number)).collect();
    line
}

/// A model request of a thread begins.
pub(crate) fn asks(own: u128, number: u128) -> TeamLine {
    event(own, number, "span.model_request_start")
}

/// It ends.
pub(crate) fn ends(own: u128, number: u128, how: &str) -> TeamLine {
    let mut line = event(own, number + 500, "span.model_request_end");
    line.plain.about = Some(id(number));
    line.plain.how = how.into();
    line
}

/// A delegation call.
pub(crate) fn delegated(own: u128, number: u128, name: &str, input: Value) -> TeamLine {
    let mut line = of(own, "note.delegated");
    line.plain.name = name.into();
    TeamLine { call: Some(id(number)), input, ..line }
}

/// What one comes to.
pub(crate) fn settled(own: u128, number: u128, text: &str, is_error: bool) -> TeamLine {
    let mut line = saying(of(own, "note.settled"), text);
    line.plain.is_error = is_error;
    TeamLine { call: Some(id(number)), ..line }
}

/// A child of the primary's is made by a call.
pub(crate) fn created(child: u128, number: u128, waits: bool) -> TeamLine {
    TeamLine { call: Some(id(number)), waits, ..with(of(1, "session.thread_created"), child) }
}

/// A message is sent.
pub(crate) fn sent(from: u128, to: u128, text: &str) -> TeamLine {
    saying(with(of(from, "agent.thread_message_sent"), to), text)
}

/// It is received: as a `task`, a `letter` or a `result`.
pub(crate) fn received(to: u128, from: u128, number: u128, told: &str, text: &str) -> TeamLine {
    let line = saying(with(event(to, number, "agent.thread_message_received"), from), text);
    let name = if from == 1 { "weaver" } else { "spinner" };
    let from = if told == "letter" { name.into() } else { String::new() };
    TeamLine { told: told.into(), from, agent: name.into(), ..line }
}

/// It waits.
pub(crate) fn queued(to: u128, from: u128, number: u128, text: &str) -> TeamLine {
    let mut line = received(to, from, number, "letter", text);
    line.queued = std::mem::replace(&mut line.plain.kind, "note.queued".into());
    line
}

/// A thread ends.
pub(crate) fn ended(own: u128, how: &str) -> TeamLine {
    TeamLine { end: how.into(), ..of(own, "note.ended") }
}

/// A person stops one thread.
pub(crate) fn stopped(own: u128) -> TeamLine {
    with(of(own, "user.interrupt"), own)
}

/// The log of a primary that is asking (request 10).
pub(crate) fn begun() -> Vec<TeamLine> {
    vec![
        of(1, "note.opened"),
        of(1, "session.status_running"),
        status(1, "running"),
        event(1, 9, "user.message"),
        asks(1, 10),
    ]
}

/// How it makes child 2 with a call 20 and a task `t`; the child asks (request 30).
pub(crate) fn spawned(name: &str) -> Vec<TeamLine> {
    let input = json!({"agent": "spinner", "task": "t"});
    let mut lines = vec![
        delegated(1, 20, name, input),
        ends(1, 10, "answered"),
        created(2, 20, name == "Agent"),
        sent(1, 2, "t"),
        status(2, "running"),
        received(2, 1, 25, "task", "t"),
        asks(2, 30),
    ];
    if name != "Agent" {
        let told = json!({"thread_id": thread(2), "agent": "spinner", "status": "running"});
        lines.extend([settled(1, 20, &told.to_string(), false), asks(1, 40)]);
    }
    lines
}

/// What the judge says of these commits.
pub(crate) fn heard(judge: &mut dyn Judge, commits: &[Vec<TeamLine>]) -> Result<(), String> {
    let mut reading = TeamReading::default();
    for (place, line) in commits.iter().flat_map(|commit| {
        let last = commit.len().saturating_sub(1);
        commit.iter().enumerate().map(move |(place, line)| (place == last, line))
    }) {
        judge.see(line, &reading)?;
        reading.see(line, "weaver");
        if place {
            judge.rest(&reading)?;
        }
    }
    Ok(())
}
