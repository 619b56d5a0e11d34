//! Every bound that a caller can meet, in one place. Units are in the names.
//!
//! `docs/limits.md` is made from this file (`cargo x limits`). The line above each group says for whom its
//! bounds hold, one of: a session, a turn, a call, a resource, an event, a request, a connection, a key, an
//! address, a route, a server.

// A session

/// Most events waiting in a session's queue (docs/rules.md 4).
pub const QUEUED_EVENTS: usize = 1_000;
/// Most bytes of content waiting in a session's queue (docs/rules.md 4).
pub const QUEUED_BYTES: usize = 32 * 1024 * 1024;

// A request

/// Most events in one request (docs/rules.md 4).
pub const EVENTS_PER_REQUEST: usize = 100;
/// Most initial events of a new session (docs/rules.md 18).
pub const INITIAL_EVENTS: usize = 50;

// An event

/// Most content blocks in one event.
pub const CONTENT_BLOCKS: usize = 1_000;

// A request

/// Largest request body (docs/rules.md 12). Whatever it holds, to read it takes at most four times its
/// bytes of memory; what is taken of it is then also written to the log and held for the model.
pub const BODY_BYTES: usize = 32 * 1024 * 1024;
/// How deep objects and arrays may lie in each other in a request body, and in what a model calls a tool
/// with or its provider puts beside its answer. What is kept of them lies deeper in the log, and no reader
/// goes below 128.
pub const BODY_DEPTH: usize = 64;
/// Seconds without a byte of a request body after which it counts as cut.
pub const BODY_SILENCE_S: u64 = 30;
/// Seconds for a whole request body: what the SDKs wait for an answer.
pub const BODY_S: u64 = 600;
/// The same for one that is small, or has not shown yet that it is not.
pub const BODY_SMALL_S: u64 = 60;
/// Characters that an error repeats of a text it was sent.
pub const SHOWN_CHARS: usize = 128;

// A resource

/// Pairs of metadata (docs/rules.md 12).
pub const METADATA_PAIRS: usize = 16;
/// Characters of a metadata key.
pub const METADATA_KEY_CHARS: usize = 64;
/// Characters of a metadata value.
pub const METADATA_VALUE_CHARS: usize = 512;
/// Characters of an agent's, an environment's or a session's name or title.
pub const NAME_CHARS: usize = 256;
/// Characters of a model's id.
pub const MODEL_CHARS: usize = 256;

// An event

/// Characters of a URL in content.
pub const URL_CHARS: usize = 8_192;

// A resource

/// Characters of a description (docs/rules.md 14).
pub const DESCRIPTION_CHARS: usize = 2_048;
/// Characters of a system prompt (docs/rules.md 14).
pub const SYSTEM_CHARS: usize = 100_000;
/// Tools of one agent across all toolsets (docs/rules.md 16).
pub const TOOLS: usize = 256;
/// Characters of a tool's name (docs/rules.md 16).
pub const TOOL_NAME_CHARS: usize = 128;
/// Characters of a custom tool's description.
pub const TOOL_DESCRIPTION_CHARS: usize = 16_384;
/// Characters of a property name in a custom tool's schema (docs/rules.md 16).
pub const PROPERTY_NAME_CHARS: usize = 64;
/// Entries of a web tool's domain list (docs/rules.md 16).
pub const DOMAINS: usize = 64;
/// Characters of one domain list entry.
pub const DOMAIN_CHARS: usize = 255;
/// Tools that a source of URLs may name (docs/rules.md 16).
pub const URL_SOURCE_TOOLS: usize = 128;
/// Characters of a place's or a time zone's name.
pub const PLACE_CHARS: usize = 255;
/// Entries of a roster (docs/rules.md 15).
pub const ROSTER: usize = 20;

// A session

