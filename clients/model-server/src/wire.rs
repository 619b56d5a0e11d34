//! The wire: a step becomes the frames of a streamed answer, one message, or an error body.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::script::ScriptStep;

/// What the data of every redacted thinking block begins with.
pub(crate) const REDACTED: &str = "redacted_";

/// The signature of a thinking block: the same text always gets the same.
pub(crate) fn signature(thinking: &str) -> String {
    format!("sig_{:016x}", digest(thinking.as_bytes(), 0))
}

/// A number that the same bytes and index always give.
pub(crate) fn digest(bytes: &[u8], index: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    index.hash(&mut hasher);
    hasher.finish()
}

/// What an answer is made from besides its step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedAnswer<'a> {
    /// The model's id.
    pub(crate) model: &'a str,
    /// Input tokens, counted.
    pub(crate) tokens: u64,
    /// The digest of the request's body.
    pub(crate) digest: u64,
}

/// An answer as frames of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnswerFrames {
    /// The frames, whole, each with its blank line.
    pub(crate) frames: Vec<String>,
    /// How many of them go out before a `wait` holds the rest.
    pub(crate) before_wait: usize,
}

/// A block, and the deltas that make it when it is streamed.
struct Written {
    whole: Value,
    begin: Value,
    deltas: Vec<Value>,
}

/// The streamed answer of a step.
pub(crate) fn frames(step: &ScriptStep, asked: AskedAnswer<'_>) -> AnswerFrames {
    let blocks = blocks(step, asked);
    let (opening, closing) = usage(step, asked, &blocks);
    let mut message = envelope(asked, Vec::new(), &Ending::open());
    insert(&mut message, "usage", opening);
    let mut frames = vec![
        frame("message_start", &json!({"type": "message_start", "message": message})),
        frame("ping", &json!({"type": "ping"})),
    ];
    let mut before_wait = None;
    for (index, block) in blocks.iter().enumerate() {
        let start = json!({"type": "content_block_start", "index": index, "content_block": block.begin});
        frames.push(frame("content_block_start", &start));
        for delta in &block.deltas {
            let piece = json!({"type": "content_block_delta", "index": index, "delta": delta});
            frames.push(frame("content_block_delta", &piece));
            if before_wait.is_none() && delta.get("text").is_some() {
                before_wait = Some(frames.len());
            }
        }
        frames.push(frame("content_block_stop", &json!({"type": "content_block_stop", "index": index})));
    }
    if let Some(kind) = &step.error_event {
        frames.push(frame("error", &error(kind, step.why())));
    } else {
        let delta = Ending::of(step).fields();
        frames.push(frame(
            "message_delta",
            &json!({"type": "message_delta", "delta": delta, "usage": closing}),
        ));
        frames.push(frame("message_stop", &json!({"type": "message_stop"})));
    }
    AnswerFrames { before_wait: before_wait.unwrap_or(1), frames }
}

/// The whole answer of a step, for a request that is not streamed.
pub(crate) fn message(step: &ScriptStep, asked: AskedAnswer<'_>) -> Value {
    let blocks = blocks(step, asked);
    let (mut opening, closing) = usage(step, asked, &blocks);
    if let (Value::Object(whole), Value::Object(end)) = (&mut opening, closing) {
        whole.extend(end);
    }
    let mut message =
        envelope(asked, blocks.into_iter().map(|block| block.whole).collect(), &Ending::of(step));
    insert(&mut message, "usage", opening);
    message
}

/// The body of an error.
pub(crate) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The type that the Messages API gives an error of this status.
pub(crate) fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}

/// How an answer ends: `stop_reason`, `stop_sequence` and `stop_details`.
struct Ending {
    reason: Value,
    details: Value,
}

impl Ending {
    fn open() -> Self {
        Self { reason: Value::Null, details: Value::Null }
    }

