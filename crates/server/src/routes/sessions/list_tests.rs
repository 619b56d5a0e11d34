//! The list of sessions, page by page, forth and back.

use std::time::Duration;

use proptest::{collection, option, prelude::*, sample, test_runner::TestRunner};
use protocol::Timestamp;
use serde_json::{Value, json};

use crate::testing::{TestServer, data, id, message, still};

fn ids(list: &Value) -> Vec<Value> {
    list["data"].as_array().into_iter().flatten().map(|session| session["id"].clone()).collect()
}

async fn five(house: &TestServer) -> Vec<Value> {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(house.session(&[]).await["id"].clone());
    }
    made
}

#[tokio::test]
async fn pages_run_forth_and_back_in_both_orders() {
    let house = TestServer::open().await;
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
    let house = TestServer::open().await;
    let mut made = five(&house).await;
    assert_eq!(ids(&house.get("/v1/sessions?order=asc").await.ok()), made);
    made.reverse();
    assert_eq!(ids(&house.get("/v1/sessions").await.ok()), made);
}

#[tokio::test]
async fn filters_choose() {
    let house = TestServer::open().await;
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
    let house = TestServer::open().await;
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

/// What a client asks a list for.
#[derive(Debug, Clone)]
struct Asked {
    agent: Option<(usize, Option<u64>)>,
    statuses: Vec<&'static str>,
    /// Which moments bound it: gt, gte, lt, lte.
    created: [Option<usize>; 4],
    include_archived: bool,
    descending: Option<bool>,
    limits: Vec<usize>,
}

const COMPARISONS: [&str; 4] = ["gt", "gte", "lt", "lte"];

fn asked(moments: usize) -> impl Strategy<Value = Asked> {
    let agent = option::of((0..2_usize, option::of(1..=3_u64)));
    let statuses = sample::subsequence(vec!["idle", "running", "terminated", "rescheduling"], 0..=4);
    let bound = || prop_oneof![3 => Just(None), 1 => (0..moments).prop_map(Some)];
    let created = [bound(), bound(), bound(), bound()];
    let limits = collection::vec(1..6_usize, 1..4);
    (agent, statuses, created, any::<bool>(), option::of(any::<bool>()), limits).prop_map(
        |(agent, statuses, created, include_archived, descending, limits)| Asked {
            agent,
            statuses,
            created,
            include_archived,
            descending,
            limits,
        },
    )
}

/// Sessions of two agents in two versions, made two at a moment; some archived, some at work, some deleted.
async fn crowd(house: &TestServer) -> (Vec<Value>, Vec<Value>) {
    let agents = [house.agent().await, house.agent().await];
    for agent in &agents {
        house.post(&format!("/v1/agents/{}", id(agent)), &json!({"name": "second"})).await.ok();
    }
    let environment = house.environment().await;
    for n in 0..20_usize {
        if n.is_multiple_of(2) {
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        let agent = json!({"type": "agent", "id": agents[n % 2]["id"], "version": 1 + n / 3 % 2});
        let events = if n % 5 == 3 { json!([message("hold")]) } else { json!([]) };
        let body = json!({"agent": agent, "environment_id": environment["id"], "initial_events": events});
        let path = format!("/v1/sessions/{}", id(&house.post("/v1/sessions", &body).await.ok()));
        match n % 5 {
            1 => drop(house.post(&format!("{path}/archive"), &Value::Null).await.ok()),
            4 if n > 10 => drop(house.delete(&path).await.ok()),
            _ => {}
        }
    }
    let mut all = data(&house.get("/v1/sessions?include_archived=true&limit=100&order=asc").await.good());
    // The law of the list, by hand: the time of creation, then the id, whose digits sort as its number does.
    let key = |session: &Value| (session["created_at"].to_string(), id(session));
    let listed = all.clone();
    all.sort_by_key(key);
    assert_eq!(all, listed);
    (agents.to_vec(), all)
}

fn chosen(asked: &Asked, agents: &[Value], moments: &[String], session: &Value) -> bool {
    let at = session["created_at"].as_str().expect("a time");
    let status = session["status"].as_str().expect("a status");
    let agent = asked.agent.is_none_or(|(agent, version)| {
        session["agent"]["id"] == agents[agent]["id"]
            && version.is_none_or(|version| session["agent"]["version"] == version)
    });
    let within = asked.created.iter().zip(COMPARISONS).all(|(bound, comparison)| {
        bound.is_none_or(|bound| match (comparison, at.cmp(&moments[bound])) {
            ("gt", order) => order.is_gt(),
            ("gte", order) => order.is_ge(),
            ("lt", order) => order.is_lt(),
            (_, order) => order.is_le(),
        })
    });
    let status = asked.statuses.is_empty() || asked.statuses.contains(&status);
    agent && within && status && (asked.include_archived || session["archived_at"].is_null())
}

#[test]
fn any_filter_walked_forth_and_back_shows_what_it_chooses() {
    let runtime = still();
    let house = runtime.block_on(TestServer::still());
    let (agents, all) = runtime.block_on(crowd(&house));
    let mut moments: Vec<_> =
        all.iter().map(|session| session["created_at"].as_str().unwrap().to_owned()).collect();
    moments.dedup();
    assert!(moments.len() < all.len(), "no two of one moment");
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    let walked = runner.run(&asked(moments.len()), |asked| {
        let mut path = format!("/v1/sessions?include_archived={}", asked.include_archived);
        if let Some((agent, version)) = asked.agent {
            path.extend(["&agent_id=", &id(&agents[agent])]);
            path.extend(version.map(|version| format!("&agent_version={version}")));
        }
        path.extend(asked.statuses.iter().map(|status| format!("&statuses[]={status}")));
        for (comparison, bound) in COMPARISONS.iter().zip(asked.created) {
            path.extend(bound.map(|bound| format!("&created_at[{comparison}]={}", moments[bound])));
        }
        path.extend(asked.descending.map(|down| format!("&order={}", if down { "desc" } else { "asc" })));
        let mut expected: Vec<_> =
            all.iter().filter(|session| chosen(&asked, &agents, &moments, session)).cloned().collect();
        if asked.descending.unwrap_or(true) {
            expected.reverse();
        }
        let shown = runtime.block_on(house.walked(&path, &asked.limits));
        let ids = |list: &[Value]| list.iter().map(id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&shown), ids(&expected));
        Ok(())
    });
    walked.unwrap();
}

#[tokio::test]
async fn what_comes_and_goes_between_pages_shifts_nothing() {
    let house = TestServer::open().await;
    let made = five(&house).await;
    let page = async |token: &Value| {
        let token = token.as_str().expect("a token");
        house.get(&format!("/v1/sessions?limit=2&page={token}")).await.ok()
    };
    let gone = async |session: &Value| {
        house.delete(&format!("/v1/sessions/{}", session.as_str().expect("an id"))).await.ok();
    };
    // Newest first: [4 3] [2 1] [0].
    let first = house.get("/v1/sessions?limit=2").await.ok();
    let newer = house.session(&[]).await["id"].clone();
    gone(&made[3]).await;
    let second = page(&first["next_page"]).await;
    assert_eq!(ids(&second), [made[2].clone(), made[1].clone()], "the item that the cursor names is gone");
    let back = page(&second["prev_page"]).await;
    assert_eq!(ids(&back), [newer, made[4].clone()], "one came, one went");
    assert_eq!(back["prev_page"], Value::Null);
    let third = page(&second["next_page"]).await;
    assert_eq!(ids(&third), [made[0].clone()]);
    gone(&made[0]).await;
    let empty = page(&second["next_page"]).await;
    assert_eq!((ids(&empty), &empty["next_page"]), (vec![], &Value::Null));
    let before = page(&empty["prev_page"]).await;
    assert_eq!(ids(&before), [made[2].clone(), made[1].clone()], "from an empty page back to the last one");
    assert_eq!(before["next_page"], Value::Null, "nothing is left behind it");
    for session in &made[1..5] {
        if session != &made[3] {
            gone(session).await;
        }
    }
    let alone = page(&first["next_page"]).await;
    assert_eq!((ids(&alone), &alone["next_page"]), (vec![], &Value::Null));
    let token = first["next_page"].as_str().expect("a token");
    let nothing = house.get(&format!("/v1/sessions?statuses[]=running&page={token}")).await.ok();
    assert_eq!(nothing, json!({"data": [], "next_page": null, "prev_page": null}));
}

#[tokio::test]
async fn filters_and_limits_may_change_between_pages_and_times_too_while_they_hold_the_cursor() {
    let house = TestServer::open().await;
    let made = five(&house).await;
    let first = house.get("/v1/sessions?limit=2").await.good();
    let token = first["next_page"].as_str().expect("a token");
    let (newest, cursor) = (&first["data"][0]["created_at"], &first["data"][1]["created_at"]);
    let (newest, cursor) = (newest.as_str().unwrap(), cursor.as_str().unwrap());
    let older: Vec<_> = made[..3].iter().rev().cloned().collect();
    for (query, found) in [
        ("limit=50".to_owned(), older.clone()),
        ("statuses[]=idle&include_archived=true".into(), older.clone()),
        ("statuses[]=running".into(), vec![]),
        (format!("created_at[lte]={newest}"), older.clone()),
        (format!("created_at[lte]={cursor}"), older.clone()),
        ("created_at[gt]=2020-01-01T00:00:00Z".into(), older),
    ] {
        let page = house.get(&format!("/v1/sessions?{query}&page={token}")).await.ok();
        assert_eq!(ids(&page), found, "{query}");
    }
    for query in [format!("created_at[lt]={cursor}"), format!("created_at[gte]={newest}")] {
        let told = house.get(&format!("/v1/sessions?{query}&page={token}")).await;
        told.refused(400, "invalid_request_error", "page: the created_at filter");
    }
}

#[tokio::test]
async fn every_form_of_a_parameter_is_read() {
    let house = TestServer::open().await;
    let session = house.session(&[]).await;
    let agent = session["agent"]["id"].as_str().expect("an id");
    let other = "agent_1111111111111111111112";
    for query in [
        format!("agent_id[]={other}&agent_id[]={agent}"),
        format!("agent_id={other}&agent_id={agent}"),
        format!("agent%5Fid%5B0%5D={agent}&agent_version[]=9&agent_version%5B%5D=1"),
        "statuses[]=running&statuses[]=idle".to_owned(),
        "statuses=idle".into(),
        "statuses%5b0%5d=idle&statuses[7]=terminated&statuses=running".into(),
        "order[]=up&order[]=asc&limit[]=999&limit[]=1".into(),
        "include_archived[]=x&include_archived[]=false".into(),
        "created_at[gte][]=2020-01-01T00:00:00Z&created_at%5Blt%5D=2099-01-01T01:00:00%2B01:00".into(),
        "created_at[gt]=2020-01-01T00:00:00.123456789Z&page=&page[]=".into(),
        "limit=0&statuses[7]=idle&beta=true&&beta[]=x".into(),
    ] {
        let listed = house.get(&format!("/v1/sessions?{query}")).await.ok();
        assert_eq!(ids(&listed), [session["id"].clone()], "{query}");
    }
}

#[tokio::test]
async fn what_is_no_value_is_refused_by_name() {
    let house = TestServer::open().await;
    for (query, message) in [
        ("limit=101", "limit: must be at most 100"),
        ("limit=-1", "limit: expected a whole number from 0 to 100 (0 means 20), got `-1`"),
        ("limit=1.0", "limit: expected a whole number"),
        ("limit=", "limit: expected a whole number"),
        ("limit=99999999999999999999", "limit: expected a whole number from 0 to 100"),
        ("order=", "order: expected `asc` or `desc`, got ``"),
        ("order=ASC", "order: "),
        ("agent_id=", "agent_id: expected an agent's id, `agent_` and 22 letters and digits"),
        (
            "agent_id=sesn_1111111111111111111112",
            "agent_id: expected an agent's id, `agent_` and 22 letters and digits, and this is the id of a session; \
             got `sesn_111",
        ),
        (
            "agent_id=agent_011CZkYpogX7uDKUyvBTophP",
            "agent_id: no such agent here; ids of another server are unknown; got `agent_011",
        ),
        ("agent_id=agent_1111111111111111111112&agent_version=-1", "agent_version: "),
        ("agent_version=1", "agent_version: goes only with `agent_id`"),
        ("statuses[]=", "statuses: `` is not one of "),
        ("statuses[]=idle,running", "statuses: `idle,running` is not one of "),
        ("statuses[]=idle&statuses[]=Idle", "statuses: `Idle`"),
        ("include_archived=1", "include_archived: expected `true` or `false`, got `1`"),
        ("include_archived=", "include_archived: "),
        ("created_at[gte]=2026-01-01", "created_at[gte]: expected a time with its zone"),
        ("created_at[lte]=2026-01-01T00:00:00", "created_at[lte]: "),
        ("created_at[gt]=1700000000", "created_at[gt]: "),
        ("created_at[lt]=", "created_at[lt]: "),
        ("page=nonsense", "page: this is not a page token"),
    ] {
        let told = house.get(&format!("/v1/sessions?{query}")).await;
        told.refused(400, "invalid_request_error", message);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_of_one_moment_are_told_apart_by_their_ids() {
    let house = TestServer::still().await;
    let mut made = five(&house).await;
    made.sort_by_key(|id| id.as_str().expect("an id").to_owned());
    let listed = house.walked("/v1/sessions?order=asc", &[2]).await;
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    assert!(listed.iter().all(|session| session["created_at"] == json!(at)));
    assert_eq!(listed.iter().map(|session| session["id"].clone()).collect::<Vec<_>>(), made);
}
