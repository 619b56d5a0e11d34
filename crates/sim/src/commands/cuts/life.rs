//! One client under load: it speaks, answers calls, interrupts, and follows its session over every cut.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sim::dice::Dice;

use super::{
    caller::{Caller, Hitch, Stream},
    script,
};

/// After so many turns a life takes a new session.
const TURNS: u32 = 25;
/// Numbers of messages a life may use.
const NUMBERS: u64 = 1_000_000;

/// What every session shares.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The agent's id.
    pub(crate) agent: String,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The server said yes: it is there once.
    Kept,
    /// The server said no: it is not there.
    Refused,
    /// The answer was lost: it is there at most once.
    Unknown,
}

/// A request whose answer has not come: it is sent again, until one does.
#[derive(Debug)]
struct Lost {
    events: Vec<Value>,
    /// The message in it.
    says: Option<u64>,
    /// The calls that it answers.
    calls: Vec<String>,
}

/// What a client knows of one session.
#[derive(Debug, Default)]
pub(crate) struct Dossier {
    /// The ids that a 200 gave back, in order.
    pub(crate) acknowledged: Vec<String>,
    /// The messages sent, by number.
    pub(crate) said: BTreeMap<u64, Said>,
    /// The processed events that the streams showed, in order; the first comes from the list.
    pub(crate) streamed: Vec<String>,
    /// How often it was interrupted, but for those that were answered as an earlier one.
    pub(crate) stops: usize,
    lost: Option<Lost>,
    /// Calls seen and not seen answered.
    open: BTreeSet<String>,
    /// Calls whose result was acknowledged.
    answered: BTreeSet<String>,
    turns: u32,
}

impl Dossier {
    /// Sends events and notes their ids.
    async fn send(&mut self, caller: &Caller, session: &str, lost: Lost) -> Result<(), Hitch> {
        self.lost = Some(lost);
        self.deliver(caller, session, false).await
    }

    /// Sends again what was not answered.
    async fn resend(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        self.deliver(caller, session, true).await
    }

    async fn deliver(&mut self, caller: &Caller, session: &str, again: bool) -> Result<(), Hitch> {
        let Some(lost) = self.lost.take() else { return Ok(()) };
        let path = format!("/v1/sessions/{session}/events");
        let echo = match caller.send(&path, &json!({"events": lost.events}), again).await {
            Ok(echo) => echo,
            // A refusal is an answer too, for a message may meet an open call.
            Err(Hitch::Refused { status: 400, .. }) if lost.says.is_some() => {
                self.said.extend(lost.says.map(|number| (number, Said::Refused)));
                return Ok(());
            }
            Err(hitch) => {
                self.lost = Some(lost);
                return Err(hitch);
            }
        };
        let ids = echo["data"].as_array().into_iter().flatten().filter_map(|event| event["id"].as_str());
        let ids: Vec<_> = ids.map(str::to_owned).collect();
        // One interrupt asks the same as another: where its first attempt never came in, it is taken for the
        // one before it.
        let is_earlier = again && !ids.is_empty() && ids.iter().all(|id| self.acknowledged.contains(id));
        if is_earlier && lost.events == [json!({"type": "user.interrupt"})] {
            self.stops -= 1;
        } else {
            self.acknowledged.extend(ids);
        }
        self.said.extend(lost.says.map(|number| (number, Said::Kept)));
        self.answered.extend(lost.calls);
        Ok(())
    }

    /// Says something.
    async fn say(
        &mut self,
        caller: &Caller,
        session: &str,
        number: u64,
        message: Value,
    ) -> Result<(), Hitch> {
        self.said.insert(number, Said::Unknown);
        let lost = Lost { events: vec![message], says: Some(number), calls: Vec::new() };
        self.send(caller, session, lost).await
    }

    /// Stops what goes on.
    async fn stop(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        self.stops += 1;
        let events = vec![json!({"type": "user.interrupt"})];
        self.send(caller, session, Lost { events, says: None, calls: Vec::new() }).await
    }

