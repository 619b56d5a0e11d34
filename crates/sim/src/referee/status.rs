//! The grammar of status events (docs/rules.md 1): running is session first, and right behind the client's
//! answer that sets the session to work; idle is thread first, right after usage; what is printed is what the
//! log says is being done; work is done only while running.

use protocol::EventId;

use super::watch::Referee;
use crate::desk::Desk;
use crate::law::law;
use crate::line::Line;
use crate::words::is_own;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Printed {
    Running,
    Rescheduling,
    Idle(String, Vec<EventId>),
    Terminated,
}

/// See the file.
#[derive(Debug)]
pub(super) struct Status {
    printed: Printed,
    /// What the line before was, and what the next must be.
    before: String,
    next: Option<&'static str>,
    thread_stop: (String, Vec<EventId>),
    // What is being done, by the log.
    asking: bool,
    waiting: bool,
    desk: Desk,
    stop: &'static str,
    archived: bool,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            printed: Printed::Idle("end_turn".into(), Vec::new()),
            before: String::new(),
            next: None,
            thread_stop: Default::default(),
            asking: false,
            waiting: false,
            desk: Desk::default(),
            stop: "end_turn",
            archived: false,
        }
    }
}

impl Status {
    fn status(&mut self, line: &Line) -> Result<(), String> {
        let after = |kind: &str| self.before == kind;
        let was = self.printed.clone();
        match line.kind.as_str() {
            "session.status_running" => {
                law!(was != Printed::Running, "it runs already");
                self.printed = Printed::Running;
                self.next = Some("session.thread_status_running");
            }
            "session.thread_status_running" => {
                law!(after("session.status_running"), "its session does not run");
            }
            "session.thread_status_idle" => {
                let now = Printed::Idle(line.stop.clone(), line.pending.clone());
                law!(was != now, "it is idle so already");
                self.thread_stop = (line.stop.clone(), line.pending.clone());
                self.next = Some("session.usage");
            }
            "session.usage" => {
                law!(after("session.thread_status_idle"), "a usage that announces no idle");
                self.next = Some("session.status_idle");
            }
            "session.status_idle" => {
                law!(after("session.usage"), "no usage before the idle");
                let stop = (line.stop.clone(), line.pending.clone());
                law!(stop == self.thread_stop, "its thread rests for another reason");
                self.printed = Printed::Idle(stop.0, stop.1);
            }
            "session.thread_status_rescheduled" => {
                law!(was == Printed::Running && after("note.retry"), "rescheduled without a retry");
                self.next = Some("session.status_rescheduled");
            }
            "session.status_rescheduled" => {
                law!(after("session.thread_status_rescheduled"), "its thread is not rescheduled");
                self.printed = Printed::Rescheduling;
            }
            "session.thread_status_terminated" => {
                law!(after("note.archived"), "terminated without an archive");
                self.next = Some("session.status_terminated");
            }
            "session.status_terminated" => {
                law!(after("session.thread_status_terminated"), "its thread is not terminated");
                self.printed = Printed::Terminated;
            }
            other => return Err(format!("there is no {other}")),
        }
        Ok(())
    }

    fn work(&mut self, line: &Line) {
        let resting = matches!(&self.printed, Printed::Idle(stop, _) if stop != "requires_action");
        self.desk.see(line);
        match line.kind.as_str() {
            "span.model_request_start" => (self.asking, self.waiting) = (true, false),
            "span.model_request_end" => {
                self.asking = false;
                match line.how.as_str() {
                    "answered" => self.stop = "end_turn",
                    "refused" => self.stop = "refusal",
                    _ => {}
                }
            }
            "note.retry" => self.waiting = true,
            "note.archived" => self.archived = true,
            "session.error" if line.error[1] == "exhausted" => {
                (self.stop, self.waiting) = ("retries_exhausted", false);
            }
            "user.interrupt" if !resting => (self.stop, self.waiting) = ("end_turn", false),
            _ => {}
        }
    }