    fn of(step: &ScriptStep) -> Self {
        let called = !step.tools.is_empty();
        let reason = match &step.stop {
            Some(stop) => stop.as_str(),
            None if step.bad_json_tool.is_some() => "max_tokens",
            None if called => "tool_use",
            None => "end_turn",
        };
        let details = if reason == "refusal" {
            json!({"type": "refusal", "category": step.category, "explanation": step.explanation})
        } else {
            Value::Null
        };
        Self { reason: json!(reason), details }
    }

    fn fields(&self) -> Value {
        json!({"stop_reason": self.reason, "stop_sequence": null, "stop_details": self.details})
    }
}

fn envelope(asked: AskedAnswer<'_>, content: Vec<Value>, ending: &Ending) -> Value {
    let mut message = json!({
        "id": format!("msg_{:016x}", asked.digest), "type": "message", "role": "assistant",
        "model": asked.model, "content": content,
    });
    if let (Value::Object(whole), Value::Object(end)) = (&mut message, ending.fields()) {
        whole.extend(end);
    }
    message
}

/// The usage told at the start and at the end: counted, then overlaid by the step's own.
fn usage(step: &ScriptStep, asked: AskedAnswer<'_>, blocks: &[Written]) -> (Value, Value) {
    let written: usize = blocks.iter().map(|block| block.whole.to_string().len()).sum();
    let mut opening = Map::from_iter([
        ("input_tokens".to_owned(), json!(asked.tokens)),
        ("cache_creation_input_tokens".to_owned(), json!(0)),
        ("cache_read_input_tokens".to_owned(), json!(0)),
    ]);
    let mut closing = Map::from_iter([("output_tokens".to_owned(), json!(1 + written / 4))]);
    for (key, value) in &step.usage {
        let side = if key == "output_tokens" { &mut closing } else { &mut opening };
        side.insert(key.clone(), value.clone());
    }
    opening.insert("output_tokens".to_owned(), json!(1));
    (Value::Object(opening), Value::Object(closing))
}

fn blocks(step: &ScriptStep, asked: AskedAnswer<'_>) -> Vec<Written> {
    let mut blocks = Vec::new();
    if let Some(thinking) = &step.thinking {
        let signature = signature(thinking);
        blocks.push(Written {
            whole: json!({"type": "thinking", "thinking": thinking, "signature": signature}),
            begin: json!({"type": "thinking", "thinking": "", "signature": ""}),
            deltas: vec![
                json!({"type": "thinking_delta", "thinking": thinking}),
                json!({"type": "signature_delta", "signature": signature}),
            ],
        });
    }
    if let Some(redacted) = &step.redacted {
        let whole = json!({"type": "redacted_thinking", "data": format!("{REDACTED}{redacted}")});
        blocks.push(Written { begin: whole.clone(), whole, deltas: Vec::new() });
    }
    let text = step.said(!blocks.is_empty());
    if !text.is_empty() {
        let deltas = split(text, step.chunks.unwrap_or(1));
        blocks.push(Written {
            whole: json!({"type": "text", "text": text}),
            begin: json!({"type": "text", "text": ""}),
            deltas: deltas.into_iter().map(|text| json!({"type": "text_delta", "text": text})).collect(),
        });
    }
    for (index, call) in step.tools.iter().enumerate() {
        blocks.push(written_call(
            &call.name,
            &json!(call.input),
            &json!(call.input).to_string(),
            index,
            asked,
        ));
    }
    if let Some(name) = &step.bad_json_tool {
        blocks.push(written_call(name, &json!({}), "{\"path\": \"no", step.tools.len(), asked));
    }
    blocks
}

fn written_call(name: &str, input: &Value, json: &str, index: usize, asked: AskedAnswer<'_>) -> Written {
    let id = format!("toolu_{:016x}", digest(&asked.digest.to_le_bytes(), index));
    let deltas = match json {
        "{}" => vec![json!({"type": "input_json_delta", "partial_json": ""})],
        _ => split(json, 2)
            .into_iter()
            .map(|p| json!({"type": "input_json_delta", "partial_json": p}))
            .collect(),
    };
    Written {
        whole: json!({"type": "tool_use", "id": id, "name": name, "input": input}),
        begin: json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
        deltas,
    }
}

