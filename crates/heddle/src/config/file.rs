//! What `heddle.toml` may say: every key with its meaning, its default and its bounds. The reader checks the
//! file against these types, and `heddle config` prints them: there is no second list.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::{
    Object, limits,
    routes::{RouteProvider, SpareMember},
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use super::{
    choice::{LogFormat, SandboxMode},
    listen::LISTEN,
};

/// Where everything is kept, if nothing else is said.
const DATA: &str = "heddle-data";
/// The most that a server may be set to: threads of a session, levels below the primary, days, MiB, tokens.
const THREADS: u32 = 1_000;
const DEPTH: u32 = 5;
const DAYS: u32 = 36_500;
const MIB: u64 = 1 << 30;
const TOKENS: u64 = 100_000_000;
/// The last number that a user may have.
const USERS: u32 = u32::MAX - 1;
/// The most requests to a route at once.
const CONCURRENCY: usize = limits::REQUESTS_PER_ROUTE_MAX;
/// The most attempts at a request, and the most seconds that a provider is waited for.
const ATTEMPTS: u32 = limits::ATTEMPTS_MAX;
const CONNECT: u64 = limits::MODEL_CONNECT_S_MAX;
const SILENCE: u64 = limits::MODEL_SILENCE_S_MAX;
/// The most bytes that the cache of sessions may be given.
const CACHE: u64 = 1 << 40;

