//! The judge of one settled session: what its list must be after any number of cuts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    life::{Dossier, Said},
    script,
};

/// What is wrong with the list `events` of the session of `dossier`.
pub(crate) fn of(dossier: &Dossier, events: &[Value]) -> Vec<String> {
    let mut wrong = order(events);
    wrong.extend(acknowledged(dossier, events));
    wrong.extend(messages(dossier, events));
    wrong.extend(once(dossier, events));
    wrong.extend(pairs(
        events,
        "span.model_request_start",
        "span.model_request_end",
        "model_request_start_id",
        true,
    ));
    wrong.extend(pairs(
        events,
        "agent.custom_tool_use",
        "user.custom_tool_result",
        "custom_tool_use_id",
        false,
    ));
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

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

/// Ids are unique, times rise, nothing waits, and the last word about the status is idle.
pub(crate) fn order(events: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    let mut last = "";
    for event in events {
        let (id, at) = (text(event, "id"), text(event, "processed_at"));
        if !ids.insert(id) {
            wrong.push(format!("{id} is there twice"));
        }
        if at.is_empty() {
            wrong.push(format!("{id} still waits"));
        } else if at <= last {
            wrong.push(format!("{id} is at {at}, not after {last}"));
        } else {
            last = at;
        }
    }
    let status = events.iter().rev().find(|event| text(event, "type").starts_with("session.status_"));
    let resting = |event: &Value| {
        text(event, "type") == "session.status_idle" && event["stop_reason"]["type"] != "requires_action"
    };
    if let Some(event) = status.filter(|event| !resting(event)) {
        wrong.push(format!("its last status is {event}"));
    }
    wrong
}

/// What was acknowledged is there once.
fn acknowledged(dossier: &Dossier, events: &[Value]) -> Vec<String> {
    let mut there: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        *there.entry(text(event, "id")).or_default() += 1;
    }
    let times = |id: &str| there.get(id).copied().unwrap_or(0);
    let lost = dossier.acknowledged.iter().filter(|id| times(id) != 1);
    lost.map(|id| format!("{id} was acknowledged and is there {} times", times(id))).collect()
}

/// A message is there once if it was kept, never if it was refused, at most once if nobody knows.
fn messages(dossier: &Dossier, events: &[Value]) -> Vec<String> {
    let mut there: BTreeMap<u64, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| text(event, "type") == "user.message") {
        *there.entry(script::number(event).unwrap_or(u64::MAX)).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (number, said) in &dossier.said {
        let times = there.remove(number).unwrap_or(0);
        let fits = match said {
            Said::Kept => times == 1,
            Said::Refused => times == 0,
            Said::Unknown => times <= 1,
        };
        if !fits {
            wrong.push(format!("message {number} ({said:?}) is there {times} times"));
        }
    }
    wrong.extend(there.keys().map(|number| format!("message {number} was never sent")));
    wrong
}

