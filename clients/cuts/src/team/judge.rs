//! The judge of one coordinator's session at rest, from its list and the lists of all its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::client::TeamClient;
use super::mail;
use super::script::{ChildOrder, CoordinatorTurn, THREADS};
use super::shown::{CREATED, RECEIVED, ShownSession};
use super::tally::TeamTally;
use crate::event::{is, text, texts};
use crate::kind::{CutsEvidence, CutsJudge};
use crate::ledger;
use crate::list;

/// A thread ends.
const ENDED: &str = "session.thread_status_terminated";

/// The judge of the team cuts, with the sums of all sessions.
#[derive(Debug, Default)]
pub(crate) struct TeamJudge(TeamTally);

impl CutsJudge for TeamJudge {
    type Client = TeamClient;

    fn session(&mut self, session: &str, settled: &ShownSession, evidence: &CutsEvidence) -> Vec<String> {
        let tally = &mut self.0;
        let (turns, mut wrong) = turns(&settled.events);
        tally.turns += turns.len();
        wrong.extend(list::lost(&settled.events, &settled.kept));
        wrong.extend(rest(settled));
        wrong.extend(lists(settled));
        let (tasks, said) = born(settled, &turns, tally);
        wrong.extend(said);
        wrong.extend(mail::reports(settled, &turns, &tasks, tally));
        wrong.extend(ledger::compare(&all(settled), &evidence.counter(session), &mut tally.commands));
        tally.archived += settled.children().filter(|thread| thread["status"] == "terminated").count();
        tally.count(settled, &tasks, &evidence.kills);
        wrong
    }

    fn is_telling(&self) -> bool {
        self.0.is_telling()
    }
}

impl fmt::Display for TeamJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Every event of every thread once: what a child asks the client stands in two lists.
fn all(settled: &ShownSession) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let events = settled.lists.values().flatten();
    events.filter(|event| seen.insert(text(event, "id"))).cloned().collect()
}

/// The turns in their order, and those that are there more than once.
fn turns(events: &[Value]) -> (Vec<CoordinatorTurn>, Vec<String>) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut turns = Vec::new();
    for said in events.iter().filter(|event| is(event, "user.message")).flat_map(texts) {
        *times.entry(said).or_default() += 1;
        turns.push(CoordinatorTurn::read(said));
    }
    let twice = times.iter().filter(|(_, many)| **many > 1);
    let wrong = twice.map(|(said, many)| format!("{many} times: {said}")).collect();
    (turns, wrong)
}

/// The session and its threads rest, and who was archived stays so.
fn rest(settled: &ShownSession) -> Vec<String> {
    let mut wrong = Vec::new();
    if settled.session["status"] != "idle" {
        wrong.push(format!("the session is {}", settled.session["status"]));
    }
    for thread in &settled.threads {
        let (id, status) = (text(thread, "id"), text(thread, "status"));
        let told = |event: &&Value| {
            text(event, "type").starts_with("session.thread_status_")
                && text(event, "session_thread_id") == id
        };
        let list = settled.list(id);
        let last = list.iter().rev().find(told);
        let stop = last.map_or("", |event| text(&event["stop_reason"], "type"));
        let kind = last.map_or("", |event| text(event, "type"));
        let ends = list.iter().filter(|event| told(event) && is(event, ENDED)).count();
        let good = match status {
            "idle" => kind == "session.thread_status_idle" && stop == "end_turn" && ends == 0,
            "terminated" => list.last().is_some_and(|event| is(event, ENDED)) && ends == 1,
            _ => false,
        };
        if !good {
            wrong.push(format!("{id} is {status}; its list ends with {kind} {stop} and has {ends} ends"));
        }
    }
    let ended = |id: &&String| settled.threads.iter().any(|t| t["id"] == **id && t["status"] == "terminated");
    let risen = settled.archived.iter().filter(|id| !ended(id));
    wrong.extend(risen.map(|id| format!("{id} does not stay archived")));
    wrong
}