/// Child threads that a session may hold at once, idle ones too (docs/rules.md 9).
pub const THREADS: u32 = 25;
/// Child threads that a session may make in its life: each stays in its lists, and in its head row.
pub const THREADS_EVER: usize = 1_000;
/// How deep below the primary threads may lie (docs/rules.md 9).
pub const DEPTH: u32 = 1;

// A resource

/// Hosts that a limited network may name.
pub const ALLOWED_HOSTS: usize = 256;

// A turn

/// Model requests in one turn before the runaway guard ends it (docs/rules.md 4).
pub const REQUESTS_PER_TURN: u32 = 200;
/// Attempts at one model request (docs/rules.md 4). What a route's `attempts` is unless it is set.
pub const ATTEMPTS: u32 = 8;
/// The most that a route's `attempts` may be set to.
pub const ATTEMPTS_MAX: u32 = 100;
/// Attempts at a request whose answers are empty: each is paid for.
pub const EMPTY_ATTEMPTS: u32 = 3;
/// Answers in a row that the output limit cuts in the middle of a call, before the turn is ended.
pub const CUT_OFF_IN_A_ROW: u32 = 3;
/// Answers in a row that call tools without one input that can be read, before the turn is ended.
pub const UNREAD_IN_A_ROW: u32 = 5;
/// Times that a request is made again at once without a part that its provider names and refuses.
pub const REQUESTS_WITHOUT_PARTS: u32 = 4;
/// Refusals in a row from which on the model's last answer is left out too, and not only what came since.
pub const REFUSALS_OF_AN_ANSWER: u32 = 3;
/// Tokens of an answer below which asking for one is of no use: the conversation no longer fits the window.
pub const ANSWER_TOKENS_MIN: u64 = 1_024;
/// First pause between attempts, in milliseconds; it doubles (docs/rules.md 4).
pub const BACKOFF_MS_MIN: u64 = 500;
/// Longest pause between attempts, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// Longest `retry-after` that is obeyed, in seconds.
pub const RETRY_AFTER_S_MAX: u64 = 60;

// A route

/// Model requests under way at once; of a route. What its `concurrency` is unless it is set.
pub const REQUESTS_PER_ROUTE: usize = 256;
/// The most that a route's `concurrency` may be set to.
pub const REQUESTS_PER_ROUTE_MAX: usize = 4_096;
/// Seconds within which a provider must be connected to. What a route's `connect` is unless it is set.
pub const MODEL_CONNECT_S: u64 = 10;
/// The most that a route's `connect` may be set to, in seconds.
pub const MODEL_CONNECT_S_MAX: u64 = 600;
/// Seconds without a byte after which a model's stream counts as cut (docs/rules.md 4). What a route's
/// `silence` is unless it is set.
pub const MODEL_SILENCE_S: u64 = 120;
/// The most that a route's `silence` and `first_byte` may be set to, in seconds.
pub const MODEL_SILENCE_S_MAX: u64 = 86_400;
/// Seconds without anything of the answer after which a model's stream counts as cut, whatever else keeps
/// coming: pings, comments, empty pieces. Long, for a server that says so while it loads a model; a route's
/// `silence` or `first_byte` goes before it where it is longer.
pub const MODEL_EMPTY_S: u64 = 600;
/// Bytes of the file that holds a provider's key.
pub const KEY_FILE_BYTES: u64 = 16 * 1024;
/// Bytes of the further members of a route's requests, as JSON.
pub const ROUTE_BODY_BYTES: usize = 16 * 1024;

// A request

/// Bytes of one page of a list; it ends early there (docs/rules.md 7), and at those of a small answer while
/// as many bytes of answers are unread as may be.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;

// A connection

/// Seconds between heartbeats of a stream (docs/rules.md 7).
pub const HEARTBEAT_S: u64 = 10;

// A session

/// Bytes of the pictures and documents that one session's tools may have read and that are kept beside its
/// log; beyond it a `read` of another answers with an error that says so.
pub const BLOB_BYTES_PER_SESSION: u64 = 1024 * 1024 * 1024;

// A server

