//! One client whose agent leads others: it speaks, answers what its children ask, and archives them, over
//! every cut.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use sim::dice::Dice;
use tokio::time::sleep;

use super::{
    super::cuts::caller::{Caller, Hitch},
    scribe::Scribe,
    settled::Settled,
};

/// Numbers a worker may use.
const NUMBERS: u64 = 1_000_000;
/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(15);
/// With so many living children most workers make room; so many they leave.
const CROWDED: usize = 18;
const ROOMY: usize = 8;
/// The oldest children, to which letters go, are mostly left alone.
const OLDEST: usize = 4;
/// The events that ask the client for something, and its answers.
const ASKED: &str = "types[]=agent.tool_use&types[]=agent.custom_tool_use\
    &types[]=user.tool_confirmation&types[]=user.custom_tool_result";
/// The session's own words about whether it works.
const STATUS: &str = "types[]=session.status_running&types[]=session.status_idle\
    &types[]=session.status_rescheduled&types[]=session.status_terminated";

/// What every session uses.
#[derive(Debug)]
pub(crate) struct Team {
    /// The coordinator.
    pub(crate) lead: String,
    pub(crate) environment: String,
}

/// A client and its one session.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) place: u64,
    pub(crate) session: Option<String>,
    /// Turns that the server said yes to.
    pub(crate) kept: Vec<String>,
    /// Threads that the server said it had archived.
    pub(crate) archived: Vec<String>,
    /// Children that rest, to archive while others work.
    spare: Vec<String>,
    scribe: Scribe,
}

/// How a session is.
#[derive(PartialEq)]
enum Rest {
    Busy,
    /// Idle, and it waits for this client.
    Asks,
    Done,
}

impl Worker {
    pub(crate) fn new(place: u64, seed: u64) -> Self {
        let scribe = Scribe::new(Dice::new(seed), place * NUMBERS);
        Self { place, session: None, kept: Vec::new(), archived: Vec::new(), spare: Vec::new(), scribe }
    }

    /// Works until the connection is lost; gives what the server refused, which it must not.
    pub(crate) async fn work(&mut self, caller: &Caller, team: &Team) -> Option<String> {
        loop {
            match self.turn(caller, team).await {
                Ok(()) => {}
                Err(Hitch::Cut(_)) => return None,
                Err(hitch @ Hitch::Refused { .. }) => return Some(format!("worker {}: {hitch}", self.place)),
            }
        }
    }

