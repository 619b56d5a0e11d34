//! Reports and waits by the table of docs/rules.md 3: what a child's turn ends in is told once, to the call
//! that waits for it or as mail; each `Agent` call is answered with what happened to its child, in the commit
//! in which that happened; nobody waits for a thread that rests or has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{EventId, ThreadId};
use serde_json::{Value, json};

use super::judge::Judge;
use super::line::TeamLine;
use super::reading::{TeamReading, ThreadReading};
use crate::law::law;
use crate::words::{self, ENDED};

const CANCELLED: &str = "Agent cancelled.";
const INTERRUPTED: &str = "Agent interrupted.";
const DECLINED: &str = "The agent declined to continue.";
const NO_OUTPUT: &str = "(no output)";

/// What a child has to say at the end of its turn.
#[derive(Debug, Default)]
struct Report {
    kept: Vec<Value>,
    mailed: bool,
    last: Vec<Value>,
}

/// A report that must be sent in this commit.
#[derive(Debug, PartialEq)]
struct Due {
    from: ThreadId,
    to: ThreadId,
    content: Vec<Value>,
}

/// What a call was answered with, and whether that was an error.
type Told = (Vec<Value>, bool);

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct WaitsJudge {
    reports: BTreeMap<ThreadId, Report>,
    commit: Commit,
}

#[derive(Debug, Default)]
struct Commit {
    due: VecDeque<Due>,
    /// What happened, for the call that waited for it.
    causes: BTreeMap<EventId, Vec<Told>>,
    /// The waits that were answered: whose, and with what.
    settled: BTreeMap<EventId, (ThreadId, Told)>,
    interrupted: BTreeSet<ThreadId>,
    ended: BTreeSet<ThreadId>,
}

fn said(text: &str) -> Vec<Value> {
    vec![json!({"type": "text", "text": text})]
}

impl WaitsJudge {
    /// Something has happened to a child that is told: to the call that waits, else as mail if `mails`.
    fn tell(&mut self, reading: &TeamReading, child: ThreadId, told: Told, mails: bool) {
        let Some(parent) = reading.thread(child).and_then(|child| child.parent) else { return };
        let waiter = reading.waiter(child);
        if waiter.is_some() || mails {
            self.commit.due.push_back(Due { from: child, to: parent, content: told.0.clone() });
        }
        if let Some((_, call)) = waiter {
            self.commit.causes.entry(call).or_default().push(told);
        }
    }

    /// The request of a child has ended; so may its turn.
    fn answered(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) {
        let Some(thread) = reading.thread(own).filter(|own| own.parent.is_some()) else { return };
        // A turn that would end with something queued goes on.
        if !thread.queue.is_empty() {
            return;
        }
        match line.plain.how.as_str() {
            "answered" if thread.desk.open().is_empty() => {
                let report = self.reports.entry(own).or_default();
                let kept = !report.kept.is_empty();
                let words = if kept { report.kept.clone() } else { report.last.clone() };
                let words = if words.is_empty() { said(NO_OUTPUT) } else { words };
                let mails = kept || !report.mailed;
                self.tell(reading, own, (words, false), mails);
            }
            "refused" => self.tell(reading, own, (said(DECLINED), true), true),
            _ => {}
        }
    }

    fn sent(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let upwards = reading.thread(own).is_some_and(|own| own.parent.is_some() && own.parent == line.peer);
        // A thread that is carrying out a call sends by that.
        if reading.errands.values().any(|errand| errand.thread == own) {
            if upwards {
                let report = self.reports.entry(own).or_default();
                let content = line.content();
                let before = content.split_last().map_or(&[][..], |(_, before)| before);
                law!(before == report.kept, "what was kept goes first: {:?}", report.kept);
                law!(reading.waiter(own).is_none(), "mail to a parent that waits: it is kept");
                *report = Report { mailed: true, ..Report::default() };
            }
            return Ok(());
        }
        let is = line.peer.map(|to| Due { from: own, to, content: line.content() });
        let due = self.commit.due.pop_front();
        law!(due.is_some(), "a report that is not due");
        law!(due == is, "the report that is due is {due:?}");
        self.reports.remove(&own);
        Ok(())
    }

