//! What a client knows of one session, and how it goes on with it over every kill.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::script;
use crate::event::text;
use crate::hitch::CallHitch;
use crate::session::CalledSession;
use crate::stream::EventReader;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageFate {
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

/// How a session stands.
#[derive(Debug)]
pub(crate) enum SessionLook {
    /// It works.
    Busy,
    /// It waits for answers.
    Called,
    /// It is done; `last` is the id of the last event of its list.
    Done { last: String },
}

/// What a client knows of one session.
#[derive(Debug, Default)]
pub(crate) struct SessionDossier {
    /// The ids that a 200 gave back, in order.
    pub(crate) acknowledged: Vec<String>,
    /// The messages sent, by number.
    pub(crate) said: BTreeMap<u64, MessageFate>,
    /// The processed events that the streams showed, in order; the first comes from the list.
    pub(crate) streamed: Vec<String>,
    /// How often it was interrupted, but for those that were answered as an earlier one.
    pub(crate) stops: usize,
    /// Messages that the session took up.
    pub(crate) turns: u32,
    /// Requests that were answered when they were sent again.
    pub(crate) repeats: usize,
    lost: Option<Lost>,
    /// Calls seen and not seen answered.
    open: BTreeSet<String>,
    /// Calls whose result was acknowledged.
    answered: BTreeSet<String>,
}

impl SessionDossier {
    /// Says something.
    pub(crate) async fn say(
        &mut self,
        session: &CalledSession<'_>,
        number: u64,
        message: Value,
    ) -> Result<(), CallHitch> {
        self.said.insert(number, MessageFate::Unknown);
        self.send(session, Lost { events: vec![message], says: Some(number), calls: Vec::new() }).await
    }

    /// Stops what goes on.
    pub(crate) async fn stop(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        self.stops += 1;
        self.send(session, Lost { events: vec![interrupt()], says: None, calls: Vec::new() }).await
    }

    /// Answers every open call, in one request or one by one.
    pub(crate) async fn answer(
        &mut self,
        session: &CalledSession<'_>,
        at_once: bool,
    ) -> Result<(), CallHitch> {
        let calls: Vec<String> = self.open.difference(&self.answered).cloned().collect();
        let size = if at_once { calls.len().max(1) } else { 1 };
        for part in calls.chunks(size) {
            let events = part.iter().map(|call| script::result(call)).collect();
            self.send(session, Lost { events, says: None, calls: part.to_vec() }).await?;
        }
        Ok(())
    }

    /// Sends again what was not answered.
    pub(crate) async fn resend(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        self.deliver(session, true).await
    }

    /// Opens the stream where it was cut.
    pub(crate) async fn follow(&self, session: &CalledSession<'_>) -> Result<EventReader, CallHitch> {
        session.stream(self.streamed.last().map_or("", String::as_str)).await
    }

    /// Notes an event of the stream.
    pub(crate) fn see(&mut self, event: &Value) {
        if event["processed_at"].is_null() {
            return;
        }
        self.streamed.push(text(event, "id").to_owned());
        match text(event, "type") {
            "agent.custom_tool_use" => drop(self.open.insert(text(event, "id").to_owned())),
            "user.custom_tool_result" => drop(self.open.remove(text(event, "custom_tool_use_id"))),
            "user.message" => self.turns += 1,
            _ => {}
        }
    }

    /// Sees the calls that are open now: the stream may have shown them before the kill.
    pub(crate) async fn look(&mut self, session: &CalledSession<'_>) -> Result<SessionLook, CallHitch> {
        if !session.is_idle().await? {
            return Ok(SessionLook::Busy);
        }
        let events = session.events().await?;
        let ids = |kind: &str, key: &str| -> BTreeSet<String> {
            let of = events.iter().filter(|event| event["type"] == kind);
            of.filter_map(|event| event[key].as_str().map(str::to_owned)).collect()
        };
        let made = ids("agent.custom_tool_use", "id");
        let answered = ids("user.custom_tool_result", "custom_tool_use_id");
        self.open = made.difference(&answered).cloned().collect();
        self.answered.retain(|call| answered.contains(call));
        let last = events.last().map_or("", |event| text(event, "id")).to_owned();
        Ok(if self.open.is_empty() { SessionLook::Done { last } } else { SessionLook::Called })
    }

    /// Answers what is open and reads the stream until the session rests and everything was shown.
    pub(crate) async fn settle(&mut self, session: &CalledSession<'_>) -> Result<(), CallHitch> {
        self.resend(session).await?;
        let mut stream = self.follow(session).await?;
        loop {
            match self.look(session).await? {
                SessionLook::Busy => self.until(&mut stream, "session.status_idle", None).await?,
                SessionLook::Called => self.answer(session, true).await?,
                SessionLook::Done { last } => return self.until(&mut stream, "", Some(&last)).await,
            }
        }
    }

    /// Reads on until an event of this kind, or until the stream has shown `id`.
    async fn until(
        &mut self,
        stream: &mut EventReader,
        kind: &str,
        id: Option<&str>,
    ) -> Result<(), CallHitch> {
        while id.is_none() || self.streamed.last().map(String::as_str) != id {
            let event = stream.next().await?;
            self.see(&event);
            if id.is_none() && event["type"] == kind {
                break;
            }
        }
        Ok(())
    }

    /// Sends events and notes their ids.
    async fn send(&mut self, session: &CalledSession<'_>, lost: Lost) -> Result<(), CallHitch> {
        self.lost = Some(lost);
        self.deliver(session, false).await
    }

    async fn deliver(&mut self, session: &CalledSession<'_>, again: bool) -> Result<(), CallHitch> {
        let Some(lost) = self.lost.take() else { return Ok(()) };
        let echo = match session.send(&lost.events, again).await {
            Ok(echo) => echo,
            // A refusal is an answer too, for a message may meet an open call.
            Err(CallHitch::Refused { status: 400, .. }) if lost.says.is_some() => {
                self.said.extend(lost.says.map(|number| (number, MessageFate::Refused)));
                return Ok(());
            }
            Err(hitch) => {
                self.lost = Some(lost);
                return Err(hitch);
            }
        };
        self.repeats += usize::from(again);
        let ids = echo["data"].as_array().into_iter().flatten().filter_map(|event| event["id"].as_str());
        let ids: Vec<_> = ids.map(str::to_owned).collect();
        // One interrupt asks the same as another: where its first attempt never came in, it is taken for the
        // one before it.
        let is_earlier = again && !ids.is_empty() && ids.iter().all(|id| self.acknowledged.contains(id));
        if is_earlier && lost.events == [interrupt()] {
            self.stops -= 1;
        } else {
            self.acknowledged.extend(ids);
        }
        self.said.extend(lost.says.map(|number| (number, MessageFate::Kept)));
        self.answered.extend(lost.calls);
        Ok(())
    }
}

fn interrupt() -> Value {
    json!({"type": "user.interrupt"})
}
