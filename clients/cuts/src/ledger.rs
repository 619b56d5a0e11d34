//! The ledger of commands: each appends a number of its own to the file `counter` of its workspace, and the
//! file is held against the calls and results of the log.
//!
//! No number may stand there twice: a call that does more than read is never run again (docs/rules.md 2). One
//! whose result says it ended well stands there once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use crate::event::text;

/// What an interrupted command is answered with (docs/rules.md 2).
const UNKNOWN: &str =
    "The server stopped while this ran; its outcome is unknown. Check before you repeat it.";

/// A call of a command that writes this number, so many milliseconds after its start and before its end.
pub(crate) fn command(number: u64, before_ms: u64, after_ms: u64) -> Value {
    let command = format!(
        "sleep 0.{before_ms:03}; echo {number} >> /workspace/counter; sleep 0.{after_ms:03}; echo ran {number}"
    );
    json!({"name": "bash", "input": {"command": command}})
}

/// How many commands there were, and how they ended.
#[derive(Debug, Default)]
pub(crate) struct CommandCounts {
    /// Those whose result came from the command itself.
    ran: usize,
    /// Those answered as unknown: that had written their number, and that had not.
    unknown_done: usize,
    unknown_not: usize,
    reads: usize,
}

impl CommandCounts {
    /// Whether kills met commands before and after they had done their work.
    pub(crate) const fn is_telling(&self) -> bool {
        self.ran > 0 && self.unknown_done > 0 && self.unknown_not > 0 && self.reads > 0
    }
}

impl fmt::Display for CommandCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ran, unknown_done, unknown_not, reads } = self;
        write!(
            f,
            "{ran} commands ran to their end, {reads} reads; cut off {unknown_done} that had done their work and \
             {unknown_not} that had not"
        )
    }
}

/// What is wrong with the commands in `events`, whose numbers stand in `counter`.
pub(crate) fn compare(events: &[Value], counter: &str, commands: &mut CommandCounts) -> Vec<String> {
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
            commands.reads += 1;
            if failed {
                wrong.push(format!("{name} {id} failed: {said}"));
            }
            continue;
        }
        let number = number(call);
        known.insert(number);
        let times = written.get(number).copied().unwrap_or(0);
        if said == UNKNOWN && failed {
            commands.unknown_done += times;
            commands.unknown_not += usize::from(times == 0);
        } else if !failed && said.trim_end().ends_with(&format!("ran {number}")) {
            commands.ran += 1;
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

/// The number that a bash call writes.
fn number(call: &Value) -> &str {
    let command = call["input"]["command"].as_str().unwrap_or_default();
    command.split("ran ").nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64) -> Value {
        let mut call = command(number, 10, 90);
        call["id"] = json!(format!("c{number}"));
        call["type"] = json!("agent.tool_use");
        call
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
        let mut commands = CommandCounts::default();
        assert_eq!(compare(&events, "1\n2\n", &mut commands), Vec::<String>::new());
        assert_eq!((commands.ran, commands.unknown_done, commands.unknown_not), (1, 1, 1));
    }

    #[test]
    fn what_ran_twice_never_or_without_a_call_is_seen() {
        let events = [call(1), result(1, UNKNOWN, true), call(2), result(2, "ran 2", false), call(3)];
        let wrong = compare(&events, "1\n1\n9\n", &mut CommandCounts::default());
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
