//! What the answers of the rows are to be read as, as `Shape::means` has it.

use serde_json::{Value, json};

/// An answer that says "ok" and stops, of a cost that is told.
pub(super) fn ok() -> Value {
    said("ok", [5, 2])
}

/// An answer that says this and stops.
pub(super) fn said(text: &str, tokens: [u64; 2]) -> Value {
    json!({"thought": "", "said": [text], "calls": [], "stop": "end_turn", "tokens": tokens})
}

/// An answer that calls `look` with these.
pub(super) fn looked(inputs: &[Value], tokens: [u64; 2]) -> Value {
    let calls: Vec<Value> = inputs.iter().map(|input| json!(["look", input])).collect();
    json!({"thought": "", "said": [], "calls": calls, "stop": "tool_use", "tokens": tokens})
}

/// A refusal that names these parts.
pub(super) fn named(words: &str, spots: Value) -> Value {
    json!({"failed": "invalid", "words": words, "spots": spots})
}

/// An answer that says this, of a server that lacks this.
pub(super) fn lacking(lack: &str, text: &str) -> Value {
    let mut means = said(text, [5, 2]);
    means["lacks"] = json!([lack]);
    means
}

pub(super) fn failed(class: &str, words: &str) -> Value {
    json!({"failed": class, "words": words})
}
