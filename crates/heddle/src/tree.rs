//! A session as a person follows it: each event with its time, under the thread that it belongs to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use models::ServerLack;
use protocol::Timestamp;
use serde_json::Value;

use crate::{
    follow::FollowedEvent,
    remark::NO_TIME,
    terminal::{self, one_line, say_behind},
};

/// Characters of an event's content that are shown, and of an error, which says what to do.
const SHOWN: usize = 96;
const ERROR_SHOWN: usize = 2_000;
/// Columns of a thread's name.
const NAME: usize = 16;

/// What is known of the threads.
#[derive(Debug)]
pub(crate) struct ThreadTree {
    began: Timestamp,
    /// By id: the name and the depth.
    threads: BTreeMap<String, (String, usize)>,
}

impl ThreadTree {
    /// The threads of a session that began then.
    pub(crate) fn new(began: Timestamp, threads: &[Value]) -> Self {
        let mut tree = Self { began, threads: BTreeMap::new() };
        for thread in threads {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let parent = thread["parent_thread_id"].as_str();
            tree.meet(&text(&thread["id"]), &text(&thread["agent"]["name"]), parent);
        }
        tree
    }

    fn meet(&mut self, id: &str, name: &str, parent: Option<&str>) {
        let depth = parent.and_then(|parent| self.threads.get(parent)).map_or(0, |(_, depth)| depth + 1);
        self.threads.entry(id.to_owned()).or_insert_with(|| (name.to_owned(), depth));
    }

    /// Whether an id is that of a thread which another has made.
    pub(crate) fn is_child(&self, thread: &Value) -> bool {
        let known = thread.as_str().and_then(|id| self.threads.get(id));
        known.is_some_and(|(_, depth)| *depth > 0)
    }

