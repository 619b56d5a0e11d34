//! The judge of what goes between a coordinator and its children: each task, letter and report once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::script::{ChildOrder, CoordinatorTurn};
use super::shown::{CREATED, RECEIVED, SENT, ShownSession, sender};
use super::tally::TeamTally;
use crate::event::{is, text, texts};

/// Every task and letter is sent and received once, and every report reaches the coordinator, and its model,
/// once.
pub(crate) fn reports(
    settled: &ShownSession,
    turns: &[CoordinatorTurn],
    tasks: &[(String, ChildOrder)],
    tally: &mut TeamTally,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let letters: BTreeMap<&str, &ChildOrder> =
        turns.iter().flat_map(|turn| &turn.letters).map(|letter| (letter.text.as_str(), letter)).collect();
    let mut told = blocks(&settled.asked["messages"]);
    for (child, task) in tasks {
        let to_child = messages(&settled.events, SENT, "to_session_thread_id", child);
        let at_child = messages(settled.list(child), RECEIVED, "", "");
        // The first one is the task; who rests may get letters later.
        let mut orders = vec![task];
        let written = to_child.iter().flatten().filter_map(|said| letters.get(said.as_str()).copied());
        orders.extend(written);
        tally.letters += orders.len() - 1;
        let mut asked: Vec<Vec<String>> = orders.iter().map(|order| vec![order.text.clone()]).collect();
        asked.sort();
        asked.dedup();
        let mut said: Vec<Vec<String>> = orders.iter().flat_map(|order| order.messages()).collect();
        said.sort();
        said.dedup();
        let from_child = messages(settled.list(child), SENT, "", "");
        let at_lead = messages(&settled.events, RECEIVED, "from_session_thread_id", child);
        tally.reports += at_lead.len();
        for (what, wanted, found) in [
            ("was sent", &asked, &to_child),
            ("received", &asked, &at_child),
            ("sent", &said, &from_child),
            ("brought its coordinator", &said, &at_lead),
        ] {
            if wanted != found {
                wrong.push(format!("{child} {what} {found:?}, not {wanted:?}"));
            }
        }
        for (text, waits) in orders.iter().flat_map(|order| order.said.iter().map(|said| (said, order.waits)))
        {
            let times = told.remove(&(waits, text.as_str())).unwrap_or(0);
            if times != 1 {
                let place = if waits { "as a result" } else { "as mail" };
                wrong.push(format!(
                    "the coordinator's model was told `{text}` of {child} {times} times {place}"
                ));
            }
        }
        if task.waits && asks_while_waiting(settled, child) {
            wrong.push(format!("the coordinator goes on while it waits for {child}"));
        }
    }
    let spoken = |text: &str| text.starts_with("report ") || text.starts_with("note ");
    let strays = told.into_iter().filter(|((_, text), _)| spoken(text));
    wrong.extend(
        strays.map(|((_, text), times)| format!("the model was told `{text}` {times} times too often")),
    );
    let unsent = letters
        .keys()
        .filter(|text| !settled.events.iter().any(|event| is(event, SENT) && texts(event) == [**text]));
    // A letter is refused where the one it is for was archived.
    if !settled.children().any(|child| child["status"] == "terminated") {
        wrong.extend(unsent.map(|text| format!("the letter {text} was never sent")));
    }
    let known: BTreeSet<&str> = tasks.iter().map(|(child, _)| child.as_str()).collect();
    let foreign = settled.events.iter().filter_map(sender).filter(|child| !known.contains(child));
    wrong.extend(foreign.map(|child| format!("mail of {child}, who has no task")));
    wrong
}

/// Whether the coordinator's model was asked between the making of this child and its report.
fn asks_while_waiting(settled: &ShownSession, child: &str) -> bool {
    let primary = settled.threads.first().map_or("", |thread| text(thread, "id"));
    let before = |event: &&Value| !(is(event, CREATED) && text(event, "session_thread_id") == child);
    let since = settled.list(primary).iter().skip_while(before);
    let mut waiting = since.take_while(|event| sender(event) != Some(child));
    waiting.any(|event| is(event, "span.model_request_start"))
}

/// The messages of this kind that name `thread` by `key`, or all, sorted.
fn messages(events: &[Value], kind: &str, key: &str, thread: &str) -> Vec<Vec<String>> {
    let fits = |event: &&Value| is(event, kind) && (key.is_empty() || text(event, key) == thread);
    let mut found: Vec<Vec<String>> = events
        .iter()
        .filter(fits)
        .map(|event| texts(event).into_iter().map(str::to_owned).collect())
        .collect();
    found.sort();
    found
}

/// How often each text stands in what a model is told: in a result (`true`), and beside.
fn blocks(messages: &Value) -> BTreeMap<(bool, &str), usize> {
    let mut times = BTreeMap::new();
    let messages = messages.as_array().into_iter().flatten().filter(|message| message["role"] == "user");
    let mut left: Vec<(bool, &Value)> = messages.map(|message| (false, &message["content"])).collect();
    while let Some((result, content)) = left.pop() {
        if let Some(text) = content.as_str() {
            *times.entry((result, text)).or_default() += 1;
        }
        for block in content.as_array().into_iter().flatten() {
            left.extend([(result, &block["text"]), (true, &block["content"])]);
        }
    }
    times
}