/// Splits a text into at most `count` pieces of nearly equal length in characters.
pub(crate) fn split(text: &str, count: usize) -> Vec<String> {
    if count <= 1 {
        return vec![text.to_owned()];
    }
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(chars.len().div_ceil(count).max(1)).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: AskedAnswer<'static> = AskedAnswer { model: "m", tokens: 7, digest: 5 };

    fn step(json: Value) -> ScriptStep {
        serde_json::from_value(json).expect("a step")
    }

    fn data(frames: &AnswerFrames) -> Vec<Value> {
        let body = |frame: &String| {
            let (_, data) = frame.split_once("data: ").expect("a data line");
            serde_json::from_str(data).expect("JSON")
        };
        frames.frames.iter().map(body).collect()
    }

    #[test]
    fn an_answer_with_everything_streams_in_the_apis_order() {
        let all = step(json!({"thinking": "hm", "text": "hello", "chunks": 2,
            "tools": [{"name": "t", "input": {"a": 1}}],
            "usage": {"input_tokens": 3, "output_tokens": 9}}));
        let made = frames(&all, ASKED);
        let id = format!("toolu_{:016x}", digest(&5_u64.to_le_bytes(), 0));
        let data = data(&made);
        let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 1});
        assert_eq!(data[0]["message"]["usage"], usage);
        let blocks: Vec<Value> = data[2..14].to_vec();
        let delta =
            |i: usize, delta: Value| json!({"type": "content_block_delta", "index": i, "delta": delta});
        let stop = |i: usize| json!({"type": "content_block_stop", "index": i});
        let start =
            |i: usize, b: Value| json!({"type": "content_block_start", "index": i, "content_block": b});
        assert_eq!(
            blocks,
            vec![
                start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
                delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
                delta(0, json!({"type": "signature_delta", "signature": signature("hm")})),
                stop(0),
                start(1, json!({"type": "text", "text": ""})),
                delta(1, json!({"type": "text_delta", "text": "hel"})),
                delta(1, json!({"type": "text_delta", "text": "lo"})),
                stop(1),
                start(2, json!({"type": "tool_use", "id": id, "name": "t", "input": {}})),
                delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
                delta(2, json!({"type": "input_json_delta", "partial_json": ":1}"})),
                stop(2),
            ]
        );
        let ending = json!({"stop_reason": "tool_use", "stop_sequence": null, "stop_details": null});
        assert_eq!(
            data[14],
            json!({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 9}})
        );
        assert_eq!((data[15].clone(), data.len()), (json!({"type": "message_stop"}), 16));
        assert_eq!(made.before_wait, 8, "a wait holds after the first text delta");
    }

    #[test]
    fn a_plain_message_says_ok() {
        let ending = json!({"id": "msg_0000000000000005", "type": "message", "role": "assistant",
            "model": "m", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
            "stop_sequence": null, "stop_details": null,
            "usage": {"input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 7}});
        assert_eq!(message(&ScriptStep::default(), ASKED), ending);
    }

    #[test]
    fn a_refusal_carries_its_details_and_an_error_event_ends_the_stream() {
        let refusal =
            data(&frames(&step(json!({"text": "no", "stop": "refusal", "category": "cyber"})), ASKED));
        let details = json!({"type": "refusal", "category": "cyber", "explanation": null});
        assert_eq!(refusal[refusal.len() - 2]["delta"]["stop_details"], details);
        let failed = data(&frames(&step(json!({"text": "no", "error_event": "overloaded_error"})), ASKED));
        assert_eq!(failed.last(), Some(&error("overloaded_error", "as the script says")));
    }
}
