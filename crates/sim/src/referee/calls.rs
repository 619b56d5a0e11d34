//! Each call is answered once with effect, never before it was made; while one is open the model is not
//! asked and no message is taken; a call that only the law answers is answered in the same commit; a
//! person's interrupt leaves none open.

use std::collections::BTreeMap;

use protocol::EventId;

use super::{Referee, law};
use crate::line::Line;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// By call: whether the client answers it, and whether it has been answered.
    made: BTreeMap<EventId, (bool, bool)>,
    open: u64,
    ours: u64,
}

impl Calls {
    fn made(&mut self, line: &Line, by_client: bool) -> Result<(), String> {
        let Some(id) = line.id else { return Err("a call without an id".into()) };
        law!(self.made.insert(id, (by_client, false)).is_none(), "made twice");
        self.open += 1;
        self.ours += u64::from(!by_client);
        Ok(())
    }

    fn answered(&mut self, line: &Line, by_client: bool) -> Result<(), String> {
        let call = line.about.and_then(|call| self.made.get_mut(&call));
        let Some((clients, answered)) = call else {
            return Err("it answers a call that was never made".into());
        };
        law!(*clients == by_client, "answered by the wrong side");
        if *answered {
            law!(by_client, "our own call is answered twice");
            return Ok(());
        }
        *answered = true;
        self.open -= 1;
        self.ours -= u64::from(!by_client);
        Ok(())
    }
}

impl Referee for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn see(&mut self, line: &Line) -> Result<(), String> {
        match line.kind.as_str() {
            "agent.custom_tool_use" => self.made(line, true)?,
            "agent.tool_use" => self.made(line, false)?,
            "user.custom_tool_result" => self.answered(line, true)?,
            "agent.tool_result" => {
                law!(line.is_error, "only refusals are answered by the law");
                self.answered(line, false)?;
            }
            "span.model_request_start" => law!(self.open == 0, "the model is asked while a call is open"),
            "user.message" => law!(self.open == 0, "a message is taken while a call is open"),
            "user.interrupt" => law!(self.open == 0, "the interrupt leaves a call open"),
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(self.ours == 0, "a call that nobody else answers was left open");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{about, event, heard};
    use super::*;

    fn call() -> Line {
        event(1, "agent.custom_tool_use")
    }

    fn result(call: u128) -> Line {
        about(9, "user.custom_tool_result", call)
    }

    #[test]
    fn an_answer_to_nothing_is_objected_to_and_a_second_one_is_not() {
        assert_eq!(heard(Calls::default(), &[&[call(), result(1), result(1)]]), Ok(()));
        assert!(heard(Calls::default(), &[&[call(), result(2)]]).is_err());
        assert!(heard(Calls::default(), &[&[about(9, "agent.tool_result", 1)]]).is_err());
    }

    #[test]
    fn whatever_passes_an_open_call_is_objected_to() {
        for kind in ["span.model_request_start", "user.message", "user.interrupt"] {
            assert!(heard(Calls::default(), &[&[call(), event(2, kind)]]).is_err(), "{kind}");
            assert_eq!(heard(Calls::default(), &[&[call(), result(1), event(2, kind)]]), Ok(()), "{kind}");
        }
    }

    #[test]
    fn a_call_of_ours_that_is_left_open_or_answered_twice_is_objected_to() {
        let ours = event(1, "agent.tool_use");
        let refused = Line { is_error: true, ..about(2, "agent.tool_result", 1) };
        assert!(heard(Calls::default(), &[std::slice::from_ref(&ours)]).is_err());
        assert_eq!(heard(Calls::default(), &[&[ours.clone(), refused.clone()]]), Ok(()));
        assert!(heard(Calls::default(), &[&[ours.clone(), refused.clone(), refused]]).is_err());
        assert!(heard(Calls::default(), &[&[ours, result(1)]]).is_err());
    }
}
