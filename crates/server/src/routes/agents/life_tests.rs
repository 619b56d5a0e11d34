//! Any life of an agent through the door is what the API's words say: every answer, every version.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use crate::testing::{TIME, TestAnswer, TestServer, id, still};

#[path = "../../../../kernel/tests/agents/model.rs"]
mod model;
#[path = "../../../../kernel/tests/agents/plans.rs"]
mod plans;

use model::{Latest, Life, Told};
use plans::{OTHERS, Plan, Step, VERSIONS};

/// The agents that rosters name, and the latest version of each.
async fn others(house: &TestServer) -> (Vec<Value>, Latest) {
    let (mut others, mut latest) = (Vec::new(), Latest::new());
    for place in 0..OTHERS {
        let body = json!({"name": format!("other {place}"), "model": "test-1"});
        let made = house.post("/v1/agents", &body).await.ok();
        for version in 2..=VERSIONS {
            let body = json!({"system": version.to_string()});
            house.post(&format!("/v1/agents/{}", id(&made)), &body).await.ok();
        }
        latest.insert(id(&made), VERSIONS);
        others.push(made["id"].clone());
    }
    (others, latest)
}

fn told(answer: TestAnswer) -> Told {
    match answer.status.as_u16() {
        409 => {
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            answer.refused(409, "invalid_request_error", "version: concurrent modification");
            Told::Stale
        }
        400 => {
            answer.refused(400, "invalid_request_error", "the agent");
            Told::Archived
        }
        _ => Told::Agent(answer.ok()),
    }
}

async fn lived(house: &TestServer, (others, latest): &(Vec<Value>, Latest), plan: &Plan) {
    let mut last = plan.create.body(others);
    let made = house.post("/v1/agents", &Value::Object(last.clone())).await.ok();
    let mut life = Life::begin(&Value::Object(last.clone()), &made["id"], latest, &json!(TIME));
    assert_eq!(made, *life.now());
    let path = format!("/v1/agents/{}", id(&made));
    for step in &plan.steps {
        let now = life.now().clone();
        let body: Map<String, Value> = match step {
            Step::Archive => {
                let archived = house.post(&format!("{path}/archive"), &Value::Null).await.ok();
                assert_eq!(archived, life.archive(&json!(TIME)));
                continue;
            }
            Step::Update(draft, seen) => {
                last = draft.body(others);
                let mut body = last.clone();
                seen.say(&mut body, now["version"].as_u64().expect("a number"));
                body
            }
            Step::Echo(fields) => {
                let now = house.get(&path).await.ok();
                fields.iter().map(|field| ((*field).to_owned(), now[*field].clone())).collect()
            }
            Step::Again => last.clone(),
        };
        let body = Value::Object(body);
        let answer = told(house.post(&path, &body).await);
        assert_eq!(answer, life.update(&body, latest, &json!(TIME)), "{step:?}");
        if let Step::Echo(_) = step {
            assert_eq!(*life.now(), now, "what was answered changes nothing");
        }
        assert_eq!(house.get(&path).await.ok(), *life.now());
    }
    let mut versions = life.versions;
    for version in &versions {
        assert_eq!(house.get(&format!("{path}?version={}", version["version"])).await.ok(), *version);
    }
    let next = house.get(&format!("{path}?version={}", versions.len() + 1)).await;
    next.refused(404, "not_found_error", "version: ");
    versions.reverse();
    let listed = house.walked(&format!("{path}/versions?beta=true"), &[1, 3]).await;
    let numbers =
        |versions: &[Value]| versions.iter().map(|agent| agent["version"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(&listed), numbers(&versions));
    let page = house.get(&format!("{path}/versions")).await.ok();
    assert_eq!(page, json!({"data": versions, "next_page": null}));
}

#[test]
fn every_life_is_what_the_words_say() {
    let runtime = still();
    let house = runtime.block_on(TestServer::still());
    let others = runtime.block_on(others(&house));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    let lives = runner.run(&plans::life(), |plan| {
        runtime.block_on(lived(&house, &others, &plan));
        Ok(())
    });
    lives.unwrap();
}
