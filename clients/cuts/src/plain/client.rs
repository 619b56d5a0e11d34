//! One client under load: it speaks, answers calls, interrupts, and follows its session over every kill.

use std::collections::BTreeMap;

use dice::Dice;
use serde_json::{Value, json};

use super::dossier::{MessageFate, SessionDossier, SessionLook};
use super::script;
use crate::agent;
use crate::caller::CutsCaller;
use crate::hitch::CallHitch;
use crate::kind::Client;
use crate::session::CalledSession;

/// After so many turns a client takes a new session.
const TURNS: u32 = 25;

/// A client and its sessions.
#[derive(Debug)]
pub(crate) struct PlainClient {
    dice: Dice,
    number: u64,
    /// The session that it is about to open.
    opening: Option<Opening>,
    current: Option<(String, SessionDossier)>,
    old: BTreeMap<String, SessionDossier>,
}

/// A session at rest.
#[derive(Debug)]
pub(crate) struct RestingSession {
    pub(crate) dossier: SessionDossier,
    /// Its list.
    pub(crate) events: Vec<Value>,
}

/// What all sessions use: the agent's id.
#[derive(Debug)]
pub(crate) struct PlainAgent(String);

impl Client for PlainClient {
    const NAME: &'static str = "plain";
    const WHILE: &'static str = "clients speak and follow";
    const KILLS: u64 = 20;
    const CLIENTS: u64 = 12;
    const LOAD_MS: (u64, u64) = (100, 1_800);
    type Ground = PlainAgent;
    type Shown = RestingSession;

    async fn prepare(caller: &CutsCaller) -> Result<PlainAgent, CallHitch> {
        let agent = agent::definition("cut", &[agent::look_up()]);
        caller.make("/v1/agents", &agent, false).await.map(PlainAgent)
    }

    fn new(_place: u64, dice: Dice, number: u64) -> Self {
        Self { dice, number, opening: None, current: None, old: BTreeMap::new() }
    }

    /// Goes on with the session at hand until it has had its turns.
    async fn turn(&mut self, caller: &CutsCaller, agent: &PlainAgent) -> Result<(), CallHitch> {
        let (id, mut dossier) = match self.current.take() {
            Some(current) => current,
            None => self.opened(caller, agent).await?,
        };
        let session = CalledSession { caller, id };
        let spent = self.spend(&session, &mut dossier).await;
        match spent {
            Ok(()) => drop(self.old.insert(session.id, dossier)),
            Err(_) => self.current = Some((session.id, dossier)),
        }
        spent
    }

    fn acknowledged(&self) -> usize {
        let dossiers = self.old.values().chain(self.current.iter().map(|(_, dossier)| dossier));
        dossiers.flat_map(|dossier| dossier.said.values()).filter(|said| **said == MessageFate::Kept).count()
    }

    fn sessions(&self) -> Vec<String> {
        self.old.keys().chain(self.current.iter().map(|(id, _)| id)).cloned().collect()
    }

    async fn settle(
        &mut self,
        session: &CalledSession<'_>,
        _model: &CutsCaller,
    ) -> Result<RestingSession, CallHitch> {
        self.old.extend(self.current.take());
        let mut dossier = self.old.remove(&session.id).unwrap_or_default();
        dossier.settle(session).await?;
        Ok(RestingSession { dossier, events: session.events().await? })
    }
}

impl PlainClient {
    async fn spend(
        &mut self,
        session: &CalledSession<'_>,
        dossier: &mut SessionDossier,
    ) -> Result<(), CallHitch> {
        dossier.resend(session).await?;
        let mut stream = dossier.follow(session).await?;
        match dossier.look(session).await? {
            SessionLook::Busy => {}
            SessionLook::Called => dossier.answer(session, self.dice.once_in(2)).await?,
            SessionLook::Done { .. } => self.say(session, dossier).await?,
        }
        loop {
            let event = stream.next().await?;
            dossier.see(&event);
            match event["type"].as_str().unwrap_or_default() {
                "span.model_request_start" if self.dice.once_in(6) => {
                    self.say(session, dossier).await?;
                }
                "span.model_request_start" | "agent.custom_tool_use" if self.dice.once_in(12) => {
                    dossier.stop(session).await?;
                }
                "session.status_idle" if event["stop_reason"]["type"] == "requires_action" => {
                    dossier.answer(session, self.dice.once_in(2)).await?;
                }
                "session.status_idle" if dossier.turns >= TURNS => {
                    return dossier.settle(session).await;
                }
                "session.status_idle" => self.say(session, dossier).await?,
                _ => {}
            }
        }
    }

    async fn say(
        &mut self,
        session: &CalledSession<'_>,
        dossier: &mut SessionDossier,
    ) -> Result<(), CallHitch> {
        self.number += 1;
        let message = script::message(&mut self.dice, self.number);
        dossier.say(session, self.number, message).await
    }

    /// Opens a session with one event in its list, so that there is a cursor from the first moment, in an
    /// environment of its own. What a kill has cut is sent again, and what was answered is not: a session
    /// that was changed since is nobody's repeat.
    async fn opened(
        &mut self,
        caller: &CutsCaller,
        agent: &PlainAgent,
    ) -> Result<(String, SessionDossier), CallHitch> {
        let again = self.opening.is_some();
        let mut opening = self.opening.take().unwrap_or_else(|| {
            self.number += 1;
            Opening { number: self.number, session: None }
        });
        let opened = opening.go_on(caller, agent, again).await;
        self.opening = opened.is_err().then_some(opening);
        opened
    }
}

/// A session that is being opened.
#[derive(Debug)]
struct Opening {
    number: u64,
    /// Its id, once that was answered.
    session: Option<String>,
}

impl Opening {
    async fn go_on(
        &mut self,
        caller: &CutsCaller,
        agent: &PlainAgent,
        again: bool,
    ) -> Result<(String, SessionDossier), CallHitch> {
        let name = format!("cut {}", self.number);
        let id = if let Some(session) = &self.session {
            session.clone()
        } else {
            let environment = caller.make("/v1/environments", &json!({"name": name}), again).await?;
            let body = json!({"agent": agent.0, "environment_id": environment, "title": name});
            self.session.insert(caller.make("/v1/sessions", &body, again).await?).clone()
        };
        let session = CalledSession { caller, id };
        caller.send(&session.path(""), &json!({"metadata": {"under": "load"}}), again).await?;
        let mut dossier = SessionDossier::default();
        for event in &session.events().await? {
            dossier.see(event);
        }
        Ok((session.id, dossier))
    }
}
