//! The table of shapes: what providers send and refuse beside what the wires' own papers say, by who does so.
//!
//! One place for both sides: this server plays the rows (a model named `shape-NAME`), and the tests of
//! `crates/models` read them. A row is made in our own words after the place that it names; what no such
//! place tells of is no row.

mod beside;
mod chat;
mod laws;
mod messages;

use serde_json::{Value, json};

/// Which wire a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Messages,
}

/// What a provider refuses: the status and the body of the refusal, if it refuses this request.
pub(crate) type Law = fn(&Value) -> Option<(u16, Value)>;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Who, and what.
    pub(crate) name: &'static str,
    /// Where it was documented or reported.
    pub(crate) source: &'static str,
    pub(crate) wire: Wire,
    pub(crate) refuses: Law,
    /// The body of the streamed answer.
    pub(crate) sends: fn() -> String,
    /// What that is to be read as: `thought`, `said`, `calls` (name and input), `stop` and `tokens` (read and
    /// written), and `lacks` if that shows what its server lacks; or `failed`, the class, `words` that are
    /// told, and, where the refusal names parts of what was asked, `spots`: the message, the part of it, and
    /// the block of that.
    pub(crate) means: fn() -> Value,
}

/// The prefix of a model's name that asks for a row.
const PREFIX: &str = "shape-";

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = &'static Shape> {
    chat::ROWS.iter().chain(messages::ROWS).chain(beside::ROWS)
}

/// The row that a model's name asks for.
pub(crate) fn of(model: &str) -> Option<&'static Shape> {
    let name = model.strip_prefix(PREFIX)?;
    all().find(|shape| shape.name == name)
}

impl Shape {
    /// The model that asks for it.
    pub(crate) fn model(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The row without its deeds, to be read.
    pub(crate) fn told(&self) -> Value {
        let wire = match self.wire {
            Wire::Chat => "chat-completions",
            Wire::Messages => "messages",
        };
        json!({"model": self.model(), "source": self.source, "wire": wire, "means": (self.means)()})
    }
}

/// An answer that says "ok" and stops, of a cost that is told.
fn ok() -> Value {
    said("ok", [5, 2])
}

/// An answer that says this and stops.
fn said(text: &str, tokens: [u64; 2]) -> Value {
    json!({"thought": "", "said": [text], "calls": [], "stop": "end_turn", "tokens": tokens})
}

/// An answer that calls `look` with these.
fn looked(inputs: &[Value], tokens: [u64; 2]) -> Value {
    let calls: Vec<Value> = inputs.iter().map(|input| json!(["look", input])).collect();
    json!({"thought": "", "said": [], "calls": calls, "stop": "tool_use", "tokens": tokens})
}

/// A refusal that names these parts.
fn named(words: &str, spots: Value) -> Value {
    json!({"failed": "invalid", "words": words, "spots": spots})
}

/// An answer that says this, of a server that lacks this.
fn lacking(lack: &str, text: &str) -> Value {
    let mut means = said(text, [5, 2]);
    means["lacks"] = json!([lack]);
    means
}

fn failed(class: &str, words: &str) -> Value {
    json!({"failed": class, "words": words})
}
