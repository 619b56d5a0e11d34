//! The wire of chat completions: a step becomes chunks, in the dialect of one of those who speak it.

use serde_json::{Value, json};

use crate::{
    script::ScriptStep,
    wire::{AnswerFrames, AskedAnswer, digest, split},
};

/// How a server streams what all of them mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The fields that reasoning stands in.
    pub(crate) reasoning: &'static [&'static str],
    calls: Calls,
    usage: Usage,
    errors: Errors,
    /// Whether calls end with `tool_calls`, not with `stop`.
    says_calls: bool,
    /// Whether the last frame is `[DONE]`.
    says_done: bool,
    /// Whether `max_tokens` is refused.
    pub(crate) refuses_max_tokens: bool,
}

/// How calls are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// In pieces, the id and the name once.
    Pieces,
    /// In pieces, without ids.
    Nameless,
    /// Each whole, all under index 0.
    Whole,
    /// All whole in one chunk, without index and id, the arguments as objects.
    Objects,
}

/// Where the cost is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// In a chunk of its own.
    Apart,
    /// In the last chunk.
    Last,
    /// Nowhere.
    Untold,
}

/// What the body of an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// An object under `error`.
    Object,
    /// A text under `error`.
    Text,
    /// An object.
    Bare,
}

const OPENAI: Dialect = Dialect {
    reasoning: &["reasoning_content"],
    calls: Calls::Pieces,
    usage: Usage::Apart,
    errors: Errors::Object,
    says_calls: true,
    says_done: true,
    refuses_max_tokens: false,
};
/// A dialect, by a word of the model's name; without one it is spoken as OpenAI does.
const DIALECTS: [(&str, Dialect); 5] = [
    ("strict", Dialect { refuses_max_tokens: true, ..OPENAI }),
    ("vllm", Dialect { reasoning: &["reasoning", "reasoning_content"], errors: Errors::Bare, ..OPENAI }),
    ("llamacpp", Dialect { calls: Calls::Nameless, usage: Usage::Last, ..OPENAI }),
    (
        "ollama",
        Dialect {
            reasoning: &["reasoning"],
            calls: Calls::Whole,
            errors: Errors::Text,
            says_calls: false,
            ..OPENAI
        },
    ),
    ("bare", Dialect { calls: Calls::Objects, usage: Usage::Untold, says_done: false, ..OPENAI }),
];

impl Dialect {
    /// The dialect that a model's name asks for.
    pub(crate) fn of(model: &str) -> Self {
        DIALECTS.into_iter().find(|(word, _)| model.contains(word)).map_or(OPENAI, |(_, dialect)| dialect)
    }

    /// The body of an error.
    pub(crate) fn error(self, status: u16, message: &str, code: &str) -> Value {
        let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": code});
        match self.errors {
            Errors::Object => json!({ "error": error }),
            Errors::Text => json!({ "error": message }),
            Errors::Bare => json!({"object": "error", "message": message, "code": status}),
        }
    }
}

/// The streamed answer of a step.
pub(crate) fn frames(step: &ScriptStep, asked: AskedAnswer<'_>, dialect: Dialect) -> AnswerFrames {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    if let Some(thinking) = &step.thinking {
        deltas.extend(split(thinking, 2).into_iter().map(|piece| {
            Value::Object(dialect.reasoning.iter().map(|field| ((*field).to_owned(), json!(piece))).collect())
        }));
    }
    let text = step.said(step.thinking.is_some());
    let before_wait = deltas.len() + 1;
    if !text.is_empty() {
        let pieces = split(text, step.chunks.unwrap_or(1));
        deltas.extend(pieces.into_iter().map(|piece| json!({ "content": piece })));
    }
    deltas.extend(calls(step, asked, dialect));
    let refused = step.stop.as_deref() == Some("refusal");
    if let Some(explanation) = step.explanation.as_deref().filter(|_| refused) {
        deltas.extend(split(explanation, 2).into_iter().map(|piece| json!({ "refusal": piece })));
    }
    let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| chunk(asked, delta, Value::Null)).collect();
    if let Some(kind) = &step.error_event {
        let message = step.why();
        chunks.push(json!({"error": {"message": message, "type": kind, "code": null}}));
    } else {
        let written: usize = chunks.iter().map(|chunk| chunk.to_string().len()).sum();
        let usage = usage(step, asked, written);
        chunks.push(chunk(asked, json!({}), json!(reason(step, dialect))));
        match (dialect.usage, chunks.last_mut()) {
            (Usage::Apart, _) => chunks.push(json!({"id": id(asked), "object": "chat.completion.chunk",
                "model": asked.model, "choices": [], "usage": usage})),
            (Usage::Last, Some(last)) => last["usage"] = usage,
            (Usage::Last | Usage::Untold, _) => {}
        }
    }
    let mut frames: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    if dialect.says_done {
        frames.push("data: [DONE]\n\n".to_owned());
    }
    AnswerFrames { frames, before_wait: if text.is_empty() { 1 } else { before_wait } }
}

