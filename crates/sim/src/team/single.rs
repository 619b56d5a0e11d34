//! Each thread's lines as a log of a single thread would have them, judged by the referees of the small storm
//! too.

use std::collections::BTreeMap;

use protocol::ThreadId;

use super::alike::alike;
use super::judge::Judge;
use super::line::TeamLine;
use super::reading::TeamReading;
use crate::line;
use crate::referee::{self, ExpectedHistory, Referee};
use crate::words::ENDED;

/// The referees of one thread.
struct Bench {
    referees: Vec<Box<dyn Referee>>,
    hands: referee::hands::ToolsReferee,
    script: ExpectedHistory,
}

impl Bench {
    fn new() -> Self {
        Self {
            referees: referee::of_thread(),
            hands: referee::hands::ToolsReferee::default(),
            script: ExpectedHistory::default(),
        }
    }

    fn see(&mut self, line: &TeamLine, alike: &line::LogLine) -> Result<(), String> {
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
pub(crate) struct SingleJudge {
    threads: BTreeMap<ThreadId, Bench>,
    whole: Vec<Box<dyn Referee>>,
}

impl SingleJudge {
    pub(crate) fn new() -> Self {
        Self { threads: BTreeMap::new(), whole: referee::of_log() }
    }

    /// What must stand in the history of a thread.
    pub(crate) fn script(&self, thread: ThreadId) -> Option<&ExpectedHistory> {
        self.threads.get(&thread).map(|bench| &bench.script)
    }
}

impl Judge for SingleJudge {
    fn name(&self) -> &'static str {
        "single"
    }

    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
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

    fn rest(&mut self, _: &TeamReading) -> Result<(), String> {
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
    use super::super::testing::{asks, begun, ended, heard, settled, spawned};
    use super::*;

    #[test]
    fn each_thread_is_judged_by_itself_and_an_ended_one_no_more() {
        // The stamps of these logs are all one: the referees of the whole log are left out.
        let judge = || SingleJudge { threads: BTreeMap::new(), whole: Vec::new() };
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
