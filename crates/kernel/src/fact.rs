//! Facts: what the log holds. An event is public, word for word the API's; a note is private
//! bookkeeping that must survive a crash.

use alloc::{boxed::Box, string::String, vec::Vec};

use protocol::{
    EnvironmentId, Stamp, ThreadId,
    event::{Event, RefusalDetails},
    parse::Metadata,
    usage::Tokens,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use serde_json::Value;

use crate::moment::Seed;

/// One fact of a session's log. Its position is its place there.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The thread it belongs to; what concerns the whole session belongs to the primary.
    pub thread: ThreadId,
    /// What it says.
    pub what: What,
}

impl Fact {
    /// When it was written: later than every fact before it.
    pub fn at(&self) -> Option<Stamp> {
        match &self.what {
            What::Event { event, .. } => event.processed_at,
            What::Note { at, .. } => Some(*at),
        }
    }
}

/// What a fact says.
#[expect(clippy::large_enum_variant, reason = "almost every fact is an event")]
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// To everybody.
    Event {
        /// The event, as every face shows it.
        event: Event,
        /// What Heddle must remember beside it and no view shows.
        private: Option<Private>,
    },
    /// To Heddle alone.
    Note {
        /// When.
        at: Stamp,
        /// What.
        note: Note,
    },
}

/// What stands beside an event and never leaves by the door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Private {
    /// Beside `span.model_request_start`: where the ids of the answer come from.
    Request {
        /// The seed.
        seed: Seed,
        /// Where the log stood when the request was made.
        position: u64,
    },
    /// Beside `span.model_request_end`: how the request ended.
    Ended {
        /// How.
        ending: Ending,
        /// What it cost, in full.
        tokens: Tokens,
    },
    /// Beside a tool use: the provider's own id of the call.
    Call {
        /// The id.
        provider_id: String,
    },
    /// Beside `agent.thinking`: the provider's block, to be given back unchanged.
    Thought {
        /// The block.
        block: Value,
    },
    /// Beside `session.updated`: what was cleared, which the event shows by silence.
    Cleared {
        /// The title was.
        title: bool,
        /// The metadata was.
        metadata: bool,
    },
}

/// How a model request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// The model had said all; its turn is over unless it called tools.
    Answered,
    /// The model declined; the turn is over.
    Refused {
        /// Why.
        details: RefusalDetails,
    },
    /// The model paused and wants to be asked again.
    Paused,
    /// It failed; the next fact says whether it is tried again.
    Failed,
    /// We cut it: interrupted, or the server had stopped.
    Cut,
}

/// A private fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// The session began. Always the first fact; its thread is the primary.
    Opened {
        /// Where its tools run.
        environment: EnvironmentId,
        /// What it is called.
        title: Option<String>,
        /// The owner's own notes.
        metadata: Metadata,
    },
    /// A client's event waits for its thread (rules.md 4).
    Queued {
        /// The event; `processed_at` is null.
        event: Box<Event>,
    },
    /// The session is archived: it and its threads are over.
    Archived,
    /// A failed request is asked again at this time.
    Retry {
        /// When.
        until: Stamp,
    },
}

/// A fact as the log keeps it: `{"thread", "event", "private"?}` or `{"thread", "at", "note"}`.
#[derive(Deserialize)]
struct Stored {
    thread: ThreadId,
    event: Option<Event>,
    private: Option<Private>,
    at: Option<Stamp>,
    note: Option<Note>,
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("thread", &self.thread)?;
        match &self.what {
            What::Event { event, private } => {
                map.serialize_entry("event", event)?;
                if let Some(private) = private {
                    map.serialize_entry("private", private)?;
                }
            }
            What::Note { at, note } => {
                map.serialize_entry("at", at)?;
                map.serialize_entry("note", note)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { thread, event, private, at, note } = Stored::deserialize(deserializer)?;
        let what = match (event, at, note) {
            (Some(event), None, None) => What::Event { event, private },
            (None, Some(at), Some(note)) => What::Note { at, note },
            _ => return Err(D::Error::custom("a fact is either an event or a note with its time")),
        };
        Ok(Self { thread, what })
    }
}

/// Writes the facts of one commit as the log keeps them: one JSON array (rules.md 8).
pub fn encode(facts: &[Fact]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(facts)
}

/// Reads the facts of one commit.
///
/// # Errors
/// The bytes were not written by [`encode`], or by a newer Heddle.
pub fn decode(body: &[u8]) -> Result<Vec<Fact>, serde_json::Error> {
    serde_json::from_slice(body)
}
