//! What a job brought, against what its commit says: nothing of an answer is lost, each call is what the
//! agent's tools make of it, what does not run is answered at once, a tool's words are its own, a provider's
//! pause is kept.

use std::time::Duration;

use kernel::Input;
use protocol::content::ContentBlock;
use protocol::prompt::{AnswerBlock, AnswerStop, ModelAnswer};
use protocol::{EventId, Timestamp};

use crate::agent_tools::{AgentTools, CallOffer};
use crate::law::law;
use crate::line::LogLine;
use crate::words::{UNREADABLE, cut_off, is_own, no_such_tool};

/// Longest pause that a provider may ask for.
const LONGEST: Duration = Duration::from_mins(1);

/// What must be found in the commit of a job's outcome.
#[derive(Debug, Default)]
pub(crate) struct OutcomeReferee {
    texts: Vec<String>,
    /// By call: its tool, and what it must be told if it has no input.
    calls: Vec<(String, Option<String>)>,
    answered: bool,
    pause: Duration,
    /// What a tool gave for which call, and whether it failed.
    ran: Option<(EventId, Vec<ContentBlock>, bool)>,
}

impl OutcomeReferee {
    /// What `input` brings; nothing unless it is an outcome.
    pub(crate) fn of(input: &Input) -> Self {
        match input {
            Input::Answered { answer, .. } => Self::answer(answer),
            Input::Failed { failure, .. } => {
                let pause = failure.retry_after.unwrap_or_default().min(LONGEST);
                Self { pause, ..Self::default() }
            }
            Input::Ran { call, content, is_error, .. } => {
                Self { ran: Some((*call, content.clone(), *is_error)), ..Self::default() }
            }
            Input::Client { .. }
            | Input::Begins { .. }
            | Input::Woke { .. }
            | Input::Recovered
            | Input::Update(_)
            | Input::Archive
            | Input::ArchiveThread { .. }
            | Input::Delete => Self::default(),
        }
    }

    fn answer(answer: &ModelAnswer) -> Self {
        let mut outcome = Self { answered: true, ..Self::default() };
        outcome.calls = calls(answer).map(|(name, told)| (name.to_owned(), told)).collect();
        for block in &answer.blocks {
            match block {
                // An answer of nothing else is asked for again.
                AnswerBlock::Text { text } if text.trim().is_empty() => {}
                AnswerBlock::Text { text } => outcome.texts.push(text.clone()),
                AnswerBlock::ToolUse { .. } | AnswerBlock::Thinking { .. } => {}
            }
        }
        outcome
    }

    /// Leaves out the calls of these tools, which others judge.
    pub(crate) fn without(mut self, tools: &[&str]) -> Self {
        self.calls.retain(|(name, _)| !tools.contains(&name.as_str()));
        self
    }

    /// Looks for it in the lines of its commit; the agent held `kit`.
    pub(crate) fn judge(&self, lines: &[LogLine], kit: &AgentTools) -> Result<(), String> {
        self.gave(lines)?;
        let retry = lines.iter().find_map(|line| line.until.map(|until| (line.at, until)));
        if let Some((at, until)) = retry {
            // The note's stamp may be some microseconds later than the moment that the pause began.
            let over = Timestamp::after(until, Duration::from_millis(1)).since(at) >= self.pause;
            law!(over, "outcome: the provider asked for {:?} and the retry comes sooner", self.pause);
        }
        if !self.answered {
            return Ok(());
        }
        let of = |kind: &'static str| lines.iter().filter(move |line| line.kind == kind);
        let texts: Vec<&str> =
            of("agent.message").flat_map(LogLine::texts).filter(|text| !text.trim().is_empty()).collect();
        law!(texts == self.texts, "outcome: the model said {:?} and the log {texts:?}", self.texts);
        let calls: Vec<&LogLine> = lines.iter().filter(|line| line.kind.ends_with("tool_use")).collect();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        let called: Vec<&str> = self.calls.iter().map(|(name, _)| name.as_str()).collect();
        law!(names == called, "outcome: the model called {called:?} and the log {names:?}");
        for (call, (name, told)) in calls.iter().zip(&self.calls) {
            let due = due(name, told.as_deref(), kit.offer(name));
            let is = (call.kind.as_str(), call.permission[0].as_str());
            law!(is == (due.kind, due.permission), "outcome: {name} is {is:?}, not {due:?}");
            let result = lines.iter().find(|line| line.kind.ends_with("_result") && line.about == call.id);
            let told = result.map(|line| (line.texts(), line.is_error));
            let right = due.text.as_deref().map(|text| (vec![text], true));
            law!(told == right, "outcome: {name} is answered with {told:?}, not {right:?}");
        }
        Ok(())
    }

    /// What tools gave in this commit is what was brought, word for word.
    fn gave(&self, lines: &[LogLine]) -> Result<(), String> {
        let own = lines.iter().filter(|line| line.kind == "agent.tool_result" && is_own(line));
        let own: Vec<_> = own.map(|line| (line.about, line.content.clone(), line.is_error)).collect();
        let brought: Vec<_> = self
            .ran
            .iter()
            .map(|(call, content, is_error)| (Some(*call), serde_json::to_value(content).ok(), *is_error))
            .collect();
        law!(own == brought, "outcome: tools gave {brought:?}, and the log says {own:?}");
        Ok(())
    }
}

