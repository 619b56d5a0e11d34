//! Events of a session.

pub(super) mod follow;
pub(super) mod list;
pub(super) mod listed;
pub(super) mod send;
pub(super) mod stream;

use protocol::event::{self, Event};

use crate::{
    openapi::{
        bodies,
        queries::{
            AFTER_EVENT, CREATED_GT, CREATED_GTE, CREATED_LT, CREATED_LTE, DELTAS, LOG_LIMIT, ORDER, PAGE,
            ParameterForm, parameter,
        },
    },
    operation::{GoodAnswer, Operation, OperationBody, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/sessions/{session_id}/events", "sessions.events.list", "what happened, page by page")
        .asks(&[
            parameter(
                "types[]",
                ParameterForm::Names(event::Body::LISTED, None),
                "Only events of these types.",
            ),
            CREATED_GT,
            CREATED_GTE,
            CREATED_LT,
            CREATED_LTE,
            ORDER,
            LOG_LIMIT,
            PAGE,
        ])
        .gives(GoodAnswer::page::<Event>(), |call| Box::pin(list::run(call))),
    post(
        "/v1/sessions/{session_id}/events",
        "sessions.events.send",
        "a client speaks to a session; outcomes are not supported yet",
    )
    .takes(OperationBody::Needed(bodies::EVENTS_SEND))
    .refuses(&[429])
    .gives(GoodAnswer::Sent, |call| Box::pin(send::run(call))),
    get("/v1/sessions/{session_id}/events/stream", "sessions.events.stream", "what happens, as it happens")
        .asks(&[DELTAS, AFTER_EVENT])
        .gives(GoodAnswer::Stream, |call| Box::pin(stream::run(call))),
];
