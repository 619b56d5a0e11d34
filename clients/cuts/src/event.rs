//! The events that clients send, and how those that they are shown are read.

use serde_json::{Value, json};

/// Something said.
pub(crate) fn message(text: &str) -> Value {
    json!({"type": "user.message", "content": [{"type": "text", "text": text}]})
}

/// The answer to the custom call of the event `call`.
pub(crate) fn result(call: &str, said: &str) -> Value {
    json!({"type": "user.custom_tool_result", "custom_tool_use_id": call,
        "content": [{"type": "text", "text": said}]})
}

/// The permission for the call of the event `call`.
pub(crate) fn allow(call: &str) -> Value {
    json!({"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"})
}

/// A member that is a text; empty if there is none.
pub(crate) fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

/// Whether the event is of this type.
pub(crate) fn is(event: &Value, kind: &str) -> bool {
    text(event, "type") == kind
}

/// The texts of a message.
pub(crate) fn texts(event: &Value) -> Vec<&str> {
    event["content"].as_array().into_iter().flatten().map(|block| text(block, "text")).collect()
}
