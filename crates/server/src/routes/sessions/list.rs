//! `GET /v1/sessions`: the sessions; the one list that runs both ways.

use protocol::{SessionId, Stamp, page::RESOURCES, session};
use store::{HeadQuery, Order, Status};

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    page::{Items, List, Listing, Token},
    query::Query,
};

/// Answers with a page of sessions.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let limit = call.query.limit(RESOURCES)?;
    let order = order(&call.query, Order::Descending)?;
    let listing = Listing { list: List::Sessions, parent: 0, order };
    let token = listing.asked(&call.query)?;
    let query = filters(&call, order, token, limit)?;
    // Neither exists yet, so no session belongs to one.
    if ["deployment_id", "memory_store_id"].iter().any(|name| call.query.scalar(name).is_some()) {
        return Items::fit::<()>([], limit)?.answer_both(None, None);
    }
    let mut heads = call.engine().store().heads(HeadQuery { limit: limit + 1, ..query }).await?;
    let backwards = token.is_some_and(|token| token.backwards);
    if backwards {
        heads.reverse();
    }
    let mut sessions = Vec::with_capacity(heads.len());
    for head in &heads {
        sessions.push(call.engine().object(head).await?);
    }
    let items = Items::fit(&sessions, limit)?;
    let more = items.more;
    heads.truncate(items.len());
    let items = if backwards { items.reversed() } else { items };
    let (first, last) = if backwards { (heads.last(), heads.first()) } else { (heads.first(), heads.last()) };
    // Behind a token there is always something on the side it came from.
    let (earlier, later) = if backwards { (more, true) } else { (token.is_some(), more) };
    let seal = |backwards: bool, head: &store::Head| {
        let (key, id) = (head.created_at.micros() as u64, head.session.bits());
        listing.seal(Token { backwards, key, id })
    };
    let next = last.filter(|_| later).map(|head| seal(false, head));
    let prev = first.filter(|_| earlier).map(|head| seal(true, head));
    items.answer_both(next, prev)
}

/// `order`: `asc` or `desc`.
pub(crate) fn order(query: &Query, default: Order) -> Result<Order, Problem> {
    match query.scalar("order") {
        None => Ok(default),
        Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        Some(other) => Err(Problem::parameter("order", format!("expected `asc` or `desc`, got `{other}`"))),
    }
}

fn filters(call: &Call, order: Order, token: Option<Token>, limit: usize) -> Result<HeadQuery, Problem> {
    let query = &call.query;
    let agent = query.id("agent_id")?;
    let agent_version = query.read("agent_version", "a whole number")?;
    if agent_version.is_some() && agent.is_none() {
        return Err(Problem::parameter("agent_version", "goes only with `agent_id`"));
    }
    let statuses = query.names("statuses", session::Status::NAMES)?;
    let filters = HeadQuery {
        agent,
        agent_version,
        statuses: statuses.into_iter().filter_map(Status::parse).collect(),
        created_gt: query.time("created_at[gt]")?,
        created_gte: query.time("created_at[gte]")?,
        created_lt: query.time("created_at[lt]")?,
        created_lte: query.time("created_at[lte]")?,
        include_archived: query.flag("include_archived")?,
        order,
        after: token.map(|token| (Stamp::from_micros(token.key as i64), SessionId::from_bits(token.id))),
        backwards: token.is_some_and(|token| token.backwards),
        ..HeadQuery::new(call.workspace(), limit)
    };
    within(&filters)?;
    Ok(filters)
}

