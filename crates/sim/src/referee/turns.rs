//! The model is asked exactly when there is something to ask it: a message, the last open call's first
//! answer, a pause, a failed or cut request; and at most two hundred times since a person last spoke.

use std::collections::BTreeSet;

use protocol::EventId;

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

const REQUESTS: u32 = 200;
const CUT_OFF: u32 = 3;
const UNREAD: u32 = 5;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct TurnsReferee {
    due: bool,
    asking: bool,
    waiting: bool,
    requests: u32,
    /// Answers in a row that the output limit cut in a call.
    cut_off: u32,
    /// Answers in a row that called tools without one input that can be read.
    unread: u32,
    open: BTreeSet<EventId>,
}

impl TurnsReferee {
    fn ended(&mut self, how: &str) {
        self.asking = false;
        self.due = match how {
            "failed" | "cut" => true,
            "paused" => self.open.is_empty(),
            _ => false,
        };
        match how {
            "failed" | "cut" => {}
            "cut_off" => (self.cut_off, self.unread) = (self.cut_off + 1, 0),
            "unread" => (self.cut_off, self.unread) = (0, self.unread + 1),
            _ => (self.cut_off, self.unread) = (0, 0),
        }
    }

    fn error(&mut self, line: &LogLine) -> Result<(), String> {
        let [kind, status, _] = &line.error;
        if kind == "tool_use_limit_reached_error" {
            let Self { requests, cut_off, unread, .. } = self;
            let far = *requests == REQUESTS || *cut_off == CUT_OFF || *unread == UNREAD;
            law!(
                far,
                "the runaway guard after {requests} requests, {cut_off} answers cut off, {unread} unread"
            );
            law!(self.due, "the runaway guard with nothing to ask");
        }
        if status == "exhausted" {
            (self.due, self.waiting) = (false, false);
        }
        Ok(())
    }
}

impl Referee for TurnsReferee {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        match line.kind.as_str() {
            "user.message" => {
                (self.due, self.requests) = (true, 0);
                (self.cut_off, self.unread) = (0, 0);
            }
            "agent.custom_tool_use" | "agent.tool_use" => self.open.extend(line.id),
            "user.custom_tool_result" | "agent.tool_result" => {
                let last = line.about.is_some_and(|call| self.open.remove(&call)) && self.open.is_empty();
                self.due |= last;
            }
            "span.model_request_start" => {
                law!(self.due, "the model is asked without anything new");
                (self.due, self.asking, self.waiting) = (false, true, false);
                self.requests += 1;
                law!(self.requests <= REQUESTS, "request {} of one turn", self.requests);
                law!(self.cut_off < CUT_OFF, "asked after {} answers that were cut off", self.cut_off);
                law!(self.unread < UNREAD, "asked after {} answers without an input", self.unread);
            }
            "span.model_request_end" => self.ended(&line.how),
            "user.interrupt" => (self.due, self.waiting) = (false, false),
            "session.error" => return self.error(line),
            "note.retry" => self.waiting = true,
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(!self.due || self.waiting, "there is something to ask and nobody asks");
        law!(!(self.waiting && self.asking), "it waits and asks");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{about, end, error, event, heard, retry};
    use super::*;

    fn start() -> LogLine {
        event(1, "span.model_request_start")
    }

    fn message() -> LogLine {
        event(5, "user.message")
    }

    #[test]
    fn a_request_without_a_cause_is_objected_to() {
        assert!(heard(TurnsReferee::default(), &[&[start()]]).is_err());
        assert!(
            heard(TurnsReferee::default(), &[&[message(), start(), end(1, "answered"), start()]]).is_err()
        );
        let again = [message(), start(), end(1, "paused"), start()];
        assert_eq!(heard(TurnsReferee::default(), &[&again]), Ok(()));
    }

    #[test]
    fn a_cause_without_a_request_is_objected_to() {
        assert!(heard(TurnsReferee::default(), &[&[message()]]).is_err());
        assert!(heard(TurnsReferee::default(), &[&[message(), start(), end(1, "cut")]]).is_err());
        let waits = [message(), start(), end(1, "failed"), error("retrying", ""), retry(0, 1)];
        assert_eq!(heard(TurnsReferee::default(), &[&waits]), Ok(()));
    }

    #[test]
    fn a_second_result_that_makes_a_request_is_objected_to() {
        let result = about(8, "user.custom_tool_result", 2);
        let call = [message(), start(), event(2, "agent.custom_tool_use"), end(1, "answered")];
        let once = [result.clone(), start(), end(1, "answered")];
        assert_eq!(heard(TurnsReferee::default(), &[&call, &once, std::slice::from_ref(&result)]), Ok(()));
        assert!(heard(TurnsReferee::default(), &[&call, &once, &[result, start()]]).is_err());
    }

    #[test]
    fn the_two_hundred_and_first_request_and_a_guard_too_early_are_objected_to() {
        let asked = |times: usize| {
            let again = (0..times).flat_map(|_| [start(), end(1, "paused")]);
            std::iter::once(message()).chain(again).collect::<Vec<_>>()
        };
        let mut guard = error("exhausted", "");
        guard.error[0] = "tool_use_limit_reached_error".into();
        let with = |times: usize, last: LogLine| [asked(times), vec![last]].concat();
        assert_eq!(heard(TurnsReferee::default(), &[&with(199, start())]), Ok(()));
        assert!(heard(TurnsReferee::default(), &[&with(200, start())]).is_err());
        assert_eq!(heard(TurnsReferee::default(), &[&with(200, guard.clone())]), Ok(()));
        assert!(heard(TurnsReferee::default(), &[&with(199, guard)]).is_err());
    }
}
