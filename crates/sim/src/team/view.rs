//! Views (docs/rules.md 5), written a second time from the stored bytes: what the session's stream and each
//! thread's own show of a line, against what the law shows of its fact.

use std::borrow::Cow;

use kernel::Fact;
use kernel::view::{self, Viewer};
use protocol::ThreadId;
use protocol::event::Event;
use serde_json::Value;

use super::line::TeamLine;
use crate::law::law;

/// What the stream of the thread `own`, or with `session` the session's stream, shows of a line.
fn due(line: &TeamLine, own: ThreadId, session: bool) -> Option<Cow<'_, Value>> {
    let thread = line.thread?;
    if line.event.is_null() {
        return None;
    }
    let everywhere = line.kind() == "session.deleted";
    if thread == own || everywhere {
        return Some(Cow::Borrowed(&line.event));
    }
    let asks = line.kind() == "agent.tool_use" && line.plain.permission[0] == "ask";
    match line.kind() {
        _ if !session => None,
        "session.thread_created" | "user.interrupt" => Some(Cow::Borrowed(&line.event)),
        kind if kind.starts_with("session.thread_status_") => Some(Cow::Borrowed(&line.event)),
        "agent.custom_tool_use"
        | "user.tool_confirmation"
        | "user.custom_tool_result"
        | "user.tool_result" => Some(Cow::Owned(named(line, thread))),
        _ if asks => Some(Cow::Owned(named(line, thread))),
        _ => None,
    }
}

/// The event with its thread's name on it.
fn named(line: &TeamLine, thread: ThreadId) -> Value {
    let mut event = line.event.clone();
    if let Value::Object(fields) = &mut event {
        fields.insert("session_thread_id".into(), format!("{thread}").into());
    }
    event
}

/// Judges what everybody is shown of these facts, of which `lines` are the lines. The primary is the first.
///
/// # Errors
/// What is shown and should not be, or the other way round.
pub(crate) fn judge(facts: &[Fact], lines: &[TeamLine], threads: &[ThreadId]) -> Result<(), String> {
    let Some(primary) = threads.first().copied() else { return Ok(()) };
    let own = threads.iter().map(|thread| (*thread, false, Viewer::Thread(*thread)));
    let viewers: Vec<_> = own.chain([(primary, true, Viewer::Session { primary })]).collect();
    for (fact, line) in facts.iter().zip(lines) {
        for (own, session, viewer) in viewers.iter().copied() {
            let due = due(line, own, session);
            let shown = shown(view::event(fact, viewer), line);
            law!(shown == due, "view: {viewer:?} is shown {shown:?}, and should be {due:?}, of\n{line}");
            let queued = view::queued(fact, viewer).is_some();
            let waits =
                line.kind() == "note.queued" && line.queued == "user.message" && line.thread == Some(own);
            law!(queued == waits, "view: {viewer:?} is shown that it is queued: {queued}, of\n{line}");
        }
    }
    Ok(())
}

/// What is shown, as a client reads it. What is not changed on its way stands in the line.
fn shown<'a>(event: Option<Cow<'_, Event>>, line: &'a TeamLine) -> Option<Cow<'a, Value>> {
    Some(match event? {
        Cow::Borrowed(_) => Cow::Borrowed(&line.event),
        Cow::Owned(event) => Cow::Owned(serde_json::to_value(event).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of, thread};
    use super::*;
    use serde_json::json;

    /// A line of child 2, as the session's stream, its own and its sibling's show it.
    fn seen(kind: &str, permission: &str) -> [Option<Value>; 3] {
        let mut line = of(2, kind);
        line.plain.permission[0] = permission.into();
        line.event = json!({"type": kind});
        let due = |own, session| due(&line, thread(own), session).map(Cow::into_owned);
        [due(1, true), due(2, false), due(3, false)]
    }

    #[test]
    fn the_session_sees_of_a_child_what_a_client_must_know_and_nothing_else() {
        for (kind, permission) in
            [("agent.message", ""), ("span.model_request_start", ""), ("agent.tool_use", "allow")]
        {
            assert_eq!(seen(kind, permission), [None, Some(json!({"type": kind})), None], "{kind}");
        }
        for (kind, permission) in
            [("agent.custom_tool_use", ""), ("agent.tool_use", "ask"), ("user.tool_confirmation", "")]
        {
            let named = json!({"type": kind, "session_thread_id": thread(2)});
            assert_eq!(seen(kind, permission), [Some(named), Some(json!({"type": kind})), None], "{kind}");
        }
        let status = "session.thread_status_idle";
        let shown = Some(json!({"type": status}));
        assert_eq!(seen(status, ""), [shown.clone(), shown, None]);
        let deleted = Some(json!({"type": "session.deleted"}));
        assert_eq!(seen("session.deleted", ""), [deleted.clone(), deleted.clone(), deleted]);
    }
}
