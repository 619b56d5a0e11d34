//! One session, as a client of the API reaches it.

use serde_json::{Value, json};

use crate::caller::CutsCaller;
use crate::event;
use crate::hitch::CallHitch;
use crate::stream::EventReader;

/// The last of the session's own words about whether it works.
const STATUS: &str = "types[]=session.status_running&types[]=session.status_idle\
    &types[]=session.status_rescheduled&types[]=session.status_terminated&order=desc&limit=1";

/// A session, through this caller.
#[derive(Debug)]
pub(crate) struct CalledSession<'a> {
    pub(crate) caller: &'a CutsCaller,
    pub(crate) id: String,
}

/// How a session is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SessionRest {
    Busy,
    /// Idle, and it waits for the client to say something of these calls.
    Asks(Vec<String>),
    Done,
}

impl<'a> CalledSession<'a> {
    /// The session of `slot`, opened as `body` says if there is none yet.
    pub(crate) async fn opened(
        caller: &'a CutsCaller,
        slot: &mut Option<String>,
        body: &Value,
    ) -> Result<Self, CallHitch> {
        let id = match slot {
            Some(id) => id.clone(),
            None => slot.insert(caller.make("/v1/sessions", body, false).await?).clone(),
        };
        Ok(Self { caller, id })
    }

    /// Where it is, and what is `below` it.
    pub(crate) fn path(&self, below: &str) -> String {
        format!("/v1/sessions/{}{below}", self.id)
    }

    /// Sends events; `again`: as somebody who did not hear the first answer.
    pub(crate) async fn send(&self, events: &[Value], again: bool) -> Result<Value, CallHitch> {
        self.caller.send(&self.path("/events"), &json!({"events": events}), again).await
    }

    pub(crate) async fn say(&self, text: &str) -> Result<(), CallHitch> {
        self.send(&[event::message(text)], false).await.map(drop)
    }

    /// All its events.
    pub(crate) async fn events(&self) -> Result<Vec<Value>, CallHitch> {
        self.caller.all(&self.path("/events")).await
    }

    /// Follows it from behind the event `after`.
    pub(crate) async fn stream(&self, after: &str) -> Result<EventReader, CallHitch> {
        self.caller.stream(self.path("/events/stream"), after).await
    }

    pub(crate) async fn is_idle(&self) -> Result<bool, CallHitch> {
        Ok(self.caller.get(&self.path("")).await?["status"] == "idle")
    }

    pub(crate) async fn rest(&self) -> Result<SessionRest, CallHitch> {
        if !self.is_idle().await? {
            return Ok(SessionRest::Busy);
        }
        let page = self.caller.get(&self.path(&format!("/events?{STATUS}"))).await?;
        Ok(SessionRest::after(&page["data"][0]))
    }
}

impl SessionRest {
    /// How a session is that was idle and whose last word about its status is `last`.
    fn after(last: &Value) -> Self {
        let stop = &last["stop_reason"];
        match last["type"].as_str() {
            Some("session.status_idle") if stop["type"] == "requires_action" => {
                let calls = stop["event_ids"].as_array().into_iter().flatten();
                Self::Asks(calls.filter_map(|call| call.as_str().map(str::to_owned)).collect())
            }
            Some("session.status_idle") | None => Self::Done,
            // Between the two answers it may have begun to run.
            Some(_) => Self::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_the_status_says_whether_a_session_rests() {
        let idle = |stop: Value| json!({"type": "session.status_idle", "stop_reason": stop});
        assert_eq!(SessionRest::after(&Value::Null), SessionRest::Done);
        assert_eq!(SessionRest::after(&idle(json!({"type": "end_turn"}))), SessionRest::Done);
        let asks = idle(json!({"type": "requires_action", "event_ids": ["a", "b"]}));
        assert_eq!(SessionRest::after(&asks), SessionRest::Asks(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(SessionRest::after(&json!({"type": "session.status_running"})), SessionRest::Busy);
    }
}