/// What is sent again until it is answered is there once: each interrupt, and the client's result of a call.
fn once(dossier: &Dossier, events: &[Value]) -> Vec<String> {
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
pub(crate) fn titles(sessions: &[Value]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = sessions.iter().filter(|session| !seen.insert(text(session, "title")));
    twice
        .map(|session| format!("{} was opened twice: {}", text(session, "title"), text(session, "id")))
        .collect()
}

/// Each `first` is followed by a `second` that names it by `key`, and by no more than one if `once`.
pub(crate) fn pairs(events: &[Value], first: &str, second: &str, key: &str, once: bool) -> Vec<String> {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for event in events {
        let kind = text(event, "type");
        if kind == first {
            open.insert(text(event, "id"), 0);
        } else if kind == second {
            match open.get_mut(text(event, key)) {
                Some(times) => *times += 1,
                None => wrong.push(format!("{} ends what never began", text(event, "id"))),
            }
        }
    }
    let odd = open.iter().filter(|(_, times)| **times == 0 || once && **times > 1);
    wrong.extend(odd.map(|(id, times)| format!("{first} {id} has {times} ends")));
    wrong
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

    fn knows(events: &[Value]) -> Dossier {
        let mut dossier = Dossier::default();
        dossier.acknowledged = vec!["e0".to_owned(), "e4".to_owned()];
        dossier.said = BTreeMap::from([(1, Said::Kept)]);
        dossier.streamed = events.iter().map(|event| text(event, "id").to_owned()).collect();
        dossier
    }

    #[test]
    fn a_whole_turn_passes() {
        assert_eq!(of(&knows(&turn()), &turn()), Vec::<String>::new());
    }

    #[test]
    fn what_is_lost_doubled_or_unsent_is_seen() {
        let mut dossier = knows(&turn());
        dossier.acknowledged.push("e9".to_owned());
        assert_eq!(of(&dossier, &turn()), ["e9 was acknowledged and is there 0 times"]);
        let twice = events(vec![message(1), message(1), message(2), idle()]);
        let mut dossier = knows(&twice);
        dossier.acknowledged.clear();
        let doubled = "message 1 (Kept) is there 2 times";
        assert_eq!(of(&dossier, &twice), [doubled, "message 2 was never sent"]);
        dossier.said = BTreeMap::from([(1, Said::Unknown), (2, Said::Refused)]);
        let wrong = ["message 1 (Unknown) is there 2 times", "message 2 (Refused) is there 1 times"];
        assert_eq!(of(&dossier, &twice), wrong);
    }

    #[test]
    fn what_was_done_twice_is_seen() {
        let mut stopped = turn();
        stopped.push(json!({"type": "user.interrupt"}));
        stopped.push(idle());
        let stopped = events(stopped);
        let mut dossier = knows(&stopped);
        assert_eq!(of(&dossier, &stopped), ["it was interrupted 0 times, and the list says 1"]);
        dossier.stops = 1;
        assert_eq!(of(&dossier, &stopped), Vec::<String>::new());
        let mut twice = turn();
        let result = || script::result("e2");
        twice.extend([result(), json!({"type": "session.status_running"}), result(), idle()]);
        let twice = events(twice);
        assert_eq!(of(&knows(&twice), &twice), ["the result of e2 is there twice"]);
        let session = |id: &str, title: &str| json!({"id": id, "title": title});
        let sessions = [session("a", "cut 1"), session("b", "cut 2"), session("c", "cut 1")];
        assert_eq!(titles(&sessions), ["cut 1 was opened twice: c"]);
    }

    #[test]
    fn a_stream_that_skips_or_repeats_is_seen() {
        let mut dossier = knows(&turn());
        dossier.streamed.remove(3);
        let said = "the streams showed 7 events, the list has 8; they differ from 3 on";
        assert_eq!(of(&dossier, &turn()), [said]);
        let mut dossier = knows(&turn());
        dossier.streamed.push("e7".to_owned());
        let said = "the streams showed 9 events, the list has 8; they differ from 8 on";
        assert_eq!(of(&dossier, &turn()), [said]);
    }

    #[test]
    fn an_open_span_and_an_unanswered_call_are_seen() {
        let mut broken = turn();
        broken.truncate(4);
        broken.remove(3);
        let mut dossier = knows(&broken);
        dossier.acknowledged.pop();
        let wrong = ["span.model_request_start e1 has 0 ends", "agent.custom_tool_use e2 has 0 ends"];
        assert_eq!(of(&dossier, &broken), wrong);
    }

    #[test]
    fn a_second_result_may_be_there_but_must_not_ask() {
        let result = || json!({"type": "user.custom_tool_result", "custom_tool_use_id": "e2"});
        let mut again = turn();
        again.extend([json!({"type": "session.status_running"}), result(), idle()]);
        let again = events(again);
        assert_eq!(of(&knows(&again), &again), Vec::<String>::new());
        let mut asks = turn();
        asks.extend([
            result(),
            json!({"type": "span.model_request_start"}),
            json!({"type": "span.model_request_end", "model_request_start_id": "e9"}),
            idle(),
        ]);
        let asks = events(asks);
        assert_eq!(of(&knows(&asks), &asks), ["e9 asks because of a result that came too late"]);
    }

    #[test]
    fn a_session_that_waits_or_stands_still_is_seen() {
        let mut queued = turn();
        queued.push(json!({"id": "e8", "processed_at": null, "type": "user.message",
            "content": [{"type": "text", "text": "script:[] #1"}]}));
        let mut dossier = knows(&queued);
        dossier.said = BTreeMap::from([(1, Said::Kept)]);
        assert_eq!(of(&dossier, &queued), ["e8 still waits", "message 1 (Kept) is there 2 times"]);
        let running = events(vec![message(1), json!({"type": "session.status_running"})]);
        let mut dossier = knows(&running);
        dossier.acknowledged.pop();
        let last = format!("its last status is {}", running[1]);
        assert_eq!(of(&dossier, &running), [last]);
    }
}
