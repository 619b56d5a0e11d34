//! One client whose agent leads others: it speaks, answers what its children ask, and archives them, over
//! every kill.

use std::collections::BTreeMap;
use std::time::Duration;

use dice::Dice;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::script::{ScriptWriter, THREADS};
use super::shown::ShownSession;
use crate::agent;
use crate::caller::CutsCaller;
use crate::event::{self, text};
use crate::hitch::CallHitch;
use crate::kind::Client;
use crate::session::{CalledSession, SessionRest};

/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(15);
/// With so many living children most clients make room; so many they leave.
const CROWDED: usize = 18;
const ROOMY: usize = 8;
/// The oldest children, to which letters go, are mostly left alone.
const OLDEST: usize = 4;
/// The events that ask the client for something, and its answers.
const ASKED: &str = "types[]=agent.tool_use&types[]=agent.custom_tool_use\
    &types[]=user.tool_confirmation&types[]=user.custom_tool_result";

/// What every session uses.
#[derive(Debug)]
pub(crate) struct TeamGround {
    /// The coordinator.
    lead: String,
    environment: String,
}

/// A client and its one session.
#[derive(Debug)]
pub(crate) struct TeamClient {
    place: u64,
    session: Option<String>,
    /// Turns that the server said yes to.
    kept: Vec<String>,
    /// Threads that the server said it had archived.
    archived: Vec<String>,
    /// Children that rest, to archive while others work.
    spare: Vec<String>,
    scribe: ScriptWriter,
}

impl Client for TeamClient {
    const NAME: &'static str = "team";
    const WHILE: &'static str = "coordinators and children work";
    const KILLS: u64 = 40;
    const CLIENTS: u64 = 6;
    const LOAD_MS: (u64, u64) = (60, 900);
    type Ground = TeamGround;
    type Shown = ShownSession;

    /// The coordinator, its two members, one of which asks before a command, and the environment.
    async fn prepare(caller: &CutsCaller) -> Result<TeamGround, CallHitch> {
        let agent = |name, policy| agent::definition(name, &[agent::built_in(policy), agent::look_up()]);
        let bold = caller.make("/v1/agents", &agent("bold", "always_allow"), false).await?;
        let shy = caller.make("/v1/agents", &agent("shy", "always_ask"), false).await?;
        let mut lead = agent("lead", "always_allow");
        lead["multiagent"] = json!({"type": "coordinator", "agents": [bold, shy, {"type": "self"}]});
        Ok(TeamGround {
            lead: caller.make("/v1/agents", &lead, false).await?,
            environment: caller.make("/v1/environments", &json!({"name": "team"}), false).await?,
        })
    }

    fn new(place: u64, dice: Dice, number: u64) -> Self {
        let scribe = ScriptWriter::new(dice, number);
        Self { place, session: None, kept: Vec::new(), archived: Vec::new(), spare: Vec::new(), scribe }
    }

    /// One turn of the coordinator, when some children have made room.
    async fn turn(&mut self, caller: &CutsCaller, team: &TeamGround) -> Result<(), CallHitch> {
        let body = json!({"agent": team.lead, "environment_id": team.environment});
        let session = CalledSession::opened(caller, &mut self.session, &body).await?;
        self.rest(&session).await?;
        let threads = caller.all(&session.path("/threads")).await?;
        self.make_room(&session, &threads).await?;
        // A turn makes up to three children, and of one at least the id is told.
        let children = threads.len().saturating_sub(1);
        let turn = if self.fills() && children == 0 {
            self.scribe.crowd()
        } else {
            self.scribe.turn(children.div_ceil(3).min(OLDEST))
        };
        session.say(&turn).await?;
        self.kept.push(turn);
        self.rest(&session).await
    }

    fn acknowledged(&self) -> usize {
        self.kept.len()
    }

    fn sessions(&self) -> Vec<String> {
        self.session.iter().cloned().collect()
    }

    /// One last turn without children, whose request the model keeps; then all that the session shows.
    async fn settle(
        &mut self,
        session: &CalledSession<'_>,
        model: &CutsCaller,
    ) -> Result<ShownSession, CallHitch> {
        self.rest(session).await?;
        let keep = format!("lead-{}", self.place);
        let turn = format!("script:{}", json!([{"text": "all told", "keep": keep}]));
        session.say(&turn).await?;
        self.kept.push(turn);
        self.rest(session).await?;
        let caller = session.caller;
        let threads = caller.all(&session.path("/threads")).await?;
        let mut lists = BTreeMap::new();
        for id in threads.iter().map(|thread| text(thread, "id")) {
            let list = caller.all(&session.path(&format!("/threads/{id}/events"))).await?;
            lists.insert(id.to_owned(), list);
        }
        Ok(ShownSession {
            session: caller.get(&session.path("")).await?,
            events: session.events().await?,
            threads,
            lists,
            asked: model.get(&format!("/kept/{keep}")).await?,
            kept: self.kept.clone(),
            archived: self.archived.clone(),
        })
    }
}