/// Seconds between two sweeps of the server's blobs.
pub const BLOB_SWEEP_S: u64 = 24 * 3_600;
/// Seconds after which a blob that nobody uses may be removed.
pub const BLOB_UNUSED_S: u64 = 3_600;
/// Seconds for which a retried POST gets the first answer (docs/rules.md 4).
pub const RETRIED_POST_S: u64 = 600;
/// Seconds for which a POST with an `Idempotency-Key` does.
pub const IDEMPOTENCY_KEY_S: u64 = 24 * 3_600;
/// Seconds after which a deleted session is purged (docs/rules.md 6).
pub const PURGE_S: u64 = 60;

// A request

/// Values of `event_deltas[]` (docs/rules.md 7).
pub const EVENT_DELTAS: usize = 100;

/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS: usize = 255;

// A connection

/// Bytes that a reader who has stopped reading may hold beyond the frame being written; half of them are its
/// own, and the other half those of all readers of one session together.
pub const STALLED_READER_BYTES: usize = 64 * 1024;
/// Bytes of events and previews that one session keeps for its readers for a moment, so that a burst is heard
/// whole; what nobody came for is cut down to the bound of a reader within seconds.
pub const FLOW_BURST_BYTES: usize = 256 * 1024;

// A server

/// Sandboxes alive at once, of the whole server, unless it is set otherwise.
pub const SANDBOXES: usize = 64;
/// Sandboxes that a server may be set to.
pub const SANDBOXES_MAX: usize = 4_096;
/// Seconds that a tool's call waits for its session's turn to have a sandbox: as long as one command of every
/// session before it may take.
pub const SANDBOX_WAIT_S: u64 = 600;
/// Seconds after which a session that has a sandbox lets those who wait for one go first with its next call.
pub const SANDBOX_TURN_S: u64 = 60;
/// Bytes of large commits that readers who are in the middle of them share; of a server. They are let go a
/// moment after the last of them came for more.
pub const SHARED_COMMIT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory that sessions at rest may take, so that their next turns fold nothing; of a server. What
/// `[cache] bytes` is unless it is set.
pub const SESSION_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory that the agents of sessions may take, so that lists need not read them again; of a server.
pub const SNAPSHOT_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Seconds that running tools get when the server is told to stop (docs/rules.md 2).
pub const DRAIN_S: u64 = 20;
/// Bytes of room that the write-ahead log keeps on the disk behind its end, of a server; on a small disk its
/// 20th part.
pub const KEPT_LOG_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of the file that is given up, piece by piece, when the disk is full, of a server; on a small disk
/// its tenth part.
pub const KEPT_BALLAST_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of room for the index of the write-ahead log, of a server.
pub const KEPT_INDEX_BYTES: u64 = 256 * 1024;
/// Bytes free on the disk under which nothing new is taken from clients, of a server; on a small disk its
/// 20th part. What was begun, interrupts, archives and deletes are still written.
pub const NEW_FREE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of log lines that wait for whoever reads the server's standard error, of a server. Beyond it lines
/// are left out and counted.
pub const LOG_WAITING_BYTES: usize = 1024 * 1024;
/// Fewest characters of the API key that the environment names, of a server.
pub const KEY_CHARS_MIN: usize = 16;
/// Fewest different characters of that key, of a server.
pub const KEY_KINDS_MIN: usize = 6;

// A server