/// Each list is in order with nothing queued, its spans and questions are closed, and nothing failed; the
/// session's list is the primary's and, of children, only what theirs hold; there are never too many of them.
fn lists(settled: &ShownSession) -> Vec<String> {
    let mut wrong = Vec::new();
    for (thread, events) in &settled.lists {
        let mut said = list::wrong(events);
        said.extend(events.iter().filter(|event| is(event, "session.error")).map(|event| format!("{event}")));
        wrong.extend(said.into_iter().map(|said| format!("{thread}: {said}")));
    }
    let primary = settled.threads.first().map_or("", |thread| text(thread, "id"));
    let others = settled.children().flat_map(|child| settled.list(text(child, "id")));
    let others: BTreeSet<&str> = others.map(|event| text(event, "id")).collect();
    let own = settled.events.iter().filter(|event| !others.contains(text(event, "id")));
    if !own.eq(settled.list(primary)) {
        wrong.push("the session's list without the children's events is not the primary's".to_owned());
    }
    let most = fullest(&settled.events).into_iter().max().unwrap_or(0);
    if most > THREADS {
        wrong.push(format!("{most} children at once"));
    }
    wrong
}

/// The most children alive in each turn.
fn fullest(events: &[Value]) -> Vec<usize> {
    let (mut alive, mut most) = (0_usize, Vec::new());
    for event in events {
        match text(event, "type") {
            "user.message" => most.push(alive),
            CREATED => alive += 1,
            ENDED => alive = alive.saturating_sub(1),
            _ => {}
        }
        if let Some(most) = most.last_mut() {
            *most = alive.max(*most);
        }
    }
    most
}

/// Every child with its task, and what is wrong with how children were made: each task once, by one thread,
/// and left out only where there was no room.
fn born(
    settled: &ShownSession,
    turns: &[CoordinatorTurn],
    tally: &mut TeamTally,
) -> (Vec<(String, ChildOrder)>, Vec<String>) {
    let mut wrong = Vec::new();
    let mut by_task: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for thread in settled.children() {
        let id = text(thread, "id");
        let first = settled.list(id).iter().find(|event| is(event, RECEIVED));
        let task = first.and_then(|event| texts(event).first().copied()).unwrap_or_default();
        by_task.entry(task).or_default().push(id);
        let made = |event: &&Value| is(event, CREATED) && text(event, "session_thread_id") == id;
        let made = settled.events.iter().filter(made).count();
        if made != 1 {
            wrong.push(format!("{id} was made {made} times"));
        }
    }
    let mut tasks = Vec::new();
    for (turn, most) in turns.iter().zip(fullest(&settled.events)) {
        for task in &turn.tasks {
            let threads = by_task.remove(task.text.as_str()).unwrap_or_default();
            match threads[..] {
                [thread] => tasks.push((thread.to_owned(), task.clone())),
                [] if most >= THREADS => tally.refused += 1,
                _ => wrong.push(format!("{} children got the task {}", threads.len(), task.text)),
            }
        }
    }
    let strays = by_task.into_iter().filter(|(_, threads)| !threads.is_empty());
    wrong.extend(strays.map(|(task, threads)| format!("nobody gave {threads:?} the task {task}")));
    tally.children += tasks.len();
    tally.waited += tasks.iter().filter(|(_, task)| task.waits).count();
    (tasks, wrong)
}

#[cfg(test)]
mod tests {
    use super::super::shown::{SENT, sender};
    use super::*;
    use serde_json::json;

