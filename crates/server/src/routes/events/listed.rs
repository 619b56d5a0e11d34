//! Events page by page: of a session, or of one of its threads.

use engine::{EventCursor, EventPage, EventQuery};
use protocol::{EventId, SessionId, event::Event};

use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{self, Listing, PageItems, PageToken},
};

/// One page of events of a session or of one of its threads. `missing` is what to say when there is none.
pub(crate) async fn page(
    call: &ApiRequest,
    session: SessionId,
    listing: Listing,
    query: EventQuery,
    missing: impl FnOnce() -> ApiProblem,
) -> Result<ApiAnswer, ApiProblem> {
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
    let items = PageItems::fit(events.iter().map(AsRef::<Event>::as_ref), limit, call.page_bytes())?;
    let last = items.len().checked_sub(1);
    // Too many bytes: the page ends with what fits, and so does its cursor.
    let next = if items.more { last.and_then(|last| ends.get(last)).copied() } else { next };
    let at = last.and_then(|last| events.get(last)).and_then(|event| event.processed_at);
    let next = next.map(|cursor| {
        let id = cursor.queued.map_or(0, EventId::bits);
        listing.seal(PageToken { backwards: false, key: cursor.position, id, at })
    });
    items.answer(next)
}
