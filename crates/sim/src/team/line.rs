//! A line of a log in which several threads stand: the flat line of `crate::line`, and beside it whose it is
//! and what only delegation says. Read from the stored bytes, without any type of the kernel's.

use core::fmt;

use protocol::{EventId, ThreadId};
use serde_json::Value;

use crate::line;

/// One fact of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TeamLine {
    /// Its thread.
    pub thread: Option<ThreadId>,
    /// What every log says.
    pub plain: line::LogLine,
    /// The event as it is stored; null for a note.
    pub event: Value,
    /// The thread that is meant: whom a message is from or to, which child is made, whom a status or an
    /// interrupt names.
    pub peer: Option<ThreadId>,
    /// The agent's name that stands beside it; empty where there is none.
    pub agent: String,
    /// How the model is told of a message: `task`, `letter`, `result`.
    pub told: String,
    /// Whom a letter's first line names.
    pub from: String,
    /// The type of an event that is queued.
    pub queued: String,
    /// The delegation call that is made, settled, or made a child; the event that is cancelled.
    pub call: Option<EventId>,
    /// Whether the call that made a child waits for its report.
    pub waits: bool,
    /// The place of a new child's agent in the roster.
    pub member: usize,
    /// The input of a delegation call.
    pub input: Value,
    /// How a thread ended: `archived` or `exhausted`.
    pub end: String,
}

impl TeamLine {
    /// The event's type, or `note.` and the note's kind.
    pub fn kind(&self) -> &str {
        &self.plain.kind
    }

    /// The content as it is stored; empty where there is none.
    pub fn content(&self) -> Vec<Value> {
        self.plain.content.as_ref().and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// The only text of its content; empty where there is none or more than one.
    pub fn text(&self) -> &str {
        match self.plain.texts().as_slice() {
            [text] => text,
            _ => "",
        }
    }
}

impl fmt::Display for TeamLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = |id: ThreadId| format!("{id}").chars().rev().take(5).collect::<Vec<_>>();
        let short = |id: Option<ThreadId>| id.map(tail).unwrap_or_default().iter().rev().collect::<String>();
        write!(f, "@{:<5} {}", short(self.thread), self.plain)?;
        if self.peer.is_some() {
            write!(f, " peer {}", short(self.peer))?;
        }
        for said in [&self.agent, &self.told, &self.queued, &self.end] {
            if !said.is_empty() {
                write!(f, " {said}")?;
            }
        }
        if let Some(call) = self.call {
            write!(f, " call {call}")?;
        }
        if !self.input.is_null() {
            write!(f, " {} {}", self.plain.name, self.input)?;
        }
        Ok(())
    }
}

/// Reads the lines of one stored commit whose first fact stands at `first`.
///
/// # Errors
/// The bytes are no commit.
pub fn read(body: &[u8], first: u64) -> Result<Vec<TeamLine>, serde_json::Error> {
    let rows: Vec<Value> = serde_json::from_slice(body)?;
    Ok(rows.into_iter().zip(line::read(body, first)?).map(|(row, plain)| of(row, plain)).collect())
}

fn of(mut row: Value, plain: line::LogLine) -> TeamLine {
    let mut line = TeamLine { thread: thread(row.get("thread")), plain, ..TeamLine::default() };
    let private = row.get("private").or_else(|| row.pointer("/note/private"));
    if let Some(private) = private {
        line.told = text(private.pointer("/told/as"));
        line.from = text(private.pointer("/told/from"));
        line.call = event(private.get("call"));
        line.waits = private.get("waits") == Some(&Value::Bool(true));
        line.member = private.get("member").and_then(Value::as_u64).unwrap_or(0) as usize;
    }
    if let Some(note) = row.get("note") {
        line.queued = text(note.pointer("/event/type"));
        line.end = text(note.get("end"));
        line.call = event(note.get("call")).or_else(|| event(note.get("event")));
        line.input = note.get("input").cloned().unwrap_or_default();
        if let Some(content) = note.get("content") {
            line.plain.content = Some(content.clone());
            line.plain.is_error = note.get("is_error") == Some(&Value::Bool(true));
        }
        if let Some(name) = note.get("name") {
            line.plain.name = text(Some(name));
        }
    }
    let said = row.get("event").or_else(|| row.pointer("/note/event")).unwrap_or(&Value::Null);
    let peers = ["to_session_thread_id", "from_session_thread_id", "session_thread_id"];
    line.peer = peers.iter().find_map(|field| thread(said.get(*field)));
    let names = ["agent_name", "to_agent_name", "from_agent_name"];
    line.agent =
        names.iter().map(|field| text(said.get(*field))).find(|name| !name.is_empty()).unwrap_or_default();
    line.event = row.get_mut("event").map(Value::take).unwrap_or_default();
    line
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn thread(value: Option<&Value>) -> Option<ThreadId> {
    value.and_then(Value::as_str)?.parse().ok()
}

fn event(value: Option<&Value>) -> Option<EventId> {
    value.and_then(Value::as_str)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_a_settled_call_read_with_what_delegation_says() {
        let body = br#"[
            {"thread": "sthr_1111111111111111111113", "event": {"id": "sevt_1111111111111111111118",
             "type": "agent.thread_message_received", "processed_at": "1970-01-01T00:00:01Z",
             "from_session_thread_id": "sthr_1111111111111111111114", "from_agent_name": "spinner",
             "content": [{"type": "text", "text": "hi"}]},
             "private": {"kind": "mail", "told": {"as": "letter", "from": "spinner"}}},
            {"thread": "sthr_1111111111111111111113", "at": "1970-01-01T00:00:02Z", "note": {
             "kind": "settled", "id": "sevt_1111111111111111111119", "call": "sevt_111111111111111111111A",
             "content": [{"type": "text", "text": "no"}], "is_error": true}}
        ]"#;
        let lines = read(body, 0).expect("two lines");
        let [letter, settled] = lines.as_slice() else { panic!("two lines") };
        let peer = Some(ThreadId::from_bits(3));
        assert_eq!((letter.thread, letter.peer), (Some(ThreadId::from_bits(2)), peer));
        assert_eq!(
            (letter.told.as_str(), letter.from.as_str(), letter.agent.as_str()),
            ("letter", "spinner", "spinner")
        );
        assert_eq!((settled.call, settled.text()), (Some(EventId::from_bits(9)), "no"));
        assert!(settled.plain.is_error && settled.event.is_null());
    }
}
