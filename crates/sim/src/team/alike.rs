//! A line of one thread as the log of a single thread would have it: a letter is a message, a delegation call
//! is a call.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::line::TeamLine;
use crate::line;

/// The line as its thread has it; `None` for what a single thread does not know.
pub(crate) fn alike(line: &TeamLine) -> Option<Cow<'_, line::LogLine>> {
    let plain = &line.plain;
    Some(match line.kind() {
        "note.delegated" => {
            let permission = if plain.name == "Agent" { "waits" } else { "deny" };
            let permission = [permission.into(), String::new()];
            let kind = "agent.tool_use".into();
            Cow::Owned(line::LogLine { kind, id: line.call, permission, ..plain.clone() })
        }
        "note.settled" => {
            let kind = "agent.tool_result".into();
            Cow::Owned(line::LogLine { kind, about: line.call, ..plain.clone() })
        }
        "agent.thread_message_received" if line.told == "result" => return None,
        "agent.thread_message_received" => {
            let from = line.peer.map(|peer| format!("Message from {} ({peer}):", line.from));
            let first =
                from.filter(|_| line.told == "letter").map(|text| json!({"type": "text", "text": text}));
            let content: Vec<Value> = first.into_iter().chain(line.content()).collect();
            let (kind, content) = ("user.message".into(), Some(Value::Array(content)));
            let ours = usize::from(line.told == "letter");
            Cow::Owned(line::LogLine { kind, content, ours, ..plain.clone() })
        }
        "note.queued" | "note.cancelled" | "note.kept" | "agent.thread_message_sent" => return None,
        _ => Cow::Borrowed(plain),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{received, thread};
    use super::*;

    #[test]
    fn a_letter_is_a_message_with_a_line_in_front_and_a_result_is_none() {
        let texts = |told: &str| {
            let line = received(1, 2, 50, told, "x");
            alike(&line).map(|line| line.texts().into_iter().map(String::from).collect::<Vec<_>>())
        };
        let first = format!("Message from spinner ({}):", thread(2));
        assert_eq!(texts("letter"), Some(vec![first, "x".into()]));
        assert_eq!(texts("task"), Some(vec!["x".into()]));
        assert_eq!(texts("result"), None);
    }
}