fn id(asked: AskedAnswer<'_>) -> String {
    format!("chatcmpl-{:016x}", asked.digest)
}

fn chunk(asked: AskedAnswer<'_>, delta: Value, reason: Value) -> Value {
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
    json!({"id": id(asked), "object": "chat.completion.chunk", "created": 1, "model": asked.model,
        "choices": [choice]})
}

/// Why it ends: the script says it in the words of the Messages API.
fn reason(step: &ScriptStep, dialect: Dialect) -> &str {
    let called = !step.tools.is_empty();
    match step.stop.as_deref() {
        Some("max_tokens") => "length",
        None if step.bad_json_tool.is_some() => "length",
        Some("refusal") if step.explanation.is_none() => "content_filter",
        Some("tool_use") => "tool_calls",
        None if called && dialect.says_calls => "tool_calls",
        Some("end_turn" | "refusal") | None => "stop",
        Some(other) => other,
    }
}

/// The cost: counted, then overlaid by the step's own, which is told in the words of the Messages API.
fn usage(step: &ScriptStep, asked: AskedAnswer<'_>, written: usize) -> Value {
    let told = |key: &str, counted: u64| step.usage.get(key).and_then(Value::as_u64).unwrap_or(counted);
    let cached = told("cache_read_input_tokens", 0);
    let input = told("input_tokens", asked.tokens) + cached;
    let output = told("output_tokens", 1 + written as u64 / 4);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached}})
}