    fn interrupted(&mut self, line: &TeamLine, reading: &TeamReading) {
        let live = reading.threads.iter().filter(|thread| !thread.ended);
        for thread in live.filter(|thread| line.peer.is_none_or(|peer| peer == thread.id)) {
            self.commit.interrupted.insert(thread.id);
            self.reports.remove(&thread.id);
            if let Some((_, call)) = reading.waiter(thread.id) {
                self.commit.causes.entry(call).or_default().push((said(INTERRUPTED), true));
            }
        }
    }

    fn settled(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) {
        let waits = reading.thread(own).map(|own| own.waits.clone()).unwrap_or_default();
        let wait = waits.iter().find(|wait| Some(wait.call) == line.call);
        if let Some(wait) = wait {
            self.commit.settled.insert(wait.call, (own, (line.content(), line.plain.is_error)));
        }
    }

    fn judge(&self, call: EventId, whose: ThreadId, told: &Told) -> Result<(), String> {
        let causes = self.commit.causes.get(&call).map(Vec::as_slice).unwrap_or_default();
        let ended = *told == (said(ENDED), true) && self.commit.ended.contains(&whose);
        let stopped = *told == (said(words::INTERRUPTED), true) && self.commit.interrupted.contains(&whose);
        let right = causes.contains(told) || ended || stopped;
        law!(right, "{call} waited and is answered with {told:?}; what happened is {causes:?}");
        Ok(())
    }
}

