//! The route table: which provider answers for a model id (docs/rules.md 14). Plain data.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Object, Timestamp, limits};

/// Which wire a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteProvider {
    /// The Messages API.
    Messages,
    /// The chat-completions API, as OpenAI, vLLM, Ollama and llama.cpp speak it.
    ChatCompletions,
    /// The built-in script of `heddle-demo`.
    Script,
}

impl RouteProvider {
    /// As the settings' file spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ChatCompletions => "chat-completions",
            Self::Script => "script",
        }
    }
}

/// What the keys begin with that open a server of ours: such a key is never a provider's.
pub const OWN_KEY: &str = "hdl_";

/// Tokens a model reads at most, and writes in one answer, where nothing else is said (docs/rules.md 9).
pub const WINDOW: u64 = 128_000;
/// See [`WINDOW`].
pub const MAX_OUTPUT: u64 = 8_192;

/// Where a provider's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKey {
    /// In the environment variable of this name, read when the server starts.
    Variable(String),
    /// In the file at this path, read at each request.
    File(String),
}

impl ProviderKey {
    /// The name of the variable or the path of the file, to be told to a person.
    pub fn place(&self) -> &str {
        match self {
            Self::Variable(place) | Self::File(place) => place,
        }
    }
}

/// How long a provider may take, each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutePatience {
    /// To be connected to: 1 second to [`limits::MODEL_CONNECT_S_MAX`].
    pub connect: Duration,
    /// To begin an answer, as long as it sends nothing, to be connected to included: 1 second to
    /// [`limits::MODEL_SILENCE_S_MAX`].
    pub first_byte: Duration,
    /// To send the next byte of an answer that has begun: 1 second to [`limits::MODEL_SILENCE_S_MAX`].
    pub silence: Duration,
}

impl RoutePatience {
    /// With a provider of which nothing is said.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(limits::MODEL_CONNECT_S),
        first_byte: Duration::from_secs(limits::MODEL_SILENCE_S),
        silence: Duration::from_secs(limits::MODEL_SILENCE_S),
    };
}

/// A member of a request without which a provider can answer as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpareMember {
    /// That the cost be told.
    StreamOptions,
    /// The longest answer, by its old name.
    MaxTokens,
    /// The longest answer, by its new name.
    MaxCompletionTokens,
    /// What is to be cached.
    CacheControl,
}

impl SpareMember {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::StreamOptions, Self::MaxTokens, Self::MaxCompletionTokens, Self::CacheControl];

    /// Its name in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamOptions => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::CacheControl => "cache_control",
        }
    }

    /// Whether a request by this wire has it, and can do without it.
    pub const fn is_of(self, provider: RouteProvider) -> bool {
        match (provider, self) {
            (
                RouteProvider::ChatCompletions,
                Self::StreamOptions | Self::MaxTokens | Self::MaxCompletionTokens,
            )
            | (RouteProvider::Messages, Self::CacheControl) => true,
            (RouteProvider::ChatCompletions, Self::CacheControl)
            | (RouteProvider::Messages, Self::StreamOptions | Self::MaxTokens | Self::MaxCompletionTokens)
            | (RouteProvider::Script, _) => false,
        }
    }
}

/// One route of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The model ids it answers for: a name, or a name that ends in `*`.
    pub pattern: String,
    /// The wire it speaks.
    pub provider: RouteProvider,
    /// Where the provider listens: what stands before `/v1/messages` or `/chat/completions` (so that it ends
    /// in `/v1` there, as a rule); empty for the script.
    pub base_url: String,
    /// Where the key is. `None`: no key is sent.
    pub key: Option<ProviderKey>,
    /// Further headers of every request: name and value, in the order given. No secret: the key has a
    /// place of its own. Those that carry the key or frame the body are refused.
    pub headers: Vec<(String, String)>,
    /// Further members of every request's body: none that the wire writes itself.
    pub body: Object,
    /// What is left out of every request.
    pub leave_out: Vec<SpareMember>,
    /// Tokens the model can read at most.
    pub window: u64,
    /// Whether that is known; else it is only what is taken where nobody said it.
    pub window_known: bool,
    /// Tokens it may write in one answer.
    pub max_output: u64,
    /// Requests under way at once: 1 to [`limits::REQUESTS_PER_ROUTE_MAX`]. Further ones wait their turn.
    pub concurrency: usize,
    /// How long the provider may take.
    pub patience: RoutePatience,
    /// How often a request is made in all while it fails for a time: 1 to [`limits::ATTEMPTS_MAX`].
    pub attempts: u32,
}

impl Route {
    /// A route to the built-in script for the models of `pattern`.
    pub fn script(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            provider: RouteProvider::Script,
            base_url: String::new(),
            key: None,
            headers: Vec::new(),
            body: Object::new(),
            leave_out: Vec::new(),
            window: WINDOW,
            window_known: false,
            max_output: MAX_OUTPUT,
            concurrency: limits::REQUESTS_PER_ROUTE,
            patience: RoutePatience::DEFAULT,
            attempts: limits::ATTEMPTS,
        }
    }

    /// Whether this route answers for `model`.
    pub fn answers(&self, model: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => self.pattern == model,
        }
    }
}

/// All routes; the first that answers is taken, no route means no model (no silent fallback).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// The route for `model`.
    pub fn route(&self, model: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.answers(model))
    }

    /// The patterns, for the error that names them.
    pub fn patterns(&self) -> Vec<&str> {
        self.0.iter().map(|route| route.pattern.as_str()).collect()
    }
}

/// A model that a provider says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedModel {
    /// Its id, as an agent names it.
    pub id: String,
    /// What people call it, if the provider says so.
    pub display_name: Option<String>,
    /// Since when it is there, if the provider says so.
    pub created_at: Option<Timestamp>,
}
