//! What a job brought, against what its commit says: nothing of an answer is lost, a call that was cut off
//! is answered at once, a provider's pause is kept.

use std::time::Duration;

use kernel::Input;
use protocol::Stamp;
use protocol::prompt::{Answer, AnswerBlock, AnswerStop};

use crate::line::Line;
use crate::referee::law;

/// Longest pause that a provider may ask for.
const LONGEST: Duration = Duration::from_mins(1);

/// What must be found in the commit of a job's outcome.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    texts: Vec<String>,
    /// By call: its tool, and whether it was cut off.
    calls: Vec<(String, bool)>,
    answered: bool,
    pause: Duration,
}

impl Outcome {
    /// What `input` brings; nothing unless it is an outcome.
    pub(crate) fn of(input: &Input) -> Self {
        match input {
            Input::Answered { answer, .. } => Self::answer(answer),
            Input::Failed { failure, .. } => {
                let pause = failure.retry_after.unwrap_or_default().min(LONGEST);
                Self { pause, ..Self::default() }
            }
            Input::Client { .. }
            | Input::Woke { .. }
            | Input::Recovered
            | Input::Update(_)
            | Input::Archive
            | Input::Delete => Self::default(),
        }
    }

    fn answer(answer: &Answer) -> Self {
        let mut outcome = Self { answered: true, ..Self::default() };
        let refused = matches!(answer.stop, AnswerStop::Refusal(_));
        for block in &answer.blocks {
            match block {
                AnswerBlock::Text { text } if text.is_empty() => {}
                AnswerBlock::Text { text } => outcome.texts.push(text.clone()),
                AnswerBlock::ToolUse { name, input, .. } if !refused => {
                    outcome.calls.push((name.clone(), input.is_none()));
                }
                AnswerBlock::ToolUse { .. } | AnswerBlock::Thinking { .. } => {}
            }
        }
        outcome
    }

    /// Looks for it in the lines of its commit.
    pub(crate) fn judge(&self, lines: &[Line]) -> Result<(), String> {
        let retry = lines.iter().find_map(|line| line.until.map(|until| (line.at, until)));
        if let Some((at, until)) = retry {
            // The note's stamp may be some microseconds later than the moment that the pause began.
            let over = Stamp::after(until, Duration::from_millis(1)).since(at) >= self.pause;
            law!(over, "outcome: the provider asked for {:?} and the retry comes sooner", self.pause);
        }
        if !self.answered {
            return Ok(());
        }
        let of = |kind: &'static str| lines.iter().filter(move |line| line.kind == kind);
        let texts: Vec<&str> =
            of("agent.message").flat_map(Line::texts).filter(|text| !text.is_empty()).collect();
        law!(texts == self.texts, "outcome: the model said {:?} and the log {texts:?}", self.texts);
        let calls: Vec<&Line> = lines.iter().filter(|line| line.kind.ends_with("tool_use")).collect();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        let called: Vec<&str> = self.calls.iter().map(|(name, _)| name.as_str()).collect();
        law!(names == called, "outcome: the model called {called:?} and the log {names:?}");
        for (call, (name, cut)) in calls.iter().zip(&self.calls) {
            let closed = lines.iter().any(|line| line.kind.ends_with("_result") && line.about == call.id);
            law!(closed || !cut, "outcome: the call of {name} was cut off and is not answered");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::referee::testing::{about, event, retry};

    fn answered(calls: &[(&str, bool)]) -> Outcome {
        let calls = calls.iter().map(|(name, cut)| ((*name).to_owned(), *cut)).collect();
        Outcome { calls, answered: true, ..Outcome::default() }
    }

    fn call(number: u128, name: &str) -> Line {
        Line { name: name.into(), ..event(number, "agent.custom_tool_use") }
    }

    #[test]
    fn words_and_calls_that_are_lost_are_objected_to() {
        let said = Outcome { texts: vec!["a".into()], answered: true, ..Outcome::default() };
        assert!(said.judge(&[]).is_err());
        assert!(answered(&[("f", false)]).judge(&[]).is_err());
        assert!(answered(&[]).judge(&[call(1, "f")]).is_err());
        assert_eq!(answered(&[("f", false)]).judge(&[call(1, "f")]), Ok(()));
    }

    #[test]
    fn a_call_that_was_cut_off_and_stays_open_is_objected_to() {
        let closed = about(2, "user.custom_tool_result", 1);
        assert_eq!(answered(&[("f", true)]).judge(&[call(1, "f"), closed]), Ok(()));
        assert!(answered(&[("f", true)]).judge(&[call(1, "f")]).is_err());
    }

    #[test]
    fn a_retry_before_the_provider_wants_it_is_objected_to() {
        let asked = Outcome { pause: Duration::from_secs(20), ..Outcome::default() };
        assert_eq!(asked.judge(&[retry(0, 20)]), Ok(()));
        assert!(asked.judge(&[retry(0, 19)]).is_err());
    }
}