impl Judge for WaitsJudge {
    fn name(&self) -> &'static str {
        "waits"
    }

    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let Some(own) = line.thread else { return Err("a line of no thread".into()) };
        match line.kind() {
            "agent.thread_message_received" if line.told == "result" => {
                let waits = line.peer.and_then(|child| reading.waiter(child)).map(|(parent, _)| parent);
                law!(waits == Some(own), "a result, and its thread does not wait for it");
            }
            "agent.thread_message_received" if reading.thread(own).is_some_and(ThreadReading::rests) => {
                // What was kept is still to be reported, also when a turn goes on that would have ended.
                let report = self.reports.entry(own).or_default();
                *report = Report { kept: std::mem::take(&mut report.kept), ..Report::default() };
            }
            "agent.message" => self.reports.entry(own).or_default().last = line.content(),
            "note.kept" => {
                law!(reading.waiter(own).is_some(), "kept, and nobody waits for it");
                self.reports.entry(own).or_default().kept.extend(line.content());
            }
            "agent.thread_message_sent" => self.sent(line, own, reading)?,
            "span.model_request_end" => self.answered(line, own, reading),
            "session.error" if line.plain.error[1] == "exhausted" => {
                let words = said(&format!("Agent failed: {}", line.plain.error[2]));
                self.tell(reading, own, (words, true), true);
            }
            "user.interrupt" => self.interrupted(line, reading),
            "note.settled" => self.settled(line, own, reading),
            "note.ended" => {
                self.commit.ended.insert(own);
                let waiter = reading.waiter(own).filter(|_| line.end == "archived");
                if let Some((_, call)) = waiter {
                    self.commit.causes.entry(call).or_default().push((said(CANCELLED), false));
                }
            }
            "agent.tool_result" | "user.custom_tool_result" if line.text() == ENDED => {
                let open = line
                    .plain
                    .about
                    .and_then(|call| reading.thread(own)?.desk.call(call).map(|call| !call.answered));
                if let (Some(true), Some(id)) = (open, line.plain.id) {
                    self.commit.settled.insert(id, (own, (said(ENDED), true)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self, reading: &TeamReading) -> Result<(), String> {
        law!(self.commit.due.is_empty(), "reports that were not sent: {:?}", self.commit.due);
        for (call, (whose, told)) in &self.commit.settled {
            self.judge(*call, *whose, told)?;
        }
        let settled = &self.commit.settled;
        let missed = self.commit.causes.keys().find(|call| !settled.contains_key(call));
        law!(missed.is_none(), "{missed:?} still waits; what happened is {:?}", self.commit.causes);
        for thread in &reading.threads {
            for wait in &thread.waits {
                let child = reading.thread(wait.child);
                let gone = child.is_none_or(|child| child.ended || child.rests());
                law!(!gone, "{} waits for {}, which is done", thread.id, wait.child);
            }
        }
        self.commit = Commit::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        begun, ended, ends, heard, of, queued, received, saying, sent, settled, spawned, stopped,
    };
    use super::*;

    fn judged(name: &str, rest: &[Vec<TeamLine>]) -> Result<(), String> {
        let commits = [vec![begun(), spawned(name)], rest.to_vec()].concat();
        heard(&mut WaitsJudge::default(), &commits)
    }

    fn spun() -> Vec<TeamLine> {
        vec![saying(of(2, "agent.message"), "spun"), ends(2, 30, "answered")]
    }

    #[test]
    fn a_report_goes_to_the_call_that_waits_once() {
        let shown = vec![sent(2, 1, "spun"), received(1, 2, 50, "result", "spun")];
        let told = vec![settled(1, 20, "spun", false)];
        let whole = [spun(), shown.clone(), told.clone()].concat();
        assert_eq!(judged("Agent", &[whole]), Ok(()));
        assert!(judged("Agent", &[[spun(), shown.clone()].concat()]).is_err());
        assert!(judged("Agent", &[[spun(), told.clone()].concat()]).is_err());
        assert!(judged("Agent", &[told]).is_err());
        let wrong = vec![settled(1, 20, "woven", false)];
        assert!(judged("Agent", &[[spun(), shown.clone(), wrong].concat()]).is_err());
        let double = [spun(), shown.clone(), shown, vec![settled(1, 20, "spun", false)]].concat();
        assert!(judged("Agent", &[double]).is_err());
    }

    #[test]
    fn a_report_is_mail_unless_mail_was_sent_in_that_turn() {
        let mail = vec![sent(2, 1, "spun"), queued(1, 2, 50, "spun")];
        assert_eq!(judged("create_agent", &[[spun(), mail.clone()].concat()]), Ok(()));
        assert!(judged("create_agent", &[spun()]).is_err());
        assert!(judged("create_agent", &[mail]).is_err());
    }

    #[test]
    fn each_end_of_a_child_has_its_own_word() {
        let stop = |text, error| vec![ends(2, 30, "cut"), stopped(2), settled(1, 20, text, error)];
        assert_eq!(judged("Agent", &[stop(INTERRUPTED, true)]), Ok(()));
        assert!(judged("Agent", &[stop(CANCELLED, false)]).is_err());
        assert!(judged("Agent", &[vec![ends(2, 30, "cut"), stopped(2)]]).is_err());
        let gone = |text, error| vec![ended(2, "archived"), settled(1, 20, text, error)];
        assert_eq!(judged("Agent", &[gone(CANCELLED, false)]), Ok(()));
        assert!(judged("Agent", &[gone(CANCELLED, true)]).is_err());
        assert!(judged("Agent", &[vec![ended(2, "archived")]]).is_err());
        let mut error = of(2, "session.error");
        error.plain.error = ["x".into(), "exhausted".into(), "no".into()];
        let failed =
            vec![ends(2, 30, "failed"), error, sent(2, 1, "Agent failed: no"), ended(2, "exhausted")];
        let told = |text| vec![received(1, 2, 50, "result", text), settled(1, 20, text, true)];
        assert_eq!(judged("Agent", &[[failed.clone(), told("Agent failed: no")].concat()]), Ok(()));
        assert!(judged("Agent", &[failed]).is_err());
    }

    #[test]
    fn a_stopped_coordinator_waits_no_more_and_only_then() {
        let stop = vec![settled(1, 20, words::INTERRUPTED, true), stopped(1)];
        assert_eq!(judged("Agent", std::slice::from_ref(&stop)), Ok(()));
        assert!(judged("Agent", &[vec![settled(1, 20, words::INTERRUPTED, true)]]).is_err());
    }
}