    /// This worker's session, made at the first turn.
    async fn session(&mut self, caller: &Caller, team: &Team) -> Result<String, Hitch> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let body = json!({"agent": team.lead, "environment_id": team.environment});
        let made = caller.post("/v1/sessions", &body).await?;
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        Ok(self.session.insert(id).clone())
    }

    async fn turn(&mut self, caller: &Caller, team: &Team) -> Result<(), Hitch> {
        let session = self.session(caller, team).await?;
        self.rest(caller, &session).await?;
        let threads = caller.all(&format!("/v1/sessions/{session}/threads")).await?;
        self.make_room(caller, &session, &threads).await?;
        // A turn makes up to three children, and of one at least the id is told.
        let children = threads.len().saturating_sub(1);
        let text = if self.fills() && children == 0 {
            self.scribe.crowd()
        } else {
            self.scribe.turn(children.div_ceil(3).min(OLDEST))
        };
        self.say(caller, &session, &text).await?;
        self.kept.push(text);
        self.rest(caller, &session).await
    }

    async fn say(&self, caller: &Caller, session: &str, text: &str) -> Result<(), Hitch> {
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
        caller.post(&format!("/v1/sessions/{session}/events"), &json!({"events": [message]})).await.map(drop)
    }

    /// Whether this worker fills its session at once, and goes on for a while when it is full.
    const fn fills(&self) -> bool {
        self.place == 0
    }

    /// Archives some children of a session at rest, and chooses some to archive while others work.
    async fn make_room(&mut self, caller: &Caller, session: &str, threads: &[Value]) -> Result<(), Hitch> {
        let mut idle: Vec<String> = threads
            .iter()
            .filter(|thread| !thread["parent_thread_id"].is_null() && thread["status"] == "idle")
            .filter_map(|thread| thread["id"].as_str().map(str::to_owned))
            .collect();
        let full = idle.len() >= protocol::limits::THREADS as usize;
        let crowded = if self.fills() { full && self.scribe.dice.once_in(2) } else { idle.len() >= CROWDED };
        if crowded {
            while idle.len() > ROOMY {
                let id = self.choose(&mut idle);
                self.archive(caller, session, &id).await?;
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
    async fn archive(&mut self, caller: &Caller, session: &str, thread: &str) -> Result<(), Hitch> {
        let path = format!("/v1/sessions/{session}/threads/{thread}/archive");
        match caller.post(&path, &Value::Null).await {
            Ok(_) => self.archived.push(thread.to_owned()),
            Err(Hitch::Refused { status: 400, message, .. }) if message.contains("only idle threads") => {}
            Err(hitch) => return Err(hitch),
        }
        Ok(())
    }

    /// Answers what is asked, and archives what is spare, until the session rests.
    async fn rest(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        loop {
            match look(caller, session).await? {
                Rest::Done => return Ok(()),
                Rest::Asks => self.answer(caller, session).await?,
                Rest::Busy => match self.scribe.dice.below(8) {
                    0 | 1 => self.answer(caller, session).await?,
                    2 => {
                        if let Some(thread) = self.spare.pop() {
                            self.archive(caller, session, &thread).await?;
                        }
                    }
                    _ => {}
                },
            }
            sleep(LOOK).await;
        }
    }

    /// Allows and answers what children ask, sometimes one at a time, so that a cut finds some of it open.
    async fn answer(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        let path = format!("/v1/sessions/{session}/events");
        let page = caller.get(&format!("{path}?{ASKED}&order=desc&limit=100")).await?;
        let events = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut open = open(events);
        if self.scribe.dice.once_in(2) {
            open.truncate(1);
        }
        if open.is_empty() {
            return Ok(());
        }
        caller.post(&path, &json!({"events": open})).await.map(drop)
    }

    /// Lets the session come to rest.
    pub(crate) async fn settle(&mut self, caller: &Caller) -> Result<(), Hitch> {
        let session = self.session.clone().unwrap_or_default();
        self.rest(caller, &session).await
    }

    /// One last turn without children, whose request the model keeps; then all that the session shows.
    pub(crate) async fn shown(&mut self, caller: &Caller, model: &Caller) -> Result<Settled, Hitch> {
        let session = self.session.clone().unwrap_or_default();
        let keep = format!("lead-{}", self.place);
        let text = format!("script:{}", json!([{"text": "all told", "keep": keep}]));
        self.say(caller, &session, &text).await?;
        self.kept.push(text);
        self.rest(caller, &session).await?;
        let path = format!("/v1/sessions/{session}");
        let threads = caller.all(&format!("{path}/threads")).await?;
        let mut lists = BTreeMap::new();
        for id in threads.iter().filter_map(|thread| thread["id"].as_str()) {
            lists.insert(id.to_owned(), caller.all(&format!("{path}/threads/{id}/events")).await?);
        }
        Ok(Settled {
            session: caller.get(&path).await?,
            events: caller.all(&format!("{path}/events")).await?,
            threads,
            lists,
            asked: model.get(&format!("/kept/{keep}")).await?,
        })
    }
}

/// The answers that these events, the latest first, still want.
fn open(events: &[Value]) -> Vec<Value> {
    let mut open: BTreeMap<&str, Value> = BTreeMap::new();
    for event in events.iter().rev() {
        let word = |key: &str| event[key].as_str().unwrap_or_default();
        let id = word("id");
        match word("type") {
            "agent.tool_use" if event["evaluated_permission"] == "ask" => {
                open.insert(
                    id,
                    json!({"type": "user.tool_confirmation", "tool_use_id": id, "result": "allow"}),
                );
            }
            "agent.custom_tool_use" => {
                let found = json!([{"type": "text", "text": "found"}]);
                open.insert(
                    id,
                    json!({"type": "user.custom_tool_result", "custom_tool_use_id": id, "content": found}),
                );
            }
            "user.tool_confirmation" => drop(open.remove(word("tool_use_id"))),
            "user.custom_tool_result" => drop(open.remove(word("custom_tool_use_id"))),
            _ => {}
        }
    }
    open.into_values().collect()
}

async fn look(caller: &Caller, session: &str) -> Result<Rest, Hitch> {
    let read = caller.get(&format!("/v1/sessions/{session}")).await?;
    if read["status"] != "idle" {
        return Ok(Rest::Busy);
    }
    let path = format!("/v1/sessions/{session}/events?{STATUS}&order=desc&limit=1");
    let page = caller.get(&path).await?;
    let last = &page["data"][0];
    Ok(match last["type"].as_str() {
        Some("session.status_idle") if last["stop_reason"]["type"] == "requires_action" => Rest::Asks,
        Some("session.status_idle") | None => Rest::Done,
        // Between the two answers it may have begun to run.
        Some(_) => Rest::Busy,
    })
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
