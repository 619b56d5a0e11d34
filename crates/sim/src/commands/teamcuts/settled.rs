//! What a session and its threads show once they rest, and how their events are read.

use std::collections::BTreeMap;

use serde_json::Value;

/// Mail, tasks and reports as they leave, and as they arrive.
pub(crate) const SENT: &str = "agent.thread_message_sent";
pub(crate) const RECEIVED: &str = "agent.thread_message_received";
/// A child is made.
pub(crate) const CREATED: &str = "session.thread_created";

/// Everything a session shows once it rests.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) session: Value,
    /// The session's list.
    pub(crate) events: Vec<Value>,
    /// The primary first.
    pub(crate) threads: Vec<Value>,
    /// Each thread's own list, by its id.
    pub(crate) lists: BTreeMap<String, Vec<Value>>,
    /// What the coordinator's model was asked last.
    pub(crate) asked: Value,
}

impl Settled {
    /// A thread's own list.
    pub(crate) fn list(&self, thread: &str) -> &[Value] {
        self.lists.get(thread).map_or(&[], Vec::as_slice)
    }

    /// Every thread but the primary.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Value> {
        self.threads.iter().filter(|thread| !thread["parent_thread_id"].is_null())
    }
}

pub(crate) fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

pub(crate) fn is(event: &Value, kind: &str) -> bool {
    text(event, "type") == kind
}

/// The texts of a message.
pub(crate) fn texts(event: &Value) -> Vec<&str> {
    event["content"].as_array().into_iter().flatten().map(|block| text(block, "text")).collect()
}

/// Who wrote the mail or the report that this event brings.
pub(crate) fn sender(event: &Value) -> Option<&str> {
    is(event, RECEIVED).then(|| text(event, "from_session_thread_id"))
}
