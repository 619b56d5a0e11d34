//! Each model request ends exactly once, before the next; the agent speaks only inside one, and one that
//! failed says nothing.

use protocol::EventId;

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct SpansReferee {
    open: Option<EventId>,
    said: u64,
}

impl Referee for SpansReferee {
    fn name(&self) -> &'static str {
        "spans"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        match line.kind.as_str() {
            "span.model_request_start" => {
                law!(self.open.is_none(), "a request is open already");
                self.open = line.id;
                self.said = 0;
            }
            "span.model_request_end" => {
                law!(self.open.is_some() && self.open == line.about, "it ends no open request");
                let failed = matches!(line.how.as_str(), "failed" | "cut");
                law!(line.is_error == failed, "is_error does not say how it ended");
                law!(!failed || self.said == 0, "a failed request has said something");
                self.open = None;
            }
            "agent.message" | "agent.thinking" | "agent.tool_use" | "agent.custom_tool_use" => {
                law!(self.open.is_some(), "said outside of any request");
                self.said += 1;
            }
            "agent.tool_result" | "user.message" | "user.interrupt" => {
                law!(self.open.is_none(), "said in the middle of a request");
            }
            kind if kind.starts_with("session.status_") && kind != "session.status_running" => {
                law!(self.open.is_none(), "a request is open");
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{end, event, heard};
    use super::*;

    fn start(number: u128) -> LogLine {
        event(number, "span.model_request_start")
    }

    #[test]
    fn a_request_that_is_never_ended_or_ended_twice_is_objected_to() {
        let fine = [start(1), end(1, "answered"), start(2), end(2, "cut")];
        assert_eq!(heard(SpansReferee::default(), &[&fine]), Ok(()));
        assert!(heard(SpansReferee::default(), &[&[start(1), start(2)]]).is_err());
        assert!(
            heard(SpansReferee::default(), &[&[start(1), end(1, "answered"), end(1, "answered")]]).is_err()
        );
        assert!(heard(SpansReferee::default(), &[&[start(1), end(2, "answered")]]).is_err());
        let idle = event(3, "session.status_idle");
        assert!(heard(SpansReferee::default(), &[&[start(1), idle]]).is_err());
    }

    #[test]
    fn an_agent_that_speaks_in_no_request_or_in_a_failed_one_is_objected_to() {
        assert!(heard(SpansReferee::default(), &[&[event(1, "agent.message")]]).is_err());
        let cut = [start(1), event(2, "agent.message"), end(1, "cut")];
        assert!(heard(SpansReferee::default(), &[&cut]).is_err());
        let mislabelled = LogLine { is_error: true, ..end(1, "answered") };
        assert!(heard(SpansReferee::default(), &[&[start(1), mislabelled]]).is_err());
    }

    #[test]
    fn a_message_taken_in_the_middle_of_a_request_is_objected_to() {
        assert!(heard(SpansReferee::default(), &[&[start(1), event(2, "user.message")]]).is_err());
    }
}
