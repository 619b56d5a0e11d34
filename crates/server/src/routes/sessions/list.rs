//! `GET /v1/sessions`: the sessions; the one list that runs both ways.

use protocol::{SessionId, Timestamp, page::RESOURCES, session::SessionStatus};
use store::{HeadQuery, ListOrder, ListedPage, SessionHead};

use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{self, ListName, Listing, PageItems, PageToken},
};

/// Where a session stands among the others.
type Place = (Timestamp, SessionId);

/// Answers with a page of sessions. `prev_page` and `next_page` are there exactly when something is.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let limit = call.query.limit(RESOURCES)?;
    let order = call.query.order(ListOrder::Descending)?;
    let listing = Listing { list: ListName::Sessions, parent: 0, order };
    let token = listing.asked(&call.query)?;
    let query = filters(&call, order, token, limit)?;
    // Neither exists yet, so no session belongs to one.
    if ["deployment_id", "memory_store_id"].iter().any(|name| call.query.scalar(name).is_some()) {
        return PageItems::new(limit, 0).answer_both(None, None);
    }
    let backwards = query.backwards;
    let (items, places) = page(&call, limit, query.clone()).await?;
    // On the side that the token came from. An empty page has the token's own place on that side.
    let near = places.first().copied().or(query.after.map(|after| one_on(after, order, backwards)));
    let near = near.filter(|_| token.is_some());
    let near = match near {
        None => None,
        Some(near) => {
            let back = HeadQuery { after: Some(near), backwards: !backwards, limit: 1, ..query };
            (!call.engine().store().heads(back).await?.items.is_empty()).then_some(near)
        }
    };
    let far = places.last().copied().filter(|_| items.more);
    let (next, prev, items) = if backwards { (near, far, items.reversed()) } else { (far, near, items) };
    let seal = |backwards: bool, (created_at, session): Place| {
        let (key, id, at) = (created_at.micros() as u64, session.bits(), Some(created_at));
        listing.seal(PageToken { backwards, key, id, at })
    };
    items.answer_both(next.map(|place| seal(false, place)), prev.map(|place| seal(true, place)))
}

/// The items of a page in the order of reading, and their places. One whose agent is damaged is left out and
/// named, for a list is of many.
async fn page(
    call: &ApiRequest,
    limit: usize,
    query: HeadQuery,
) -> Result<(PageItems, Vec<Place>), ApiProblem> {
    let bytes = call.page_bytes();
    let mut query = HeadQuery { bytes, ..query };
    let (mut items, mut places) = (PageItems::new(limit, bytes), Vec::new());
    loop {
        query.limit = limit + 1 - items.len();
        let ListedPage { items: mut heads, cut } = call.engine().store().heads(query.clone()).await?;
        let more = cut || heads.len() == query.limit;
        if query.backwards {
            heads.reverse();
        }
        query.after = heads.last().map(place);
        for head in &heads {
            match call.engine().object(head).await {
                Ok(session) if items.push(&session)? => places.push(place(head)),
                Ok(_) => return Ok((items, places)),
                Err(fault) if fault.is_damage() => {
                    tracing::error!(session = %head.session, %fault, "left out of a list");
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        if !more {
            return Ok((items, places));
        }
    }
}

fn place(head: &SessionHead) -> Place {
    (head.created_at, head.session)
}

/// The place right behind another, in the direction of reading: what is before it holds the other one too.
fn one_on((created_at, session): Place, order: ListOrder, backwards: bool) -> Place {
    let rising = (order == ListOrder::Ascending) != backwards;
    let bits = if rising { session.bits().saturating_add(1) } else { session.bits().saturating_sub(1) };
    (created_at, SessionId::from_bits(bits))
}

fn filters(
    call: &ApiRequest,
    order: ListOrder,
    token: Option<PageToken>,
    limit: usize,
) -> Result<HeadQuery, ApiProblem> {
    let query = &call.query;
    let agent = query.id("agent_id")?;
    let agent_version = query.read("agent_version", "a whole number")?;
    if agent_version.is_some() && agent.is_none() {
        return Err(ApiProblem::parameter("agent_version", "goes only with `agent_id`"));
    }
    let statuses = query.names("statuses", SessionStatus::NAMES)?;
    let created = query.created()?;
    page::within(token, created)?;
    Ok(HeadQuery {
        agent,
        agent_version,
        statuses: statuses.into_iter().filter_map(SessionStatus::named).collect(),
        created_gt: created.gt,
        created_gte: created.gte,
        created_lt: created.lt,
        created_lte: created.lte,
        include_archived: query.flag("include_archived")?,
        order,
        after: token.map(|token| (Timestamp::from_micros(token.key as i64), SessionId::from_bits(token.id))),
        backwards: token.is_some_and(|token| token.backwards),
        ..HeadQuery::new(call.workspace(), limit)
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
