//! Any life of an agent is what the API's words say, answer by answer and version by version.
#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod model;
mod plans;

use kernel::rules::{
    DocumentRefusal,
    agent::{self, AgentChange},
    document,
};
use model::{Latest, Life, Told};
use plans::{OTHERS, Plan, Step, VERSIONS};
use proptest::prelude::*;
use protocol::{
    AgentId, Timestamp,
    agent::Agent,
    roster::RosterEntry,
    routes::{Route, Routes},
};
use serde_json::{Map, Value, json};

const OWN: AgentId = AgentId::from_bits(7);

fn routes() -> Routes {
    Routes(vec![Route::script("test-*")])
}

fn other(place: usize, version: u64) -> Agent {
    let body = json!({"name": format!("other {place}"), "model": "test-1"});
    let id = AgentId::from_bits(100 + place as u128);
    let made = agent::create(body, &routes(), id, Timestamp::default()).expect("legal");
    let mut agent = made.0;
    agent.definition.version = version;
    agent
}

/// Those that a roster names, as the door finds them: in the version it names, or else the latest.
fn found(sent: &[RosterEntry]) -> Vec<Option<Agent>> {
    let find = |sent: &RosterEntry| match sent {
        RosterEntry::Own => None,
        RosterEntry::Agent { id, version } => {
            let place = (0..OTHERS).find(|place| other(*place, 1).definition.id == *id)?;
            Some(other(place, version.unwrap_or(VERSIONS)))
        }
    };
    sent.iter().map(find).collect()
}

/// The agent at work, as it is kept.
struct Desk {
    versions: Vec<Agent>,
}

impl Desk {
    fn begin(body: Map<String, Value>, at: Timestamp) -> Self {
        let (agent, sent) = agent::create(Value::Object(body), &routes(), OWN, at).expect("legal");
        let agent = match sent {
            None => agent,
            Some(sent) => agent::enlist(agent, &sent, &found(&sent), false).expect("legal"),
        };
        Self { versions: vec![agent] }
    }

    fn now(&self) -> &Agent {
        self.versions.last().expect("a version")
    }

    fn update(&mut self, body: Map<String, Value>, at: Timestamp) -> Told {
        let change = AgentChange::read(Value::Object(body), &routes()).expect("legal");
        let found = found(change.named());
        match agent::revise(self.now(), change, &found, false, at) {
            Ok(next) => {
                self.versions.extend(next);
                Told::Agent(written(self.now()))
            }
            Err(DocumentRefusal::Taken(_) | DocumentRefusal::InUse(_)) => {
                panic!("neither a name nor a use hinders an agent")
            }
            Err(DocumentRefusal::Stale { .. }) => Told::Stale,
            Err(DocumentRefusal::Invalid(wrong)) => {
                assert!(wrong.message.contains("archived"), "{wrong}");
                Told::Archived
            }
        }
    }
}

fn written(agent: &Agent) -> Value {
    serde_json::to_value(agent).expect("writes")
}

fn lived(plan: &Plan) {
    let others: Vec<Value> = (0..OTHERS).map(|place| json!(other(place, 1).definition.id)).collect();
    let latest: Latest = others.iter().map(|id| (id.as_str().expect("an id").to_owned(), VERSIONS)).collect();
    let mut clock = (1..).map(Timestamp::from_micros);
    let mut tick = || clock.next().expect("time goes on");
    let at = tick();
    let body = plan.create.body(&others);
    let mut last = body.clone();
    let mut life = Life::begin(&Value::Object(body.clone()), &json!(OWN), &latest, &json!(at));
    let mut desk = Desk::begin(body, at);
    assert_eq!(written(desk.now()), *life.now());
    for step in &plan.steps {
        let at = tick();
        let body = match step {
            Step::Archive => {
                if let Some(archived) = document::archive(desk.now(), at) {
                    desk.versions.iter_mut().for_each(|version| version.archived_at = Some(at));
                    *desk.versions.last_mut().expect("a version") = archived;
                }
                assert_eq!(written(desk.now()), life.archive(&json!(at)));
                continue;
            }
            Step::Update(draft, seen) => {
                let mut body = draft.body(&others);
                last.clone_from(&body);
                seen.say(&mut body, desk.now().definition.version);
                body
            }
            Step::Echo(fields) => {
                let now = written(desk.now());
                fields.iter().map(|field| ((*field).to_owned(), now[*field].clone())).collect()
            }
            Step::Again => last.clone(),
        };
        let versions = desk.versions.len();
        let told = desk.update(body.clone(), at);
        assert_eq!(told, life.update(&Value::Object(body), &latest, &json!(at)), "{step:?}");
        if let Step::Echo(_) = step {
            assert_eq!(desk.versions.len(), versions, "what was answered changes nothing");
        }
    }
    assert_eq!(desk.versions.iter().map(written).collect::<Vec<_>>(), life.versions);
    let numbers: Vec<_> = desk.versions.iter().map(|agent| agent.definition.version).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let kept = serde_json::to_string(&desk.versions).expect("writes");
    assert_eq!(serde_json::from_str::<Vec<Agent>>(&kept).expect("reads"), desk.versions);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_life_is_what_the_words_say(plan in plans::life()) {
        lived(&plan);
    }
}
