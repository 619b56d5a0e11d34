//! Each call is answered once with effect, never before it was made, and by a client with nothing else than
//! before; while one is open the model is not asked and no message is taken; a call that does not run is
//! answered in the same commit; a person's interrupt leaves none open.

use std::collections::BTreeMap;

use protocol::EventId;

use super::watch::Referee;
use crate::call_ledger::{LedgerResult, given};
use crate::law::law;
use crate::line::LogLine;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct CallsReferee {
    made: BTreeMap<EventId, Made>,
    open: u64,
    /// Calls that never run.
    idle: u64,
}

#[derive(Debug)]
struct Made {
    by_client: bool,
    runs: bool,
    answered: bool,
    /// What a client answered it with.
    given: Option<LedgerResult>,
}

impl CallsReferee {
    fn made(&mut self, line: &LogLine, by_client: bool) -> Result<(), String> {
        let Some(id) = line.id else { return Err("a call without an id".into()) };
        let runs = by_client || line.permission[0] != "deny";
        law!(
            self.made.insert(id, Made { by_client, runs, answered: false, given: None }).is_none(),
            "made twice"
        );
        self.open += 1;
        self.idle += u64::from(!runs);
        Ok(())
    }

    fn answered(&mut self, line: &LogLine, by_client: bool) -> Result<(), String> {
        let call = line.about.and_then(|call| self.made.get_mut(&call));
        let Some(made) = call else {
            return Err("it answers a call that was never made".into());
        };
        law!(made.by_client == by_client, "answered by the wrong side");
        if made.answered {
            law!(by_client, "our own call is answered twice");
            let same = made.given.is_none() || made.given == given(line);
            law!(same, "a client has answered it with {:?}", made.given);
            return Ok(());
        }
        made.answered = true;
        made.given = given(line).filter(|_| by_client);
        self.open -= 1;
        self.idle -= u64::from(!made.runs);
        Ok(())
    }
}

impl Referee for CallsReferee {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        match line.kind.as_str() {
            "agent.custom_tool_use" => self.made(line, true)?,
            "agent.tool_use" => self.made(line, false)?,
            "user.custom_tool_result" => self.answered(line, true)?,
            "agent.tool_result" => self.answered(line, false)?,
            "span.model_request_start" => law!(self.open == 0, "the model is asked while a call is open"),
            "user.message" => law!(self.open == 0, "a message is taken while a call is open"),
            "user.interrupt" => law!(self.open == 0, "the interrupt leaves a call open"),
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(self.idle == 0, "a call that never runs was left open");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{about, called, event, heard, told};
    use super::*;

    fn call() -> LogLine {
        event(1, "agent.custom_tool_use")
    }

    fn result(call: u128) -> LogLine {
        about(9, "user.custom_tool_result", call)
    }

    #[test]
    fn an_answer_to_nothing_is_objected_to_and_a_second_one_is_not() {
        assert_eq!(heard(CallsReferee::default(), &[&[call(), result(1), result(1)]]), Ok(()));
        assert!(heard(CallsReferee::default(), &[&[call(), result(2)]]).is_err());
        assert!(heard(CallsReferee::default(), &[&[about(9, "agent.tool_result", 1)]]).is_err());
    }

    #[test]
    fn another_answer_of_a_client_is_objected_to_and_one_to_what_the_server_closed_is_not() {
        let say = |text: &str, is_error| {
            let content = Some(serde_json::json!([{"type": "text", "text": text}]));
            LogLine { content, is_error, ..result(1) }
        };
        let judged = |first: LogLine, second| heard(CallsReferee::default(), &[&[call(), first], &[second]]);
        assert_eq!(judged(say("a", false), say("a", false)), Ok(()));
        assert!(judged(say("a", false), say("b", false)).is_err());
        assert!(judged(say("a", false), say("a", true)).is_err());
        assert!(judged(result(1), say("a", false)).is_err());
        let closed = "Tool execution was interrupted before completion. Please retry.";
        assert_eq!(judged(say(closed, true), say("a", false)), Ok(()));
    }

    #[test]
    fn whatever_passes_an_open_call_is_objected_to() {
        for kind in ["span.model_request_start", "user.message", "user.interrupt"] {
            assert!(heard(CallsReferee::default(), &[&[call(), event(2, kind)]]).is_err(), "{kind}");
            assert_eq!(
                heard(CallsReferee::default(), &[&[call(), result(1), event(2, kind)]]),
                Ok(()),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_call_that_never_runs_and_is_left_open_is_objected_to() {
        let off = called(1, "bash", "deny");
        let refused = told(1, "no");
        assert!(heard(CallsReferee::default(), &[std::slice::from_ref(&off)]).is_err());
        assert_eq!(heard(CallsReferee::default(), &[&[off, refused]]), Ok(()));
    }

    #[test]
    fn a_call_of_ours_that_is_answered_twice_or_by_the_client_is_objected_to() {
        let ours = called(1, "bash", "allow");
        assert_eq!(heard(CallsReferee::default(), &[std::slice::from_ref(&ours), &[told(1, "a")]]), Ok(()));
        assert!(heard(CallsReferee::default(), &[&[ours.clone(), told(1, "a"), told(1, "a")]]).is_err());
        assert!(heard(CallsReferee::default(), &[&[ours, result(1)]]).is_err());
    }
}
