//! Whether a model can call a tool over its route: one request with one small tool, and what the answer shows
//! to be missing where the model is served.

use std::sync::Arc;

use models::ServerLack;
use protocol::{
    Object,
    content::ContentBlock,
    prompt::{
        AnswerBlock, AnswerStop, FailureClass, MessagePart, MessageRole, ModelAnswer, ModelFailure, Prompt,
        PromptMessage, ToolSpec,
    },
};
use serde_json::json;

const TOOL: &str = "note_word";
const WORD: &str = "word";
/// What a model is asked, in words that leave it no choice.
const QUESTION: &str =
    "Call the tool note_word once, with the word ok. Answer with that call and nothing else.";

/// Something that is missing where a model is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingForModel {
    /// Whether no agent can work without it.
    pub(crate) needed: bool,
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl MissingForModel {
    pub(crate) fn needed(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { needed: true, what: what.into(), fix: fix.into() }
    }
}

/// The request.
pub(crate) fn prompt(model: &str) -> Prompt {
    let word = json!({"type": "string", "description": "The word."});
    let schema = json!({"type": "object", "properties": {WORD: word}, "required": [WORD]});
    let tool = ToolSpec {
        name: TOOL.into(),
        description: "Notes a word.".into(),
        input_schema: schema.as_object().cloned().unwrap_or_default(),
    };
    let parts = vec![MessagePart::Content(ContentBlock::text(QUESTION))];
    let messages = vec![Arc::new(PromptMessage { role: MessageRole::User, parts })];
    Prompt { model: model.to_owned(), system: None, tools: vec![Arc::new(tool)], messages, counted: None }
}

/// What the answer to it shows to be missing.
pub(crate) fn missing(answer: &ModelAnswer) -> Vec<MissingForModel> {
    let seen = ServerLack::of_answer(answer);
    let told = |needed, lack: ServerLack| MissingForModel {
        needed,
        what: lack.seen().into(),
        fix: lack.cure().into(),
    };
    let thinking = seen.contains(&ServerLack::Thinking).then(|| told(false, ServerLack::Thinking));
    let calls: Vec<(&str, Option<&Object>)> = answer.blocks.iter().filter_map(call).collect();
    let good = |(name, input): &(&str, Option<&Object>)| {
        *name == TOOL && input.is_some_and(|input| input.get(WORD).is_some_and(serde_json::Value::is_string))
    };
    let wrong = if calls.iter().any(good) {
        None
    } else if seen.contains(&ServerLack::Inputs) {
        Some(told(true, ServerLack::Inputs))
    } else if calls.iter().any(|(name, _)| *name == TOOL) {
        Some(MissingForModel::needed("a tool call came without its input", ServerLack::Inputs.cure()))
    } else if !calls.is_empty() {
        Some(MissingForModel::needed("a tool was called that was not offered", ServerLack::Inputs.cure()))
    } else if seen.contains(&ServerLack::Calls) {
        Some(told(true, ServerLack::Calls))
    } else if answer.stop == AnswerStop::MaxTokens {
        let fix = "let it write more: `max_output` of the route";
        Some(MissingForModel::needed(
            "the answer was cut off at its output limit before it called a tool",
            fix,
        ))
    } else {
        let fix = format!("take a model that calls tools; if it is one, {}", ServerLack::Calls.cure());
        Some(MissingForModel::needed("the model was asked to call a tool and called none", fix))
    };
    wrong.into_iter().chain(thinking).collect()
}

/// What it means that the request failed where one without a tool was answered; `fix` is for a failure that
/// has nothing to do with the tool.
pub(crate) fn refused(failure: &ModelFailure, fix: String) -> MissingForModel {
    let what = format!("a request with a tool failed: {}", failure.message);
    match failure.class {
        FailureClass::Invalid => MissingForModel::needed(what, ServerLack::Calls.cure()),
        FailureClass::Overloaded
        | FailureClass::RateLimited
        | FailureClass::Unavailable
        | FailureClass::Cut
        | FailureClass::Empty
        | FailureClass::Overflow
        | FailureClass::Full
        | FailureClass::Unusable
        | FailureClass::Denied
        | FailureClass::Billing
        | FailureClass::NoRoute => MissingForModel::needed(what, fix),
    }
}

fn call(block: &AnswerBlock) -> Option<(&str, Option<&Object>)> {
    match block {
        AnswerBlock::ToolUse { name, input, .. } => Some((name, input.as_ref())),
        AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::usage::RequestTokens;

    fn called(name: &str, input: Option<serde_json::Value>) -> AnswerBlock {
        let input = input.and_then(|input| input.as_object().cloned());
        AnswerBlock::ToolUse { id: "c".into(), name: name.into(), input }
    }

    fn text(text: &str) -> AnswerBlock {
        AnswerBlock::Text { text: text.into() }
    }

    fn told(blocks: Vec<AnswerBlock>, stop: AnswerStop) -> Vec<(bool, String)> {
        let missing = missing(&ModelAnswer { blocks, stop, tokens: RequestTokens::default(), opaque: None });
        missing.into_iter().map(|missing| (missing.needed, missing.what)).collect()
    }

    #[test]
    fn a_call_that_came_as_it_should_misses_nothing_whatever_stands_beside_it() {
        let good = || called(TOOL, Some(json!({WORD: "ok"})));
        assert_eq!(told(vec![good()], AnswerStop::ToolUse), []);
        assert_eq!(told(vec![text("I note it."), good(), called("x", None)], AnswerStop::ToolUse), []);
        let thinking = (false, ServerLack::Thinking.seen().to_owned());
        assert_eq!(told(vec![text("<think>hm</think>"), good()], AnswerStop::ToolUse), [thinking]);
    }

    #[test]
    fn what_is_missing_is_told_by_what_came_instead_of_the_call() {
        use AnswerStop::{EndTurn, MaxTokens, ToolUse};
        let json_of_a_call = format!("{{\"name\": \"{TOOL}\", \"arguments\": {{}}}}");
        for (blocks, stop, what) in [
            (vec![text("<tool_call>\n{}\n</tool_call>")], EndTurn, ServerLack::Calls.seen()),
            (vec![text(&json_of_a_call)], EndTurn, ServerLack::Calls.seen()),
            (vec![called(TOOL, None)], ToolUse, ServerLack::Inputs.seen()),
            (vec![called(TOOL, Some(json!({})))], ToolUse, "a tool call came without its input"),
            (vec![called(TOOL, Some(json!({WORD: 1})))], ToolUse, "a tool call came without its input"),
            (vec![called("other", Some(json!({})))], ToolUse, "a tool was called that was not offered"),
            (
                vec![text("ok")],
                MaxTokens,
                "the answer was cut off at its output limit before it called a tool",
            ),
            (vec![text("ok")], EndTurn, "the model was asked to call a tool and called none"),
            (vec![], EndTurn, "the model was asked to call a tool and called none"),
        ] {
            assert_eq!(told(blocks, stop), [(true, what.to_owned())]);
        }
    }
}
