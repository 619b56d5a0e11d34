//! The desk: every call that a log has made and what became of it, read from the log's lines alone, with a
//! reading of the rules of its own (docs/rules.md 2, 4).

use std::collections::BTreeMap;

use protocol::EventId;
use serde_json::Value;

use crate::line::LogLine;
use crate::words::{ENDED, INTERRUPTED, is_unread};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerCall {
    /// The event that made it.
    pub(crate) id: EventId,
    /// The tool.
    pub(crate) name: String,
    /// Who acts on it.
    pub(crate) kind: LedgerKind,
    /// What a person said of it first.
    pub(crate) verdict: Option<LedgerVerdict>,
    /// Whether it is written down that it has begun.
    pub(crate) begun: bool,
    /// Whether it has been answered.
    pub(crate) answered: bool,
    /// What a client answered it with.
    pub(crate) given: Option<LedgerResult>,
}

/// The content and `is_error` of a client's result.
pub(crate) type LedgerResult = (Option<Value>, bool);

/// Who acts on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerKind {
    /// The client answers it.
    Custom,
    /// It runs without anybody's word.
    Allow,
    /// It runs if a person lets it.
    Ask,
    /// It does not run.
    Deny,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LedgerVerdict {
    /// It may run.
    Allow,
    /// It may not, for this reason; empty for none.
    Deny(String),
}

impl LedgerCall {
    /// Whether the client must act before anything happens to it.
    pub(crate) fn needs_client(&self) -> bool {
        let waits = match self.kind {
            LedgerKind::Custom => true,
            LedgerKind::Ask => self.verdict.is_none(),
            LedgerKind::Allow | LedgerKind::Deny => false,
        };
        waits && !self.answered
    }

    /// Whether its tool only reads.
    pub(crate) fn reads(&self) -> bool {
        reads(&self.name)
    }

    /// Why a person refused it, if one did.
    pub(crate) fn denied(&self) -> Option<&str> {
        match &self.verdict {
            Some(LedgerVerdict::Deny(why)) => Some(why),
            Some(LedgerVerdict::Allow) | None => None,
        }
    }
}

/// What a client gives with this result; `None`: it is the server that closes its call.
pub(crate) fn given(line: &LogLine) -> Option<LedgerResult> {
    let closed = line.is_error
        && match line.texts().as_slice() {
            [text] => [INTERRUPTED, ENDED].contains(text) || is_unread(text),
            _ => false,
        };
    (!closed).then(|| (line.content.clone(), line.is_error))
}

/// Whether this tool only reads.
pub(crate) fn reads(name: &str) -> bool {
    matches!(name, "read" | "glob" | "grep")
}

/// See the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CallLedger {
    calls: Vec<LedgerCall>,
    places: BTreeMap<EventId, usize>,
    /// Before this one, all are answered.
    first: usize,
    /// The first of the last answer.
    answer: usize,
}

impl CallLedger {
    /// Sees the next line of the log.
    pub(crate) fn see(&mut self, line: &LogLine) {
        match line.kind.as_str() {
            "agent.custom_tool_use" => self.made(line, LedgerKind::Custom),
            "agent.tool_use" => match line.permission[0].as_str() {
                "allow" => self.made(line, LedgerKind::Allow),
                "ask" => self.made(line, LedgerKind::Ask),
                _ => self.made(line, LedgerKind::Deny),
            },
            "user.custom_tool_result" | "agent.tool_result" => {
                if let Some(call) = self.call_mut(line.about).filter(|call| !call.answered) {
                    call.answered = true;
                    call.given = given(line).filter(|_| call.kind == LedgerKind::Custom);
                }
                let open = self.calls.iter().skip(self.first).position(|call| !call.answered);
                self.first = open.map_or(self.calls.len(), |open| self.first + open);
            }
            "note.began" => {
                if let Some(call) = self.call_mut(line.about) {
                    call.begun = true;
                }
            }
            "user.tool_confirmation" => {
                if let Some(call) = self.call_mut(line.about)
                    && call.kind == LedgerKind::Ask
                    && call.needs_client()
                {
                    let why = line.deny_message.clone().unwrap_or_default();
                    call.verdict = Some(if line.verdict == "allow" {
                        LedgerVerdict::Allow
                    } else {
                        LedgerVerdict::Deny(why)
                    });
                }
            }
            _ => {}
        }
    }

    fn made(&mut self, line: &LogLine, kind: LedgerKind) {
        let Some(id) = line.id else { return };
        if self.first == self.calls.len() {
            self.answer = self.first;
        }
        self.places.insert(id, self.calls.len());
        let name = line.name.clone();
        self.calls.push(LedgerCall {
            id,
            name,
            kind,
            verdict: None,
            begun: false,
            answered: false,
            given: None,
        });
    }

    fn call_mut(&mut self, id: Option<EventId>) -> Option<&mut LedgerCall> {
        let place = self.places.get(&id?)?;
        self.calls.get_mut(*place)
    }

    /// Every call that was ever made.
    pub(crate) fn all(&self) -> &[LedgerCall] {
        &self.calls
    }

    /// The call with this id.
    pub(crate) fn call(&self, id: EventId) -> Option<&LedgerCall> {
        self.calls.get(*self.places.get(&id)?)
    }

