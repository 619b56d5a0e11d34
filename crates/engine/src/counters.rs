//! What the engine counts, for `/metrics`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The engine's counters and gauges.
#[derive(Debug)]
pub struct EngineCounters {
    registry: Registry,
    commits: Counter<u64, AtomicU64>,
    facts: Counter<u64, AtomicU64>,
    heads: Counter<u64, AtomicU64>,
    requests: Counter<u64, AtomicU64>,
    failures: Counter<u64, AtomicU64>,
    calls: Counter<u64, AtomicU64>,
    folded: Counter<u64, AtomicU64>,
    searched: Counter<u64, AtomicU64>,
    large: Counter<u64, AtomicU64>,
    live: Gauge<i64, AtomicI64>,
    resting: Gauge<i64, AtomicI64>,
    resting_bytes: Gauge<i64, AtomicI64>,
    feeds: Gauge<i64, AtomicI64>,
    blobs: Gauge<i64, AtomicI64>,
    free: Gauge<i64, AtomicI64>,
}

impl Default for EngineCounters {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("heddle");
        let [commits, facts, heads, requests, failures, calls, folded, searched, large] =
            std::array::from_fn(|_| Counter::default());
        let [live, resting, resting_bytes, feeds, blobs, free] = std::array::from_fn(|_| Gauge::default());
        registry.register("commits", "Durable commits to session logs", commits.clone());
        registry.register("facts", "Facts in those commits", facts.clone());
        registry.register("heads", "Head rows made, each for one commit", heads.clone());
        registry.register("model_requests", "Requests made to models", requests.clone());
        registry.register("model_failures", "Requests to models that failed", failures.clone());
        registry.register("tool_calls", "Calls of built-in tools that were begun", calls.clone());
        registry.register("sessions_folded", "Sessions whose logs were folded", folded.clone());
        registry.register("rows_searched", "Rows of logs read to find an event", searched.clone());
        registry.register("large_commits_read", "Large commits that streams read from logs", large.clone());
        registry.register("live_sessions", "Sessions at work, or watched", live.clone());
        registry.register("resting_sessions", "Sessions at rest in the cache", resting.clone());
        registry.register("resting_bytes", "Bytes that these take", resting_bytes.clone());
        registry.register("streams", "Open streams", feeds.clone());
        registry.register(
            "blob_bytes",
            "Bytes of pictures and documents kept beside the logs",
            blobs.clone(),
        );
        registry.register("disk_free_bytes", "Bytes free on the disk of the data directory", free.clone());
        Self {
            registry,
            commits,
            facts,
            heads,
            requests,
            failures,
            calls,
            folded,
            searched,
            large,
            live,
            resting,
            resting_bytes,
            feeds,
            blobs,
            free,
        }
    }
}

impl EngineCounters {
    /// All of them in Prometheus's text form.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string does not fail; an empty answer is the honest one if it ever did.
            Err(std::fmt::Error) => String::new(),
        }
    }

    pub(crate) fn committed(&self, facts: usize) {
        self.commits.inc();
        self.facts.inc_by(facts as u64);
    }

    pub(crate) fn made_head(&self) {
        self.heads.inc();
    }

    pub(crate) fn asked(&self) {
        self.requests.inc();
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn called(&self) {
        self.calls.inc();
    }

    pub(crate) fn folded(&self) {
        self.folded.inc();
    }

    pub(crate) fn searched(&self, rows: usize) {
        self.searched.inc_by(rows as u64);
    }

    pub(crate) fn read_large(&self) {
        self.large.inc();
    }

    pub(crate) fn live(&self, sessions: usize) {
        self.live.set(level(sessions));
    }

    pub(crate) fn resting(&self, sessions: usize, bytes: usize) {
        self.resting.set(level(sessions));
        self.resting_bytes.set(level(bytes));
    }

    pub(crate) fn blobs(&self, bytes: u64) {
        self.blobs.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn free(&self, bytes: u64) {
        self.free.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn watching(self: &Arc<Self>) -> WatchedStream {
        self.feeds.inc();
        WatchedStream(Arc::clone(self))
    }
}

fn level(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// One open stream, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct WatchedStream(Arc<EngineCounters>);

impl Drop for WatchedStream {
    fn drop(&mut self) {
        self.0.feeds.dec();
    }
}
