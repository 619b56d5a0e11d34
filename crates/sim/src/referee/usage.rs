//! `session.usage` holds the sum of every request so far, and the time that the status events say.

use protocol::Timestamp;

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

/// The stamps of one commit lie microseconds apart; the usage is reckoned at its beginning.
const SLACK_S: f64 = 0.005;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct UsageReferee {
    tokens: [u64; 4],
    active_us: u64,
    since: Option<Timestamp>,
}

impl UsageReferee {
    fn stop(&mut self, at: Timestamp) {
        self.active_us += self.since.take().map_or(0, |since| at.since(since).as_micros() as u64);
    }
}

impl Referee for UsageReferee {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        match line.kind.as_str() {
            "span.model_request_end" => {
                for (sum, more) in self.tokens.iter_mut().zip(line.tokens) {
                    *sum += more;
                }
            }
            "session.status_running" => self.since = Some(line.at),
            "session.status_idle" | "session.status_rescheduled" | "session.status_terminated" => {
                self.stop(line.at);
            }
            "session.usage" => {
                law!(line.tokens == self.tokens, "the requests used {:?}", self.tokens);
                let running = self.since.map_or(0, |since| line.at.since(since).as_micros() as u64);
                let active = (self.active_us + running) as f64 / 1_000_000.0;
                let off = (line.active - active).abs() >= SLACK_S;
                law!(!off, "it ran for {active} s");
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, heard};
    use super::*;

    fn at(second: i64, kind: &str) -> LogLine {
        LogLine { at: Timestamp::from_micros(second * 1_000_000), ..event(1, kind) }
    }

    fn log(tokens: [u64; 4], active: f64) -> Vec<LogLine> {
        let end = LogLine { tokens: [1, 2, 3, 4], ..at(0, "span.model_request_end") };
        let usage = LogLine { tokens, active, ..at(9, "session.usage") };
        vec![
            at(1, "session.status_running"),
            end.clone(),
            at(3, "session.status_rescheduled"),
            at(7, "session.status_running"),
            end,
            usage,
        ]
    }

    #[test]
    fn sums_that_are_not_those_of_the_log_are_objected_to() {
        assert_eq!(heard(UsageReferee::default(), &[&log([2, 4, 6, 8], 4.0)]), Ok(()));
        assert!(heard(UsageReferee::default(), &[&log([2, 4, 6, 7], 4.0)]).is_err());
        assert!(heard(UsageReferee::default(), &[&log([2, 4, 6, 8], 8.0)]).is_err());
    }
}