/// The settings of a Heddle server. Every key may be left out; a flag or an environment variable goes before
/// what stands here, and `heddle doctor` says where each setting comes from. Paths are meant from where the
/// server is started.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "File")]
pub(super) struct SettingsFile {
    /// Where to listen: an address or a name of this machine, and a port; port 0 takes a free one. Whoever
    /// reaches another address than loopback can try keys: put TLS in front of it. (--listen, HEDDLE_LISTEN)
    pub(super) listen: String,
    /// Where everything is kept: the database, the first key, the sandboxes' files. (--data, HEDDLE_DATA)
    pub(super) data: PathBuf,
    /// A file of certificates in PEM that are trusted beside the system's own when a model's provider is
    /// asked. None by default.
    #[schemars(example = "company-ca.pem")]
    pub(super) extra_ca: Option<PathBuf>,
    /// Where agents' commands run.
    pub(super) sandbox: FileSandbox,
    /// How many agents a session may have.
    pub(super) threads: FileThreads,
    /// What the server keeps in memory of sessions at rest, so that their next turns begin at once.
    pub(super) cache: FileCache,
    /// What the server writes to standard error.
    pub(super) log: FileLog,
    /// Web pages that may call this server from a browser.
    pub(super) cors: FileCors,
    /// Which provider answers for a model, one table for each model id or, with a `*` at the end, for every
    /// id that begins so. An exact name goes before a pattern, a longer pattern before a shorter one.
    /// `claude-*` (the Messages API, with ANTHROPIC_API_KEY) is there without being named.
    pub(super) routes: BTreeMap<String, FileRoute>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSandbox {
    /// `local` runs commands in a jail of this machine; `off` runs them as the server's own user, with
    /// nothing in between. (--sandbox, HEDDLE_SANDBOX)
    pub(super) mode: SandboxMode,
    /// Further trees that agents may read and run, as absolute paths; none that holds the data directory or
    /// lies in it, nor the host's /etc. None by default. `heddle doctor` says whether sockets in them can be
    /// reached.
    #[schemars(example = ["/opt/toolchain"])]
    pub(super) readonly: Vec<PathBuf>,
    /// Users of this host that agents' commands run as when the server is root, each sandbox as one that no
    /// other is: the first and how many, at least as many as `jails`, none of whom anybody else is. Servers
    /// of one host may have the same range: what one has taken another leaves alone. A server that is not
    /// root takes them from /etc/subuid and /etc/subgid instead. With `own` all run as the server's own user.
    pub(super) uids: UserRange,
    /// One user for all sandboxes of a server that is root, in place of `uids`: what earlier versions
    /// did, and what lets sandboxes use up for each other what the kernel counts by user. None by
    /// default.
    #[schemars(range(min = 1, max = USERS), example = 65_534)]
    pub(super) user: Option<u32>,
    /// Sandboxes at once. Further sessions wait their turn.
    #[schemars(range(min = 1, max = limits::SANDBOXES_MAX))]
    pub(super) jails: usize,
    /// Days for which the files of a session that does not use its tools are kept.
    #[schemars(range(min = 1, max = DAYS))]
    pub(super) keep_days: u32,
    /// Memory that one session's commands may take, in MiB: all of it together where the server has cgroups
    /// to divide, what each process has for itself elsewhere.
    #[schemars(range(min = 64, max = MIB))]
    pub(super) memory_mib: u64,
    /// Memory of the machine, in MiB, that stays available: under it the sandbox that holds most is ended. 0
    /// stands for 512, or an eighth of all memory if that is less.
    #[schemars(range(min = 0, max = MIB))]
    pub(super) memory_free_mib: u64,
    /// What one session's files may take on the disk, in MiB.
    #[schemars(range(min = 1, max = MIB))]
    pub(super) disk_mib: u64,
    /// Room on the disk, in MiB, under which commands can make no file longer; under half of it the session
    /// whose files grew most is stopped and cut back.
    #[schemars(range(min = 2, max = MIB))]
    pub(super) disk_free_mib: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileThreads {
    /// Children at once in one session, idle ones too.
    #[schemars(range(min = 1, max = THREADS))]
    pub(super) max: u32,
    /// Levels of children; with 2, an agent that was called may call others.
    #[schemars(range(min = 1, max = DEPTH))]
    pub(super) max_depth: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileCache {
    /// Bytes that they may take; those that rest for the longest time go first, and are read from the log
    /// again when they are needed. 0 keeps none.
    #[schemars(range(min = 0, max = CACHE))]
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileLog {
    /// `text` for people, `json` for machines, one object a line. (--log-format, HEDDLE_LOG_FORMAT)
    pub(super) format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or a list such as
    /// `info,server=debug` with a level for each part. Libraries say no more than warnings unless they are
    /// named, as in `debug,hyper=debug`. (--log, HEDDLE_LOG)
    pub(super) filter: LogFilter,
}

/// A range of users as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Uids")]
pub(super) struct UserRange(pub(super) String);

impl Default for UserRange {
    fn default() -> Self {
        Self("2000000000:4096".into())
    }
}

/// A filter's text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Filter")]
pub(super) struct LogFilter(pub(super) String);

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileCors {
    /// The origins of those pages, exactly as a browser names them. None by default: no page may.
    #[schemars(example = ["https://app.example"])]
    pub(super) origins: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRoute {
    /// The wire that the provider speaks. Must be given.
    pub(super) provider: FileWire,
    /// Where the provider is. `messages` has a default, HEDDLE_ANTHROPIC_BASE_URL or else
    /// https://api.anthropic.com; `chat-completions` has none.
    #[schemars(example = "http://127.0.0.1:8000")]
    pub(super) base_url: Option<String>,
    /// The environment variable that holds the provider's key: its name, never the key itself. If
    /// left out no key is sent.
    #[schemars(example = &"MY_MODEL_KEY")]
    pub(super) key: Option<String>,
    /// A file that holds the provider's key and nothing else, in place of `key`: a path that begins with
    /// `/` or `./`, read at each request, so that a key can be changed while the server runs. Agents must
    /// not be able to read it: it lies in no tree that they are shown, such as /usr. None by default.
    #[schemars(example = &"/run/secrets/my-model-key")]
    pub(super) key_file: Option<String>,
    /// Tokens that the model reads at most; if left out 128000, and 200000 for `claude-*`.
    #[schemars(range(min = 1, max = TOKENS), example = 128_000)]
    pub(super) window: Option<u64>,
    /// Tokens that it writes at most in one answer; if left out 8192, and 32000 for `claude-*`.
    #[schemars(range(min = 1, max = TOKENS), example = 8_192)]
    pub(super) max_output: Option<u64>,
    /// Requests to it under way at once; if left out 256. Further ones wait, and sessions take turns.
    #[schemars(range(min = 1, max = CONCURRENCY), example = limits::REQUESTS_PER_ROUTE)]
    pub(super) concurrency: Option<u32>,
    /// How often a request is made in all while it fails for a time; if left out 8. An answer that says
    /// nothing is paid for and asked for 3 times at most.
    #[schemars(range(min = 1, max = ATTEMPTS), example = limits::ATTEMPTS)]
    pub(super) attempts: Option<u32>,
    /// Seconds within which the provider must be connected to; if left out 10.
    #[schemars(range(min = 1, max = CONNECT), example = limits::MODEL_CONNECT_S)]
    pub(super) connect: Option<u64>,
    /// Seconds without a byte after which an answer that has begun counts as cut off; if left out 120.
    #[schemars(range(min = 1, max = SILENCE), example = limits::MODEL_SILENCE_S)]
    pub(super) silence: Option<u64>,
    /// Seconds without a byte that an answer may take to begin, the connection included: more where the model
    /// is loaded first or reads slowly; if left out the same as `silence`.
    #[schemars(range(min = 1, max = SILENCE), example = limits::MODEL_EMPTY_S)]
    pub(super) first_byte: Option<u64>,
    /// Further headers of every request, sent as they stand: no place for a secret. None by default.
    #[serde(default)]
    #[schemars(example = team())]
    pub(super) headers: BTreeMap<String, String>,
    /// Further members of every request's body, sent as they stand: what a provider takes beside what Heddle
    /// writes itself. No place for a secret. None by default.
    #[serde(default)]
    #[schemars(example = cool())]
    pub(super) body: Object,
    /// Members of a request that the provider does not take. Heddle leaves them out by itself once they were
    /// refused; named here they are never sent. `max_tokens` and `max_completion_tokens` are two names of one
    /// bound: without the one the other is sent, and both together cannot be named. None by default.
    #[serde(default)]
    #[schemars(example = [OmittedMember::StreamOptions])]
    pub(super) leave_out: Vec<OmittedMember>,
}

impl FileRoute {
    /// A route of which only the wire is said.
    pub(super) fn plain(provider: FileWire) -> Self {
        Self {
            provider,
            base_url: None,
            key: None,
            key_file: None,
            window: None,
            max_output: None,
            concurrency: None,
            attempts: None,
            connect: None,
            silence: None,
            first_byte: None,
            headers: BTreeMap::new(),
            body: Object::new(),
            leave_out: Vec::new(),
        }
    }
}

/// A member of a request that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LeftOut")]
pub(super) enum OmittedMember {
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    CacheControl,
}

impl From<OmittedMember> for SpareMember {
    fn from(left_out: OmittedMember) -> Self {
        match left_out {
            OmittedMember::StreamOptions => Self::StreamOptions,
            OmittedMember::MaxTokens => Self::MaxTokens,
            OmittedMember::MaxCompletionTokens => Self::MaxCompletionTokens,
            OmittedMember::CacheControl => Self::CacheControl,
        }
    }
}

/// The wires that a route of the file may speak; the built-in script is `heddle-demo`'s alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Wire")]
pub(super) enum FileWire {
    Messages,
    ChatCompletions,
}

fn team() -> BTreeMap<String, String> {
    BTreeMap::from([("x-team".into(), "weavers".into())])
}

fn cool() -> Object {
    Object::from_iter([("temperature".to_owned(), 0.2.into())])
}

impl From<FileWire> for RouteProvider {
    fn from(wire: FileWire) -> Self {
        match wire {
            FileWire::Messages => Self::Messages,
            FileWire::ChatCompletions => Self::ChatCompletions,
        }
    }
}

impl Default for SettingsFile {
    fn default() -> Self {
        Self {
            listen: LISTEN.into(),
            data: DATA.into(),
            extra_ca: None,
            sandbox: FileSandbox::default(),
            threads: FileThreads::default(),
            cache: FileCache::default(),
            log: FileLog::default(),
            cors: FileCors::default(),
            routes: BTreeMap::new(),
        }
    }
}

/// As docs/rules.md 10 says.
impl Default for FileSandbox {
    fn default() -> Self {
        let sandbox::JailLimits { data_bytes, disk_bytes, free_bytes, memory_free_bytes, .. } =
            sandbox::JailLimits::default();
        Self {
            mode: SandboxMode::Local,
            readonly: Vec::new(),
            uids: UserRange::default(),
            user: None,
            jails: limits::SANDBOXES,
            keep_days: 30,
            memory_mib: data_bytes >> 20,
            memory_free_mib: memory_free_bytes >> 20,
            disk_mib: disk_bytes >> 20,
            disk_free_mib: free_bytes >> 20,
        }
    }
}

impl Default for FileThreads {
    fn default() -> Self {
        let engine::ThreadLimits { max_threads, max_depth } = engine::ThreadLimits::default();
        Self { max: max_threads, max_depth }
    }
}

impl Default for FileCache {
    fn default() -> Self {
        Self { bytes: limits::SESSION_CACHE_BYTES as u64 }
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

/// The file as a JSON Schema, everything in its place.
pub(super) fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<SettingsFile>()
}

/// A key as it is written in a path: quoted if it is no bare word.
pub(super) fn spelled(key: &str) -> String {
    let bare = |at: char| at.is_ascii_alphanumeric() || at == '_' || at == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}
