//! What coordinators are told to do: scripts drawn with dice, and read back from the log by the judge.

use dice::Dice;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ledger;

/// How a text begins that steers the scripted model.
const SCRIPT: &str = "script:";
/// The longest pause between two frames of an answer, in milliseconds.
const PAUSE_MS: u64 = 25;
/// The longest pause of a command before and behind what it writes, in milliseconds.
const COMMAND_PAUSE_MS: u64 = 90;
/// Child threads that a session may hold at once (docs/limits.md).
pub(crate) const THREADS: usize = 25;
/// How many children more than there may be a crowd asks for.
const BEYOND: usize = 2;
/// Whom a coordinator may choose.
const ROSTER: [&str; 3] = ["bold", "shy", "self"];

/// Writes the turns of one session; no number is used twice.
#[derive(Debug)]
pub(crate) struct ScriptWriter {
    pub(crate) dice: Dice,
    number: u64,
}

impl ScriptWriter {
    /// One whose numbers begin behind `number`.
    pub(crate) fn new(dice: Dice, number: u64) -> Self {
        Self { dice, number }
    }

    /// A turn of the coordinator that asks for more children than there may be, each with a word to say.
    pub(crate) fn crowd(&mut self) -> String {
        let mut calls = Vec::new();
        for place in 0..THREADS + BEYOND {
            let way = if place < THREADS { "create_agent" } else { "Agent" };
            let report = self.report();
            let task = format!("{SCRIPT}{}", json!([report]));
            calls.push(json!({"name": way, "input": {"agent": "bold", "task": task}}));
        }
        let step = self.step(calls);
        self.led(vec![step])
    }

    /// A turn of the coordinator: two or three children, perhaps a letter to one of the `told` threads whose
    /// ids its history tells, and a last word.
    pub(crate) fn turn(&mut self, told: usize) -> String {
        let mut calls = vec![self.child("create_agent")];
        for _ in 0..=self.dice.below(2) {
            let way = if self.dice.once_in(2) { "Agent" } else { "create_agent" };
            calls.push(self.child(way));
        }
        if self.dice.once_in(4) {
            calls.push(self.command());
        }
        let mut steps = vec![self.step(calls)];
        if told > 0 && self.dice.once_in(2) {
            let place = self.dice.below(told as u64);
            let letter = json!({"thread_id": format!("$thread:{place}"), "message": self.order()});
            let mut calls = vec![json!({"name": "send_to_agent", "input": letter})];
            if self.dice.once_in(2) {
                calls.push(json!({"name": "list_agents", "input": {}}));
            }
            steps.push(self.step(calls));
        }
        self.led(steps)
    }

    fn led(&mut self, mut steps: Vec<Value>) -> String {
        self.number += 1;
        steps.push(json!({"text": format!("led {}", self.number)}));
        format!("{SCRIPT}{}", json!(steps))
    }

    fn child(&mut self, way: &str) -> Value {
        let agent = self.dice.pick(&ROSTER).copied().unwrap_or("self");
        json!({"name": way, "input": {"agent": agent, "task": self.order()}})
    }

    /// What a child is to do: commands, questions and notes, and then its report.
    fn order(&mut self) -> String {
        let mut steps = Vec::new();
        for _ in 0..self.dice.below(3) {
            let calls = (0..=self.dice.below(2)).map(|_| self.call()).collect();
            steps.push(self.step(calls));
        }
        steps.push(self.report());
        format!("{SCRIPT}{}", json!(steps))
    }

    fn report(&mut self) -> Value {
        self.number += 1;
        json!({"text": format!("report {}", self.number), "delay_ms": self.dice.below(PAUSE_MS)})
    }

    fn step(&mut self, calls: Vec<Value>) -> Value {
        json!({"text": "", "tools": calls, "delay_ms": self.dice.below(PAUSE_MS)})
    }

    fn call(&mut self) -> Value {
        match self.dice.below(8) {
            0 => json!({"name": "read", "input": {"file_path": "/etc/passwd"}}),
            1 | 2 => {
                self.number += 1;
                json!({"name": "send_to_parent", "input": {"message": format!("note {}", self.number)}})
            }
            3 | 4 => json!({"name": "look_up", "input": {"word": "shuttle"}}),
            _ => self.command(),
        }
    }

    fn command(&mut self) -> Value {
        self.number += 1;
        ledger::command(self.number, self.dice.below(COMMAND_PAUSE_MS), self.dice.below(COMMAND_PAUSE_MS))
    }
}

/// What one child is asked to do by a task or a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChildOrder {
    /// Word for word.
    pub(crate) text: String,
    /// Whether an `PlainAgent` call waits for it.
    pub(crate) waits: bool,
    /// What it reports: its notes, or its last text when it wrote none (docs/rules.md 3).
    pub(crate) said: Vec<String>,
}

