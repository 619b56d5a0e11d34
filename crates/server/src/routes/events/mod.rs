//! Events of a session.

pub(super) mod list;
pub(super) mod send;
pub(super) mod stream;

use engine::{EventCursor, EventPage, EventQuery, Order};
use protocol::{EventId, SessionId};

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    page::{Items, Listing, Token},
};

/// One page of events of a session or of one of its threads. `missing` is what to say when there is none.
pub(super) async fn page(
    call: &Call,
    session: SessionId,
    listing: Listing,
    query: EventQuery,
    missing: impl FnOnce() -> Problem,
) -> Result<Answer, Problem> {
    let after = listing.asked(&call.query)?.map(|token| EventCursor {
        position: token.key,
        queued: Some(token.id).filter(|id| *id != 0).map(EventId::from_bits),
    });
    let limit = query.limit;
    let query = EventQuery { after, ..query };
    let found = call.engine().events(call.workspace(), session, query).await?;
    let EventPage { events, next } = found.ok_or_else(missing)?;
    let next = next.map(|cursor| {
        let id = cursor.queued.map_or(0, EventId::bits);
        listing.seal(Token { backwards: false, key: cursor.position, id })
    });
    Items::fit(events.iter().map(AsRef::<protocol::event::Event>::as_ref), limit)?.answer(next)
}

/// The order of a list of events: oldest first unless asked otherwise.
pub(super) fn order(call: &Call) -> Result<Order, Problem> {
    super::sessions::list::order(&call.query, Order::Ascending)
}
