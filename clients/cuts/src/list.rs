//! What the list of any session and thread must be once it rests, after any number of kills.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::event::{is, text, texts};

/// What is wrong with a list: it is in order, it rests, and whatever began in it has ended.
pub(crate) fn wrong(events: &[Value]) -> Vec<String> {
    let (start, end) = ("span.model_request_start", "span.model_request_end");
    let (call, result) = ("agent.custom_tool_use", "user.custom_tool_result");
    let mut wrong = order(events);
    wrong.extend(pairs(events, start, end, "model_request_start_id", true));
    wrong.extend(pairs(events, call, result, "custom_tool_use_id", false));
    wrong
}

/// The messages that were acknowledged and are not there, as often as that.
pub(crate) fn lost(events: &[Value], kept: &[String]) -> Vec<String> {
    let messages = events.iter().filter(|event| is(event, "user.message"));
    let mut there: Vec<&str> = messages.flat_map(texts).collect();
    let mut is_there =
        |said: &str| there.iter().position(|text| *text == said).map(|at| there.swap_remove(at)).is_some();
    let lost = kept.iter().filter(|said| !is_there(said));
    lost.map(|said| format!("acknowledged and not there: {said}")).collect()
}

/// Ids are unique, times rise, nothing waits, and the last word about the status is idle.
fn order(events: &[Value]) -> Vec<String> {
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
    let resting =
        |event: &Value| is(event, "session.status_idle") && event["stop_reason"]["type"] != "requires_action";
    if let Some(event) = status.filter(|event| !resting(event)) {
        wrong.push(format!("its last status is {event}"));
    }
    wrong
}

/// Each `first` is followed by a `second` that names it by `key`, and by no more than one if `once`.
fn pairs(events: &[Value], first: &str, second: &str, key: &str, once: bool) -> Vec<String> {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for event in events {
        if is(event, first) {
            open.insert(text(event, "id"), 0);
        } else if is(event, second) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(id: &str, moment: &str, kind: &str) -> Value {
        json!({"id": id, "processed_at": moment, "type": kind, "model_request_start_id": "a"})
    }

    #[test]
    fn what_is_there_twice_or_not_in_its_place_is_seen() {
        let events = [at("a", "t2", "x"), at("a", "t3", "x"), at("b", "t3", "x"), at("c", "t1", "x")];
        let said = ["a is there twice", "b is at t3, not after t3", "c is at t1, not after t3"];
        assert_eq!(wrong(&events), said);
    }

    #[test]
    fn a_message_said_twice_and_there_once_is_lost() {
        let events = [crate::event::message("a"), crate::event::message("b")];
        let kept = ["a", "b"].map(str::to_owned);
        assert_eq!(lost(&events, &kept), Vec::<String>::new());
        let kept = ["a", "a"].map(str::to_owned);
        assert_eq!(lost(&events, &kept), ["acknowledged and not there: a"]);
    }

    #[test]
    fn what_ends_twice_or_never_began_is_seen() {
        let (start, end) = ("span.model_request_start", "span.model_request_end");
        let events = [at("a", "t1", start), at("b", "t2", end)];
        assert_eq!(wrong(&events), Vec::<String>::new());
        let twice = [&events[..], &[at("c", "t3", end)]].concat();
        assert_eq!(wrong(&twice), ["span.model_request_start a has 2 ends"]);
        assert_eq!(wrong(&events[1..]), ["b ends what never began"]);
    }
}
