//! Every list through its door: whatever is asked, pages of any sizes show what a filter by hand shows.

use std::time::Duration;

use proptest::{collection, option, prelude::*, sample, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::testing::{TestServer, data, id, message, still};

const CASES: u32 = 128;

/// Sizes of pages, one after the other.
fn limits() -> impl Strategy<Value = Vec<usize>> {
    collection::vec(1..6_usize, 1..4)
}

/// A moment of a list, or none.
fn bound(moments: usize) -> BoxedStrategy<Option<usize>> {
    prop_oneof![2 => Just(None), 1 => (0..moments).prop_map(Some)].boxed()
}

fn ids(list: &[Value]) -> Vec<String> {
    list.iter().map(id).collect()
}

fn at<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().expect("a time")
}

/// The moments of a list, each once.
fn moments(list: &[Value], key: &str) -> Vec<String> {
    let mut moments: Vec<_> = list.iter().filter_map(|item| item[key].as_str()).map(String::from).collect();
    moments.sort();
    moments.dedup();
    moments
}

#[test]
fn agents_and_environments_are_what_a_filter_by_hand_shows() {
    let runtime = still();
    let house = runtime.block_on(TestServer::still());
    let make = async {
        for n in 0..14_usize {
            if n.is_multiple_of(2) {
                tokio::time::advance(Duration::from_micros(1)).await;
            }
            for (kind, made) in [("agents", house.agent().await), ("environments", house.environment().await)]
            {
                if n % 3 == 1 {
                    house.post(&format!("/v1/{kind}/{}/archive", id(&made)), &Value::Null).await.ok();
                }
            }
        }
    };
    runtime.block_on(make);
    for (kind, filtered) in [("agents", true), ("environments", false)] {
        let path = format!("/v1/{kind}?include_archived=true&limit=100");
        let all = data(&runtime.block_on(house.get(&path)).good());
        let mut sorted = all.clone();
        sorted.sort_by_key(|item| std::cmp::Reverse((at(item, "created_at").to_owned(), id(item))));
        assert_eq!((all.len(), ids(&all)), (14, ids(&sorted)));
        let moments = moments(&all, "created_at");
        assert_eq!(moments.len(), 7);
        let asked = (bound(moments.len()), bound(moments.len()), option::of(any::<bool>()), limits());
        let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
        let walked = runner.run(&asked, |(from, to, archived, limits)| {
            let mut path = format!("/v1/{kind}?beta=true");
            let (from, to) = if filtered { (from, to) } else { (None, None) };
            path.extend(from.map(|from| format!("&created_at[gte]={}", moments[from])));
            path.extend(to.map(|to| format!("&created_at[lte]={}", moments[to])));
            path.extend(archived.map(|archived| format!("&include_archived={archived}")));
            let expected = all.iter().filter(|item| {
                let made = at(item, "created_at");
                from.is_none_or(|from| made >= moments[from].as_str())
                    && to.is_none_or(|to| made <= moments[to].as_str())
                    && (archived == Some(true) || item["archived_at"].is_null())
            });
            let expected: Vec<_> = expected.cloned().collect();
            let shown = runtime.block_on(house.walked(&path, &limits));
            prop_assert_eq!(ids(&shown), ids(&expected));
            Ok(())
        });
        walked.unwrap();
    }
}

const COMPARISONS: [&str; 4] = ["gt", "gte", "lt", "lte"];

/// A session with a family behind it, one that says two things, and one at work with three in its queue.
async fn sessions(house: &TestServer) -> Vec<String> {
    let (family, _) = house.family("call").await;
    house.settled(&family).await;
    let plain = format!("/v1/sessions/{}", id(&house.session(&[message("hi")]).await));
    house.settled(&plain).await;
    house.post(&format!("{plain}/events"), &json!({"events": [message("think")]})).await.ok();
    house.settled(&plain).await;
    let busy = format!("/v1/sessions/{}", id(&house.session(&[message("hold")]).await));
    let queued = json!({"events": [message("a"), message("b"), message("c")]});
    house.post(&format!("{busy}/events"), &queued).await.ok();
    vec![family, plain, busy]
}

