//! The judge of one settled session: what its list must be after any number of kills.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::client::{PlainClient, RestingSession};
use super::dossier::{MessageFate, SessionDossier};
use super::script;
use crate::event::text;
use crate::kind::{CutsEvidence, CutsJudge};
use crate::list;

/// The judge of the plain cuts, with sums over all sessions.
#[derive(Debug, Default)]
pub(crate) struct PlainJudge {
    sessions: usize,
    acknowledged: usize,
    repeats: usize,
    streamed: usize,
}

impl CutsJudge for PlainJudge {
    type Client = PlainClient;

    fn session(&mut self, _session: &str, shown: &RestingSession, _evidence: &CutsEvidence) -> Vec<String> {
        self.sessions += 1;
        self.acknowledged += shown.dossier.acknowledged.len();
        self.repeats += shown.dossier.repeats;
        self.streamed += shown.dossier.streamed.len();
        judged(&shown.dossier, &shown.events)
    }

    fn sessions(&self, listed: &[Value]) -> Vec<String> {
        titles(listed)
    }

    fn is_telling(&self) -> bool {
        self.acknowledged > 0
    }
}

impl fmt::Display for PlainJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, acknowledged, repeats, streamed } = self;
        write!(
            f,
            "{sessions} sessions: {acknowledged} events acknowledged, {streamed} shown by streams, {repeats} requests \
             answered when they were sent again"
        )
    }
}

/// What is wrong with the list `events` of the session of `dossier`.
fn judged(dossier: &SessionDossier, events: &[Value]) -> Vec<String> {
    let mut wrong = list::wrong(events);
    wrong.extend(acknowledged(dossier, events));
    wrong.extend(messages(dossier, events));
    wrong.extend(once(dossier, events));
    wrong.extend(results(events));
    let listed: Vec<&str> = events.iter().map(|event| text(event, "id")).collect();
    if dossier.streamed != listed {
        let at = dossier.streamed.iter().zip(&listed).take_while(|(one, other)| one == *other).count();
        let (streamed, many) = (dossier.streamed.len(), listed.len());
        wrong.push(format!(
            "the streams showed {streamed} events, the list has {many}; they differ from {at} on"
        ));
    }
    wrong
}

/// What was acknowledged is there once.
fn acknowledged(dossier: &SessionDossier, events: &[Value]) -> Vec<String> {
    let mut there: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        *there.entry(text(event, "id")).or_default() += 1;
    }
    let times = |id: &str| there.get(id).copied().unwrap_or(0);
    let lost = dossier.acknowledged.iter().filter(|id| times(id) != 1);
    lost.map(|id| format!("{id} was acknowledged and is there {} times", times(id))).collect()
}

/// A message is there once if it was kept, never if it was refused, at most once if nobody knows.
fn messages(dossier: &SessionDossier, events: &[Value]) -> Vec<String> {
    let mut there: BTreeMap<u64, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| text(event, "type") == "user.message") {
        *there.entry(script::number(event).unwrap_or(u64::MAX)).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (number, said) in &dossier.said {
        let times = there.remove(number).unwrap_or(0);
        let fits = match said {
            MessageFate::Kept => times == 1,
            MessageFate::Refused => times == 0,
            MessageFate::Unknown => times <= 1,
        };
        if !fits {
            wrong.push(format!("message {number} ({said:?}) is there {times} times"));
        }
    }
    wrong.extend(there.keys().map(|number| format!("message {number} was never sent")));
    wrong
}

/// What is sent again until it is answered is there once: each interrupt, and the client's result of a call.
fn once(dossier: &SessionDossier, events: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let stops = events.iter().filter(|event| text(event, "type") == "user.interrupt").count();
    if stops != dossier.stops {
        wrong.push(format!("it was interrupted {} times, and the list says {stops}", dossier.stops));
    }
    let mut given = BTreeSet::new();
    for event in events.iter().filter(|event| text(event, "type") == "user.custom_tool_result") {
        let call = text(event, "custom_tool_use_id");
        let own = event["content"] == script::result(call)["content"];
        if own && !given.insert(call) {
            wrong.push(format!("the result of {call} is there twice"));
        }
    }
    wrong
}

/// No session was opened twice: each has a title of its own.
fn titles(sessions: &[Value]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = sessions.iter().filter(|session| !seen.insert(text(session, "title")));
    twice
        .map(|session| format!("{} was opened twice: {}", text(session, "title"), text(session, "id")))
        .collect()
}

