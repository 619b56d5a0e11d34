//! What a line of a script does: it is read into the input that it stands for.

use kernel::{CallSearch, Input, SessionChange, TranscriptPiece};
use protocol::event::ConfirmationVerdict;
use protocol::input::ClientEvent;
use protocol::parse::GivenField;
use protocol::prompt::HistorySpot;
use protocol::{ThreadId, Timestamp};
use serde_json::Value;

use super::agents;
use super::names::Names;
use super::outcome::{answer, attempts, content, failure};
use super::stage::Stage;

/// The place of the thread that a line is of, and the line without its mark.
fn whose(line: &str) -> (&str, &str) {
    line.strip_prefix('@').and_then(|line| line.split_once(' ')).unwrap_or(("", line))
}

/// The input of a line, a second after the one before.
pub(crate) fn read(stage: &mut Stage, line: &str) -> Input {
    stage.tick();
    let line = stage.names.read(line);
    let (child, line) = whose(&line);
    let thread = match child {
        "" => stage.names.thread("primary"),
        "newest" => stage.names.thread("newest"),
        number => stage.names.thread(&format!("child{number}")),
    };
    let from = stage.names.place(thread);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "answer" | "stale" => {
            let request = if verb == "stale" { stage.names.event("ask", from) } else { stage.asked(thread) };
            let (rest, attempts) = attempts(rest);
            Input::Answered { thread, request, answer: answer(rest), attempts }
        }
        "fail" => {
            let (rest, attempts) = attempts(rest);
            let (rest, spots) = rest.split_once(" naming ").unwrap_or((rest, ""));
            let (request, named) = (stage.asked(thread), pieces(stage, thread, spots));
            Input::Failed { thread, request, failure: failure(rest), named, attempts }
        }
        "woke" => {
            let until = stage.until(thread);
            if rest == "early" {
                stage.set(Timestamp::from_micros(until.micros() - 1));
            } else {
                stage.wait(until);
            }
            Input::Woke { thread, until }
        }
        "ran" => {
            let (call, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let text = rest.strip_prefix("error ").unwrap_or(rest);
            let call = stage.names.event(call, from);
            Input::Ran { thread, call, content: content(text), is_error: text != rest }
        }
        "begins" => Input::Begins { thread, call: stage.names.event(rest, from) },
        "recovered" => Input::Recovered,
        "archive" if !rest.is_empty() => Input::ArchiveThread { thread: stage.names.thread(rest) },
        "archive" => Input::Archive,
        "delete" => Input::Delete,
        "update" => Input::Update(change(rest)),
        _ => {
            let events = events(&stage.names, line);
            let mut search = CallSearch::of(&stage.session, &events);
            if line.split(" + ").any(is_again) {
                stage.facts.iter().for_each(|fact| search.see(fact));
            }
            Input::Client { events, made: search.made() }
        }
    }
}

/// Whether the call that an event answers is looked up in the log, as an engine does once it is not open.
fn is_again(event: &str) -> bool {
    event.split(' ').take(2).any(|word| word == "again")
}

/// The events that a session is opened with: messages, since nothing has a name yet.
pub(crate) fn opening(line: &str) -> Vec<ClientEvent> {
    let message = |said: &str| {
        let words = said.strip_prefix("message ").expect("a message");
        ClientEvent::Message { content: content(words) }
    };
    line.split(" + ").map(message).collect()
}

/// The events of one request.
fn events(names: &Names, line: &str) -> Vec<ClientEvent> {
    line.split(" + ").map(|said| event(names, said)).collect()
}

fn event(names: &Names, event: &str) -> ClientEvent {
    let (verb, rest) = event.split_once(' ').unwrap_or((event, ""));
    match verb {
        "message" => ClientEvent::Message { content: content(rest) },
        "interrupt" => ClientEvent::Interrupt { thread: (!rest.is_empty()).then(|| names.thread(rest)) },
        "allow" => {
            let call = names.event(rest.strip_prefix("again ").unwrap_or(rest), 0);
            ClientEvent::Confirmation { call, verdict: ConfirmationVerdict::Allow, deny_message: None }
        }
        "deny" => {
            let (call, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let deny_message = (!reason.is_empty()).then(|| reason.trim_matches('"').into());
            ClientEvent::Confirmation {
                call: names.event(call, 0),
                verdict: ConfirmationVerdict::Deny,
                deny_message,
            }
        }
        "result" | "again" => {
            let (call, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let is_error = rest.starts_with("error ").then_some(true);
            let text = rest.strip_prefix("error ").unwrap_or(rest);
            let content = (!text.is_empty()).then(|| content(text));
            ClientEvent::CustomResult { call: names.event(call, 0), content, is_error }
        }
        _ => panic!("no such line: {event}"),
    }
}

/// What stands at places of the last history, written as `message.part` or `message.part.block`.
fn pieces(stage: &Stage, thread: ThreadId, spots: &str) -> Vec<TranscriptPiece> {
    let spot = |spot: &str| {
        let steps: Vec<usize> = spot.split('.').map(|step| step.parse().expect("a place")).collect();
        HistorySpot { message: steps[0], part: steps[1], block: steps.get(2).copied() }
    };
    let spots: Vec<HistorySpot> = spots.split_whitespace().map(spot).collect();
    stage.transcripts[stage.names.place(thread)].pieces(&spots)
}

/// `title "x"`, `metadata {"k": "v"}`, `tools a b`; null clears.
fn change(line: &str) -> SessionChange {
    let mut change =
        SessionChange { title: GivenField::Absent, metadata: GivenField::Absent, tools: GivenField::Absent };
    let (what, value) = line.split_once(' ').unwrap_or((line, ""));
    let parsed = serde_json::from_str::<Value>(value);
    match (what, parsed) {
        ("title", Ok(Value::String(title))) => change.title = GivenField::Value(title),
        ("title", _) => change.title = GivenField::Null,
        ("metadata", Ok(patch)) => {
            change.metadata = GivenField::Value(serde_json::from_value(patch).expect("a patch"));
        }
        _ => change.tools = GivenField::Value(value.split_whitespace().map(agents::custom_tool).collect()),
    }
    change
}
