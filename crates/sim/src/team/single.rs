//! One thread's lines as a log of a single thread would have them, so that the referees of the small storm
//! judge each thread too: a letter is a message, a delegation call is a call.

use std::collections::BTreeMap;

use protocol::ThreadId;
use serde_json::{Value, json};

use super::line::Line;
use super::reading::Reading;
use super::{ENDED, Judge};
use crate::line;
use crate::referee::{self, Referee, Script};

/// The line as its thread has it; `None` for what a single thread does not know.
pub(crate) fn alike(line: &Line) -> Option<line::Line> {
    let plain = &line.plain;
    match line.kind() {
        "note.delegated" => {
            let permission = if plain.name == "Agent" { "waits" } else { "deny" };
            let permission = [permission.into(), String::new()];
            Some(line::Line { kind: "agent.tool_use".into(), id: line.call, permission, ..plain.clone() })
        }
        "note.settled" => {
            Some(line::Line { kind: "agent.tool_result".into(), about: line.call, ..plain.clone() })
        }
        "agent.thread_message_received" if line.told == "result" => None,
        "agent.thread_message_received" => {
            let from = line.peer.map(|peer| format!("Message from {} ({peer}):", line.from));
            let first =
                from.filter(|_| line.told == "letter").map(|text| json!({"type": "text", "text": text}));
            let content: Vec<Value> = first.into_iter().chain(line.content()).collect();
            let content = Some(Value::Array(content));
            let ours = usize::from(line.told == "letter");
            Some(line::Line { kind: "user.message".into(), content, ours, ..plain.clone() })
        }
        "note.queued" | "note.cancelled" | "note.kept" | "agent.thread_message_sent" => None,
        _ => Some(plain.clone()),
    }
}

/// The referees of one thread.
struct Bench {
    referees: Vec<Box<dyn Referee>>,
    hands: referee::hands::Hands,
    script: Script,
}

impl Bench {
    fn new() -> Self {
        Self {
            referees: referee::of_thread(),
            hands: referee::hands::Hands::default(),
            script: Script::default(),
        }
    }

    fn see(&mut self, line: &Line, alike: &line::Line) -> Result<(), String> {
        for referee in &mut self.referees {
            referee.see(alike).map_err(|why| format!("{}: {why}", referee.name()))?;
        }
        // What a delegation call comes to, and what an end closes, is judged with the threads.
        let errand = matches!(line.kind(), "note.delegated" | "note.settled");
        if !errand && alike.texts() != [ENDED] {
            self.hands.see(alike).map_err(|why| format!("hands: {why}"))?;
        }
        self.script.see(alike);
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        for referee in &mut self.referees {
            referee.rest().map_err(|why| format!("{}: {why}", referee.name()))?;
        }
        self.hands.rest().map_err(|why| format!("hands: {why}"))
    }
}

/// See the file.
pub(crate) struct Single {
    threads: BTreeMap<ThreadId, Bench>,
    whole: Vec<Box<dyn Referee>>,
}

impl Single {
    pub(crate) fn new() -> Self {
        Self { threads: BTreeMap::new(), whole: referee::of_log() }
    }

    /// What must stand in the history of a thread.
    pub(crate) fn script(&self, thread: ThreadId) -> Option<&Script> {
        self.threads.get(&thread).map(|bench| &bench.script)
    }
}

impl Judge for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn see(&mut self, line: &Line, reading: &Reading) -> Result<(), String> {
        for referee in &mut self.whole {
            referee.see(&line.plain).map_err(|why| format!("{}: {why}", referee.name()))?;
        }
        let Some(own) = line.thread else { return Err("a line of no thread".into()) };
        if line.kind() == "note.archived" {
            self.threads.clear();
        }
        let known = reading.thread(own);
        if line.kind() == "note.opened" || known.is_some_and(|thread| !thread.ended) {
            self.threads.entry(own).or_insert_with(Bench::new);
        }
        if line.kind() == "note.ended" {
            self.threads.remove(&own);
            return Ok(());
        }
        let Some(alike) = alike(line) else { return Ok(()) };
        let everybody = line.kind() == "user.interrupt" && line.peer.is_none();
        for (thread, bench) in &mut self.threads {
            if *thread == own || everybody {
                bench.see(line, &alike).map_err(|why| format!("{why} (of {thread})"))?;
            }
        }
        Ok(())
    }

    fn rest(&mut self, _: &Reading) -> Result<(), String> {
        for referee in &mut self.whole {
            referee.rest().map_err(|why| format!("{}: {why}", referee.name()))?;
        }
        for (thread, bench) in &mut self.threads {
            bench.rest().map_err(|why| format!("{why} (of {thread})"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{asks, begun, ended, heard, received, settled, spawned, thread};
    use super::*;

    #[test]
    fn a_letter_is_a_message_with_a_line_in_front_and_a_result_is_none() {
        let texts = |told: &str| {
            let line = received(1, 2, 50, told, "x");
            alike(&line).map(|line| line.texts().into_iter().map(String::from).collect::<Vec<_>>())
        };
        let first = format!("Message from spinner ({}):", thread(2));
        assert_eq!(texts("letter"), Some(vec![first, "x".into()]));
        assert_eq!(texts("task"), Some(vec!["x".into()]));
        assert_eq!(texts("result"), None);
    }

    #[test]
    fn each_thread_is_judged_by_itself_and_an_ended_one_no_more() {
        // The stamps of these logs are all one: the referees of the whole log are left out.
        let judge = || Single { threads: BTreeMap::new(), whole: Vec::new() };
        let whole = vec![begun(), spawned("Agent")];
        assert_eq!(heard(&mut judge(), &whole), Ok(()));
        let twice = [whole.clone(), vec![vec![asks(2, 60)]]].concat();
        assert!(heard(&mut judge(), &twice).is_err());
        let early = [whole.clone(), vec![vec![asks(1, 60)]]].concat();
        assert!(heard(&mut judge(), &early).is_err());
        let told = vec![ended(2, "archived"), settled(1, 20, "x", false), asks(1, 60)];
        assert_eq!(heard(&mut judge(), &[whole, vec![told]].concat()), Ok(()));
    }
}