    /// Answers every open call, in one request or one by one.
    async fn answer(&mut self, caller: &Caller, session: &str, at_once: bool) -> Result<(), Hitch> {
        let calls: Vec<String> = self.open.difference(&self.answered).cloned().collect();
        let size = if at_once { calls.len().max(1) } else { 1 };
        for part in calls.chunks(size) {
            let events = part.iter().map(|call| script::result(call)).collect();
            self.send(caller, session, Lost { events, says: None, calls: part.to_vec() }).await?;
        }
        Ok(())
    }

    /// Notes an event of the stream.
    fn see(&mut self, event: &Value) {
        if event["processed_at"].is_null() {
            return;
        }
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        self.streamed.push(text("id"));
        match event["type"].as_str().unwrap_or_default() {
            "agent.custom_tool_use" => drop(self.open.insert(text("id"))),
            "user.custom_tool_result" => drop(self.open.remove(&text("custom_tool_use_id"))),
            "user.message" => self.turns += 1,
            _ => {}
        }
    }

    /// Opens the stream where it was cut.
    async fn follow(&self, caller: &Caller, session: &str) -> Result<Stream, Hitch> {
        let after = self.streamed.last().map_or("", String::as_str);
        caller.stream(session, after).await
    }

    /// Sees the calls that are open now: the stream may have shown them before the cut.
    async fn look(&mut self, caller: &Caller, session: &str) -> Result<Rest, Hitch> {
        let read = caller.get(&format!("/v1/sessions/{session}")).await?;
        if read["status"] != "idle" {
            return Ok(Rest::Busy);
        }
        let events = caller.all(&format!("/v1/sessions/{session}/events")).await?;
        let ids = |kind: &str, key: &str| -> BTreeSet<String> {
            let of = events.iter().filter(|event| event["type"] == kind);
            of.filter_map(|event| event[key].as_str().map(str::to_owned)).collect()
        };
        let made = ids("agent.custom_tool_use", "id");
        let answered = ids("user.custom_tool_result", "custom_tool_use_id");
        self.open = made.difference(&answered).cloned().collect();
        self.answered.retain(|call| answered.contains(call));
        let last = events.last().and_then(|event| event["id"].as_str()).unwrap_or_default().to_owned();
        Ok(if self.open.is_empty() { Rest::Done { last } } else { Rest::Called })
    }

    /// Reads on until an event of this kind, or until the stream has shown `id`.
    async fn until(&mut self, stream: &mut Stream, kind: &str, id: Option<&str>) -> Result<(), Hitch> {
        while id.is_none() || self.streamed.last().map(String::as_str) != id {
            let event = stream.next().await?;
            self.see(&event);
            if id.is_none() && event["type"] == kind {
                break;
            }
        }
        Ok(())
    }

    /// Answers what is open and reads the stream until the session rests and everything was shown.
    pub(crate) async fn settle(&mut self, caller: &Caller, session: &str) -> Result<(), Hitch> {
        self.resend(caller, session).await?;
        let mut stream = self.follow(caller, session).await?;
        loop {
            match self.look(caller, session).await? {
                Rest::Busy => self.until(&mut stream, "session.status_idle", None).await?,
                Rest::Called => self.answer(caller, session, true).await?,
                Rest::Done { last } => return self.until(&mut stream, "", Some(&last)).await,
            }
        }
    }
}

/// How a session rests.
#[derive(Debug)]
enum Rest {
    /// Not at all.
    Busy,
    /// It waits for answers.
    Called,
    /// It is done; `last` is the last event of its list.
    Done {
        /// The event's id.
        last: String,
    },
}

/// A client and its sessions.
#[derive(Debug)]
pub(crate) struct Life {
    /// What it saw that must not be.
    pub(crate) wrong: Vec<String>,
    dice: Dice,
    number: u64,
    /// The session that it is about to open.
    opening: Option<Opening>,
    current: Option<(String, Dossier)>,
    old: Vec<(String, Dossier)>,
}

impl Life {
    pub(crate) fn new(place: u64, seed: u64) -> Self {
        let number = place * NUMBERS;
        Self {
            wrong: Vec::new(),
            dice: Dice::new(seed),
            number,
            opening: None,
            current: None,
            old: Vec::new(),
        }
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.old.iter().chain(&self.current).map(|(_, dossier)| dossier.acknowledged.len()).sum()
    }