    const P: &str = "sthr_p";
    const TASKS: [&str; 2] = [r#"script:[{"text":"report 1"}]"#, r#"script:[{"text":"report 2"}]"#];

    fn message(kind: &str, key: &str, thread: &str, said: &str) -> Value {
        json!({"type": kind, key: thread, "content": [{"type": "text", "text": said}]})
    }

    fn received(from: &str, said: &str) -> Value {
        message(RECEIVED, "from_session_thread_id", from, said)
    }

    fn sent(to: &str, said: &str) -> Value {
        message(SENT, "to_session_thread_id", to, said)
    }

    fn status(thread: &str, what: &str) -> Value {
        let kind = format!("session.thread_status_{what}");
        json!({"type": kind, "session_thread_id": thread, "stop_reason": {"type": "end_turn"}})
    }

    /// Gives events without them ids and moments in their order, the first of which is `from`.
    fn dated(mut events: Vec<Value>, from: usize) -> Vec<Value> {
        for (place, event) in (from..).zip(&mut events) {
            event["id"] = json!(format!("e{place}"));
            event["processed_at"] = json!(format!("2026-01-01T00:00:00.{place:06}Z"));
        }
        events
    }

    fn turn() -> String {
        let call = |way: &str, task: &str| json!({"name": way, "input": {"agent": "bold", "task": task}});
        let calls = [call("create_agent", TASKS[0]), call("Agent", TASKS[1])];
        format!("script:{}", json!([{"text": "", "tools": calls}, {"text": "led"}]))
    }

    /// A session with one turn, in which the children `a` and `b` were made, did their work and reported; `b`
    /// was waited for, and `a` was archived.
    fn settled() -> ShownSession {
        let child = |id: &str, task: &str, said: &str, from: usize| {
            let mut list = dated(vec![received(P, task), sent(P, said), status(id, "idle")], from);
            if id == "a" {
                list.extend(dated(vec![status(id, "terminated")], 90));
            }
            list
        };
        let lists =
            [("a", child("a", TASKS[0], "report 1", 20)), ("b", child("b", TASKS[1], "report 2", 40))];
        let created = |id: &str| json!({"type": CREATED, "session_thread_id": id});
        let own = vec![
            json!({"type": "user.message", "content": [{"text": turn()}]}),
            created("a"),
            sent("a", TASKS[0]),
            created("b"),
            sent("b", TASKS[1]),
        ];
        let mut primary = dated(own, 1);
        let end = vec![
            received("b", "report 2"),
            received("a", "report 1"),
            status(P, "idle"),
            json!({"type": "session.status_idle", "stop_reason": {"type": "end_turn"}}),
        ];
        primary.extend(dated(end, 60));
        let mut events = primary.clone();
        events.extend(lists[0].1.last().cloned());
        let mut lists: BTreeMap<String, Vec<Value>> =
            lists.into_iter().map(|(id, list)| (id.to_owned(), list)).collect();
        lists.insert(P.to_owned(), primary);
        let thread = |id: &str, parent: Value, status: &str| json!({"id": id, "parent_thread_id": parent, "status": status});
        ShownSession {
            session: json!({"id": "sesn_1", "status": "idle"}),
            events,
            threads: vec![
                thread(P, Value::Null, "idle"),
                thread("a", json!(P), "terminated"),
                thread("b", json!(P), "idle"),
            ],
            lists,
            asked: json!({"messages": [
                {"role": "user", "content": turn()},
                {"role": "assistant", "content": [{"type": "text", "text": "report 1"}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "content": [{"type": "text", "text": "report 2"}]},
                    {"type": "text", "text": "Message from bold (a):"},
                    {"type": "text", "text": "report 1"},
                ]},
            ]}),
            kept: vec![turn()],
            archived: vec!["a".to_owned()],
        }
    }

    /// What is wrong with a session that `spoil` has changed.
    fn spoilt(spoil: impl FnOnce(&mut ShownSession)) -> Vec<String> {
        let mut settled = settled();
        spoil(&mut settled);
        TeamJudge::default().session("sesn_1", &settled, &CutsEvidence::default())
    }

