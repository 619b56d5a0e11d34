//! Every bound that a caller can meet, in one place. Units are in the names.

/// Most events waiting in a session's queue (rules.md 4).
pub const QUEUED_EVENTS: usize = 1_000;
/// Most bytes of content waiting in a session's queue (rules.md 4).
pub const QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// Most events in one request (rules.md 4).
pub const EVENTS_PER_REQUEST: usize = 100;
/// Most initial events of a new session (spec/behaviour.md d.2).
pub const INITIAL_EVENTS: usize = 50;
/// Most content blocks in one event.
pub const CONTENT_BLOCKS: usize = 1_000;
/// Largest request body (spec/behaviour.md a.6).
pub const BODY_BYTES: usize = 32 * 1024 * 1024;
/// How deep objects and arrays may lie in each other in a request body, and in what a model calls a tool
/// with. What is kept of them lies deeper in the log, and no reader goes below 128.
pub const BODY_DEPTH: usize = 64;
/// Seconds without a byte of a request body after which it counts as cut.
pub const BODY_SILENCE_S: u64 = 30;
/// Seconds for a whole request body: what the SDKs wait for an answer.
pub const BODY_S: u64 = 600;
/// Characters that an error repeats of a text it was sent.
pub const SHOWN_CHARS: usize = 128;
/// Metadata: pairs, and characters of a key and a value (spec/behaviour.md a.6).
pub const METADATA_PAIRS: usize = 16;
/// Characters of a metadata key.
pub const METADATA_KEY_CHARS: usize = 64;
/// Characters of a metadata value.
pub const METADATA_VALUE_CHARS: usize = 512;
/// Characters of an agent's, an environment's or a session's name or title.
pub const NAME_CHARS: usize = 256;
/// Characters of a model's id.
pub const MODEL_CHARS: usize = 256;
/// Characters of a URL in content.
pub const URL_CHARS: usize = 8_192;
/// Characters of a description (spec/behaviour.md b.1).
pub const DESCRIPTION_CHARS: usize = 2_048;
/// Characters of a system prompt (spec/behaviour.md b.1).
pub const SYSTEM_CHARS: usize = 100_000;
/// Tools of one agent across all toolsets (spec/behaviour.md b.1).
pub const TOOLS: usize = 256;
/// Characters of a tool's name (spec/behaviour.md b.5).
pub const TOOL_NAME_CHARS: usize = 128;
/// Characters of a custom tool's description.
pub const TOOL_DESCRIPTION_CHARS: usize = 16_384;
/// Characters of a property name in a custom tool's schema (spec/behaviour.md b.5).
pub const PROPERTY_NAME_CHARS: usize = 64;
/// Entries of a web tool's domain list, and characters of each (spec/behaviour.md b.4).
pub const DOMAINS: usize = 64;
/// Characters of one domain list entry.
pub const DOMAIN_CHARS: usize = 255;
/// Tools that a source of URLs may name (spec/behaviour.md b.4).
pub const URL_SOURCE_TOOLS: usize = 128;
/// Characters of a place's or a time zone's name.
pub const PLACE_CHARS: usize = 255;
/// Entries of a roster (spec/behaviour.md b.8).
pub const ROSTER: usize = 20;
/// Child threads that a session may hold at once, idle ones too (spec/behaviour.md f).
pub const THREADS: u32 = 25;
/// Child threads that a session may make in its life: each stays in its lists, and in its head row.
pub const THREADS_EVER: usize = 1_000;
/// How deep below the primary threads may lie (spec/behaviour.md b.8).
pub const DEPTH: u32 = 1;
/// Hosts that a limited network may name.
pub const ALLOWED_HOSTS: usize = 256;
/// Model requests in one turn before the runaway guard ends it (rules.md 4).
pub const REQUESTS_PER_TURN: u32 = 200;
/// Attempts at one model request (rules.md 4).
pub const ATTEMPTS: u32 = 8;
/// First pause between attempts, in milliseconds; it doubles (rules.md 4).
pub const BACKOFF_MS_MIN: u64 = 500;
/// Longest pause between attempts, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// Longest `retry-after` that is obeyed, in seconds.
pub const RETRY_AFTER_S_MAX: u64 = 60;
/// Model requests under way at once; of a route. What its `concurrency` is unless it is set.
pub const REQUESTS_PER_ROUTE: usize = 256;
/// The most that a route's `concurrency` may be set to.
pub const REQUESTS_PER_ROUTE_MAX: usize = 4_096;
/// Seconds without a byte after which a model's stream counts as cut (rules.md 4).
pub const MODEL_SILENCE_S: u64 = 120;
/// Bytes of one page of a list; it ends early there (rules.md 7).
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Seconds between heartbeats of a stream (design decision 5).
pub const HEARTBEAT_S: u64 = 10;
/// Seconds for which a retried POST gets the first answer (rules.md 4).
pub const RETRIED_POST_S: u64 = 600;
/// Seconds after which a deleted session is purged (rules.md 6).
pub const PURGE_S: u64 = 60;
/// Values of `event_deltas[]` (spec/behaviour.md e.6).
pub const EVENT_DELTAS: usize = 100;
/// Bytes that a reader who has stopped reading may hold beyond the frame being written; half of them are its
/// own, and the other half those of all readers of one session together.
pub const STALLED_READER_BYTES: usize = 64 * 1024;
/// Bytes of large commits that readers who are in the middle of them share; of a server. They are let go a
/// moment after the last of them came for more.
pub const SHARED_COMMIT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory that sessions at rest may take, so that their next turns fold nothing; of a server. What
/// `[cache] bytes` is unless it is set.
pub const SESSION_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory that the agents of sessions may take, so that lists need not read them again; of a server.
pub const SNAPSHOT_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Seconds that running tools get when the server is told to stop (rules.md 2).
pub const DRAIN_S: u64 = 20;
