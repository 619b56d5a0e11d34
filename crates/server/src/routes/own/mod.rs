//! Heddle's own doors beside the API: is it alive, is it ready, what has it counted, what is it (like).
//!
//! The first three need no key when the caller sits on the same machine and asks by address.
//! `/openapi.json` and `/` need none at all: they are the same for everybody, say nothing of what this server
//! holds, and are in the source for anyone to read; a person with a browser and a tool that makes clients
//! both want them before they have a key.

pub(crate) mod doors;

use super::threads;
use crate::operation::{Face, GoodAnswer, Operation, get};

/// One of them, as `/openapi.json` tells it.
#[derive(Debug)]
pub(crate) struct OwnRoute {
    /// Where it is.
    pub(crate) path: &'static str,
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) summary: &'static str,
    /// What a good answer says.
    pub(crate) answer: &'static str,
    /// The `content-type` of a good answer.
    pub(crate) kind: &'static str,
    /// Whether nobody needs a key.
    pub(crate) public: bool,
    /// How it may refuse, beside keys and faults.
    pub(crate) refusals: &'static [u16],
    /// What is behind it.
    shows: Shows,
}

/// What is behind a door.
#[derive(Debug, Clone, Copy)]
enum Shows {
    /// That the server is alive.
    Alive,
    /// Whether it takes work.
    Ready,
    /// What it has counted.
    Counters,
    /// `/openapi.json`.
    Document,
    /// The page for a person.
    Home,
}

const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// All of them.
pub(crate) const DOORS: &[OwnRoute] = &[
    OwnRoute {
        path: "/healthz",
        name: "heddle.healthz",
        summary: "whether the server is alive",
        answer: "It is.",
        kind: "application/json",
        public: false,
        refusals: &[],
        shows: Shows::Alive,
    },
    OwnRoute {
        path: "/readyz",
        name: "heddle.readyz",
        summary: "whether the server takes work: its store writes, and it is not about to stop",
        answer: "It does.",
        kind: "application/json",
        public: false,
        refusals: &[529],
        shows: Shows::Ready,
    },
    OwnRoute {
        path: "/metrics",
        name: "heddle.metrics",
        summary: "what the server has counted, in the OpenMetrics text form",
        answer: "The counters.",
        kind: METRICS,
        public: false,
        refusals: &[],
        shows: Shows::Counters,
    },
    OwnRoute {
        path: "/openapi.json",
        name: "heddle.openapi",
        summary: "this document",
        answer: "The document.",
        kind: "application/json",
        public: true,
        refusals: &[],
        shows: Shows::Document,
    },
    OwnRoute {
        path: "/",
        name: "heddle.home",
        summary: "what this is and how to begin, for a person with a browser",
        answer: "The page.",
        kind: HTML,
        public: true,
        refusals: &[],
        shows: Shows::Home,
    },
];

/// What is behind a key like the API's.
pub(super) const OPERATIONS: &[Operation] = &[get(
    "/heddle/sessions/{session_id}/threads/{thread_id}/prompt",
    "heddle.prompt",
    "what a thread's model was sent last",
)
.of(Face::Heddle)
.gives(GoodAnswer::Object, |call| Box::pin(threads::prompt::run(call)))];
