//! How much happened in the team cuts: work, and what the kills met.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde_json::Value;

use super::script::ChildOrder;
use super::shown::{SENT, ShownSession, sender};
use crate::event::{is, text, texts};
use crate::ledger::CommandCounts;

/// Sums over all sessions.
#[derive(Debug, Default)]
pub(crate) struct TeamTally {
    pub(crate) turns: usize,
    pub(crate) children: usize,
    /// Of these, with an `PlainAgent` call that waited.
    pub(crate) waited: usize,
    /// Calls for a child that the limit refused.
    pub(crate) refused: usize,
    pub(crate) letters: usize,
    /// Messages of children that reached their coordinator.
    pub(crate) reports: usize,
    pub(crate) archived: usize,
    /// The commands and reads of all threads.
    pub(crate) commands: CommandCounts,
    /// Model requests of coordinators and of children that a kill cut.
    lead_requests: usize,
    child_requests: usize,
    /// How often a kill met a waiting `PlainAgent` call, a question to the client, mail not yet taken.
    waits: usize,
    questions: usize,
    mail: usize,
}

impl TeamTally {
    /// Whether kills met all that they are to meet.
    pub(crate) fn is_telling(&self) -> bool {
        let met = [self.lead_requests, self.child_requests, self.waits, self.questions, self.mail];
        let done = [self.waited, self.refused, self.letters, self.archived];
        self.commands.is_telling() && met.into_iter().chain(done).all(|times| times > 0)
    }

    /// Counts what the kills at these moments met in a session with these tasks.
    pub(crate) fn count(&mut self, settled: &ShownSession, tasks: &[(String, ChildOrder)], kills: &[String]) {
        let requests = |events: &[Value]| {
            let cut = |event: &&Value| is(event, "span.model_request_end") && event["is_error"] == true;
            events.iter().filter(cut).count()
        };
        self.lead_requests += requests(&settled.events);
        self.child_requests += tasks.iter().map(|(child, _)| requests(settled.list(child))).sum::<usize>();
        for (child, task) in tasks {
            let sent = stamps(settled.list(child), |event| is(event, SENT));
            let got = stamps(&settled.events, |event| sender(event) == Some(child.as_str()));
            self.mail += met(kills, sent.iter().copied().zip(got.iter().copied()));
            let begun = stamps(settled.list(child), |event| texts(event) == [task.text.as_str()]);
            if task.waits {
                self.waits += met(kills, begun.into_iter().zip(got));
            }
        }
        self.questions += met(kills, questions(&settled.events).into_iter());
    }
}

/// The moments of those of `events` that fit.
fn stamps(events: &[Value], fits: impl Fn(&Value) -> bool) -> VecDeque<&str> {
    events.iter().filter(|event| fits(event)).map(|event| text(event, "processed_at")).collect()
}

/// How many of `kills` lie inside these stretches of time, all stretches together.
fn met<'a>(kills: &[String], stretches: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    let inside = |(from, to): (&str, &str)| {
        kills.iter().filter(|kill| from < kill.as_str() && kill.as_str() < to).count()
    };
    stretches.map(inside).sum()
}

/// From when to when each question to the client was open.
fn questions(events: &[Value]) -> Vec<(&str, &str)> {
    let mut open = BTreeMap::new();
    let mut closed = Vec::new();
    for event in events {
        let (at, key) = (text(event, "processed_at"), |key| text(event, key));
        match key("type") {
            "agent.tool_use" | "agent.custom_tool_use" => drop(open.insert(key("id"), at)),
            "user.tool_confirmation" => closed.extend(open.remove(key("tool_use_id")).zip(Some(at))),
            "user.custom_tool_result" => closed.extend(open.remove(key("custom_tool_use_id")).zip(Some(at))),
            _ => {}
        }
    }
    closed
}

impl fmt::Display for TeamTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, children, waited, refused, letters, reports, archived, commands, .. } = self;
        writeln!(
            f,
            "{turns} turns, {children} children made, {waited} of them waited for, {refused} over the limit, \
             {letters} letters, {reports} reports, {archived} archived"
        )?;
        let Self { lead_requests, child_requests, waits, questions, mail, .. } = self;
        writeln!(
            f,
            "kills cut {lead_requests} model requests of coordinators and {child_requests} of children; they met \
             {waits} waits, {questions} questions to the client and {mail} reports not yet taken"
        )?;
        write!(f, "{commands}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_kill_meets_what_was_open_at_its_moment() {
        let event = |id: &str, kind: &str, at: &str, of: &str| json!({"id": id, "type": kind, "processed_at": at, "tool_use_id": of});
        let events = [
            event("a", "agent.tool_use", "t1", ""),
            event("b", "agent.tool_use", "t2", ""),
            event("c", "user.tool_confirmation", "t4", "a"),
            event("d", "user.tool_confirmation", "t6", "b"),
        ];
        let open = questions(&events);
        assert_eq!(open, [("t1", "t4"), ("t2", "t6")]);
        let kills = ["t0", "t3", "t5", "t7"].map(str::to_owned);
        assert_eq!(met(&kills, open.into_iter()), 3);
    }
}