#[test]
fn events_are_what_a_filter_by_hand_shows() {
    let runtime = still();
    let house = runtime.block_on(TestServer::still());
    for session in runtime.block_on(sessions(&house)) {
        let path = format!("{session}/events");
        let all = data(&runtime.block_on(house.get(&path)).good());
        let moments = moments(&all, "processed_at");
        let known = [
            "user.message",
            "agent.message",
            "session.status_idle",
            "span.model_request_start",
            "session.error",
        ];
        let bounds = [bound(moments.len()), bound(moments.len()), bound(moments.len()), bound(moments.len())];
        let created = prop_oneof![Just([None; 4]), bounds];
        let asked =
            (sample::subsequence(known.to_vec(), 0..=5), created, option::of(any::<bool>()), limits());
        let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
        let walked = runner.run(&asked, |(types, created, down, limits)| {
            let mut path = format!("{path}?beta=true");
            path.extend(types.iter().map(|name| format!("&types[]={name}")));
            for (comparison, bound) in COMPARISONS.iter().zip(created) {
                path.extend(bound.map(|bound| format!("&created_at[{comparison}]={}", moments[bound])));
            }
            path.extend(down.map(|down| format!("&order={}", if down { "desc" } else { "asc" })));
            let within = |event: &Value| {
                COMPARISONS.iter().zip(created).all(|(comparison, bound)| {
                    let Some(bound) = bound.map(|bound| moments[bound].as_str()) else { return true };
                    // What is not processed yet is in no time.
                    let Some(at) = event["processed_at"].as_str() else { return false };
                    match *comparison {
                        "gt" => at > bound,
                        "gte" => at >= bound,
                        "lt" => at < bound,
                        _ => at <= bound,
                    }
                })
            };
            let named =
                |event: &Value| types.is_empty() || types.contains(&event["type"].as_str().expect("a type"));
            let mut expected: Vec<_> =
                all.iter().filter(|event| named(event) && within(event)).cloned().collect();
            if down == Some(true) {
                expected.reverse();
            }
            let shown = runtime.block_on(house.walked(&path, &limits));
            prop_assert_eq!(shown, expected);
            Ok(())
        });
        walked.unwrap();
    }
}

#[test]
fn threads_and_their_events_are_what_a_filter_by_hand_shows() {
    let runtime = still();
    let house = runtime.block_on(TestServer::still());
    let session = runtime.block_on(sessions(&house)).remove(0);
    let more = async {
        let calls = data(&house.get(&format!("{session}/events?types[]=agent.custom_tool_use")).await.ok());
        let result = json!({"type": "user.custom_tool_result", "custom_tool_use_id": calls[0]["id"]});
        let told = house.post(&format!("{session}/events"), &json!({"events": [result]})).await;
        told.ok();
        house.settled(&session).await;
        for task in ["hi", "hold", "call"] {
            let events = json!({"events": [message(&format!("spawn {task}"))]});
            house.post(&format!("{session}/events"), &events).await.ok();
            house.spawned(&session).await;
        }
        let threads = data(&house.get(&format!("{session}/threads")).await.ok());
        house.post(&format!("{session}/threads/{}/archive", id(&threads[2])), &Value::Null).await.ok();
    };
    runtime.block_on(more);
    let all = data(&runtime.block_on(house.get(&format!("{session}/threads"))).good());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let statuses = vec!["running", "idle", "terminated", "rescheduling"];
    let walked = runner.run(&(sample::subsequence(statuses, 0..=4), limits()), |(statuses, limits)| {
        let mut path = format!("{session}/threads?beta=true");
        path.extend(statuses.iter().map(|status| format!("&statuses[]={status}")));
        let chosen =
            |thread: &&Value| statuses.is_empty() || statuses.contains(&thread["status"].as_str().unwrap());
        let expected: Vec<_> = all.iter().filter(chosen).map(id).collect();
        prop_assert_eq!(ids(&runtime.block_on(house.walked(&path, &limits))), expected);
        Ok(())
    });
    walked.unwrap();
    for thread in &all {
        let path = format!("{session}/threads/{}/events?beta=true", id(thread));
        let all = data(&runtime.block_on(house.get(&path)).good());
        let walked = runner.run(&(option::of(any::<bool>()), limits()), |(down, limits)| {
            let order = down.map(|down| if down { "&order=desc" } else { "&order=asc" }).unwrap_or_default();
            let mut expected = all.clone();
            if down == Some(true) {
                expected.reverse();
            }
            prop_assert_eq!(runtime.block_on(house.walked(&format!("{path}{order}"), &limits)), expected);
            Ok(())
        });
        walked.unwrap();
    }
}