/// Fewest open files that a server starts with.
pub const OPEN_FILES_MIN: usize = 256;
/// Connections at once, where the limit on open files leaves room for them: at most half of that limit, so
/// that the other half is there for sandboxes, the store, blobs and requests to models.
pub const CONNECTIONS: usize = 8_192;
/// Which part of all connections streams leave to requests: one in this many.
pub const CONNECTIONS_LEFT_PART: usize = 4;
/// Bytes of an input from which on the machine's memory is looked at before it is taken.
pub const LARGE_INPUT_BYTES: usize = 64 * 1024;
/// Seconds after which who was refused for want of memory is told to try again.
pub const MEMORY_WAIT_S: u64 = 5;
/// Connections that wait to be accepted; a host may allow fewer.
pub const CONNECTIONS_WAITING: u32 = 1_024;
/// Bytes of large bodies under way at once; the others wait.
pub const BODIES_LARGE_BYTES: usize = 96 * 1024 * 1024;
/// Bytes of other bodies under way at once.
pub const BODIES_SMALL_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of answers that are made or unread, of those that may be large: pages of lists, and what turns out
/// to be larger than a small answer.
pub const ANSWERS_LARGE_BYTES: usize = 192 * 1024 * 1024;
/// Bytes of other answers that are made or unread.
pub const ANSWERS_SMALL_BYTES: usize = 64 * 1024 * 1024;
/// Milliseconds between two looks at whether the keys whose streams are open still hold.
pub const REVOKED_LOOK_MS: u64 = 500;
/// Milliseconds for which an answer of `/readyz` stands for whoever asks meanwhile.
pub const READY_MS: u64 = 1_000;
/// Seconds for the write that `/readyz` tries.
pub const READY_WRITE_S: u64 = 5;

// An address

/// Which part of all connections one address (of IPv6 one network of 64 bits) may hold before its own are
/// closed for its new ones: one in this many. One with a request under way is not closed.
pub const CONNECTIONS_PER_ADDRESS_PART: usize = 2;

// A key

/// Which part of all connections the streams of one key leave to others: one in this many.
pub const CONNECTIONS_LEFT_PART_OF_A_KEY: usize = 2;
/// Seconds after which who may open no further stream is told to try again.
pub const STREAM_WAIT_S: u64 = 5;
/// Bytes of large bodies under way at once.
pub const BODIES_LARGE_BYTES_PER_KEY: usize = 64 * 1024 * 1024;
/// Bytes of other bodies under way at once.
pub const BODIES_SMALL_BYTES_PER_KEY: usize = 16 * 1024 * 1024;
/// Bytes of answers that are made or unread, of those that may be large. While a page is made it counts
/// twice.
pub const ANSWERS_LARGE_BYTES_PER_KEY: usize = 64 * 1024 * 1024;
/// Bytes of other answers that are made or unread.
pub const ANSWERS_SMALL_BYTES_PER_KEY: usize = 32 * 1024 * 1024;

// A connection

/// Milliseconds that a new connection has to ask before it may go for a newer one.
pub const NEW_CONNECTION_MS: u64 = 100;
/// Seconds for the first byte of a new connection.
pub const FIRST_BYTE_S: u64 = 10;
/// Seconds for the head of a request: of a connection's first since it was accepted, of a later one since
/// its first byte.
pub const HEAD_S: u64 = 30;
/// Seconds for which a connection may be without a request. Clients that keep connections give them up
/// sooner: the SDKs after 4, 5 and 90 seconds.
pub const IDLE_S: u64 = 120;
/// Seconds without a byte taken after which a reader that has something to read counts as gone: a
/// connection, and over HTTP/2 one stream of it.
pub const STALLED_S: u64 = 60;
/// Streams at once over HTTP/2.
pub const HTTP2_STREAMS: u32 = 100;
/// Streams over HTTP/2 that the peer has taken back before they were looked at.
pub const HTTP2_RESETS: usize = 20;
/// Bytes of request bodies that one HTTP/2 stream may have under way.
pub const HTTP2_STREAM_BYTES: u32 = 256 * 1024;
/// Bytes of request bodies under way over HTTP/2, of all streams.
pub const HTTP2_CONNECTION_BYTES: u32 = 1024 * 1024;
/// Bytes of one piece of an answer over HTTP/2: what is on its way of a stream that is not read, beside what
/// counts as unread.
pub const HTTP2_PIECE_BYTES: usize = 16 * 1024;
/// Seconds without a frame after which an HTTP/2 client is asked whether it is there, and for its answer.
pub const HTTP2_PING_S: u64 = 30;

