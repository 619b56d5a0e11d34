//! The rows of the Messages API, as others speak it.

use serde_json::{Value, json};

use super::laws;
use super::means::{failed, looked, named, ok};
use super::shape::{ProviderShape, RefusalLaw, ShapeWire};

fn events(events: &[Value]) -> String {
    let frame =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    events.iter().map(frame).collect()
}

fn opening() -> Value {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "usage": {"input_tokens": 5, "output_tokens": 0}});
    json!({"type": "message_start", "message": message})
}

fn block(index: u64, begin: Value, delta: Value) -> [Value; 3] {
    [
        json!({"type": "content_block_start", "index": index, "content_block": begin}),
        json!({"type": "content_block_delta", "index": index, "delta": delta}),
        json!({"type": "content_block_stop", "index": index}),
    ]
}

fn text(text: &str) -> [Value; 3] {
    block(0, json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}))
}

fn call(index: u64) -> [Value; 3] {
    let begin = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    block(index, begin, json!({"type": "input_json_delta", "partial_json": "{\"q\":\"a\"}"}))
}

fn ending(reason: &str) -> [Value; 2] {
    let delta = json!({"stop_reason": reason});
    [
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]
}

/// A call behind this block.
pub(super) fn behind(thinking: Value) -> String {
    let block = block(0, thinking, json!({"type": "thinking_delta", "thinking": ""}));
    events(&[&[opening()][..], &block, &call(1), &ending("tool_use")].concat())
}

fn plain() -> String {
    events(&[&[opening()][..], &text("ok"), &ending("end_turn")].concat())
}

fn one() -> Value {
    looked(&[json!({"q": "a"})], [5, 2])
}

const fn row(
    name: &'static str,
    source: &'static str,
    sends: fn() -> String,
    means: fn() -> Value,
) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Messages, refuses: laws::none, sends, means }
}

const fn law(name: &'static str, source: &'static str, refuses: RefusalLaw) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Messages, refuses, sends: plain, means: ok }
}

/// A row of what is refused for good.
const fn refused(
    name: &'static str,
    source: &'static str,
    refuses: RefusalLaw,
    means: fn() -> Value,
) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Messages, refuses, sends: plain, means }
}

pub(super) const ROWS: &[ProviderShape] = &[
    row(
        "gemini-blocks-without-index",
        "https://github.com/decolua/9router/issues/2218",
        || {
            let mut call = call(0);
            for event in &mut call {
                event.as_object_mut().into_iter().for_each(|event| drop(event.remove("index")));
            }
            events(&[&[opening()][..], &call, &ending("tool_use")].concat())
        },
        one,
    ),
    row(
        "litellm-a-call-that-ends-the-turn",
        "https://github.com/BerriAI/litellm/issues/34692",
        || {
            let empty =
                block(0, json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": ""}));
            events(&[&[opening()][..], &empty, &call(1), &ending("end_turn")].concat())
        },
        one,
    ),
    row(
        "litellm-no-message-stop",
        "https://github.com/BerriAI/litellm/pull/32159",
        || events(&[&[opening()][..], &text("ok"), &ending("end_turn")[..1]].concat()),
        ok,
    ),
    refused(
        "anthropic-a-picture-of-too-many-bytes",
        "https://github.com/anomalyco/opencode/issues/21668",
        laws::large_picture,
        || named("image exceeds 5 MB maximum", json!([[0, 1, null]])),
    ),
    refused(
        "anthropic-a-picture-of-too-many-pixels",
        "https://github.com/charmbracelet/crush/pull/3810",
        laws::wide_picture,
        || named("too large for a request with many images", json!([[2, 0, null]])),
    ),
    refused(
        "anthropic-a-thought-of-another-conversation",
        "https://github.com/anthropics/claude-code/issues/10627",
        laws::foreign_thought,
        || named("Invalid `signature`", json!([[1, 0, null]])),
    ),
    refused(
        "anthropic-a-body-of-too-many-bytes",
        "https://github.com/earendil-works/pi/issues/401",
        laws::large_body,
        || failed("invalid", "(413): Request exceeds the maximum size"),
    ),
    law("vertex-no-cache-control", "https://github.com/vercel/ai/pull/13949", laws::cache_control),
    law(
        "bedrock-a-failed-call-says-something",
        "https://github.com/aws-samples/sample-multi-agent-orchestration-chat-on-agentcore/issues/15",
        laws::empty_failure,
    ),
];
