//! Events of a session.

pub(super) mod list;
pub(super) mod send;
pub(super) mod stream;

use engine::{EventCursor, EventPage, EventQuery};
use protocol::{EventId, SessionId, event::Event};

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    page::{self, Items, Listing, Token},
};

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
    let mut query = EventQuery { after, ..query };
    loop {
        let found = call.engine().events(call.workspace(), session, query.clone()).await?;
        let Some(EventPage { events, next }) = found else { return Err(missing()) };
        let items = Items::fit(events.iter().map(AsRef::<Event>::as_ref), query.limit)?;
        if items.more {
            // Too many bytes: the cursor behind what fits is that of a smaller page.
            query.limit = items.len();
            continue;
        }
        let at = events.last().and_then(|event| event.processed_at);
        let next = next.map(|cursor| {
            let id = cursor.queued.map_or(0, EventId::bits);
            listing.seal(Token { backwards: false, key: cursor.position, id, at })
        });
        return items.answer(next);
    }
}