// A request

/// Bytes of a request's head over HTTP/1, and of its headers over HTTP/2.
pub const HEAD_BYTES: usize = 64 * 1024;
/// Values in a body: one of 32 MiB that holds the smallest values would take forty times that to hold.
pub const BODY_VALUES: usize = 250_000;
/// Above this many bytes a body is large: it is read on a thread that may block, and waits for its turn.
pub const BODY_LARGE_BYTES: usize = 128 * 1024;
/// Seconds for which a body waits for its turn before it is told to come again.
pub const BODY_WAIT_S: u64 = 20;
/// Up to this many bytes an answer is small; a request has room for one of these before it is worked on.
pub const ANSWER_SMALL_BYTES: usize = 64 * 1024;
/// Seconds for which a request waits for room for its answer before it is told to come again.
pub const ANSWER_WAIT_S: u64 = 20;

// A call

/// Milliseconds of a command that asks for no other time (docs/rules.md 10).
pub const COMMAND_MS: u64 = 120_000;
/// Milliseconds that a command may ask for.
pub const COMMAND_MS_MAX: u64 = 600_000;
/// Seconds of a call of another tool.
pub const TOOL_S: u64 = 60;
/// Seconds after which glob, grep, and a read of lines far down a file stop.
pub const SEARCH_S: u64 = 40;
/// A path: the system takes no longer one.
pub const PATH_BYTES: usize = 4_096;
/// A command; the shell reads it byte by byte.
pub const COMMAND_BYTES: usize = 1024 * 1024;
/// A pattern of grep.
pub const GREP_PATTERN_BYTES: usize = 16 * 1024;
/// A pattern of glob: as long as a path can be.
pub const GLOB_PATTERN_BYTES: usize = 4_096;
/// How deep braces may lie in each other in a pattern of glob.
pub const GLOB_BRACES: usize = 32;
/// A text that is read without `view_range` (docs/rules.md 9).
pub const READ_TEXT_BYTES: u64 = 256 * 1024;
/// A picture that is read, as base64 (docs/rules.md 9).
pub const PICTURE_BYTES: usize = 5 * 1024 * 1024;
/// Pixels on a side of a picture that is read: what providers take.
pub const PICTURE_SIDE: usize = 8_000;
/// A PDF that is read (docs/rules.md 9).
pub const PDF_BYTES: u64 = 20 * 1024 * 1024;
/// A file that is edited, before and after.
pub const EDITED_BYTES: usize = 16 * 1024 * 1024;
/// An output that the model gets whole; else it goes to a file (docs/rules.md 10).
pub const OUTPUT_CHARS: usize = 100_000;
/// What the model gets then of its beginning, and of its end.
pub const OUTPUT_END_CHARS: usize = 8_000;
/// That file; what comes after is left out.
pub const OUTPUT_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Files that glob shows (docs/rules.md 16).
pub const GLOB_RESULTS: usize = 200;
/// Matches that grep shows: a little less than what goes to a file, which would leave out the middle.
pub const GREP_SHOWN_BYTES: usize = 96 * 1024;
/// Characters that grep shows of a line.
pub const GREP_LINE_CHARS: usize = 2_000;
/// A `.gitignore` or `.ignore`; glob and grep do not look into a folder with a larger one.
pub const IGNORE_FILE_BYTES: u64 = 1024 * 1024;
/// Entries of a tree that glob or grep visits (docs/rules.md 16).
pub const WALK_ENTRIES: usize = 50_000;

// A turn

/// The blocks of one answer of a model: what it may take in memory, all of its parts counted.
pub const ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// What a provider may put beside one answer for its own use (signatures, its thinking) to be given back. Of
/// an answer with more, all of it is left out and the log says so; the answer stands.
pub const BESIDE_BYTES: usize = 4 * 1024 * 1024;