/// What a call must stand in the log as.
#[derive(Debug, PartialEq)]
struct Due {
    kind: &'static str,
    permission: &'static str,
    /// What it is answered with in the same commit.
    text: Option<String>,
}

/// The calls that an answer makes, and what each must be told if it has no input: only the last block can
/// have met the output limit.
pub(crate) fn calls(answer: &ModelAnswer) -> impl Iterator<Item = (&str, Option<String>)> {
    let refused = matches!(answer.stop, AnswerStop::Refusal(_));
    let (full, tokens) = (answer.stop == AnswerStop::MaxTokens, answer.tokens.output);
    answer.blocks.iter().rev().enumerate().rev().filter(move |_| !refused).filter_map(
        move |(behind, block)| {
            let AnswerBlock::ToolUse { name, input, .. } = block else { return None };
            let told = || if full && behind == 0 { cut_off(tokens) } else { UNREADABLE.to_owned() };
            Some((name.as_str(), input.is_none().then(told)))
        },
    )
}

fn due(name: &str, told: Option<&str>, offer: CallOffer) -> Due {
    let (kind, permission) = match offer {
        CallOffer::Custom => ("agent.custom_tool_use", ""),
        CallOffer::Allow if told.is_none() => ("agent.tool_use", "allow"),
        CallOffer::Ask if told.is_none() => ("agent.tool_use", "ask"),
        CallOffer::Allow | CallOffer::Ask | CallOffer::Nothing => ("agent.tool_use", "deny"),
    };
    let refused = (offer == CallOffer::Nothing).then(|| no_such_tool(name));
    Due { kind, permission, text: told.map(str::to_owned).or(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::referee::testing::{about, called, event, id, retry, told};

    /// A kit that holds `look_up`.
    fn kit() -> AgentTools {
        AgentTools::throw(&mut Dice::new(1))
    }

    fn answered(calls: &[(&str, Option<String>)]) -> OutcomeReferee {
        let calls = calls.iter().map(|(name, told)| ((*name).to_owned(), told.clone())).collect();
        OutcomeReferee { calls, answered: true, ..OutcomeReferee::default() }
    }

    fn call(number: u128, name: &str) -> LogLine {
        LogLine { name: name.into(), ..event(number, "agent.custom_tool_use") }
    }

    #[test]
    fn words_and_calls_that_are_lost_are_objected_to() {
        let said = OutcomeReferee { texts: vec!["a".into()], answered: true, ..OutcomeReferee::default() };
        assert!(said.judge(&[], &kit()).is_err());
        assert!(answered(&[("look_up", None)]).judge(&[], &kit()).is_err());
        assert!(answered(&[]).judge(&[call(1, "look_up")], &kit()).is_err());
        assert_eq!(answered(&[("look_up", None)]).judge(&[call(1, "look_up")], &kit()), Ok(()));
    }

    #[test]
    fn a_call_that_was_cut_off_and_stays_open_is_objected_to() {
        let content = Some(serde_json::json!([{"type": "text", "text": cut_off(7)}]));
        let closed = LogLine { content, is_error: true, ..about(2, "user.custom_tool_result", 1) };
        assert_eq!(
            answered(&[("look_up", Some(cut_off(7)))]).judge(&[call(1, "look_up"), closed], &kit()),
            Ok(())
        );
        assert!(answered(&[("look_up", Some(cut_off(7)))]).judge(&[call(1, "look_up")], &kit()).is_err());
    }

    #[test]
    fn a_call_that_is_not_what_the_kit_makes_of_it_is_objected_to() {
        let off = || [called(1, "web_fetch", "deny"), told(1, &no_such_tool("web_fetch"))];
        assert_eq!(answered(&[("web_fetch", None)]).judge(&off(), &kit()), Ok(()));
        assert!(answered(&[("web_fetch", Some(cut_off(7)))]).judge(&off(), &kit()).is_err());
        let [call, _] = off();
        assert!(answered(&[("web_fetch", None)]).judge(&[call], &kit()).is_err());
        let runs = called(1, "web_fetch", "allow");
        assert!(answered(&[("web_fetch", None)]).judge(&[runs], &kit()).is_err());
    }

    #[test]
    fn what_a_tool_gave_stands_in_its_commit_word_for_word() {
        let ran = OutcomeReferee {
            ran: Some((id(1), vec![ContentBlock::text("out 1")], true)),
            ..OutcomeReferee::default()
        };
        assert_eq!(ran.judge(&[told(1, "out 1")], &kit()), Ok(()));
        for wrong in [&[][..], &[told(1, "out 2")], &[told(2, "out 1")]] {
            assert!(ran.judge(wrong, &kit()).is_err(), "{wrong:?}");
        }
        assert!(OutcomeReferee::default().judge(&[told(1, "out 1")], &kit()).is_err());
    }

    #[test]
    fn a_retry_before_the_provider_wants_it_is_objected_to() {
        let asked = OutcomeReferee { pause: Duration::from_secs(20), ..OutcomeReferee::default() };
        assert_eq!(asked.judge(&[retry(0, 20)], &kit()), Ok(()));
        assert!(asked.judge(&[retry(0, 19)], &kit()).is_err());
    }
}