    fn due(&self) -> Printed {
        if self.archived {
            Printed::Terminated
        } else if self.asking {
            Printed::Running
        } else if self.waiting {
            Printed::Rescheduling
        } else if self.desk.works() {
            Printed::Running
        } else {
            match self.desk.pending() {
                pending if pending.is_empty() => Printed::Idle(self.stop.into(), pending),
                pending => Printed::Idle("requires_action".into(), pending),
            }
        }
    }
}

/// Whether a line says that work is done. What the rules say of a call in a tool's place is none.
fn works(line: &Line) -> bool {
    let kind = line.kind.as_str();
    let closed = kind == "agent.tool_result" && !is_own(line);
    let works = kind == "user.message"
        || kind.starts_with("span.")
        || kind.starts_with("agent.")
        || kind == "note.retry";
    works && !closed
}

/// Whether an answer sets nobody to work, since the turn may not ask again.
pub(crate) fn is_over(line: &Line) -> bool {
    line.error[0] == "tool_use_limit_reached_error"
}

impl Referee for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn see(&mut self, line: &Line) -> Result<(), String> {
        if let Some(next) = self.next.take() {
            law!(next == line.kind || (next.ends_with("_running") && is_over(line)), "expected {next}");
        }
        let kind = line.kind.as_str();
        if kind.contains("status_") || kind == "session.usage" {
            self.status(line)?;
        } else {
            law!(!works(line) || self.printed == Printed::Running, "work while the session prints otherwise");
            if self.desk.wakes(line) {
                law!(self.printed != Printed::Running, "it runs before the answer that sets it to work");
                self.next = Some("session.status_running");
            }
            self.work(line);
        }
        self.before.clone_from(&line.kind);
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(self.next.is_none(), "no {}", self.next.unwrap_or_default());
        let due = self.due();
        law!(self.printed == due, "it prints {:?} and should print {due:?}", self.printed);
        self.before.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{about, called, confirmed, end, event, heard, stopped, told};
    use super::*;

    fn running() -> Vec<Line> {
        let kinds = ["session.status_running", "session.thread_status_running"];
        kinds.map(|kind| event(0, kind)).to_vec()
    }

    fn idle(stop: &str, pending: &[u128]) -> Vec<Line> {
        let kinds = ["session.thread_status_idle", "session.usage", "session.status_idle"];
        kinds.map(|kind| stopped(kind, stop, pending)).to_vec()
    }

    fn asks() -> Vec<Line> {
        vec![event(2, "user.message"), event(1, "span.model_request_start")]
    }

    fn calls() -> Vec<Line> {
        let call = |number| event(number, "agent.custom_tool_use");
        vec![call(8), call(9), end(1, "answered")]
    }

    fn judged(commits: &[Vec<Line>]) -> Result<(), String> {
        let commits: Vec<&[Line]> = commits.iter().map(Vec::as_slice).collect();
        heard(Status::default(), &commits)
    }

    #[test]
    fn a_plain_turn_is_fine_and_each_line_left_out_is_objected_to() {
        let turn = [running(), asks(), vec![end(1, "answered")], idle("end_turn", &[])].concat();
        assert_eq!(judged(std::slice::from_ref(&turn)), Ok(()));
        let statuses = ["session.status_", "session.thread_status_", "session.usage"];
        for out in 0..turn.len() {
            let mut turn = turn.clone();
            let line = turn.remove(out);
            if statuses.iter().any(|status| line.kind.starts_with(status)) {
                assert!(judged(&[turn]).is_err(), "without {}", line.kind);
            }
        }
    }

    #[test]
    fn work_before_running_is_objected_to() {
        assert!(judged(&[[asks(), running()].concat()]).is_err());
        assert!(judged(&[asks()]).is_err());
    }

