//! `GET /v1/sessions`: the sessions; the one list that runs both ways.

use protocol::{SessionId, Stamp, page::RESOURCES, session};
use store::{Head, HeadQuery, Order, Status};

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    page::{self, Items, List, Listing, Token},
};

/// Where a session stands among the others.
type Place = (Stamp, SessionId);

/// Answers with a page of sessions. `prev_page` and `next_page` are there exactly when something is.
pub(crate) async fn run(call: Call) -> Result<Answer, Problem> {
    let limit = call.query.limit(RESOURCES)?;
    let order = call.query.order(Order::Descending)?;
    let listing = Listing { list: List::Sessions, parent: 0, order };
    let token = listing.asked(&call.query)?;
    let query = filters(&call, order, token, limit)?;
    // Neither exists yet, so no session belongs to one.
    if ["deployment_id", "memory_store_id"].iter().any(|name| call.query.scalar(name).is_some()) {
        return Items::fit::<()>([], limit)?.answer_both(None, None);
    }
    let store = call.engine().store();
    let mut heads = store.heads(HeadQuery { limit: limit + 1, ..query.clone() }).await?;
    let backwards = query.backwards;
    if backwards {
        heads.reverse();
    }
    let mut sessions = Vec::with_capacity(heads.len());
    for head in &heads {
        sessions.push(call.engine().object(head).await?);
    }
    let items = Items::fit(&sessions, limit)?;
    heads.truncate(items.len());
    // On the side that the token came from. An empty page has the token's own place on that side.
    let near = heads.first().map(place).or(query.after.map(|after| one_on(after, order, backwards)));
    let near = near.filter(|_| token.is_some());
    let near = match near {
        None => None,
        Some(near) => {
            let back = HeadQuery { after: Some(near), backwards: !backwards, limit: 1, ..query };
            (!store.heads(back).await?.is_empty()).then_some(near)
        }
    };
    let far = heads.last().map(place).filter(|_| items.more);
    let (next, prev, items) = if backwards { (near, far, items.reversed()) } else { (far, near, items) };
    let seal = |backwards: bool, (created_at, session): Place| {
        let (key, id, at) = (created_at.micros() as u64, session.bits(), Some(created_at));
        listing.seal(Token { backwards, key, id, at })
    };
    items.answer_both(next.map(|place| seal(false, place)), prev.map(|place| seal(true, place)))
}

fn place(head: &Head) -> Place {
    (head.created_at, head.session)
}

/// The place right behind another, in the direction of reading: what is before it holds the other one too.
fn one_on((created_at, session): Place, order: Order, backwards: bool) -> Place {
    let bits = match order.read(backwards) {
        Order::Ascending => session.bits().saturating_add(1),
        Order::Descending => session.bits().saturating_sub(1),
    };
    (created_at, SessionId::from_bits(bits))
}

fn filters(call: &Call, order: Order, token: Option<Token>, limit: usize) -> Result<HeadQuery, Problem> {
    let query = &call.query;
    let agent = query.id("agent_id")?;
    let agent_version = query.read("agent_version", "a whole number")?;
    if agent_version.is_some() && agent.is_none() {
        return Err(Problem::parameter("agent_version", "goes only with `agent_id`"));
    }
    let statuses = query.names("statuses", session::Status::NAMES)?;
    let created = query.created()?;
    page::within(token, created)?;
    Ok(HeadQuery {
        agent,
        agent_version,
        statuses: statuses.into_iter().filter_map(Status::parse).collect(),
        created_gt: created.gt,
        created_gte: created.gte,
        created_lt: created.lt,
        created_lte: created.lte,
        include_archived: query.flag("include_archived")?,
        order,
        after: token.map(|token| (Stamp::from_micros(token.key as i64), SessionId::from_bits(token.id))),
        backwards: token.is_some_and(|token| token.backwards),
        ..HeadQuery::new(call.workspace(), limit)
    })
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