    #[test]
    fn two_children_that_were_made_and_reported_once_pass() {
        let mut judge = TeamJudge::default();
        let kills = vec!["2026-01-01T00:00:00.000050Z".to_owned()];
        let evidence = CutsEvidence { kills, ..CutsEvidence::default() };
        assert_eq!(judge.session("sesn_1", &settled(), &evidence), Vec::<String>::new());
        let tally = judge.0;
        assert_eq!(
            (tally.turns, tally.children, tally.waited, tally.reports, tally.archived),
            (1, 2, 1, 2, 1)
        );
        assert_eq!(spoilt(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_report_that_comes_twice_never_or_not_to_the_model_is_seen() {
        let again = |settled: &mut ShownSession| {
            let late = dated(vec![received("a", "report 1")], 70);
            settled.events.extend(late.clone());
            settled.lists.entry(P.to_owned()).or_default().extend(late);
        };
        let said = r#"a brought its coordinator [["report 1"], ["report 1"]], not [["report 1"]]"#;
        assert_eq!(spoilt(again), [said]);
        let lost = |settled: &mut ShownSession| {
            let kept = |event: &Value| sender(event) != Some("b");
            settled.events.retain(kept);
            settled.lists.entry(P.to_owned()).or_default().retain(kept);
        };
        assert_eq!(spoilt(lost), [r#"b brought its coordinator [], not [["report 2"]]"#]);
        let untold = |settled: &mut ShownSession| settled.asked["messages"][2]["content"][2] = Value::Null;
        assert_eq!(spoilt(untold), ["the coordinator's model was told `report 1` of a 0 times as mail"]);
    }

    #[test]
    fn a_wait_that_ends_before_its_report_is_seen() {
        let wrong = spoilt(|settled| {
            settled.asked["messages"][2]["content"][0] = json!({"type": "text", "text": "report 2"});
            let list = settled.lists.entry(P.to_owned()).or_default();
            let asks = vec![
                json!({"type": "span.model_request_start"}),
                json!({"type": "span.model_request_end", "model_request_start_id": "e50"}),
            ];
            list.splice(5..5, dated(asks, 50));
            let ended = settled.events.pop();
            settled.events = list.iter().cloned().chain(ended).collect();
        });
        let said = [
            "the coordinator's model was told `report 2` of b 0 times as a result",
            "the coordinator goes on while it waits for b",
            "the model was told `report 2` 1 times too often",
        ];
        assert_eq!(wrong, said);
    }

    #[test]
    fn a_child_made_twice_or_not_at_all_is_seen() {
        let wrong = spoilt(|settled| {
            settled.threads.push(json!({"id": "c", "parent_thread_id": P, "status": "idle"}));
            let list = vec![received(P, TASKS[0]), status("c", "idle")];
            settled.lists.insert("c".to_owned(), dated(list, 80));
        });
        assert_eq!(
            wrong[..2],
            ["c was made 0 times".to_owned(), format!("2 children got the task {}", TASKS[0]),]
        );
        let wrong = spoilt(|settled| {
            settled.threads.pop();
            settled.lists.remove("b");
        });
        assert_eq!(wrong[0], format!("0 children got the task {}", TASKS[1]));
    }

    #[test]
    fn who_does_not_rest_or_rises_again_is_seen() {
        let works = spoilt(|settled| settled.threads[2]["status"] = json!("running"));
        let said = "b is running; its list ends with session.thread_status_idle end_turn and has 0 ends";
        assert_eq!(works, [said]);
        let risen = spoilt(|settled| {
            settled.threads[1]["status"] = json!("idle");
            settled.lists.entry("a".to_owned()).or_default().extend(dated(vec![status("a", "idle")], 95));
        });
        assert_eq!(
            risen,
            [
                "a is idle; its list ends with session.thread_status_idle end_turn and has 1 ends",
                "a does not stay archived",
            ]
        );
    }

    #[test]
    fn an_event_that_no_list_of_a_thread_holds_and_a_lost_turn_are_seen() {
        let stray = spoilt(|settled| settled.events.extend(dated(vec![status("b", "running")], 99)));
        assert_eq!(stray, ["the session's list without the children's events is not the primary's"]);
        let lost = spoilt(|settled| {
            let kept = |event: &Value| !is(event, "user.message");
            settled.events.retain(kept);
            settled.lists.entry(P.to_owned()).or_default().retain(kept);
        });
        assert_eq!(lost[0], format!("acknowledged and not there: {}", turn()));
    }
}
