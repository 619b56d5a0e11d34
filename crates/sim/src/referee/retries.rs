//! A failed request is followed by its error; at most as many attempts as its route says (three at an answer
//! that says nothing), pauses within their bounds, no wake before its time; what will fail again is not tried
//! again. The storm's failures begin their message with their class and end it with the route's attempts, so
//! that the log alone says both, whatever advice stands behind them; those of an empty answer are the
//! kernel's own.

use protocol::Timestamp;

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

/// Of a route that says nothing.
const ATTEMPTS: u32 = 8;
const EMPTY_ATTEMPTS: u32 = 3;
const HOPELESS: [&str; 7] = ["invalid", "overflow", "full", "unusable", "denied", "billing", "no_route"];
/// What the provider refuses for what it is told.
const REFUSED: [&str; 2] = ["invalid", "overflow"];
/// Requests that are made again without what is named.
const WITHOUT: u32 = 4;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct RetriesReferee {
    failed: u32,
    without: u32,
    /// What must come next.
    next: Option<&'static str>,
    /// Whether what came since the last answer may be to blame.
    refused: bool,
    until: Option<Timestamp>,
}

impl RetriesReferee {
    fn error(&mut self, line: &LogLine) -> Result<(), String> {
        let [kind, status, message] = &line.error;
        let owed = self.next.take() == Some("session.error");
        if kind == "tool_use_limit_reached_error" {
            law!(!owed && status == "exhausted", "the runaway guard ends a turn by itself");
            (self.failed, self.without, self.until) = (0, 0, None);
            return Ok(());
        }
        self.refused = REFUSED.iter().any(|class| message.starts_with(class));
        law!(owed, "an error without a failed request");
        let said = message.rsplit_once(" (of ").and_then(|(_, said)| said.split_once(')')?.0.parse().ok());
        let attempts =
            if message.starts_with("The model") { EMPTY_ATTEMPTS } else { said.unwrap_or(ATTEMPTS) };
        let hopeless = HOPELESS.iter().any(|class| message.starts_with(class));
        match status.as_str() {
            "retrying" if message.starts_with("invalid") => {
                law!(self.without < WITHOUT, "asked again {} times without what is named", self.without);
                self.without += 1;
                self.next = Some("note.left_out");
            }
            "retrying" => {
                law!(!hopeless, "tried again although it will fail again");
                law!(self.failed < attempts, "attempt {} of {attempts}", self.failed + 1);
                self.next = Some("note.retry");
            }
            "exhausted" => {
                law!(hopeless || self.failed >= attempts, "given up after {} attempts", self.failed);
                (self.failed, self.without) = (0, 0);
            }
            _ => return Err(format!("retry status {status}")),
        }
        Ok(())
    }

    fn pause(&mut self, line: &LogLine) -> Result<(), String> {
        let until = line.until.unwrap_or_default();
        let pause = until.since(line.at).as_millis() as u64;
        let whole = (500 << self.failed.saturating_sub(1)).min(30_000);
        // The stamp of the note may be some microseconds later than the moment that the pause began.
        law!(pause + 5 >= whole / 2, "a pause of {pause} ms after {} attempts is too short", self.failed);
        law!(pause <= 60_000, "a pause of {pause} ms is too long");
        self.until = Some(until);
        Ok(())
    }
}