impl ChildOrder {
    /// The messages in which its report reaches the coordinator: all in one if that waits for it.
    pub(crate) fn messages(&self) -> Vec<Vec<String>> {
        if self.waits {
            vec![self.said.clone()]
        } else {
            self.said.iter().map(|text| vec![text.clone()]).collect()
        }
    }
}

/// What one turn of a coordinator asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CoordinatorTurn {
    /// The tasks of new children.
    pub(crate) tasks: Vec<ChildOrder>,
    /// Letters to children that rest.
    pub(crate) letters: Vec<ChildOrder>,
}

impl CoordinatorTurn {
    /// Reads a turn as it was sent.
    pub(crate) fn read(text: &str) -> Self {
        let mut turn = Self::default();
        for call in steps(text).into_iter().flat_map(|step| step.tools) {
            match call.name.as_str() {
                "create_agent" | "Agent" => {
                    turn.tasks.push(order(call.word("task"), call.name == "Agent"));
                }
                "send_to_agent" => turn.letters.push(order(call.word("message"), false)),
                _ => {}
            }
        }
        turn
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    text: String,
    tools: Vec<Call>,
}

#[derive(Debug, Deserialize)]
struct Call {
    name: String,
    input: Value,
}

impl Call {
    fn word(&self, key: &str) -> &str {
        self.input[key].as_str().unwrap_or_default()
    }
}

fn steps(text: &str) -> Vec<Step> {
    text.strip_prefix(SCRIPT).and_then(|script| serde_json::from_str(script).ok()).unwrap_or_default()
}

fn order(text: &str, waits: bool) -> ChildOrder {
    let steps = steps(text);
    let calls = steps.iter().flat_map(|step| &step.tools);
    let notes =
        calls.filter(|call| call.name == "send_to_parent").map(|call| call.word("message").to_owned());
    let mut said: Vec<String> = notes.collect();
    if said.is_empty() {
        said.extend(steps.last().map(|step| step.text.clone()));
    }
    ChildOrder { text: text.to_owned(), waits, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_read_as_it_was_written() {
        let silent = format!("{SCRIPT}{}", json!([{"text": "", "tools": []}, {"text": "report 1"}]));
        let note = json!({"name": "send_to_parent", "input": {"message": "note 2"}});
        let noted = format!("{SCRIPT}{}", json!([{"text": "", "tools": [note]}, {"text": "report 3"}]));
        let calls = json!([
            {"name": "create_agent", "input": {"agent": "bold", "task": silent}},
            {"name": "Agent", "input": {"agent": "shy", "task": noted}},
        ]);
        let letter =
            json!([{"name": "send_to_agent", "input": {"thread_id": "$thread:0", "message": silent}}]);
        let text = format!("{SCRIPT}{}", json!([{"tools": calls}, {"tools": letter}, {"text": "led 4"}]));
        let by = |text: &str, waits, said: &str| ChildOrder {
            text: text.to_owned(),
            waits,
            said: vec![said.to_owned()],
        };
        assert_eq!(
            CoordinatorTurn::read(&text),
            CoordinatorTurn {
                tasks: vec![by(&silent, false, "report 1"), by(&noted, true, "note 2")],
                letters: vec![by(&silent, false, "report 1")],
            }
        );
    }

    #[test]
    fn every_turn_drawn_asks_for_two_or_three_children_with_orders_of_their_own() {
        let mut scribe = ScriptWriter::new(Dice::new(1), 0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let turn = CoordinatorTurn::read(&scribe.turn(2));
            assert!((2..=3).contains(&turn.tasks.len()) && turn.letters.len() <= 1, "{turn:?}");
            for order in turn.tasks.into_iter().chain(turn.letters) {
                assert!(!order.said.is_empty() && seen.insert(order.said.clone()), "{order:?}");
                assert_eq!(order.messages().concat(), order.said);
            }
        }
    }

    #[test]
    fn a_crowd_is_more_than_there_may_be() {
        let turn = CoordinatorTurn::read(&ScriptWriter::new(Dice::new(1), 0).crowd());
        let waited = turn.tasks.iter().filter(|task| task.waits).count();
        assert_eq!((turn.tasks.len(), waited, turn.letters.len()), (27, 2, 0));
    }

    #[test]
    fn who_waits_gets_all_notes_at_once() {
        let said = vec!["note 1".to_owned(), "note 2".to_owned()];
        let order = |waits| ChildOrder { text: String::new(), waits, said: said.clone() };
        assert_eq!(order(true).messages(), std::slice::from_ref(&said));
        assert_eq!(order(false).messages(), [vec!["note 1".to_owned()], vec!["note 2".to_owned()]]);
    }
}