    #[test]
    fn an_answer_that_wakes_stands_before_the_running_pair_and_another_does_not() {
        let asked = [running(), asks(), calls(), idle("requires_action", &[8, 9])].concat();
        let result = |call| about(call + 20, "user.custom_tool_result", call);
        let start = event(2, "span.model_request_start");
        let both = vec![result(8), result(9)];
        let right = [both.clone(), running(), vec![start.clone()]].concat();
        assert_eq!(judged(&[asked.clone(), right]), Ok(()));
        let first = [running(), both.clone(), vec![start.clone()]].concat();
        assert!(judged(&[asked.clone(), first]).is_err());
        let between = [vec![result(8)], running(), vec![result(9), start]].concat();
        assert!(judged(&[asked.clone(), between]).is_err());
        let ends = |kind: &str| {
            let error = [kind.into(), "exhausted".into(), String::new()];
            let failed = Line { error, ..event(3, "session.error") };
            [both.clone(), vec![failed], idle("retries_exhausted", &[])].concat()
        };
        assert_eq!(judged(&[asked.clone(), ends("tool_use_limit_reached_error")]), Ok(()));
        assert!(judged(&[asked.clone(), ends("model_request_failed_error")]).is_err());
        let rest = [vec![result(8)], idle("requires_action", &[9])].concat();
        let again = [running(), vec![result(8)], idle("requires_action", &[9])].concat();
        assert_eq!(judged(&[asked, rest, again]), Ok(()));
    }

    #[test]
    fn required_actions_must_be_the_open_calls() {
        let asked = [running(), asks(), calls(), idle("requires_action", &[8, 9])].concat();
        let result = about(20, "user.custom_tool_result", 8);
        let rest = [vec![result.clone()], idle("requires_action", &[9])].concat();
        assert_eq!(judged(&[asked.clone(), rest]), Ok(()));
        let stale = [vec![result.clone()], idle("requires_action", &[8, 9])].concat();
        assert!(judged(&[asked.clone(), stale]).is_err());
        assert!(judged(&[asked, vec![result]]).is_err());
        assert!(judged(&[[running(), asks(), calls(), idle("end_turn", &[])].concat()]).is_err());
    }

    #[test]
    fn it_runs_while_a_tool_does_and_is_idle_while_only_the_client_can_act() {
        let both = vec![called(8, "", ""), called(9, "bash", "allow"), end(1, "answered")];
        let begun = [running(), asks(), both].concat();
        assert_eq!(judged(std::slice::from_ref(&begun)), Ok(()));
        let early = [begun.clone(), idle("requires_action", &[8])].concat();
        assert!(judged(&[early]).is_err());
        let done = [vec![told(9, "out")], idle("requires_action", &[8])].concat();
        assert_eq!(judged(&[begun.clone(), done.clone()]), Ok(()));
        assert!(judged(&[begun, vec![told(9, "out")]]).is_err());
        let asked = vec![called(8, "bash", "ask"), called(9, "bash", "allow"), end(1, "answered")];
        let held = [running(), asks(), asked, idle("requires_action", &[8])].concat();
        let let_in = [vec![confirmed(8, "allow")], running()].concat();
        assert_eq!(judged(&[held.clone(), let_in]), Ok(()));
        assert!(judged(&[held.clone(), vec![confirmed(8, "allow")]]).is_err());
        let closed = vec![told(8, "closed"), told(9, "closed"), event(7, "user.interrupt")];
        assert_eq!(judged(&[held, [closed, idle("end_turn", &[])].concat()]), Ok(()));
    }

    #[test]
    fn a_stop_that_is_not_the_turns_own_is_objected_to() {
        let refused = |stop| [running(), asks(), vec![end(1, "refused")], idle(stop, &[])].concat();
        assert_eq!(judged(&[refused("refusal")]), Ok(()));
        assert!(judged(&[refused("end_turn")]).is_err());
    }

    #[test]
    fn an_interrupted_rest_keeps_its_stop_and_prints_nothing() {
        let refused = [running(), asks(), vec![end(1, "refused")], idle("refusal", &[])].concat();
        assert_eq!(judged(&[refused.clone(), vec![event(7, "user.interrupt")]]), Ok(()));
        let loud = [vec![event(7, "user.interrupt")], idle("end_turn", &[])].concat();
        assert!(judged(&[refused, loud]).is_err());
    }
}
