//! What a call is answered with: the tool's own words only if it may run and has begun, else the rules' own
//! text, each where it belongs; a verdict only of what was asked; what a person refused is answered together
//! with the last call that needs the client.

use std::collections::BTreeSet;

use protocol::EventId;

use super::watch::Referee;
use crate::call_ledger::{CallLedger, LedgerCall, LedgerKind};
use crate::law::law;
use crate::line::LogLine;
use crate::words::{FAILED, INTERRUPTED, UNKNOWN, is_own, is_unread, no_such_tool, rejected};

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct ToolsReferee {
    desk: CallLedger,
    /// The calls of this commit.
    fresh: BTreeSet<EventId>,
    interrupting: bool,
}

impl ToolsReferee {
    fn result(&mut self, line: &LogLine) -> Result<(), String> {
        let Some(call) = line.about.and_then(|call| self.desk.call(call)) else {
            return Err("it answers no call".into());
        };
        if is_own(line) {
            law!(self.desk.may_run(call), "{} gave something and may not run", call.name);
            law!(call.reads() || call.begun, "{} gave something and had not begun", call.name);
            return Ok(());
        }
        law!(line.is_error, "the rules answer with errors only");
        match line.texts().as_slice() {
            [INTERRUPTED] => self.interrupting = true,
            [UNKNOWN | FAILED] => {
                law!(!call.reads(), "{} only reads, and runs again", call.name);
                law!(self.desk.may_run(call) && call.begun, "{} cannot have started", call.name);
            }
            [text] => self.refused(call, text)?,
            texts => return Err(format!("{texts:?} is none of the rules' texts")),
        }
        Ok(())
    }

    /// A call begins once, when it may, and only one that does more than read is written down.
    fn begins(&self, line: &LogLine) -> Result<(), String> {
        let Some(call) = line.about.and_then(|call| self.desk.call(call)) else {
            return Err("it begins no call".into());
        };
        law!(self.desk.may_run(call) && !call.reads(), "{} cannot begin", call.name);
        law!(!call.begun, "{} begins again", call.name);
        Ok(())
    }

    /// What the rules say of a call that never runs.
    fn refused(&self, call: &LedgerCall, text: &str) -> Result<(), String> {
        match (call.kind, call.denied()) {
            (LedgerKind::Deny, _) => {
                law!(self.fresh.contains(&call.id), "{} is off and was left open", call.name);
                let right = text == no_such_tool(&call.name) || is_unread(text);
                law!(right, "{text:?} is not what {} is refused with", call.name);
            }
            (LedgerKind::Ask, Some(why)) => {
                law!(self.desk.pending().is_empty(), "{} is refused while others pend", call.name);
                let right = rejected(&call.name, why);
                law!(text == right, "{text:?} is not {right:?}");
            }
            (LedgerKind::Ask | LedgerKind::Allow | LedgerKind::Custom, _) => {
                return Err(format!("nobody refused {}", call.name));
            }
        }
        Ok(())
    }
}

impl Referee for ToolsReferee {
    fn name(&self) -> &'static str {
        "hands"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        match line.kind.as_str() {
            "agent.tool_use" => {
                let legal = [["allow", "always_allow"], ["ask", "always_ask"], ["deny", ""]];
                let [permission, evaluation] = &line.permission;
                law!(legal.contains(&[permission, evaluation]), "{permission:?} because of {evaluation:?}");
                self.fresh.extend(line.id);
            }
            "user.tool_confirmation" => {
                let asked = line.about.and_then(|call| self.desk.call(call));
                law!(asked.is_some_and(|call| call.kind == LedgerKind::Ask), "nobody asked about it");
                law!(matches!(line.verdict.as_str(), "allow" | "deny"), "{:?} is no verdict", line.verdict);
            }
            "note.began" => self.begins(line)?,
            "agent.tool_result" => self.result(line)?,
            "user.interrupt" => self.interrupting = false,
            _ => {}
        }
        self.desk.see(line);
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(!self.interrupting, "a call is interrupted and nobody interrupts");
        let settled = self.desk.pending().is_empty();
        let left = self.desk.open().into_iter().find(|call| settled && call.denied().is_some());
        law!(left.is_none(), "a person refused {left:?} and it is not answered");
        self.fresh.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{about, began, called, confirmed, event, heard, told};
    use super::*;
    use crate::words::CUT_OFF;

    fn judged(commits: &[&[LogLine]]) -> Result<(), String> {
        heard(ToolsReferee::default(), commits)
    }

    fn own(call: u128) -> LogLine {
        LogLine { is_error: false, ..told(call, "out 1") }
    }