/// Refuses a filter that shuts out the place a page token names (spec/behaviour.md a.7).
fn within(query: &HeadQuery) -> Result<(), Problem> {
    let Some((place, _)) = query.after else { return Ok(()) };
    let holds = query.created_gt.is_none_or(|bound| place > bound)
        && query.created_gte.is_none_or(|bound| place >= bound)
        && query.created_lt.is_none_or(|bound| place < bound)
        && query.created_lte.is_none_or(|bound| place <= bound);
    let refused = || Problem::parameter("page", "the created_at filter shuts this token's place out");
    if holds { Ok(()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{House, id, message};
    use serde_json::Value;

    fn ids(list: &Value) -> Vec<Value> {
        list["data"].as_array().into_iter().flatten().map(|session| session["id"].clone()).collect()
    }

    async fn five(house: &House) -> Vec<Value> {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(house.session(&[]).await["id"].clone());
        }
        made
    }

    #[tokio::test]
    async fn pages_run_forth_and_back_in_both_orders() {
        let house = House::open().await;
        let mut made = five(&house).await;
        for order in ["asc", "desc"] {
            let path = format!("/v1/sessions?order={order}&limit=2");
            let page = async |token: &Value| {
                let token = token.as_str().unwrap_or_default();
                house.get(&format!("{path}&page={token}")).await.ok()
            };
            let first = house.get(&path).await.ok();
            let second = page(&first["next_page"]).await;
            let third = page(&second["next_page"]).await;
            assert_eq!([ids(&first), ids(&second), ids(&third)].concat(), made);
            assert_eq!((&first["prev_page"], &third["next_page"]), (&Value::Null, &Value::Null));
            let back = page(&third["prev_page"]).await;
            assert_eq!((ids(&back), &back["next_page"]), (ids(&second), &second["next_page"]));
            let begin = page(&back["prev_page"]).await;
            assert_eq!((ids(&begin), &begin["prev_page"]), (ids(&first), &Value::Null));
            made.reverse();
        }
    }

    #[tokio::test]
    async fn newest_come_first_unless_asked() {
        let house = House::open().await;
        let mut made = five(&house).await;
        assert_eq!(ids(&house.get("/v1/sessions?order=asc").await.ok()), made);
        made.reverse();
        assert_eq!(ids(&house.get("/v1/sessions").await.ok()), made);
    }

    #[tokio::test]
    async fn filters_choose() {
        let house = House::open().await;
        let idle = house.session(&[]).await;
        let busy = house.session(&[message("hold")]).await;
        let agent = busy["agent"]["id"].as_str().unwrap_or_default();
        let path = format!("/v1/sessions/{}/archive", id(&idle));
        house.post(&path, &Value::Null).await.ok();
        let (idle, busy) = (&idle["id"], &busy["id"]);
        for (query, found) in [
            (String::new(), vec![busy]),
            ("include_archived=true".into(), vec![busy, idle]),
            ("include_archived=true&statuses[]=terminated".into(), vec![idle]),
            ("statuses[]=running&statuses[]=idle".into(), vec![busy]),
            (format!("agent_id={agent}&agent_version=1"), vec![busy]),
            (format!("agent_id={agent}&agent_version=2"), vec![]),
            ("created_at[gt]=2026-01-01T00:00:00Z".into(), vec![busy]),
            ("created_at[lt]=2026-01-01T00:00:00Z".into(), vec![]),
            ("deployment_id=depl_1".into(), vec![]),
            ("memory_store_id=memstore_1".into(), vec![]),
        ] {
            let listed = ids(&house.get(&format!("/v1/sessions?{query}")).await.ok());
            assert_eq!(listed.iter().collect::<Vec<_>>(), found, "{query}");
        }
    }

    #[tokio::test]
    async fn a_bad_parameter_is_named() {
        let house = House::open().await;
        five(&house).await;
        let page = house.get("/v1/sessions?limit=2").await.ok();
        let token = page["next_page"].as_str().unwrap_or_default();
        for (query, name) in [
            ("agent_version=1".to_owned(), "agent_version: "),
            ("agent_id=sesn_1".to_owned(), "agent_id: "),
            ("statuses[]=busy".to_owned(), "statuses: "),
            ("order=up".to_owned(), "order: "),
            ("page=nonsense".to_owned(), "page: "),
            (format!("page={token}&order=asc"), "page: this page token belongs to another `order`"),
            (format!("page={token}&created_at[lt]=2026-01-01T00:00:00Z"), "page: the created_at filter"),
        ] {
            let told = house.get(&format!("/v1/sessions?{query}")).await;
            told.refused(400, "invalid_request_error", name);
        }
    }
}
