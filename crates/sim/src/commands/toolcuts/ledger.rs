//! The judge of the tool cuts: the file of numbers in the workspace against the calls and results of the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::worker::Worker;

/// What an interrupted command is answered with (docs/rules.md 2).
const UNKNOWN: &str =
    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";
/// How long the remains of a killed server's sandboxes may take to end.
const REMAINS: Duration = Duration::from_secs(5);

/// How much happened.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sessions: usize,
    /// Commands whose result came from the command itself.
    ran: usize,
    /// Commands answered as unknown: those that had written their number, and those that had not.
    unknown_done: usize,
    unknown_not: usize,
    reads: usize,
}

impl Tally {
    /// Whether cuts met commands before and after they had done their work.
    pub(crate) const fn is_telling(&self) -> bool {
        self.ran > 0 && self.unknown_done > 0 && self.unknown_not > 0 && self.reads > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, ran, unknown_done, unknown_not, reads } = self;
        write!(
            f,
            "{sessions} sessions: {ran} commands ran to their end, {reads} reads; cut off {unknown_done} that had done \
             their work and {unknown_not} that had not"
        )
    }
}

/// What is wrong with a session that has come to rest.
pub(crate) fn judged(worker: &Worker, events: &[Value], data: &Path, tally: &mut Tally) -> Vec<String> {
    let session = worker.session.clone().unwrap_or_default();
    let file = data.join("sandboxes").join(&session).join("workspace/counter");
    // A worker that never came to run a command has none.
    let counter = std::fs::read_to_string(file).unwrap_or_default();
    let wrong = compare(events, &counter, tally);
    tally.sessions += usize::from(wrong.is_empty());
    wrong.into_iter().map(|said| format!("{session}: {said}")).collect()
}

/// What is wrong with the commands in `events`, whose numbers stand in `counter`.
pub(crate) fn compare(events: &[Value], counter: &str, tally: &mut Tally) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    for number in counter.lines() {
        *written.entry(number).or_default() += 1;
    }
    let twice = written.iter().filter(|(_, times)| **times > 1);
    wrong.extend(twice.map(|(number, times)| format!("the command of {number} ran {times} times")));

    let mut results: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] == "agent.tool_result") {
        results.entry(text(event, "tool_use_id")).or_default().push(event);
    }
    let mut known = BTreeSet::new();
    for call in events.iter().filter(|event| event["type"] == "agent.tool_use") {
        let (id, name) = (text(call, "id"), text(call, "name"));
        let [result] = results.get(id).map_or(&[][..], Vec::as_slice) else {
            let many = results.get(id).map_or(0, Vec::len);
            wrong.push(format!("{name} {id} has {many} results"));
            continue;
        };
        let said = result["content"][0]["text"].as_str().unwrap_or_default();
        let failed = result["is_error"] == true;
        if name != "bash" {
            tally.reads += 1;
            if failed {
                wrong.push(format!("{name} {id} failed: {said}"));
            }
            continue;
        }
        let number = number(call);
        known.insert(number);
        let times = written.get(number).copied().unwrap_or(0);
        if said == UNKNOWN && failed {
            tally.unknown_done += times;
            tally.unknown_not += usize::from(times == 0);
        } else if !failed && said.trim_end().ends_with(&format!("ran {number}")) {
            tally.ran += 1;
            if times != 1 {
                wrong.push(format!(
                    "the command of {number} says it ran, and its number is there {times} times"
                ));
            }
        } else {
            wrong.push(format!("the command of {number} got an odd result: {said}"));
        }
    }
    let strays = written.keys().filter(|number| !known.contains(*number));
    wrong.extend(strays.map(|number| format!("no call wrote {number}")));
    wrong
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

/// The number that a bash call writes.
fn number(call: &Value) -> &str {
    let command = call["input"]["command"].as_str().unwrap_or_default();
    command.split("ran ").nth(1).unwrap_or_default()
}

/// Waits until no process of a sandbox below `data` lives; says which one still does.
pub(crate) async fn left_behind(data: &Path) -> Option<String> {
    let data = data.to_string_lossy().into_owned();
    let until = Instant::now() + REMAINS;
    loop {
        let living =
            processes().into_iter().find(|command| command.contains(" jail ") && command.contains(&data));
        match living {
            None => return None,
            Some(command) if Instant::now() > until => return Some(format!("still alive: {command}")),
            Some(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

fn processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    entries.filter_map(command).map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(number: u64) -> Value {
        let command = format!("echo {number} >> counter; echo ran {number}");
        json!({"id": format!("c{number}"), "type": "agent.tool_use", "name": "bash", "input": {"command": command}})
    }

    fn result(number: u64, said: &str, is_error: bool) -> Value {
        json!({"type": "agent.tool_result", "tool_use_id": format!("c{number}"), "is_error": is_error,
            "content": [{"type": "text", "text": said}]})
    }

    #[test]
    fn a_command_that_ran_and_one_that_is_unknown_pass() {
        let events = [
            call(1),
            result(1, "[shell restarted: working directory and variables are gone]\nran 1\n", false),
            call(2),
            result(2, UNKNOWN, true),
            call(3),
            result(3, UNKNOWN, true),
        ];
        let mut tally = Tally::default();
        assert_eq!(compare(&events, "1\n2\n", &mut tally), Vec::<String>::new());
        assert_eq!((tally.ran, tally.unknown_done, tally.unknown_not), (1, 1, 1));
    }

    #[test]
    fn what_ran_twice_never_or_without_a_call_is_seen() {
        let events = [call(1), result(1, UNKNOWN, true), call(2), result(2, "ran 2", false), call(3)];
        let wrong = compare(&events, "1\n1\n9\n", &mut Tally::default());
        assert_eq!(
            wrong,
            [
                "the command of 1 ran 2 times",
                "the command of 2 says it ran, and its number is there 0 times",
                "bash c3 has 0 results",
                "no call wrote 9",
            ]
        );
    }
}
