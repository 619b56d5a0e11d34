//! Events of a session.

pub(super) mod list;
pub(super) mod send;
pub(super) mod stream;

use engine::{EventCursor, EventPage, EventQuery};
use protocol::{
    EventId, SessionId,
    event::{self, Event},
};

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    openapi::{
        bodies,
        queries::{
            AFTER_EVENT, CREATED_GT, CREATED_GTE, CREATED_LT, CREATED_LTE, DELTAS, Form, LOG_LIMIT, ORDER,
            PAGE, parameter,
        },
    },
    operation::{Body, Good, Operation, get, post},
    page::{self, Items, Listing, Token},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/sessions/{session_id}/events", "sessions.events.list", "what happened, page by page")
        .asks(&[
            parameter("types[]", Form::Names(event::Body::LISTED, None), "Only events of these types."),
            CREATED_GT,
            CREATED_GTE,
            CREATED_LT,
            CREATED_LTE,
            ORDER,
            LOG_LIMIT,
            PAGE,
        ])
        .gives(Good::page::<Event>(), |call| Box::pin(list::run(call))),
    post(
        "/v1/sessions/{session_id}/events",
        "sessions.events.send",
        "a client speaks to a session; outcomes are not supported yet",
    )
    .takes(Body::Needed(bodies::EVENTS_SEND))
    .refuses(&[429])
    .gives(Good::Sent, |call| Box::pin(send::run(call))),
    get("/v1/sessions/{session_id}/events/stream", "sessions.events.stream", "what happens, as it happens")
        .asks(&[DELTAS, AFTER_EVENT])
        .gives(Good::Stream, |call| Box::pin(stream::run(call))),
];

/// One page of events of a session or of one of its threads. `missing` is what to say when there is none.
pub(super) async fn page(
    call: &Call,
    session: SessionId,
    listing: Listing,
    query: EventQuery,
    missing: impl FnOnce() -> Problem,
) -> Result<Answer, Problem> {
    let token = listing.asked(&call.query)?;
    page::within(token, query.created)?;
    let after = token.map(|token| EventCursor {
        position: token.key,
        queued: Some(token.id).filter(|id| *id != 0).map(EventId::from_bits),
    });
    let query = EventQuery { after, ..query };
    let limit = query.limit;
    let found = call.engine().events(call.workspace(), session, query).await?;
    let EventPage { events, ends, next } = found.ok_or_else(missing)?;
    let items = Items::fit(events.iter().map(AsRef::<Event>::as_ref), limit, call.page_bytes())?;
    let last = items.len().checked_sub(1);
    // Too many bytes: the page ends with what fits, and so does its cursor.
    let next = if items.more { last.and_then(|last| ends.get(last)).copied() } else { next };
    let at = last.and_then(|last| events.get(last)).and_then(|event| event.processed_at);
    let next = next.map(|cursor| {
        let id = cursor.queued.map_or(0, EventId::bits);
        listing.seal(Token { backwards: false, key: cursor.position, id, at })
    });
    items.answer(next)
}
