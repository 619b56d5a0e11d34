//! What the server of a model lacks, by signs in the model's answers. An answer is only read here.

use core::sync::atomic::{AtomicU8, Ordering};

use protocol::{
    prompt::{AnswerBlock, AnswerStop, ModelAnswer},
    routes::Route,
};
use serde_json::Value;

/// Bytes of a text that may be a call and nothing else.
const CALL_BYTES: usize = 64 * 1024;
/// What thinking begins with, where it stands before the answer, and what ends it. Some templates begin it
/// themselves, so that only its end is in the text.
const THINKING: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis", "<|channel|>final"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
];
/// What models begin a call with, in the forms that servers have parsers for.
const CALLS: [&str; 15] = [
    "<tool_call>",
    "<tool_calls>",
    "<|tool_call|>",
    "<|tool_call>",
    "<function_calls>",
    "<function=",
    "<invoke name=",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "<|tool_calls_section_begin|>",
    "<｜tool▁calls▁begin｜>",
    "<minimax:tool_call>",
    "<start_function_call>",
    "<|channel|>commentary to=",
    "functools[",
];

/// Something that the server of a model lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerLack {
    /// It leaves thinking in the text.
    Thinking,
    /// It leaves calls of tools in the text.
    Calls,
    /// It sends calls whose input is no JSON object.
    Inputs,
}

impl ServerLack {
    const ALL: [Self; 3] = [Self::Thinking, Self::Calls, Self::Inputs];

    /// What was seen, in a few words.
    pub const fn seen(self) -> &'static str {
        match self {
            Self::Thinking => "thinking stands in the text",
            Self::Calls => "a tool call stands in the text, so that nothing runs",
            Self::Inputs => "the input of a tool call is no JSON object",
        }
    }

    /// What to do about it, where the model is served.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Thinking => {
                "start its server so that thinking is kept apart: vLLM and SGLang with --reasoning-parser \
                 NAME, llama.cpp with --reasoning-format deepseek"
            }
            Self::Calls => {
                "start its server so that calls are read out of the text: vLLM with \
                 --enable-auto-tool-choice --tool-call-parser NAME, SGLang with --tool-call-parser NAME, \
                 llama.cpp with --jinja and a template that knows tools; with Ollama take a model that has \
                 the tag `tools`"
            }
            Self::Inputs => {
                "see that its server's tool-call parser is the one for this model, or take a model that \
                 calls tools well"
            }
        }
    }

    /// What a text of an answer shows to be lacking.
    pub fn of_text(text: &str) -> Vec<Self> {
        let signs = [(Self::Thinking, holds_thinking(text)), (Self::Calls, holds_call(text))];
        signs.into_iter().filter_map(|(lack, seen)| seen.then_some(lack)).collect()
    }

    /// What an answer shows to be lacking, each once.
    pub fn of_answer(answer: &ModelAnswer) -> Vec<Self> {
        let last = answer.blocks.len().saturating_sub(1);
        let of_block = |(place, block): (usize, &AnswerBlock)| match block {
            AnswerBlock::Text { text } => Self::of_text(text),
            // The output limit falls into the last block.
            AnswerBlock::ToolUse { input: None, .. }
                if answer.stop != AnswerStop::MaxTokens || place < last =>
            {
                vec![Self::Inputs]
            }
            AnswerBlock::Thinking { .. } | AnswerBlock::ToolUse { .. } => Vec::new(),
        };
        let mut seen: Vec<Self> = answer.blocks.iter().enumerate().flat_map(of_block).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

/// Whether a text begins with thinking, or with the rest of one.
fn holds_thinking(text: &str) -> bool {
    let begins = text.trim_start();
    THINKING.iter().any(|(begin, end)| {
        begins.starts_with(begin)
            || !text.contains(begin) && lines(text).any(|line| ends_or_begins(line, end))
    })
}

/// Whether a call stands in a text, or is all of it.
fn holds_call(text: &str) -> bool {
    lines(text).any(|line| CALLS.iter().any(|call| ends_or_begins(line, call))) || is_call(unfenced(text))
}

/// Whether a mark stands at an end of a line: what is only spoken of stands between other words.
fn ends_or_begins(line: &str, mark: &str) -> bool {
    line.starts_with(mark) || line.ends_with(mark)
}

/// The lines of a text that stand outside of fences, where examples are, without the space around them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().map(str::trim).filter(move |line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

/// A text that is one fenced block, without its fence.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.and_then(|inner| inner.split_once('\n')).map_or(text, |(_, inner)| inner.trim())
}