    /// The calls that are not answered, in the order given.
    pub(crate) fn open(&self) -> Vec<&LedgerCall> {
        self.calls.iter().skip(self.first).filter(|call| !call.answered).collect()
    }

    /// Those that need the client, in the order given.
    pub(crate) fn pending(&self) -> Vec<EventId> {
        self.open().into_iter().filter(|call| call.needs_client()).map(|call| call.id).collect()
    }

    /// Whether this call may run, or wait for its turn to: it was always allowed, or a person let it; and
    /// beside one that a person is asked about nothing runs while any needs the client.
    pub(crate) fn may_run(&self, call: &LedgerCall) -> bool {
        let allowed = match (call.kind, &call.verdict) {
            (LedgerKind::Allow, _) | (LedgerKind::Ask, Some(LedgerVerdict::Allow)) => true,
            (LedgerKind::Ask, Some(LedgerVerdict::Deny(_)) | None)
            | (LedgerKind::Custom | LedgerKind::Deny, _) => false,
        };
        let asks = self.calls.iter().skip(self.answer).any(|call| call.kind == LedgerKind::Ask);
        allowed && !call.answered && !(asks && self.open().iter().any(|call| call.needs_client()))
    }

    /// Whether a call waits that may run once nothing needs the client any more.
    pub(crate) fn held(&self) -> bool {
        let let_in =
            |call: &&LedgerCall| call.kind == LedgerKind::Allow || call.verdict == Some(LedgerVerdict::Allow);
        self.open().iter().any(let_in)
    }

    /// Whether this line, a first result or verdict, sets its thread to work that waits for nobody else: it
    /// is the last that is needed, and nothing runs beside it.
    pub(crate) fn wakes(&self, line: &LogLine) -> bool {
        let word = match line.kind.as_str() {
            "user.custom_tool_result" => given(line).is_some(),
            kind => kind == "user.tool_confirmation",
        };
        let last = line.about.is_some_and(|call| self.pending() == [call]);
        word && last && !self.works()
    }

    /// Whether some call may run.
    pub(crate) fn works(&self) -> bool {
        self.open().into_iter().any(|call| self.may_run(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::referee::testing::{about, called, confirmed, id};

    fn desk(lines: &[LogLine]) -> CallLedger {
        let mut desk = CallLedger::default();
        for line in lines {
            desk.see(line);
        }
        desk
    }

    fn may_run(desk: &CallLedger) -> Vec<EventId> {
        desk.open().into_iter().filter(|call| desk.may_run(call)).map(|call| call.id).collect()
    }

    #[test]
    fn beside_what_is_asked_nothing_may_run_while_the_client_is_needed() {
        let mut lines = vec![called(1, "bash", "ask"), called(2, "", ""), called(3, "read", "allow")];
        assert_eq!(desk(&lines).pending(), [id(1), id(2)]);
        assert_eq!(may_run(&desk(&lines)), []);
        lines.push(confirmed(1, "allow"));
        assert_eq!(desk(&lines).pending(), [id(2)]);
        assert_eq!(may_run(&desk(&lines)), []);
        lines.push(about(9, "user.custom_tool_result", 2));
        assert_eq!(may_run(&desk(&lines)), [id(1), id(3)]);
        lines.push(about(10, "agent.tool_result", 1));
        assert_eq!(may_run(&desk(&lines)), [id(3)]);
        assert_eq!(desk(&lines).open().len(), 1);
    }

    #[test]
    fn what_no_person_is_asked_about_runs_beside_the_clients_calls_also_in_the_next_answer() {
        let asked = [called(1, "bash", "ask"), confirmed(1, "deny"), about(9, "agent.tool_result", 1)];
        let next = [called(2, "", ""), called(3, "read", "allow")];
        assert_eq!(may_run(&desk(&[asked.to_vec(), next.to_vec()].concat())), [id(3)]);
    }

    #[test]
    fn the_last_word_that_is_needed_wakes() {
        let calls = [called(1, "bash", "ask"), called(2, "", ""), called(3, "read", "allow")];
        let result = about(9, "user.custom_tool_result", 2);
        assert!(!desk(&calls).wakes(&result) && !desk(&calls).wakes(&confirmed(1, "allow")));
        let verdict = [calls.to_vec(), vec![confirmed(1, "allow")]].concat();
        assert!(desk(&verdict).wakes(&result) && !desk(&verdict).wakes(&confirmed(1, "deny")));
        let runs = [called(2, "", ""), called(3, "read", "allow")];
        assert!(!desk(&runs).wakes(&result));
    }

    #[test]
    fn what_a_client_gave_is_known_and_what_the_server_closed_is_not() {
        let given = |text: &str| {
            let content = Some(serde_json::json!([{"type": "text", "text": text}]));
            let result = LogLine { content, is_error: true, ..about(9, "user.custom_tool_result", 1) };
            desk(&[called(1, "", ""), result]).call(id(1)).and_then(|call| call.given.clone()).is_some()
        };
        assert_eq!([given("r1"), given(INTERRUPTED), given(ENDED)], [true, false, false]);
    }

    #[test]
    fn the_first_verdict_counts() {
        let lines = [called(1, "bash", "ask"), confirmed(1, "deny"), confirmed(1, "allow")];
        assert_eq!(may_run(&desk(&lines)), []);
        assert_eq!(desk(&lines).open().first().map(|call| call.denied()), Some(Some("no")));
    }
}
