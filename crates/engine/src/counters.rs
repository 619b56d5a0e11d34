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
pub struct Counters {
    registry: Registry,
    commits: Counter<u64, AtomicU64>,
    facts: Counter<u64, AtomicU64>,
    requests: Counter<u64, AtomicU64>,
    failures: Counter<u64, AtomicU64>,
    calls: Counter<u64, AtomicU64>,
    live: Gauge<i64, AtomicI64>,
    feeds: Gauge<i64, AtomicI64>,
    blobs: Gauge<i64, AtomicI64>,
}

impl Default for Counters {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("heddle");
        let [commits, facts, requests, failures, calls] = std::array::from_fn(|_| Counter::default());
        let [live, feeds, blobs] = std::array::from_fn(|_| Gauge::default());
        registry.register("commits", "Durable commits to session logs", commits.clone());
        registry.register("facts", "Facts in those commits", facts.clone());
        registry.register("model_requests", "Requests made to models", requests.clone());
        registry.register("model_failures", "Requests to models that failed", failures.clone());
        registry.register("tool_calls", "Calls of built-in tools that were begun", calls.clone());
        registry.register("live_sessions", "Sessions held in memory", live.clone());
        registry.register("streams", "Open streams", feeds.clone());
        registry.register(
            "blob_bytes",
            "Bytes of pictures and documents kept beside the logs",
            blobs.clone(),
        );
        Self { registry, commits, facts, requests, failures, calls, live, feeds, blobs }
    }
}

impl Counters {
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

    pub(crate) fn asked(&self) {
        self.requests.inc();
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn called(&self) {
        self.calls.inc();
    }

    pub(crate) fn live(&self, sessions: usize) {
        self.live.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    pub(crate) fn blobs(&self, bytes: u64) {
        self.blobs.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn watching(self: &Arc<Self>) -> Watching {
        self.feeds.inc();
        Watching(Arc::clone(self))
    }
}

/// One open stream, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching(Arc<Counters>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.feeds.dec();
    }
}