    /// Every session it ever had.
    pub(crate) fn sessions(&mut self) -> impl Iterator<Item = (String, &mut Dossier)> {
        self.old.extend(self.current.take());
        self.old.iter_mut().map(|(session, dossier)| (session.clone(), dossier))
    }

    /// Lives on until something hinders it: the kill, or a refusal that should not be.
    pub(crate) async fn live(&mut self, caller: &Caller, ground: &Ground) -> Hitch {
        loop {
            if let Err(hitch) = self.spend(caller, ground).await {
                return hitch;
            }
        }
    }

    /// Goes on with the session at hand until it has had its turns.
    async fn spend(&mut self, caller: &Caller, ground: &Ground) -> Result<(), Hitch> {
        let (session, mut dossier) = match self.current.take() {
            Some(current) => current,
            None => self.opened(caller, ground).await?,
        };
        let spent = self.turns(caller, &session, &mut dossier).await;
        let done = (session, dossier);
        match spent {
            Ok(()) => self.old.push(done),
            Err(_) => self.current = Some(done),
        }
        spent
    }

    async fn turns(&mut self, caller: &Caller, session: &str, dossier: &mut Dossier) -> Result<(), Hitch> {
        dossier.resend(caller, session).await?;
        let mut stream = dossier.follow(caller, session).await?;
        match dossier.look(caller, session).await? {
            Rest::Busy => {}
            Rest::Called => dossier.answer(caller, session, self.dice.once_in(2)).await?,
            Rest::Done { .. } => self.say(caller, session, dossier).await?,
        }
        loop {
            let event = stream.next().await?;
            dossier.see(&event);
            match event["type"].as_str().unwrap_or_default() {
                "span.model_request_start" if self.dice.once_in(6) => {
                    self.say(caller, session, dossier).await?;
                }
                "span.model_request_start" | "agent.custom_tool_use" if self.dice.once_in(12) => {
                    dossier.stop(caller, session).await?;
                }
                "session.status_idle" if event["stop_reason"]["type"] == "requires_action" => {
                    dossier.answer(caller, session, self.dice.once_in(2)).await?;
                }
                "session.status_idle" if dossier.turns >= TURNS => {
                    return dossier.settle(caller, session).await;
                }
                "session.status_idle" => self.say(caller, session, dossier).await?,
                _ => {}
            }
        }
    }

    async fn say(&mut self, caller: &Caller, session: &str, dossier: &mut Dossier) -> Result<(), Hitch> {
        self.number += 1;
        let message = script::message(&mut self.dice, self.number);
        dossier.say(caller, session, self.number, message).await
    }

    /// Opens a session with one event in its list, so that there is a cursor from the first moment, in an
    /// environment of its own. What a kill has cut is sent again, and what was answered is not: a session
    /// that was changed since is nobody's repeat.
    async fn opened(&mut self, caller: &Caller, ground: &Ground) -> Result<(String, Dossier), Hitch> {
        let again = self.opening.is_some();
        let mut opening = self.opening.take().unwrap_or_else(|| {
            self.number += 1;
            Opening { number: self.number, session: None }
        });
        let opened = opening.go_on(caller, ground, again).await;
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
        caller: &Caller,
        ground: &Ground,
        again: bool,
    ) -> Result<(String, Dossier), Hitch> {
        let id = |made: Value| made["id"].as_str().unwrap_or_default().to_owned();
        let name = format!("cut {}", self.number);
        let session = if let Some(session) = &self.session {
            session.clone()
        } else {
            let environment = id(caller.send("/v1/environments", &json!({"name": name}), again).await?);
            let body = json!({"agent": ground.agent, "environment_id": environment, "title": name});
            self.session.insert(id(caller.send("/v1/sessions", &body, again).await?)).clone()
        };
        let path = format!("/v1/sessions/{session}");
        caller.send(&path, &json!({"metadata": {"under": "load"}}), again).await?;
        let events = caller.all(&format!("{path}/events")).await?;
        let mut dossier = Dossier::default();
        for event in &events {
            dossier.see(event);
        }
        Ok((session, dossier))
    }
}
