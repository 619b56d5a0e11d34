//! What work costs: tokens of one request, and the sums that sessions and threads show.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens of one model request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestTokens {
    /// Input read without a cache.
    pub input: u64,
    /// Output written.
    pub output: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to the cache for an hour.
    pub cache_write_1h: u64,
}

impl RequestTokens {
    /// All that was read, from whichever cache.
    #[must_use]
    pub fn read(self) -> u64 {
        let parts = [self.cache_read, self.cache_write_5m, self.cache_write_1h];
        parts.into_iter().fold(self.input, u64::saturating_add)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
        }
    }
}

/// The `usage` of a session, a thread or a `session.usage` event.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds in which at least one thread ran; live while running.
    pub active_seconds: Option<f64>,
    /// Tokens written to caches; null until caching was first used.
    pub cache_creation: Option<CacheCreation>,
    /// Tokens read from caches.
    pub cache_read_input_tokens: Option<u64>,
    /// Input tokens read without a cache.
    pub input_tokens: Option<u64>,
    /// What it cost at list price; null where the route has no price.
    pub list_cost: Option<MoneyAmount>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Server-side tool requests.
    pub server_tool_use: Option<ServerToolUse>,
}

impl Usage {
    /// The usage that these sums make.
    pub fn of(tokens: RequestTokens, active_seconds: f64) -> Self {
        let cached = tokens.cache_write_5m + tokens.cache_write_1h > 0;
        Self {
            active_seconds: Some(active_seconds),
            cache_creation: cached.then_some(CacheCreation {
                ephemeral_1h_input_tokens: Some(tokens.cache_write_1h),
                ephemeral_5m_input_tokens: Some(tokens.cache_write_5m),
            }),
            cache_read_input_tokens: Some(tokens.cache_read),
            input_tokens: Some(tokens.input),
            list_cost: None,
            output_tokens: Some(tokens.output),
            server_tool_use: Some(ServerToolUse {
                web_fetch_requests: Some(0),
                web_search_requests: Some(0),
            }),
        }
    }
}

/// Tokens written to the provider's caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct CacheCreation {
    /// Kept for an hour.
    pub ephemeral_1h_input_tokens: Option<u64>,
    /// Kept for five minutes.
    pub ephemeral_5m_input_tokens: Option<u64>,
}

/// Requests of tools that the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct ServerToolUse {
    /// Pages fetched.
    pub web_fetch_requests: Option<u64>,
    /// Searches made.
    pub web_search_requests: Option<u64>,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Money")]
pub struct MoneyAmount {
    /// Whole cents, in digits.
    pub amount: String,
    /// Always `USD`.
    pub currency: String,
}

/// The `model_usage` of `span.model_request_end`.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct SpanUsage {
    /// Tokens written to caches.
    pub cache_creation_input_tokens: u64,
    /// Tokens read from caches.
    pub cache_read_input_tokens: u64,
    /// Input tokens read without a cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Always null: fast mode is not served.
    pub speed: Option<String>,
}

impl From<RequestTokens> for SpanUsage {
    fn from(tokens: RequestTokens) -> Self {
        Self {
            cache_creation_input_tokens: tokens.cache_write_5m + tokens.cache_write_1h,
            cache_read_input_tokens: tokens.cache_read,
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            speed: None,
        }
    }
}