/// The deltas of the step's calls.
fn calls(step: &ScriptStep, asked: AskedAnswer<'_>, dialect: Dialect) -> Vec<Value> {
    let whole = step.tools.iter().map(|call| (call.name.as_str(), json!(call.input).to_string()));
    let broken = step.bad_json_tool.iter().map(|name| (name.as_str(), "{\"path\": \"no".to_owned()));
    let calls = whole.chain(broken);
    let id = |index: usize| format!("call_{:016x}", digest(&asked.digest.to_le_bytes(), index));
    let deltas =
        |pieces: Vec<Value>| pieces.into_iter().map(|piece| json!({"tool_calls": [piece]})).collect();
    match dialect.calls {
        Calls::Pieces | Calls::Nameless => deltas(
            calls
                .enumerate()
                .flat_map(|(index, (name, arguments))| {
                    let function = json!({"name": name, "arguments": ""});
                    let mut first = json!({"index": index, "type": "function", "function": function});
                    if dialect.calls == Calls::Pieces {
                        first["id"] = json!(id(index));
                    }
                    let piece = move |text: String| json!({"index": index, "function": {"arguments": text}});
                    core::iter::once(first).chain(split(&arguments, 2).into_iter().map(piece))
                })
                .collect(),
        ),
        Calls::Whole => deltas(
            calls
                .enumerate()
                .map(|(index, (name, arguments))| {
                    let function = json!({"name": name, "arguments": arguments});
                    json!({"index": 0, "id": id(index), "type": "function", "function": function})
                })
                .collect(),
        ),
        Calls::Objects => {
            let pieces: Vec<Value> = calls
                .map(|(name, arguments)| {
                    let given = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
                    json!({"function": {"name": name, "arguments": given}})
                })
                .collect();
            if pieces.is_empty() { Vec::new() } else { vec![json!({ "tool_calls": pieces })] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: AskedAnswer<'static> = AskedAnswer { model: "m", tokens: 7, digest: 5 };

    fn step(json: Value) -> ScriptStep {
        serde_json::from_value(json).expect("a step")
    }

    /// The deltas of an answer, its reason and its cost, as far as they are told.
    fn told(step: &ScriptStep, dialect: &str) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let frames = frames(step, ASKED, Dialect::of(dialect)).frames;
        let data = frames.iter().filter_map(|frame| serde_json::from_str(frame.strip_prefix("data: ")?).ok());
        let chunks: Vec<Value> = data.collect();
        let picked = |pointer: &str| {
            let found = chunks.iter().filter_map(|chunk| chunk.pointer(pointer));
            found.filter(|value| !value.is_null()).cloned().collect()
        };
        (picked("/choices/0/delta"), picked("/choices/0/finish_reason"), picked("/usage"))
    }

    #[test]
    fn an_answer_with_everything_streams_as_each_dialect_does() {
        let all = step(json!({"thinking": "hm", "text": "hello", "chunks": 2,
            "tools": [{"name": "t", "input": {"a": 1}}, {"name": "u"}],
            "usage": {"input_tokens": 3, "output_tokens": 9, "cache_read_input_tokens": 2}}));
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 2}});
        let begin = |reasoning: &[&str]| {
            let fields = |piece: &str| -> Value {
                Value::Object(reasoning.iter().map(|field| ((*field).to_owned(), json!(piece))).collect())
            };
            let role = json!({"role": "assistant", "content": ""});
            vec![role, fields("h"), fields("m"), json!({"content": "hel"}), json!({"content": "lo"})]
        };
        let ids = [0, 1].map(|index| format!("call_{:016x}", digest(&5_u64.to_le_bytes(), index)));
        let one = |piece: Value| json!({"tool_calls": [piece]});
        let whole = |at: usize, name: &str, arguments: &str| {
            let function = json!({"name": name, "arguments": arguments});
            one(json!({"index": 0, "id": ids[at], "type": "function", "function": function}))
        };
        let ollama =
            [begin(&["reasoning"]), vec![whole(0, "t", "{\"a\":1}"), whole(1, "u", "{}"), json!({})]];
        assert_eq!(told(&all, "ollama"), (ollama.concat(), vec![json!("stop")], vec![usage.clone()]));
        let objects = json!({"tool_calls": [{"function": {"name": "t", "arguments": {"a": 1}}},
            {"function": {"name": "u", "arguments": {}}}]});
        let bare = [begin(&["reasoning_content"]), vec![objects, json!({})]];
        assert_eq!(told(&all, "bare"), (bare.concat(), vec![json!("tool_calls")], vec![]));
        let first = |at: usize, name: &str| {
            let function = json!({"name": name, "arguments": ""});
            json!({"index": at, "type": "function", "function": function})
        };
        let piece = |at: usize, text: &str| one(json!({"index": at, "function": {"arguments": text}}));
        let nameless = vec![
            one(first(0, "t")),
            piece(0, "{\"a\""),
            piece(0, ":1}"),
            one(first(1, "u")),
            piece(1, "{"),
            piece(1, "}"),
            json!({}),
        ];
        let llamacpp = [begin(&["reasoning_content"]), nameless];
        assert_eq!(told(&all, "llamacpp"), (llamacpp.concat(), vec![json!("tool_calls")], vec![usage]));
        let (vllm, _, _) = told(&all, "vllm");
        assert_eq!(vllm[..5], begin(&["reasoning", "reasoning_content"]));
        assert_eq!(vllm[5]["tool_calls"][0]["id"], json!(ids[0]));
    }

    #[test]
    fn each_stop_has_its_reason() {
        let ends = |script: Value| told(&step(script), "m").1;
        assert_eq!(ends(json!({})), [json!("stop")]);
        assert_eq!(ends(json!({"stop": "max_tokens"})), [json!("length")]);
        assert_eq!(ends(json!({"bad_json_tool": "t"})), [json!("length")]);
        assert_eq!(ends(json!({"stop": "refusal"})), [json!("content_filter")]);
        let (deltas, reason, _) =
            told(&step(json!({"text": "", "stop": "refusal", "explanation": "no"})), "m");
        assert_eq!(reason, [json!("stop")]);
        assert_eq!(deltas[1..3], [json!({"refusal": "n"}), json!({"refusal": "o"})]);
        let failed = frames(&step(json!({"error_event": "server_error"})), ASKED, Dialect::of("m")).frames;
        assert!(failed[failed.len() - 2].contains("{\"error\":{"), "{failed:?}");
    }
}