    #[test]
    fn a_tool_that_may_not_run_and_gives_something_is_objected_to() {
        assert_eq!(judged(&[&[called(1, "bash", "allow")], &[began(1)], &[own(1)]]), Ok(()));
        assert!(judged(&[&[called(1, "bash", "ask")], &[own(1)]]).is_err());
        let both = [called(1, "bash", "ask"), called(2, "", ""), confirmed(1, "allow")];
        assert!(judged(&[&both, &[own(1)]]).is_err());
        let result = about(5, "user.custom_tool_result", 2);
        assert_eq!(judged(&[&both, &[result], &[began(1)], &[own(1)]]), Ok(()));
        assert!(judged(&[&[called(1, "bash", "ask"), confirmed(1, "deny")]]).is_err());
        let beside = [called(1, "bash", "ask"), called(2, "read", "allow")];
        assert!(judged(&[&beside, &[own(2)]]).is_err());
        assert_eq!(judged(&[&beside, &[confirmed(1, "allow")], &[own(2)]]), Ok(()));
    }

    #[test]
    fn what_does_more_than_read_begins_once_and_before_it_gives_anything() {
        let bash = || [called(1, "bash", "allow")];
        assert!(judged(&[&bash(), &[own(1)]]).is_err());
        assert!(judged(&[&bash(), &[began(1)], &[began(1)]]).is_err());
        assert!(judged(&[&[called(1, "bash", "ask")], &[began(1)]]).is_err());
        assert!(judged(&[&[began(1)]]).is_err());
        assert_eq!(judged(&[&[called(1, "read", "allow")], &[own(1)]]), Ok(()));
        assert!(judged(&[&[called(1, "read", "allow")], &[began(1)]]).is_err());
    }

    #[test]
    fn a_refusal_has_its_own_text_and_place() {
        let refused = told(1, "Permission to use bash has been rejected. Rejection message: no");
        let denied = [called(1, "bash", "ask"), confirmed(1, "deny")];
        let whole = [denied.to_vec(), vec![refused.clone()]].concat();
        assert_eq!(judged(&[&whole]), Ok(()));
        let blunt = [denied.to_vec(), vec![told(1, "Permission to use bash has been rejected.")]].concat();
        assert!(judged(&[&blunt]).is_err());
        let early = [vec![called(2, "", "")], whole].concat();
        assert!(judged(&[&early]).is_err());
        assert!(judged(&[&[called(1, "bash", "ask"), confirmed(1, "allow"), refused]]).is_err());
    }

    #[test]
    fn a_tool_that_is_off_is_answered_in_its_commit_with_the_rules_text() {
        let off = called(1, "bash", "deny");
        assert_eq!(judged(&[&[off.clone(), told(1, &no_such_tool("bash"))]]), Ok(()));
        assert_eq!(judged(&[&[off.clone(), told(1, CUT_OFF)]]), Ok(()));
        assert!(judged(&[&[off.clone(), told(1, &no_such_tool("read"))]]).is_err());
        assert!(judged(&[std::slice::from_ref(&off), &[told(1, CUT_OFF)]]).is_err());
        assert!(judged(&[&[off, own(1)]]).is_err());
    }

    #[test]
    fn only_what_may_have_done_something_is_unknown() {
        for text in [UNKNOWN, FAILED] {
            let bash = [called(1, "bash", "allow")];
            assert_eq!(judged(&[&bash, &[began(1)], &[told(1, text)]]), Ok(()));
            assert!(judged(&[&bash, &[told(1, text)]]).is_err());
        }
        assert!(judged(&[&[called(1, "read", "allow")], &[told(1, UNKNOWN)]]).is_err());
        assert!(judged(&[&[called(1, "bash", "ask")], &[told(1, UNKNOWN)]]).is_err());
        let soft = LogLine { is_error: false, ..told(1, UNKNOWN) };
        assert!(judged(&[&[called(1, "bash", "allow")], &[soft]]).is_err());
    }

    #[test]
    fn an_interrupted_call_has_its_interrupt_and_a_confirmation_its_question() {
        let stopped = [told(1, INTERRUPTED), event(5, "user.interrupt")];
        assert_eq!(judged(&[&[called(1, "bash", "ask")], &stopped]), Ok(()));
        assert!(judged(&[&[called(1, "bash", "ask")], &[told(1, INTERRUPTED)]]).is_err());
        assert!(judged(&[&[called(1, "bash", "allow"), confirmed(1, "allow")]]).is_err());
        let odd = LogLine { permission: ["allow".into(), "always_ask".into()], ..called(1, "bash", "allow") };
        assert!(judged(&[&[odd]]).is_err());
    }
}
