//! One client whose agent runs commands: it speaks, allows what is asked, and waits, over every cut.

use std::time::Duration;

use serde_json::{Value, json};
use sim::dice::Dice;
use tokio::time::sleep;

use super::super::cuts::caller::{Caller, Hitch};

/// Numbers of calls a worker may use.
const NUMBERS: u64 = 1_000_000;
/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(10);

/// What every session uses.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The agent that runs commands at once.
    pub(crate) bold: String,
    /// The agent that asks first.
    pub(crate) shy: String,
    pub(crate) environment: String,
}

/// A client and its one session.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) place: u64,
    pub(crate) session: Option<String>,
    dice: Dice,
    number: u64,
}

/// How a session is.
enum Rest {
    Busy,
    /// It waits for verdicts on these calls.
    Asks(Vec<Value>),
    Done,
}

impl Worker {
    pub(crate) fn new(place: u64, seed: u64) -> Self {
        Self { place, session: None, dice: Dice::new(seed), number: place * NUMBERS }
    }

    /// Works until the connection is lost; gives what the server refused, which it must not.
    pub(crate) async fn work(&mut self, caller: &Caller, bench: &Bench) -> Option<String> {
        loop {
            match self.turn(caller, bench).await {
                Ok(()) => {}
                Err(Hitch::Cut(_)) => return None,
                Err(hitch @ Hitch::Refused { .. }) => return Some(format!("worker {}: {hitch}", self.place)),
            }
        }
    }

    /// This worker's session, made at the first turn: every other one's agent asks before a command.
    async fn session(&mut self, caller: &Caller, bench: &Bench) -> Result<String, Hitch> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let agent = if self.place.is_multiple_of(2) { &bench.bold } else { &bench.shy };
        let body = json!({"agent": agent, "environment_id": bench.environment});
        let made = caller.post("/v1/sessions", &body).await?;
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        Ok(self.session.insert(id).clone())
    }

    async fn turn(&mut self, caller: &Caller, bench: &Bench) -> Result<(), Hitch> {
        let session = self.session(caller, bench).await?;
        self.rest(caller, &session).await?;
        let text = format!("script:{}", self.script());
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
        caller.post(&format!("/v1/sessions/{session}/events"), &json!({"events": [message]})).await?;
        self.rest(caller, &session).await
    }

    /// Allows whatever is asked until the session rests.
    async fn rest(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        loop {
            match look(caller, session).await? {
                Rest::Done => return Ok(()),
                Rest::Busy => sleep(LOOK).await,
                Rest::Asks(calls) => {
                    // Sometimes one at a time, so that a cut finds some allowed and some not.
                    let many = if self.dice.below(2) == 0 { 1 } else { calls.len() };
                    let verdict = |call: &Value| json!({"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"});
                    let events: Vec<Value> = calls.iter().take(many).map(verdict).collect();
                    caller
                        .post(&format!("/v1/sessions/{session}/events"), &json!({"events": events}))
                        .await?;
                }
            }
        }
    }

    /// Lets the session come to rest and gives all its events.
    pub(crate) async fn settle(&mut self, caller: &Caller) -> Result<Vec<Value>, Hitch> {
        let session = self.session.clone().unwrap_or_default();
        self.rest(caller, &session).await?;
        caller.all(&format!("/v1/sessions/{session}/events")).await
    }

    /// One answer with calls, or two, and a last word.
    fn script(&mut self) -> Value {
        let mut steps = Vec::new();
        for _ in 0..=self.dice.below(2) {
            let tools: Vec<Value> = (0..=self.dice.below(3)).map(|_| self.call()).collect();
            steps.push(json!({"text": "", "tools": tools}));
        }
        steps.push(json!({"text": "done"}));
        json!(steps)
    }

    fn call(&mut self) -> Value {
        match self.dice.below(5) {
            0 => json!({"name": "read", "input": {"file_path": "/etc/passwd"}}),
            1 => json!({"name": "glob", "input": {"pattern": "*"}}),
            _ => {
                self.number += 1;
                let (number, before, after) = (self.number, self.dice.below(120), self.dice.below(120));
                let command = format!(
                    "sleep 0.{before:03}; echo {number} >> /workspace/counter; sleep 0.{after:03}; echo ran {number}"
                );
                json!({"name": "bash", "input": {"command": command}})
            }
        }
    }
}

async fn look(caller: &Caller, session: &str) -> Result<Rest, Hitch> {
    let read = caller.get(&format!("/v1/sessions/{session}")).await?;
    if read["status"] != "idle" {
        return Ok(Rest::Busy);
    }
    let page = caller.get(&format!("/v1/sessions/{session}/events?order=desc&limit=1")).await?;
    let last = &page["data"][0];
    Ok(match last["stop_reason"]["event_ids"].as_array() {
        Some(calls) if last["type"] == "session.status_idle" => Rest::Asks(calls.clone()),
        // Between the two answers it may have begun to run.
        _ if last["type"] != "session.status_idle" && !last.is_null() => Rest::Busy,
        _ => Rest::Done,
    })
}
