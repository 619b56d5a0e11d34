//! The route table: which provider answers for a model id (design decision 9). Plain data.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{Stamp, limits};

/// Which wire a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The Messages API.
    Messages,
    /// The chat-completions API, as OpenAI, vLLM, Ollama and llama.cpp speak it.
    ChatCompletions,
    /// The built-in script of `heddle-demo`.
    Script,
}

impl Provider {
    /// As the settings' file spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ChatCompletions => "chat-completions",
            Self::Script => "script",
        }
    }
}

/// Tokens a model reads at most, and writes in one answer, where nothing else is said (rules.md 9).
pub const WINDOW: u64 = 128_000;
/// See [`WINDOW`].
pub const MAX_OUTPUT: u64 = 8_192;

/// One route of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The model ids it answers for: a name, or a name that ends in `*`.
    pub pattern: String,
    /// The wire it speaks.
    pub provider: Provider,
    /// Where the provider listens: what stands before `/v1/messages` or `/chat/completions` (so that it ends
    /// in `/v1` there, as a rule); empty for the script.
    pub base_url: String,
    /// The environment variable that holds the key, to name it in an error. `None`: no key is sent.
    pub key_variable: Option<String>,
    /// Further headers of every request: name and value, in the order given. No secret: the key has a
    /// place of its own. Those that carry the key or frame the body are refused.
    pub headers: Vec<(String, String)>,
    /// Tokens the model can read at most.
    pub window: u64,
    /// Tokens it may write in one answer.
    pub max_output: u64,
    /// Requests under way at once: 1 to [`limits::REQUESTS_PER_ROUTE_MAX`]. Further ones wait their turn.
    pub concurrency: usize,
}

impl Route {
    /// A route to the built-in script for the models of `pattern`.
    pub fn script(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            provider: Provider::Script,
            base_url: String::new(),
            key_variable: None,
            headers: Vec::new(),
            window: WINDOW,
            max_output: MAX_OUTPUT,
            concurrency: limits::REQUESTS_PER_ROUTE,
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
pub struct Offered {
    /// Its id, as an agent names it.
    pub id: String,
    /// What people call it, if the provider says so.
    pub display_name: Option<String>,
    /// Since when it is there, if the provider says so.
    pub created_at: Option<Stamp>,
}