/// Only a call's first result has an effect: no model request starts while a call is open, and a result that
/// comes too late or twice starts none.
fn results(events: &[Value]) -> Vec<String> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut late = false;
    for event in events {
        match text(event, "type") {
            "agent.custom_tool_use" => drop(open.insert(text(event, "id"))),
            "user.custom_tool_result" => late = !open.remove(text(event, "custom_tool_use_id")),
            "span.model_request_start" if !open.is_empty() => {
                wrong.push(format!("{} asks while {open:?} wait", text(event, "id")));
            }
            "span.model_request_start" if late => {
                wrong.push(format!("{} asks because of a result that came too late", text(event, "id")));
            }
            // A request that begins after one of these has a reason of its own.
            "session.status_running"
            | "session.status_idle"
            | "user.message"
            | "user.interrupt"
            | "span.model_request_end" => late = false,
            _ => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Events of these types, one microsecond apart, with ids `e0`, `e1`, …
    fn events(of: Vec<Value>) -> Vec<Value> {
        of.into_iter()
            .enumerate()
            .map(|(place, mut event)| {
                event["id"] = json!(format!("e{place}"));
                event["processed_at"] = json!(format!("2026-01-01T00:00:00.{place:06}Z"));
                event
            })
            .collect()
    }

    fn message(number: u64) -> Value {
        json!({"type": "user.message", "content": [{"type": "text", "text": format!("script:[] #{number}")}]})
    }

    fn idle() -> Value {
        json!({"type": "session.status_idle", "stop_reason": {"type": "end_turn"}})
    }

    fn turn() -> Vec<Value> {
        events(vec![
            message(1),
            json!({"type": "span.model_request_start"}),
            json!({"type": "agent.custom_tool_use"}),
            json!({"type": "span.model_request_end", "model_request_start_id": "e1"}),
            json!({"type": "user.custom_tool_result", "custom_tool_use_id": "e2"}),
            json!({"type": "span.model_request_start"}),
            json!({"type": "span.model_request_end", "model_request_start_id": "e5"}),
            idle(),
        ])
    }

    fn knows(events: &[Value]) -> SessionDossier {
        let mut dossier = SessionDossier::default();
        dossier.acknowledged = vec!["e0".to_owned(), "e4".to_owned()];
        dossier.said = BTreeMap::from([(1, MessageFate::Kept)]);
        dossier.streamed = events.iter().map(|event| text(event, "id").to_owned()).collect();
        dossier
    }

    #[test]
    fn a_whole_turn_passes() {
        assert_eq!(judged(&knows(&turn()), &turn()), Vec::<String>::new());
    }

    #[test]
    fn what_is_lost_doubled_or_unsent_is_seen() {
        let mut dossier = knows(&turn());
        dossier.acknowledged.push("e9".to_owned());
        assert_eq!(judged(&dossier, &turn()), ["e9 was acknowledged and is there 0 times"]);
        let twice = events(vec![message(1), message(1), message(2), idle()]);
        let mut dossier = knows(&twice);
        dossier.acknowledged.clear();
        let doubled = "message 1 (Kept) is there 2 times";
        assert_eq!(judged(&dossier, &twice), [doubled, "message 2 was never sent"]);
        dossier.said = BTreeMap::from([(1, MessageFate::Unknown), (2, MessageFate::Refused)]);
        let wrong = ["message 1 (Unknown) is there 2 times", "message 2 (Refused) is there 1 times"];
        assert_eq!(judged(&dossier, &twice), wrong);
    }

    #[test]
    fn what_was_done_twice_is_seen() {
        let mut stopped = turn();
        stopped.push(json!({"type": "user.interrupt"}));
        stopped.push(idle());
        let stopped = events(stopped);
        let mut dossier = knows(&stopped);
        assert_eq!(judged(&dossier, &stopped), ["it was interrupted 0 times, and the list says 1"]);
        dossier.stops = 1;
        assert_eq!(judged(&dossier, &stopped), Vec::<String>::new());
        let mut twice = turn();
        let result = || script::result("e2");
        twice.extend([result(), json!({"type": "session.status_running"}), result(), idle()]);
        let twice = events(twice);
        assert_eq!(judged(&knows(&twice), &twice), ["the result of e2 is there twice"]);
        let session = |id: &str, title: &str| json!({"id": id, "title": title});
        let sessions = [session("a", "cut 1"), session("b", "cut 2"), session("c", "cut 1")];
        assert_eq!(titles(&sessions), ["cut 1 was opened twice: c"]);
    }

    #[test]
    fn a_stream_that_skips_or_repeats_is_seen() {
        let mut dossier = knows(&turn());
        dossier.streamed.remove(3);
        let said = "the streams showed 7 events, the list has 8; they differ from 3 on";
        assert_eq!(judged(&dossier, &turn()), [said]);
        let mut dossier = knows(&turn());
        dossier.streamed.push("e7".to_owned());
        let said = "the streams showed 9 events, the list has 8; they differ from 8 on";
        assert_eq!(judged(&dossier, &turn()), [said]);
    }

    #[test]
    fn an_open_span_and_an_unanswered_call_are_seen() {
        let mut broken = turn();
        broken.truncate(4);
        broken.remove(3);
        let mut dossier = knows(&broken);
        dossier.acknowledged.pop();
        let wrong = ["span.model_request_start e1 has 0 ends", "agent.custom_tool_use e2 has 0 ends"];
        assert_eq!(judged(&dossier, &broken), wrong);
    }

    #[test]
    fn a_second_result_may_be_there_but_must_not_ask() {
        let result = || json!({"type": "user.custom_tool_result", "custom_tool_use_id": "e2"});
        let mut again = turn();
        again.extend([json!({"type": "session.status_running"}), result(), idle()]);
        let again = events(again);
        assert_eq!(judged(&knows(&again), &again), Vec::<String>::new());
        let mut asks = turn();
        asks.extend([
            result(),
            json!({"type": "span.model_request_start"}),
            json!({"type": "span.model_request_end", "model_request_start_id": "e9"}),
            idle(),
        ]);
        let asks = events(asks);
        assert_eq!(judged(&knows(&asks), &asks), ["e9 asks because of a result that came too late"]);
    }

    #[test]
    fn a_session_that_waits_or_stands_still_is_seen() {
        let mut queued = turn();
        queued.push(json!({"id": "e8", "processed_at": null, "type": "user.message",
            "content": [{"type": "text", "text": "script:[] #1"}]}));
        let mut dossier = knows(&queued);
        dossier.said = BTreeMap::from([(1, MessageFate::Kept)]);
        assert_eq!(judged(&dossier, &queued), ["e8 still waits", "message 1 (Kept) is there 2 times"]);
        let running = events(vec![message(1), json!({"type": "session.status_running"})]);
        let mut dossier = knows(&running);
        dossier.acknowledged.pop();
        let last = format!("its last status is {}", running[1]);
        assert_eq!(judged(&dossier, &running), [last]);
    }
}