#[tokio::test]
async fn every_list_has_its_bounds_and_reads_its_tokens_alone() {
    let house = TestServer::open().await;
    let session = format!("/v1/sessions/{}", id(&house.session(&[message("hi")]).await));
    house.settled(&session).await;
    house.session(&[]).await;
    let agent = format!("/v1/agents/{}", id(&house.agent().await));
    house.post(&agent, &json!({"name": "b"})).await.ok();
    let (family, child) = house.family("hold").await;
    let lists = [
        ("/v1/agents".to_owned(), 100),
        (format!("{agent}/versions"), 100),
        ("/v1/environments".into(), 100),
        ("/v1/sessions".into(), 100),
        (format!("{session}/events"), 1_000),
        (format!("{family}/threads"), 1_000),
        (format!("{family}/threads/{}/events", id(&child)), 1_000),
    ];
    let mut tokens = Vec::new();
    for (list, most) in &lists {
        let page = house.get(&format!("{list}?limit=1")).await.ok();
        tokens.push(page["next_page"].as_str().unwrap_or_else(|| panic!("{list} has one item")).to_owned());
        for fine in ["", "limit=0", &format!("limit={most}"), "page=", "page[]=&page="] {
            house.get(&format!("{list}?{fine}")).await.ok();
        }
        let above = format!("limit: must be at most {most}");
        let wrong = format!("limit: expected a whole number from 0 to {most} (0 means ");
        for (limit, message) in
            [((most + 1).to_string(), &above), ("-1".into(), &wrong), (String::new(), &wrong)]
        {
            let told = house.get(&format!("{list}?limit={limit}")).await;
            told.refused(400, "invalid_request_error", message);
        }
    }
    for (at, (list, _)) in lists.iter().enumerate() {
        for (of, token) in tokens.iter().enumerate() {
            let told = house.get(&format!("{list}?page={token}")).await;
            if at == of {
                told.ok();
            } else {
                told.refused(400, "invalid_request_error", "page: this page token belongs to another");
            }
        }
        let damaged = format!("{}x", &tokens[at][..tokens[at].len() - 1]);
        for token in [damaged.as_str(), &tokens[at][1..], "AAAA", "%00", "ü"] {
            let told = house.get(&format!("{list}?page={token}")).await;
            told.refused(400, "invalid_request_error", "page: this is not a page token");
        }
    }
}

#[tokio::test]
async fn every_type_of_event_is_a_filter_and_the_end_of_a_session_is_none() {
    let house = TestServer::open().await;
    let path = format!("/v1/sessions/{}/events", id(&house.session(&[]).await));
    let names = protocol::event::Body::NAMES.iter().filter(|name| **name != "session.deleted");
    let all: Vec<_> = names.clone().map(|name| format!("types[]={name}")).collect();
    assert_eq!(names.count(), 41);
    house.get(&format!("{path}?{}", all.join("&"))).await.ok();
    for name in ["session.deleted", "event_start", "event_delta", "agent", ""] {
        let told = house.get(&format!("{path}?types[]=user.message&types[]={name}")).await;
        told.refused(400, "invalid_request_error", &format!("types: `{name}` is not one of"));
    }
}

