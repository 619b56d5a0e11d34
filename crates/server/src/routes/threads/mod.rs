//! Threads of a session.

pub(super) mod archive;
pub(super) mod events;
mod found;
pub(super) mod list;
pub(super) mod prompt;
pub(super) mod retrieve;
pub(super) mod stream;

use protocol::{event::Event, session::SessionThread};

use crate::{
    openapi::queries::{AFTER_EVENT, DELTAS, LOG_LIMIT, ORDER, PAGE, STATUSES},
    operation::{GoodAnswer, Operation, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get(
        "/v1/sessions/{session_id}/threads",
        "sessions.threads.list",
        "a session's threads, the primary first",
    )
    .asks(&[STATUSES, LOG_LIMIT, PAGE])
    .gives(GoodAnswer::page::<SessionThread>(), |call| Box::pin(list::run(call))),
    get("/v1/sessions/{session_id}/threads/{thread_id}", "sessions.threads.retrieve", "one thread")
        .gives(GoodAnswer::one::<SessionThread>(), |call| Box::pin(retrieve::run(call))),
    post(
        "/v1/sessions/{session_id}/threads/{thread_id}/archive",
        "sessions.threads.archive",
        "ends a child thread",
    )
    .gives(GoodAnswer::one::<SessionThread>(), |call| Box::pin(archive::run(call))),
    get(
        "/v1/sessions/{session_id}/threads/{thread_id}/events",
        "sessions.threads.events.list",
        "what happened on one thread",
    )
    .asks(&[ORDER, LOG_LIMIT, PAGE])
    .gives(GoodAnswer::page::<Event>(), |call| Box::pin(events::run(call))),
    get(
        "/v1/sessions/{session_id}/threads/{thread_id}/stream",
        "sessions.threads.events.stream",
        "what happens on one thread",
    )
    .asks(&[DELTAS, AFTER_EVENT])
    .gives(GoodAnswer::Stream, |call| Box::pin(stream::run(call))),
];
