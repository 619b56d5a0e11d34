//! One client whose agent runs commands: it speaks, allows what is asked, and waits, over every kill.

use std::time::Duration;

use dice::Dice;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::agent;
use crate::caller::CutsCaller;
use crate::event;
use crate::hitch::CallHitch;
use crate::kind::Client;
use crate::ledger;
use crate::session::{CalledSession, SessionRest};

/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(10);
/// The longest pause of a command before and behind what it writes, in milliseconds.
const PAUSE_MS: u64 = 120;

/// What every session uses.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The agent that runs commands at once.
    bold: String,
    /// The agent that asks first.
    shy: String,
    environment: String,
}

/// A client and its one session.
#[derive(Debug)]
pub(crate) struct ToolsClient {
    place: u64,
    session: Option<String>,
    /// Messages that the server said yes to.
    kept: Vec<String>,
    dice: Dice,
    number: u64,
}

/// A session at rest.
#[derive(Debug)]
pub(crate) struct RestingTools {
    /// Its list.
    pub(crate) events: Vec<Value>,
    /// Messages that the server said yes to.
    pub(crate) kept: Vec<String>,
}

impl Client for ToolsClient {
    const NAME: &'static str = "tools";
    const WHILE: &'static str = "commands run";
    const KILLS: u64 = 40;
    const CLIENTS: u64 = 6;
    const LOAD_MS: (u64, u64) = (60, 900);
    type Ground = Ground;
    type Shown = RestingTools;

    async fn prepare(caller: &CutsCaller) -> Result<Ground, CallHitch> {
        let agent = |name, policy| agent::definition(name, &[agent::built_in(policy)]);
        Ok(Ground {
            bold: caller.make("/v1/agents", &agent("bold", "always_allow"), false).await?,
            shy: caller.make("/v1/agents", &agent("shy", "always_ask"), false).await?,
            environment: caller.make("/v1/environments", &json!({"name": "bench"}), false).await?,
        })
    }

    fn new(place: u64, dice: Dice, number: u64) -> Self {
        Self { place, session: None, kept: Vec::new(), dice, number }
    }

    /// One message and its answer; every other client's agent asks before a command.
    async fn turn(&mut self, caller: &CutsCaller, ground: &Ground) -> Result<(), CallHitch> {
        let agent = if self.place.is_multiple_of(2) { &ground.bold } else { &ground.shy };
        let body = json!({"agent": agent, "environment_id": ground.environment});
        let session = CalledSession::opened(caller, &mut self.session, &body).await?;
        self.rest(&session).await?;
        let message = format!("script:{}", self.script());
        session.say(&message).await?;
        self.kept.push(message);
        self.rest(&session).await
    }

    fn acknowledged(&self) -> usize {
        self.kept.len()
    }

    fn sessions(&self) -> Vec<String> {
        self.session.iter().cloned().collect()
    }

    async fn settle(
        &mut self,
        session: &CalledSession<'_>,
        _model: &CutsCaller,
    ) -> Result<RestingTools, CallHitch> {
        self.rest(session).await?;
        Ok(RestingTools { events: session.events().await?, kept: self.kept.clone() })
    }
}

impl ToolsClient {
    /// Allows whatever is asked until the session rests.
    async fn rest(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        loop {
            match session.rest().await? {
                SessionRest::Done => return Ok(()),
                SessionRest::Busy => sleep(LOOK).await,
                SessionRest::Asks(calls) => {
                    // Sometimes one at a time, so that a kill finds some allowed and some not.
                    let many = if self.dice.below(2) == 0 { 1 } else { calls.len() };
                    let verdicts: Vec<Value> =
                        calls.iter().take(many).map(|call| event::allow(call)).collect();
                    session.send(&verdicts, false).await?;
                }
            }
        }
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
                ledger::command(self.number, self.dice.below(PAUSE_MS), self.dice.below(PAUSE_MS))
            }
        }
    }
}