impl Referee for RetriesReferee {
    fn name(&self) -> &'static str {
        "retries"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        law!(self.next.is_none_or(|next| next == line.kind), "expected {}", self.next.unwrap_or_default());
        match line.kind.as_str() {
            "session.error" => return self.error(line),
            "note.left_out" => law!(self.next.take().is_some(), "left out for nothing"),
            "note.blamed" => law!(core::mem::take(&mut self.refused), "blamed for nothing"),
            "note.retry" => {
                law!(self.next.take().is_some(), "a retry of nothing");
                return self.pause(line);
            }
            "span.model_request_start" => {
                let early = self.until.take().is_some_and(|until| line.at < until);
                law!(!early, "tried again before its time");
            }
            "span.model_request_end" => match line.how.as_str() {
                "failed" => {
                    self.failed += 1;
                    self.next = Some("session.error");
                }
                "cut" => {}
                _ => (self.failed, self.without) = (0, 0),
            },
            "user.interrupt" => (self.failed, self.without, self.until) = (0, 0, None),
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(self.next.is_none(), "no {}", self.next.unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{end, error, event, heard, retry};
    use super::*;

    fn failed(until: i64) -> Vec<LogLine> {
        vec![end(1, "failed"), error("retrying", "cut: gone"), retry(0, until)]
    }

    fn start(second: i64) -> LogLine {
        LogLine { at: Timestamp::from_micros(second * 1_000_000), ..event(2, "span.model_request_start") }
    }

    #[test]
    fn a_wake_before_its_time_is_objected_to() {
        assert_eq!(heard(RetriesReferee::default(), &[&failed(1), &[start(1)]]), Ok(()));
        assert!(heard(RetriesReferee::default(), &[&failed(2), &[start(1)]]).is_err());
        let stopped = [event(3, "user.interrupt"), start(1)];
        assert_eq!(heard(RetriesReferee::default(), &[&failed(2), &stopped]), Ok(()));
    }

    #[test]
    fn a_ninth_attempt_and_giving_up_too_soon_are_objected_to() {
        let tries = |times: usize| (0..times).flat_map(|_| failed(30)).collect::<Vec<_>>();
        let over = [end(1, "failed"), error("exhausted", "cut: gone")];
        assert_eq!(heard(RetriesReferee::default(), &[&tries(7), &over]), Ok(()));
        assert!(heard(RetriesReferee::default(), &[&tries(8)]).is_err());
        assert!(heard(RetriesReferee::default(), &[&tries(6), &over]).is_err());
    }

    #[test]
    fn an_attempt_more_than_the_route_says_and_giving_up_sooner_are_objected_to() {
        let failed = |status| [end(1, "failed"), error(status, "cut: gone (of 2)")];
        let again = [&failed("retrying")[..], &[retry(0, 1)]].concat();
        let over = failed("exhausted");
        assert_eq!(heard(RetriesReferee::default(), &[&again, &over]), Ok(()));
        assert!(heard(RetriesReferee::default(), &[&again, &again]).is_err());
        assert!(heard(RetriesReferee::default(), &[&over]).is_err());
    }

    #[test]
    fn a_fourth_attempt_at_an_empty_answer_is_objected_to() {
        let empty = |status| [end(1, "failed"), error(status, "The model's answer was empty.")];
        let again = [&empty("retrying")[..], &[retry(0, 30)]].concat();
        let over = empty("exhausted");
        assert_eq!(heard(RetriesReferee::default(), &[&again, &again, &over]), Ok(()));
        assert!(heard(RetriesReferee::default(), &[&again, &again, &again]).is_err());
        assert!(heard(RetriesReferee::default(), &[&again, &over]).is_err());
    }

    #[test]
    fn pauses_out_of_bounds_are_objected_to() {
        assert!(heard(RetriesReferee::default(), &[&failed(0)]).is_err());
        assert!(heard(RetriesReferee::default(), &[&failed(61)]).is_err());
    }

    #[test]
    fn what_will_fail_again_must_not_be_tried_again_and_each_failure_has_its_error() {
        let again = [end(1, "failed"), error("retrying", "invalid: no"), retry(0, 1)];
        assert!(heard(RetriesReferee::default(), &[&again]).is_err());
        assert!(heard(RetriesReferee::default(), &[&[end(1, "failed")]]).is_err());
        assert!(heard(RetriesReferee::default(), &[&[end(1, "failed"), event(2, "user.message")]]).is_err());
        assert!(heard(RetriesReferee::default(), &[&[error("exhausted", "cut: gone")]]).is_err());
    }
}
