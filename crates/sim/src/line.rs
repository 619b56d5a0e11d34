//! A line: one fact as a reader of the stored log sees it, flat, without any type of the kernel's.
//! Referees judge lines and nothing else.

use core::fmt;

use protocol::{EventId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// One fact of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogLine {
    /// Its place in the log.
    pub position: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The event's `type`, or `note.` and the note's kind.
    pub kind: String,
    /// The event's id; for `note.queued` that of the queued event.
    pub id: Option<EventId>,
    /// The call that is answered, confirmed or begun, or the request that is ended.
    pub about: Option<EventId>,
    /// The content, as it is stored.
    pub content: Option<Value>,
    /// The name of the tool that is called.
    pub name: String,
    /// What the policy said of a call: `allow`, `ask`, `deny`, and why; empty where nothing is said.
    pub permission: [String; 2],
    /// A confirmation's verdict, `allow` or `deny`; empty where there is none.
    pub verdict: String,
    /// Why a person denied it.
    pub deny_message: Option<String>,
    /// `is_error`.
    pub is_error: bool,
    /// The stop reason's type; empty where there is none.
    pub stop: String,
    /// The stop reason's ids.
    pub pending: Vec<EventId>,
    /// A `session.error`'s type, retry status and message.
    pub error: [String; 3],
    /// Input, output, cache read and cache creation tokens, of a span or a usage.
    pub tokens: [u64; 4],
    /// A usage's active seconds.
    pub active: f64,
    /// How a request ended, as the private part says.
    pub how: String,
    /// Until when a retry waits.
    pub until: Option<Timestamp>,
    /// What is left out of the history: an event, and a block of it.
    pub pieces: Vec<(EventId, Option<usize>)>,
    /// Why something is left out of it.
    pub reason: String,
    /// How many blocks of the content, from the first, the model is told that the event does not hold.
    pub ours: usize,
}

impl LogLine {
    /// The text of its content's text blocks.
    pub fn texts(&self) -> Vec<&str> {
        let blocks = self.content.as_ref().and_then(Value::as_array);
        let text = |block: &'_ Value| block.get("type").is_some_and(|kind| kind == "text");
        let blocks = blocks.into_iter().flatten().filter(|block| text(block));
        blocks.filter_map(|block| block.get("text").and_then(Value::as_str)).collect()
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} {} {}", self.position, self.at, self.kind)?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        if let Some(about) = self.about {
            write!(f, " about {about}")?;
        }
        if self.kind.ends_with("tool_use") {
            write!(f, " {:?} {}", self.name, self.permission[0])?;
        }
        if !self.verdict.is_empty() {
            write!(f, " {} {:?}", self.verdict, self.deny_message)?;
        }
        for text in self.texts() {
            write!(f, " {text:?}")?;
        }
        if self.is_error {
            write!(f, " is_error")?;
        }
        if !self.how.is_empty() {
            write!(f, " {} {:?}", self.how, self.tokens)?;
        }
        if !self.stop.is_empty() {
            write!(f, " {} {:?}", self.stop, self.pending)?;
        }
        if self.kind == "session.error" {
            write!(f, " {}", self.error.join(", "))?;
        }
        if self.kind == "session.usage" {
            write!(f, " {:?} active {}", self.tokens, self.active)?;
        }
        for (event, block) in &self.pieces {
            write!(f, " {event} {block:?}")?;
        }
        if !self.reason.is_empty() {
            write!(f, " {:?}", self.reason)?;
        }
        self.until.map_or(Ok(()), |until| write!(f, " until {until}"))
    }
}

/// Reads the lines of one stored commit whose first fact stands at `first`.
///
/// # Errors
/// The bytes are no commit.
pub fn read(body: &[u8], first: u64) -> Result<Vec<LogLine>, serde_json::Error> {
    let rows: Vec<Row> = serde_json::from_slice(body)?;
    Ok(rows.into_iter().zip(first..).map(|(row, position)| row.line(position)).collect())
}

#[derive(Deserialize)]
struct Row {
    event: Option<Event>,
    private: Option<Private>,
    at: Option<Timestamp>,
    note: Option<Note>,
}

#[derive(Deserialize)]
struct Note {
    kind: String,
    event: Option<Named>,
    /// Of what a delegation call came to.
    id: Option<EventId>,
    call: Option<EventId>,
    until: Option<Timestamp>,
    #[serde(default)]
    pieces: Vec<Piece>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Piece {
    event: EventId,
    block: Option<usize>,
}

/// The event that is queued, or the id of the one that is cancelled.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Whole(Box<Event>),
    Id(EventId),
}

#[derive(Deserialize)]
struct Private {
    ending: Option<Ending>,
}

#[derive(Deserialize)]
struct Ending {
    how: String,
}

#[derive(Deserialize)]
struct Event {
    id: EventId,
    processed_at: Option<Timestamp>,
    #[serde(rename = "type")]
    kind: String,
    content: Option<Value>,
    custom_tool_use_id: Option<EventId>,
    tool_use_id: Option<EventId>,
    model_request_start_id: Option<EventId>,
    name: Option<String>,
    evaluated_permission: Option<String>,
    evaluation: Option<Tag>,
    /// Of a confirmation.
    result: Option<String>,
    deny_message: Option<String>,
    is_error: Option<bool>,
    stop_reason: Option<StopReason>,
    error: Option<Fault>,
    usage: Option<Usage>,
    model_usage: Option<Usage>,
}