#[tokio::test]
async fn a_time_that_shuts_out_the_cursor_is_refused_in_the_list_of_events_too() {
    let house = TestServer::open().await;
    let path = format!("/v1/sessions/{}", id(&house.session(&[message("hi")]).await));
    house.settled(&path).await;
    let path = format!("{path}/events");
    let page = house.get(&format!("{path}?limit=3")).await.good();
    let token = page["next_page"].as_str().expect("a token");
    let (first, cursor) = (at(&page["data"][0], "processed_at"), at(&page["data"][2], "processed_at"));
    for fine in [format!("gte]={cursor}"), format!("gt]={first}"), "lt]=2099-01-01T00:00:00Z".into()] {
        house.get(&format!("{path}?page={token}&created_at[{fine}")).await.ok();
    }
    for wrong in [format!("gt]={cursor}"), format!("lt]={cursor}"), format!("lte]={first}")] {
        let told = house.get(&format!("{path}?page={token}&created_at[{wrong}")).await;
        told.refused(400, "invalid_request_error", "page: the created_at filter");
    }
    let busy = format!("/v1/sessions/{}/events", id(&house.session(&[message("hold")]).await));
    house.post(&busy, &json!({"events": [message("a"), message("b")]})).await.ok();
    let page = house.get(&format!("{busy}?order=desc&limit=1")).await.ok();
    assert_eq!(page["data"][0]["processed_at"], Value::Null);
    let token = page["next_page"].as_str().expect("a token");
    let told =
        house.get(&format!("{busy}?order=desc&page={token}&created_at[gt]=2020-01-01T00:00:00Z")).await;
    told.refused(400, "invalid_request_error", "page: the created_at filter");
}

#[tokio::test]
async fn pages_end_early_before_they_grow_too_large_and_lose_nothing() {
    let house = TestServer::open().await;
    let system = "\u{10437}".repeat(100_000);
    let mut agents = Vec::new();
    for n in 0..24 {
        let body = json!({"name": format!("{n}"), "model": "test-1", "system": system});
        agents.insert(0, id(&house.post("/v1/agents", &body).await.ok()));
    }
    let page = house.get("/v1/agents?limit=100").await;
    assert!(page.text().len() < 9 << 20, "{} bytes", page.text().len());
    assert_eq!(data(&page.ok()).len(), 20);
    assert_eq!(ids(&house.walked("/v1/agents?beta=true", &[100]).await), agents);

    // Processed, and waiting in the queue.
    let (rests, works) = (house.session(&[]).await, house.session(&[message("hold")]).await);
    for session in [rests, works] {
        let path = format!("/v1/sessions/{}/events", id(&session));
        let mut sent = Vec::new();
        for n in 0..7 {
            let text = format!("{n}{}", "x".repeat(3 << 20));
            let told = house.post(&path, &json!({"events": [message(&text)]})).await.ok();
            sent.push(id(&told["data"][0]));
        }
        for order in ["asc", "desc"] {
            let shown =
                house.walked(&format!("{path}?types[]=user.message&order={order}"), &[1_000, 3]).await;
            let shown: Vec<_> = ids(&shown).into_iter().filter(|id| sent.contains(id)).collect();
            assert_eq!(shown, sent, "{order}");
            sent.reverse();
        }
    }
}

#[tokio::test]
async fn what_is_new_is_not_behind_a_cursor_and_what_is_gone_is_no_gap() {
    let house = TestServer::open().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(house.environment().await);
    }
    let page = house.get("/v1/environments?limit=2").await.ok();
    let token = page["next_page"].as_str().expect("a token");
    house.environment().await;
    for gone in [3, 1] {
        house.delete(&format!("/v1/environments/{}", id(&made[gone]))).await.ok();
    }
    let rest = house.get(&format!("/v1/environments?page={token}")).await.ok();
    assert_eq!(rest, json!({"data": [made[2], made[0]], "next_page": null}));
}
