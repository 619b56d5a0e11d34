//! What a coordinator's session and its threads show once they rest.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::{is, text};

/// Mail, tasks and reports as they leave, and as they arrive.
pub(crate) const SENT: &str = "agent.thread_message_sent";
pub(crate) const RECEIVED: &str = "agent.thread_message_received";
/// A child is made.
pub(crate) const CREATED: &str = "session.thread_created";

/// Everything a session shows once it rests.
#[derive(Debug, Default)]
pub(crate) struct ShownSession {
    pub(crate) session: Value,
    /// The session's list.
    pub(crate) events: Vec<Value>,
    /// The primary first.
    pub(crate) threads: Vec<Value>,
    /// Each thread's own list, by its id.
    pub(crate) lists: BTreeMap<String, Vec<Value>>,
    /// What the coordinator's model was asked last.
    pub(crate) asked: Value,
    /// Turns that the server said yes to.
    pub(crate) kept: Vec<String>,
    /// Threads that the server said it had archived.
    pub(crate) archived: Vec<String>,
}

impl ShownSession {
    /// A thread's own list.
    pub(crate) fn list(&self, thread: &str) -> &[Value] {
        self.lists.get(thread).map_or(&[], Vec::as_slice)
    }

    /// Every thread but the primary.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Value> {
        self.threads.iter().filter(|thread| !thread["parent_thread_id"].is_null())
    }
}

/// Who wrote the mail or the report that this event brings.
pub(crate) fn sender(event: &Value) -> Option<&str> {
    is(event, RECEIVED).then(|| text(event, "from_session_thread_id"))
}
