//! The door: the Claude face of the engine over HTTP.
//!
//! A request comes over a connection (`serve`, `wire`) to the `router`, in through the `entrance` (the
//! checks, in one order), runs as a `call` one file of `routes` (one endpoint, one file, with its tests) and
//! goes out through `answer` (headers, an error's body). Nothing here knows what may happen in a session:
//! that is the kernel's, behind the engine's one commit.

mod answer;
mod auth;
mod bodies;
mod body;
mod call;
mod connections;
mod cors;
#[cfg(debug_assertions)]
mod ends;
mod entrance;
mod error;
mod http2;
mod lane;
mod openapi;
mod operation;
mod page;
mod query;
mod ready;
mod retried;
mod revoked;
mod router;
mod routes;
mod serve;
mod slips;
mod sse;
mod streams;
#[cfg(test)]
mod testing;
mod unread;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::{Router, http::HeaderValue};
use engine::{Engine, LogThrottle, keys};
use protocol::WorkspaceId;
use tokio_util::task::TaskTracker;

use crate::{
    bodies::BodiesUnderWay, error::FrequentReason, ready::WriteTrial, retried::IdempotencyCache,
    revoked::StreamingKeys, streams::OpenStreams, unread::UnreadAnswers,
};

#[cfg(debug_assertions)]
pub use crate::ends::End;
pub use crate::{revoked::KeyWatch, serve::serve};

/// What the door needs to know beside the engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The workspace that this server serves.
    pub workspace: WorkspaceId,
    /// The hash ([`keys::hash`]) of a key that the environment names, valid while this server runs.
    pub env_key_hash: Option<[u8; 32]>,
    /// Connections at once; streams leave a part of them to requests.
    pub connections: usize,
    /// The origins whose web pages may call from a browser; with none, nothing of CORS is answered.
    pub origins: Vec<HeaderValue>,
    /// Lets a task of the server panic, for a test.
    #[cfg(debug_assertions)]
    pub end: End,
}

/// How often it is said of strangers that there are some.
const STRANGERS: Duration = Duration::from_mins(1);
/// How often it is said of requests that they fail for one and the same reason.
const OFTEN: Duration = Duration::from_secs(1);

/// What every endpoint shares.
#[derive(Debug)]
struct AppState {
    engine: Engine,
    settings: Settings,
    bodies: BodiesUnderWay,
    ready: WriteTrial,
    working: IdempotencyCache,
    streaming: StreamingKeys,
    streams: Arc<OpenStreams>,
    unread: UnreadAnswers,
    /// Requests that show no key that opens.
    strangers: LogThrottle,
    /// Requests of such that failed for a reason of ours.
    failures: LogThrottle,
    /// Requests that failed because the disk is full, and because it has damaged what they need.
    full: LogThrottle,
    damaged: LogThrottle,
    /// Changes under way: a client that goes away does not cut them.
    tasks: TaskTracker,
}

impl AppState {
    fn seldom(&self, often: FrequentReason) -> &LogThrottle {
        match often {
            FrequentReason::Full => &self.full,
            FrequentReason::Damaged => &self.damaged,
        }
    }

    fn new(engine: Engine, settings: Settings) -> Arc<Self> {
        let streams = OpenStreams::new(settings.connections);
        Arc::new(Self {
            engine,
            settings,
            bodies: BodiesUnderWay::default(),
            ready: WriteTrial::default(),
            working: IdempotencyCache::default(),
            streaming: StreamingKeys::default(),
            streams,
            unread: UnreadAnswers::default(),
            strangers: LogThrottle::every(STRANGERS),
            failures: LogThrottle::every(STRANGERS),
            full: LogThrottle::every(OFTEN),
            damaged: LogThrottle::every(OFTEN),
            tasks: TaskTracker::new(),
        })
    }
}

/// The whole API, over `engine`, and the watch over its keys.
pub fn router(engine: Engine, settings: Settings) -> (Router, KeyWatch) {
    let door = AppState::new(engine, settings);
    (router::furnished(router::all(), Arc::clone(&door)), KeyWatch::new(&door))
}