/// Whether a text is the JSON of one call or of several.
fn is_call(text: &str) -> bool {
    if !text.starts_with(['{', '[']) || text.len() > CALL_BYTES {
        return false;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(calls)) => !calls.is_empty() && calls.iter().all(names_a_tool),
        Ok(call) => names_a_tool(&call),
        Err(_) => false,
    }
}

fn names_a_tool(call: &Value) -> bool {
    let call = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let given = ["arguments", "parameters"].iter().filter_map(|key| call.get(*key));
    call.get("name").is_some_and(Value::is_string)
        && given.into_iter().any(|input| input.is_object() || input.is_string())
}

/// What has been seen of one route, until the server stops.
#[derive(Debug, Default)]
pub(crate) struct RouteNotes(AtomicU8);

impl RouteNotes {
    /// Says in the log what an answer shows to be lacking, each once.
    pub(crate) fn note(&self, answer: &ModelAnswer, route: &Route) {
        let seen = ServerLack::of_answer(answer);
        let bits = seen.iter().fold(0, |bits, lack| bits | 1 << *lack as u8);
        let before = self.0.fetch_or(bits, Ordering::Relaxed);
        for lack in ServerLack::ALL.into_iter().filter(|lack| (bits & !before) & (1 << *lack as u8) != 0) {
            let (route, seen, advice) = (&route.pattern, lack.seen(), lack.cure());
            tracing::warn!(%route, advice, "the model's server lacks something: {seen}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_leaves_in_the_text_is_seen() {
        for text in [
            "<think>\nhm\n</think>\n\nok",
            " \r\n<think>never ended",
            "hm, well.\r\n</think>\r\n\r\nok",
            "so it is 4.</think>\nok",
            "[THINK]hm[/THINK]ok",
            "◁think▷hm◁/think▷ok",
            "<|channel|>analysis<|message|>hm<|end|>",
        ] {
            assert_eq!(ServerLack::of_text(text), [ServerLack::Thinking], "{text}");
        }
        for text in [
            "<tool_call>\n<function=look>\n<parameter=q>\na\n</parameter>\n</function>\n</tool_call>",
            "I look.<tool_call>\n{\"name\":\"look\",\"arguments\":{}}\n</tool_call>",
            "[TOOL_CALLS][{\"name\":\"look\",\"arguments\":{}}]",
            "<|python_tag|>{\"name\":\"look\",\"parameters\":{}}",
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function",
            "{\"name\": \"look\", \"arguments\": {\"q\": \"ä\"}}",
            "```json\r\n{\"name\": \"look\", \"arguments\": \"{}\"}\r\n```",
            "[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"parameters\":{}}}]",
        ] {
            assert_eq!(ServerLack::of_text(text), [ServerLack::Calls], "{text}");
        }
        let both = "<think>hm</think>\n<tool_call>\n{}\n</tool_call>";
        assert_eq!(ServerLack::of_text(both), [ServerLack::Thinking, ServerLack::Calls]);
    }

    #[test]
    fn what_is_only_spoken_of_is_no_sign() {
        for text in [
            "",
            "Qwen writes `<think>` before and `</think>` behind its thinking, and <tool_call> for a call, you see.",
            "An example:\n```\n<think>\nhm\n</think>\n<tool_call>\n```\nThat is all.",
            "{\"name\": \"heddle\", \"version\": 1}",
            "{\"name\": \"look\", \"arguments\": {}} is what it wants",
            "[]",
            "[1]",
            "{\"name\"",
            "```",
            "``````",
        ] {
            assert_eq!(ServerLack::of_text(text), [], "{text}");
        }
        let large = format!("{{\"name\":\"look\",\"arguments\":{{\"q\":\"{}\"}}}}", "x".repeat(CALL_BYTES));
        assert_eq!(ServerLack::of_text(&large), []);
    }

    #[test]
    fn a_call_without_an_input_is_a_sign_unless_the_limit_cut_it_off() {
        let call = |input| AnswerBlock::ToolUse { id: "c".into(), name: "look".into(), input };
        let answer = |blocks, stop| ModelAnswer {
            blocks,
            stop,
            tokens: protocol::usage::RequestTokens::default(),
            opaque: None,
        };
        let of = |blocks, stop| ServerLack::of_answer(&answer(blocks, stop));
        assert_eq!(of(vec![call(None), call(None)], AnswerStop::ToolUse), [ServerLack::Inputs]);
        assert_eq!(of(vec![call(None)], AnswerStop::MaxTokens), []);
        assert_eq!(of(vec![call(None), call(None)], AnswerStop::MaxTokens), [ServerLack::Inputs]);
        assert_eq!(of(vec![call(Some(protocol::Object::new()))], AnswerStop::ToolUse), []);
    }
}
