//! Facts: what the log holds. An event is public, word for word the API's; a note is private
//! bookkeeping that must survive a crash.

use alloc::{boxed::Box, string::String, vec::Vec};

use protocol::{
    EnvironmentId, EventId, Object, ThreadId, Timestamp,
    content::ContentBlock,
    event::{Event, RefusalDetails},
    limits,
    parse::Metadata,
    prompt::OpaqueState,
    usage::RequestTokens,
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
    pub what: FactContent,
}

impl Fact {
    /// When it was written: later than every fact before it.
    pub fn at(&self) -> Option<Timestamp> {
        match &self.what {
            FactContent::Event { event, .. } => event.processed_at,
            FactContent::Note { at, .. } => Some(*at),
        }
    }
}

/// What a fact says.
#[expect(clippy::large_enum_variant, reason = "almost every fact is an event")]
#[derive(Debug, Clone, PartialEq)]
pub enum FactContent {
    /// To everybody.
    Event {
        /// The event, as every face shows it.
        event: Event,
        /// What Heddle must remember beside it and no view shows.
        private: Option<PrivatePart>,
    },
    /// To Heddle alone.
    Note {
        /// When.
        at: Timestamp,
        /// What.
        note: Note,
    },
}

/// What stands beside an event and never leaves by the door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PrivatePart {
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
        ending: ModelRequestEnding,
        /// What it cost, in full.
        tokens: RequestTokens,
        /// What only the provider can read of an answer that ended, to be given back to it; a call by its
        /// event. Earlier versions kept none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<OpaqueState<EventId>>,
        /// Whether the calls that nobody need be asked about wait beside one that a person is. In logs of
        /// earlier versions they did not.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        held: bool,
    },
    /// Beside a tool use: the provider's own id of the call.
    Call {
        /// The id.
        provider_id: String,
        /// Whether [`Note::Began`] says that it begins.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        noted: bool,
    },
    /// Beside `user.custom_tool_result`: a client has answered an open call with it, not the server. Earlier
    /// versions said nothing of that.
    ByClient,
    /// Beside `agent.thinking`: the provider's block, to be given back unchanged.
    Thought {
        /// The block.
        block: Value,
    },
    /// Beside `session.thread_created`, which is its parent's: what the child is.
    Child {
        /// Its agent's place in the parent's roster.
        member: usize,
        /// The delegation call that made it.
        call: EventId,
        /// Whether that call waits for its report.
        waits: bool,
    },
    /// Beside `agent.thread_message_received`, also while that is queued: how the model is told of it.
    Mail {
        /// How.
        told: MailKind,
    },
    /// Beside `session.updated`: what was cleared, which the event shows by silence.
    Cleared {
        /// The title was.
        title: bool,
        /// The metadata was.
        metadata: bool,
    },
}

/// How a model is told of a message of another thread (docs/rules.md 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum MailKind {
    /// A child's first message: word for word.
    Task,
    /// With a line in front that says whom it is from.
    Letter {
        /// The name of the sender's agent.
        from: String,
    },
    /// Not by itself: it is the result of the call that waited for it.
    Result,
}

/// How many threads a session may have, and how deep. What the server was set to when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLimits {
    /// Child threads at once, idle ones too.
    pub max_threads: u32,
    /// Levels below the primary.
    pub max_depth: u32,
}

impl Default for ThreadLimits {
    fn default() -> Self {
        Self { max_threads: limits::THREADS, max_depth: limits::DEPTH }
    }
}

/// How a child thread came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildEnd {
    /// Its owner archived it, or its session.
    Archived,
    /// Its model could not be asked, or asked too often.
    Exhausted,
}

/// How a model request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum ModelRequestEnding {
    /// The model had said all; its turn is over unless it called tools.
    Answered,
    /// The model declined; the turn is over.
    Refused {
        /// Why.
        details: RefusalDetails,
    },
    /// The model paused and wants to be asked again.
    Paused,
    /// It met the output limit in the middle of a call, which does not run.
    CutOff,
    /// It called tools, and no call had an input that can be read; none of them runs.
    Unread,
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
        /// How many threads it may have.
        #[serde(default)]
        tree: ThreadLimits,
    },
    /// A client's event, or another thread's message, waits for its thread (docs/rules.md 4).
    Queued {
        /// The event; `processed_at` is null.
        event: Box<Event>,
        /// What will stand beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        private: Option<PrivatePart>,
    },
    /// A queued message of another thread will not be delivered: its thread has ended.
    Cancelled {
        /// The event that was queued.
        event: EventId,
    },
    /// A call has its place in a sandbox and begins to run: from here on it may have done something. Of one
    /// that only reads nothing is said.
    Began {
        /// The call.
        call: EventId,
    },
    /// The model called a delegation tool. The Claude face shows nothing of it (docs/rules.md 5).
    Delegated {
        /// The call's id, as an event would have it.
        call: EventId,
        /// The provider's own id of it.
        provider_id: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Object,
    },
    /// What a delegation call came to.
    Settled {
        /// This answer's id, as an event would have it.
        id: EventId,
        /// The call.
        call: EventId,
        /// What the model is told.
        content: Vec<ContentBlock>,
        /// Whether it failed.
        is_error: bool,
    },
    /// A child spoke to a parent that waits for it: kept for its report (docs/rules.md 3).
    Kept {
        /// What it said.
        content: Vec<ContentBlock>,
    },
    /// A child thread is over.
    Ended {
        /// How.
        end: ChildEnd,
    },
    /// The session is archived: it and its threads are over.
    Archived,
    /// A failed request is asked again at this time.
    Retry {
        /// When.
        until: Timestamp,
    },
    /// The provider refused these and named them: from here on the model is told `reason` in their place.
    LeftOut {
        /// What.
        pieces: Vec<TranscriptPiece>,
        /// Why; one of the kernel's own phrases.
        reason: String,
    },
    /// The provider refused a request and named nothing: from here on the model is told `reason` in place of
    /// all that came since its last answer; after some refusals in a row, in place of that answer too.
    Blamed {
        /// Why; one of the kernel's own phrases.
        reason: String,
    },
}

/// A piece of what a thread's model has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TranscriptPiece {
    /// The event that said it: a message, a thought, a call, or a call's result.
    pub event: EventId,
    /// The block of its content; `None`: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
}

/// A fact as the log keeps it: `{"thread", "event", "private"?}` or `{"thread", "at", "note"}`.
#[derive(Deserialize)]
struct Stored {
    thread: ThreadId,
    event: Option<Event>,
    private: Option<PrivatePart>,
    at: Option<Timestamp>,
    note: Option<Note>,
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("thread", &self.thread)?;
        match &self.what {
            FactContent::Event { event, private } => {
                map.serialize_entry("event", event)?;
                if let Some(private) = private {
                    map.serialize_entry("private", private)?;
                }
            }
            FactContent::Note { at, note } => {
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
            (Some(event), None, None) => FactContent::Event { event, private },
            (None, Some(at), Some(note)) => FactContent::Note { at, note },
            _ => return Err(D::Error::custom("a fact is either an event or a note with its time")),
        };
        Ok(Self { thread, what })
    }
}

/// Writes the facts of one commit as the log keeps them: one JSON array (docs/rules.md 8).
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