impl TeamClient {
    /// Whether this client fills its session at once, and goes on for a while when it is full.
    const fn fills(&self) -> bool {
        self.place == 0
    }

    /// Archives some children of a session at rest, and chooses some to archive while others work.
    async fn make_room(&mut self, session: &CalledSession<'_>, threads: &[Value]) -> Result<(), CallHitch> {
        let mut idle: Vec<String> = threads
            .iter()
            .filter(|thread| !thread["parent_thread_id"].is_null() && thread["status"] == "idle")
            .filter_map(|thread| thread["id"].as_str().map(str::to_owned))
            .collect();
        let full = idle.len() >= THREADS;
        let crowded = if self.fills() { full && self.scribe.dice.once_in(2) } else { idle.len() >= CROWDED };
        if crowded {
            while idle.len() > ROOMY {
                let id = self.choose(&mut idle);
                self.archive(session, &id).await?;
            }
        }
        self.spare.clear();
        if !self.fills() && idle.len() > OLDEST {
            self.spare = (0..self.scribe.dice.below(3)).map(|_| self.choose(&mut idle)).collect();
        }
        Ok(())
    }

    /// Takes one of these, mostly not of the oldest.
    fn choose(&mut self, idle: &mut Vec<String>) -> String {
        let dice = &mut self.scribe.dice;
        let from = if dice.once_in(8) { 0 } else { OLDEST.min(idle.len().saturating_sub(1)) };
        let place = from + dice.below((idle.len() - from) as u64) as usize;
        if place < idle.len() { idle.remove(place) } else { String::new() }
    }

    /// Archives a child; one that a letter has woken is refused and left.
    async fn archive(&mut self, session: &CalledSession<'_>, thread: &str) -> Result<(), CallHitch> {
        let path = session.path(&format!("/threads/{thread}/archive"));
        match session.caller.post(&path, &Value::Null).await {
            Ok(_) => self.archived.push(thread.to_owned()),
            Err(CallHitch::Refused { status: 400, message, .. }) if message.contains("only idle threads") => {
            }
            Err(hitch) => return Err(hitch),
        }
        Ok(())
    }

    /// Answers what is asked, and archives what is spare, until the session rests.
    async fn rest(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        loop {
            match session.rest().await? {
                SessionRest::Done => return Ok(()),
                SessionRest::Asks(_) => self.answer(session).await?,
                SessionRest::Busy => match self.scribe.dice.below(8) {
                    0 | 1 => self.answer(session).await?,
                    2 => {
                        if let Some(thread) = self.spare.pop() {
                            self.archive(session, &thread).await?;
                        }
                    }
                    _ => {}
                },
            }
            sleep(LOOK).await;
        }
    }

    /// Allows and answers what children ask, sometimes one at a time, so that a kill finds some of it open.
    async fn answer(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        let path = session.path(&format!("/events?{ASKED}&order=desc&limit=100"));
        let page = session.caller.get(&path).await?;
        let events = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut open = open(events);
        if self.scribe.dice.once_in(2) {
            open.truncate(1);
        }
        if open.is_empty() {
            return Ok(());
        }
        session.send(&open, false).await.map(drop)
    }
}

/// The answers that these events, the latest first, still want.
fn open(events: &[Value]) -> Vec<Value> {
    let mut open: BTreeMap<&str, Value> = BTreeMap::new();
    for event in events.iter().rev() {
        let id = text(event, "id");
        match text(event, "type") {
            "agent.tool_use" if event["evaluated_permission"] == "ask" => {
                open.insert(id, event::allow(id));
            }
            "agent.custom_tool_use" => drop(open.insert(id, event::result(id, "found"))),
            "user.tool_confirmation" => drop(open.remove(text(event, "tool_use_id"))),
            "user.custom_tool_result" => drop(open.remove(text(event, "custom_tool_use_id"))),
            _ => {}
        }
    }
    open.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_not_yet_answered_is_open() {
        let call = |id: &str, kind: &str, policy: &str| json!({"id": id, "type": kind, "evaluated_permission": policy});
        let events = [
            json!({"type": "user.custom_tool_result", "custom_tool_use_id": "c"}),
            call("d", "agent.custom_tool_use", ""),
            call("c", "agent.custom_tool_use", ""),
            call("b", "agent.tool_use", "ask"),
            call("a", "agent.tool_use", "allow"),
        ];
        let wanted: Vec<(Value, Value)> = open(&events)
            .into_iter()
            .map(|answer| (answer["tool_use_id"].clone(), answer["custom_tool_use_id"].clone()))
            .collect();
        assert_eq!(wanted, [(json!("b"), Value::Null), (Value::Null, json!("d"))]);
    }
}