    /// Prints one event, unless it says nothing to a person.
    pub(crate) fn tell(&mut self, told: &FollowedEvent) {
        let event = &told.event;
        if event["type"] == "session.thread_created" {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            self.meet(&text("session_thread_id"), &text("agent_name"), Some(&told.thread));
        }
        let Some((word, rest)) = words(event) else { return };
        let at = event["processed_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let seconds = at.map_or(0.0, |at| at.since(self.began).as_secs_f64());
        let label = self.label(&told.thread);
        let told = |word: &str, rest: &str| {
            let most = if word == ERROR { ERROR_SHOWN } else { SHOWN };
            say_behind(&format!("{seconds:>9.3}  {label}  {word:<12} "), &line(rest, most));
        };
        told(word, &rest);
        for lack in lacks(event) {
            told("lacks", &format!("{}: `heddle doctor --routes` says what to do", lack.seen()));
        }
    }

    fn label(&self, thread: &str) -> String {
        let (name, depth) =
            self.threads.get(thread).map_or(("?", 0), |(name, depth)| (name.as_str(), *depth));
        branch(name, depth)
    }

    /// Prints every thread with what became of it.
    pub(crate) fn sum(&self, threads: &[Value]) {
        for thread in threads {
            let id = thread["id"].as_str().unwrap_or_default();
            let number = |pointer: &str| thread.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
            let mut rest = thread["status"].as_str().unwrap_or_default().to_owned();
            if thread["archived_at"].is_string() {
                rest.push_str(", archived");
            }
            let told = write!(
                rest,
                "; worked {:.1} s, {} tokens in, {} out",
                number("/stats/active_seconds"),
                number("/usage/input_tokens"),
                number("/usage/output_tokens")
            );
            debug_assert!(told.is_ok(), "a String takes everything");
            say_behind(&format!("{NO_TIME}{}  ", self.label(id)), &rest);
        }
    }
}

fn branch(name: &str, depth: usize) -> String {
    let arm = if depth == 0 { String::new() } else { format!("{}├─ ", "│  ".repeat(depth - 1)) };
    terminal::padded(&format!("{arm}{}", one_line(name)), NAME)
}

/// The word for what went wrong.
const ERROR: &str = "error";

/// A word for what happened, and more about it; `None` for what is only bookkeeping.
fn words(event: &Value) -> Option<(&str, String)> {
    let said = || text(&event["content"]);
    let named = |key: &str| event[key].as_str().unwrap_or_default();
    Some(match event["type"].as_str()? {
        "user.message" => ("you", said()),
        "user.interrupt" => ("interrupt", String::new()),
        "user.tool_confirmation" => (named("result"), text_of(&event["deny_message"])),
        "user.custom_tool_result" | "agent.tool_result" => {
            (if event["is_error"] == true { "failed" } else { "result" }, said())
        }
        "agent.message" => ("says", said()),
        "agent.tool_use" | "agent.custom_tool_use" => {
            let asks = if event["evaluated_permission"] == "ask" { " (asks)" } else { "" };
            ("calls", format!("{}{asks} {}", named("name"), event["input"]))
        }
        "session.thread_created" => ("starts", named("agent_name").to_owned()),
        "agent.thread_message_sent" => {
            let to = event["to_agent_name"].as_str().unwrap_or("its parent");
            ("tells", format!("{to}: {}", said()))
        }
        "agent.thread_message_received" => {
            let from = event["from_agent_name"].as_str().unwrap_or("its parent");
            ("hears", format!("{from}: {}", said()))
        }
        "session.thread_status_idle" => ("rests", text_of(&event["stop_reason"]["type"])),
        "session.thread_status_rescheduled" => ("waits", "to ask the model again".to_owned()),
        "session.thread_status_terminated" => ("ends", String::new()),
        "session.error" => (ERROR, text_of(&event["error"]["message"])),
        // Whether it failed or was stopped, and whether the model is asked again, is said by what follows.
        "span.model_request_end" if event["is_error"] == true => ("no answer", String::new()),
        "session.deleted" => ("deleted", String::new()),
        _ => return None,
    })
}

/// What a message of a model shows to be lacking where it is served, each once.
fn lacks(event: &Value) -> Vec<ServerLack> {
    let blocks = event["content"].as_array().filter(|_| event["type"] == "agent.message");
    let texts = blocks.into_iter().flatten().filter_map(|block| block["text"].as_str());
    let mut seen: Vec<ServerLack> = texts.flat_map(ServerLack::of_text).collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    let block = |block: &Value| match block["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("[{}]", block["type"].as_str().unwrap_or("?")),
    };
    blocks.map(block).collect::<Vec<_>>().join(" ")
}

/// One line of it, of so many characters.
fn line(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = one_line(&line);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_thread_stands_below_the_one_that_made_it() {
        let threads = [
            json!({"id": "a", "parent_thread_id": null, "agent": {"name": "lead"}}),
            json!({"id": "b", "parent_thread_id": "a", "agent": {"name": "writer"}}),
            json!({"id": "c", "parent_thread_id": "b", "agent": {"name": "a very long name indeed"}}),
        ];
        let tree = ThreadTree::new(Timestamp::from_micros(0), &threads);
        assert_eq!(
            ["a", "b", "c", "d"].map(|id| tree.label(id)),
            ["lead            ", "├─ writer       ", "│  ├─ a very lon", "?               "]
        );
    }

    #[test]
    fn a_message_that_shows_what_its_server_lacks_has_a_line_more_that_fits() {
        let said = |kind: &str, texts: &[&str]| {
            let content: Vec<Value> =
                texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
            lacks(&json!({"type": kind, "content": content}))
        };
        let (call, thought) = ("<tool_call>\n{}\n</tool_call>", "<think>hm</think>ok");
        assert_eq!(said("agent.message", &[call, thought, call]), [ServerLack::Thinking, ServerLack::Calls]);
        assert_eq!(said("user.message", &[call]), [], "a person may say so");
        for lack in [ServerLack::Thinking, ServerLack::Calls] {
            let told = format!("{}: `heddle doctor --routes` says what to do", lack.seen());
            assert_eq!(line(&told, SHOWN), told);
        }
    }

    #[test]
    fn what_happened_is_a_word_and_a_line() {
        let content = json!([{"type": "text", "text": "two\nlines"}, {"type": "image"}]);
        for (event, word, rest) in [
            (json!({"type": "user.message", "content": content}), "you", "two lines [image]"),
            (
                json!({"type": "agent.tool_result", "is_error": true, "content": content}),
                "failed",
                "two lines [image]",
            ),
            (
                json!({"type": "agent.tool_use", "name": "bash", "input": {"command": "ls"}, "evaluated_permission": "ask"}),
                "calls",
                "bash (asks) {\"command\":\"ls\"}",
            ),
            (
                json!({"type": "agent.thread_message_sent", "content": content}),
                "tells",
                "its parent: two lines [image]",
            ),
            (json!({"type": "span.model_request_end", "is_error": true}), "no answer", ""),
            (
                json!({"type": "session.thread_status_idle", "stop_reason": {"type": "end_turn"}}),
                "rests",
                "end_turn",
            ),
        ] {
            assert_eq!(
                words(&event).map(|(word, rest)| (word, line(&rest, SHOWN))),
                Some((word, rest.to_owned()))
            );
        }
        assert_eq!(words(&json!({"type": "session.usage"})), None);
    }
}