#[derive(Deserialize)]
struct StopReason {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    event_ids: Vec<EventId>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    retry_status: Tag,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    active_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
    ephemeral_5m_input_tokens: Option<u64>,
}

impl Usage {
    fn tokens(&self) -> [u64; 4] {
        let kept = self.cache_creation.as_ref().map_or(0, |kept| {
            kept.ephemeral_1h_input_tokens.unwrap_or(0) + kept.ephemeral_5m_input_tokens.unwrap_or(0)
        });
        [
            self.input_tokens.unwrap_or(0),
            self.output_tokens.unwrap_or(0),
            self.cache_read_input_tokens.unwrap_or(0),
            self.cache_creation_input_tokens.unwrap_or(0) + kept,
        ]
    }
}

impl Row {
    fn line(self, position: u64) -> LogLine {
        let mut line = LogLine { position, at: self.at.unwrap_or_default(), ..LogLine::default() };
        if let Some(note) = self.note {
            line.kind = format!("note.{}", note.kind);
            line.until = note.until;
            line.id = note.id;
            line.pieces = note.pieces.into_iter().map(|piece| (piece.event, piece.block)).collect();
            line.reason = note.reason;
            if note.kind == "began" {
                line.about = note.call;
            }
            match note.event {
                Some(Named::Whole(event)) => (line.id, line.content) = (Some(event.id), event.content),
                Some(Named::Id(event)) => line.about = Some(event),
                None => {}
            }
        }
        if let Some(event) = self.event {
            line.at = event.processed_at.unwrap_or_default();
            line.kind = event.kind;
            line.id = Some(event.id);
            line.about = event.custom_tool_use_id.or(event.tool_use_id).or(event.model_request_start_id);
            line.content = event.content;
            line.name = event.name.unwrap_or_default();
            line.permission = [
                event.evaluated_permission.unwrap_or_default(),
                event.evaluation.map(|evaluation| evaluation.kind).unwrap_or_default(),
            ];
            line.verdict = event.result.unwrap_or_default();
            line.deny_message = event.deny_message;
            line.is_error = event.is_error.unwrap_or(false);
            if let Some(stop) = event.stop_reason {
                line.stop = stop.kind;
                line.pending = stop.event_ids;
            }
            if let Some(error) = event.error {
                line.error = [error.kind, error.retry_status.kind, error.message];
            }
            if let Some(usage) = event.usage.or(event.model_usage) {
                line.tokens = usage.tokens();
                line.active = usage.active_seconds.unwrap_or(0.0);
            }
        }
        line.how =
            self.private.and_then(|private| private.ending).map(|ending| ending.how).unwrap_or_default();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_a_note_read_flat() {
        let body = br#"[
            {"thread": "x", "event": {"id": "sevt_1111111111111111111118", "type": "user.message",
             "processed_at": "1970-01-01T00:00:01Z", "content": [{"type": "text", "text": "hi"}]}},
            {"thread": "x", "at": "1970-01-01T00:00:02Z", "note": {"kind": "retry", "until": "1970-01-01T00:00:03Z"}}
        ]"#;
        let lines = read(body, 4).expect("two lines");
        let content = serde_json::json!([{"type": "text", "text": "hi"}]);
        let said = LogLine {
            position: 4,
            at: Timestamp::from_micros(1_000_000),
            kind: "user.message".into(),
            id: Some(EventId::from_bits(7)),
            content: Some(content),
            ..LogLine::default()
        };
        let note = LogLine {
            position: 5,
            at: Timestamp::from_micros(2_000_000),
            kind: "note.retry".into(),
            until: Some(Timestamp::from_micros(3_000_000)),
            ..LogLine::default()
        };
        assert_eq!(lines, [said, note]);
    }

    #[test]
    fn a_call_and_its_confirmation_read_flat() {
        let body = br#"[
            {"thread": "x", "event": {"id": "sevt_1111111111111111111118", "type": "agent.tool_use",
             "processed_at": "1970-01-01T00:00:01Z", "name": "bash", "input": {}, "evaluated_permission": "ask",
             "evaluation": {"type": "always_ask"}}},
            {"thread": "x", "event": {"id": "sevt_1111111111111111111119", "type": "user.tool_confirmation",
             "processed_at": "1970-01-01T00:00:02Z", "tool_use_id": "sevt_1111111111111111111118",
             "result": "deny", "deny_message": "no"}}
        ]"#;
        let lines = read(body, 0).expect("two lines");
        let call = LogLine {
            at: Timestamp::from_micros(1_000_000),
            kind: "agent.tool_use".into(),
            id: Some(EventId::from_bits(7)),
            name: "bash".into(),
            permission: ["ask".into(), "always_ask".into()],
            ..LogLine::default()
        };
        let verdict = LogLine {
            position: 1,
            at: Timestamp::from_micros(2_000_000),
            kind: "user.tool_confirmation".into(),
            id: Some(EventId::from_bits(8)),
            about: Some(EventId::from_bits(7)),
            verdict: "deny".into(),
            deny_message: Some("no".into()),
            ..LogLine::default()
        };
        assert_eq!(lines, [call, verdict]);
    }
}
