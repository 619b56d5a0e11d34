//! What events and threads are called in scripts: names that do not move when something is added before.

use std::collections::BTreeMap;

use protocol::{EventId, ThreadId};
use serde_json::Value;

/// The most of a message's words that its name holds, in characters.
const SHOWN: usize = 40;

/// A thread that no session has.
const UNKNOWN_THREAD: ThreadId = ThreadId::from_bits(9);
/// An event that no log holds.
const UNKNOWN_EVENT: EventId = EventId::from_bits(99);

/// The names of one session.
pub(crate) struct Names {
    /// The primary first, then its children as they were made.
    threads: Vec<ThreadId>,
    events: BTreeMap<EventId, Name>,
    /// How often each thread has used a word.
    used: BTreeMap<(usize, String), usize>,
}

/// The name of an event: the second `write` of child1 is `write.2@1`, and `write.2` in a line of child1.
struct Name {
    thread: usize,
    word: String,
    nth: usize,
}

impl Name {
    /// As it is written in a line of the thread at `from`.
    fn seen(&self, from: usize) -> String {
        let nth = if self.nth > 1 { format!(".{}", self.nth) } else { String::new() };
        let thread = if self.thread == from { String::new() } else { format!("@{}", self.thread) };
        format!("{}{nth}{thread}", self.word)
    }
}

impl Names {
    pub(crate) fn of(primary: ThreadId) -> Self {
        Self { threads: vec![primary], events: BTreeMap::new(), used: BTreeMap::new() }
    }

    pub(crate) fn threads(&self) -> &[ThreadId] {
        &self.threads
    }

    pub(crate) fn add_thread(&mut self, thread: ThreadId) {
        self.threads.push(thread);
    }

    /// Where a thread stands among them.
    pub(crate) fn place(&self, thread: ThreadId) -> usize {
        self.threads.iter().position(|known| *known == thread).expect("a thread of the session")
    }

    /// `primary`, `child1`, the `newest` child, or one that is `unknown`.
    pub(crate) fn thread(&self, name: &str) -> ThreadId {
        match name {
            "primary" => self.threads[0],
            "newest" => self.threads[self.threads.len() - 1],
            "unknown" => UNKNOWN_THREAD,
            child => {
                let place = child.strip_prefix("child").and_then(|place| place.parse::<usize>().ok());
                self.threads[place.unwrap_or_else(|| panic!("no such thread: {child}"))]
            }
        }
    }

    /// Calls an event by a word, and counts how often its thread has used that.
    pub(crate) fn add(&mut self, event: EventId, thread: ThreadId, word: String) {
        let thread = self.place(thread);
        let nth = self.used.entry((thread, word.clone())).or_default();
        *nth += 1;
        let name = Name { thread, word, nth: *nth };
        assert!(self.events.insert(event, name).is_none(), "an id is given twice");
    }

    /// The event that a line of the thread at `from` calls so.
    pub(crate) fn event(&self, name: &str, from: usize) -> EventId {
        if name == "unknown" {
            return UNKNOWN_EVENT;
        }
        let found = self.events.iter().find(|(_, known)| known.seen(from) == name);
        *found.unwrap_or_else(|| panic!("no event is called {name}")).0
    }

    /// What an event is called by, whichever of its kind it is: a call by its tool.
    pub(crate) fn word(&self, event: EventId) -> &str {
        &self.events[&event].word
    }

    /// The place of the thread that an event is of.
    pub(crate) fn owner(&self, event: EventId) -> usize {
        self.events[&event].thread
    }

    /// `text` with names in place of ids, as a line of the thread at `from` has them. A call's id that the
    /// transcript makes of its event is named after that too.
    pub(crate) fn write(&self, text: &str, from: usize) -> String {
        let thread = |text: String, (place, id): (usize, &ThreadId)| {
            text.replace(&id.to_string(), &if place > 0 { format!("child{place}") } else { "primary".into() })
        };
        let text = self.threads.iter().enumerate().fold(text.to_owned(), thread);
        self.events.iter().fold(text, |text, (id, name)| {
            let (name, made) = (name.seen(from), format!("toolu_{:032x}", id.bits()));
            text.replace(&id.to_string(), &name).replace(&made, &format!("toolu_{name}"))
        })
    }

    /// The other way round, for a model's input: `"child1"` becomes that thread's id.
    pub(crate) fn read(&self, line: &str) -> String {
        if !line.contains("\"child") {
            return line.to_owned();
        }
        let children = self.threads.iter().enumerate().skip(1);
        children.fold(line.to_owned(), |line, (place, id)| {
            line.replace(&format!("\"child{place}\""), &format!("\"{id}\""))
        })
    }
}

/// What a stored event is called by: a call by its tool, a model request `ask`, a message by its words, and
/// what no line need name by its type.
pub(crate) fn word(event: &Value) -> String {
    let kind = event["type"].as_str().expect("a type");
    match kind {
        "span.model_request_start" => "ask".to_owned(),
        "agent.tool_use" | "agent.custom_tool_use" => event["name"].as_str().expect("a name").to_owned(),
        "user.message" | "agent.message" | "agent.thread_message_received" => {
            let words = event["content"][0]["text"].as_str().unwrap_or_default();
            format!("[{}]", words.chars().take(SHOWN).collect::<String>())
        }
        _ => kind.to_owned(),
    }
}
