//! The rows of what providers put beside their answers for their own use.
//!
//! Each sends some, and refuses a history in which its own is missing, changed, or somebody else's.
//!
//! The model calls `look` with `{"q":"a"}`; a call with another input is another provider's.

use serde_json::{Map, Value, json};

use super::chat::{call, delta, finish, frames, text, usage};
use super::means::{looked, ok};
use super::shape::{ProviderShape, RefusalLaw, ShapeWire};
use super::{laws, messages};

const A: &str = "{\"q\":\"a\"}";
/// An id that is more than one.
const LADEN: &str = "call_1__thought__U0lH+/8=";
/// Every member that somebody puts beside a message, and beside a call.
const MESSAGE: [&str; 4] = ["reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"];
const CALL: [&str; 2] = ["extra_content", "provider_specific_fields"];

fn signed() -> Value {
    json!({"google": {"thought_signature": "U0lH+/8=", "of": [1.5, "é"]}})
}

fn details() -> [Value; 2] {
    [
        json!({"type": "reasoning.text", "text": "Let me", "format": "anthropic-claude-v1", "index": 0,
            "signature": "Et8B"}),
        json!({"type": "reasoning.encrypted", "data": "QUJD", "id": "kept_1", "index": 0}),
    ]
}

fn blocks() -> Value {
    json!([{"type": "thinking", "thinking": "hm", "signature": "c2ln"}])
}

/// A call of `look` behind these pieces of the message.
fn behind(pieces: &[Value], call: Value) -> String {
    let mut chunks: Vec<Value> = pieces.iter().cloned().map(delta).collect();
    chunks.push(delta(json!({"tool_calls": [call]})));
    frames(&[&chunks[..], &[finish("tool_calls"), usage()]].concat())
}

fn kept() -> Value {
    with("index", json!(0), call("kept_1", A))
}

fn with(name: &str, value: Value, mut object: Value) -> Value {
    object[name] = value;
    object
}

/// The call, behind this thought.
fn thought(text: &str) -> Value {
    with("thought", json!(text), looked(&[json!({"q": "a"})], [5, 2]))
}

/// Whether the members of an object, among these, are exactly its own.
fn has(object: &Value, names: &[&str], own: &Value) -> bool {
    let members = names.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone())));
    Value::Object(members.collect::<Map<_, _>>()) == *own
}

/// Whether a history is as one wants it who puts these beside the message and beside the call.
fn is_right(body: &Value, message: &Value, beside: &Value) -> bool {
    let nothing = json!({});
    laws::messages(body).all(|said| {
        let calls = said["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_own = |call: &Value| call["function"]["arguments"] == A;
        let mine = calls.iter().any(is_own);
        let each = |call: &Value| has(call, &CALL, if is_own(call) { beside } else { &nothing });
        has(said, &MESSAGE, if mine { message } else { &nothing }) && calls.iter().all(each)
    })
}

fn refusal(message: &str) -> (u16, Value) {
    (400, json!({"error": {"message": message, "type": "invalid_request_error"}}))
}

fn unless(is_right: bool, message: &str) -> Option<(u16, Value)> {
    (!is_right).then(|| refusal(message))
}

const UNSIGNED: &str = "Function call is missing a thought_signature in functionCall parts.";
const LOST: &str = "The `reasoning_content` in the thinking mode must be passed back to the API.";

/// Gemini: each call has its signature.
fn gemini(body: &Value) -> Option<(u16, Value)> {
    let error = json!({"code": 400, "message": UNSIGNED, "status": "INVALID_ARGUMENT"});
    (!is_right(body, &json!({}), &json!({"extra_content": signed()})))
        .then(|| (400, json!([{ "error": error }])))
}

/// `LiteLLM` before it: the same in a place of its own.
fn fields(body: &Value) -> Option<(u16, Value)> {
    unless(is_right(body, &json!({}), &json!({"provider_specific_fields": signed()})), UNSIGNED)
}

/// The same within the id, which the result names too.
fn laden(body: &Value) -> Option<(u16, Value)> {
    let calls = laws::messages(body).flat_map(|said| said["tool_calls"].as_array().into_iter().flatten());
    let own = calls.filter(|call| call["function"]["arguments"] == A);
    let told = laws::messages(body).any(|said| said["tool_call_id"] == LADEN);
    unless(
        is_right(body, &json!({}), &json!({})) && own.into_iter().all(|call| told && call["id"] == LADEN),
        UNSIGNED,
    )
}

/// DeepSeek, of a turn with calls.
fn deepseek(body: &Value) -> Option<(u16, Value)> {
    unless(is_right(body, &json!({"reasoning_content": " hm\n"}), &json!({})), LOST)
}

/// Moonshot, of a message with calls.
fn moonshot(body: &Value) -> Option<(u16, Value)> {
    let message =
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 3";
    unless(is_right(body, &json!({"reasoning_content": ""}), &json!({})), message)
}

/// Anthropic behind OpenRouter: the thinking is whole, and as it was signed.
fn openrouter(body: &Value) -> Option<(u16, Value)> {
    let own = json!({"reasoning": "Let me", "reasoning_details": details()});
    unless(is_right(body, &own, &json!({})), "messages.1.content.0: Invalid `signature` in `thinking` block")
}

/// Anthropic behind `LiteLLM`.
fn litellm(body: &Value) -> Option<(u16, Value)> {
    let own = json!({"reasoning_content": "hm", "thinking_blocks": blocks()});
    let message =
        "messages.3.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`";
    unless(is_right(body, &own, &json!({})), message)
}

/// Groq: one name, and not the other.
fn groq(body: &Value) -> Option<(u16, Value)> {
    let place = laws::messages(body).position(|said| said.get("reasoning_content").is_some())?;
    Some(refusal(&format!(
        "'messages.{place}' : for 'role:assistant' the following must be satisfied[('messages.{place}' : \
         property 'reasoning_content' is unsupported)]"
    )))
}

/// Groq, of a model that thinks and is not told what it thought.
fn groq_deaf(body: &Value) -> Option<(u16, Value)> {
    let place = laws::messages(body).position(|said| said.get("reasoning").is_some())?;
    Some(refusal(&format!(
        "'messages.{place}' : for 'role:assistant' the following must be satisfied[('messages.{place}' : \
         property 'reasoning' is unsupported, did you mean 'role'?)]"
    )))
}

/// Mistral: nothing that its papers do not name.
fn mistral(body: &Value) -> Option<(u16, Value)> {
    (!is_right(body, &json!({}), &json!({}))).then(|| {
        let wrong = json!([{"type": "extra_forbidden", "loc": ["body", "messages", 1, "assistant",
            "reasoning_content"], "msg": "Extra inputs are not permitted", "input": "hm"}]);
        (422, json!({"object": "error", "message": {"detail": wrong}, "type": "invalid_request_error"}))
    })
}

/// DeepSeek, over the Messages API.
fn deepseek_blocks(body: &Value) -> Option<(u16, Value)> {
    let is_right = laws::messages(body).all(|said| {
        let blocks = said["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let thoughts: Vec<&Value> = blocks.iter().filter(|block| block["type"] == "thinking").collect();
        let mine = blocks.iter().any(|block| block["type"] == "tool_use" && block["input"]["q"] == "a");
        if mine { thoughts == [&json!({"type": "thinking", "thinking": "hm"})] } else { thoughts.is_empty() }
    });
    unless(is_right, "The `content[].thinking` in the thinking mode must be passed back to the API.")
}

const fn row(
    name: &'static str,
    source: &'static str,
    refuses: RefusalLaw,
    sends: fn() -> String,
    means: fn() -> Value,
) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Chat, refuses, sends, means }
}

pub(super) const ROWS: &[ProviderShape] = &[
    row(
        "gemini-a-signature-beside-the-call",
        "https://ai.google.dev/gemini-api/docs/thought-signatures",
        gemini,
        || behind(&[], with("extra_content", signed(), kept())),
        || thought(""),
    ),
    row(
        "litellm-a-signature-beside-the-call",
        "https://docs.litellm.ai/blog/gemini_3",
        fields,
        || behind(&[], with("provider_specific_fields", signed(), kept())),
        || thought(""),
    ),
    row(
        "litellm-a-signature-within-the-id",
        "https://github.com/BerriAI/litellm/pull/16895",
        laden,
        || behind(&[], with("id", json!(LADEN), kept())),
        || thought(""),
    ),
    row(
        "deepseek-thinking-before-a-call",
        "https://api-docs.deepseek.com/guides/thinking_mode",
        deepseek,
        || {
            let begin = json!({"role": "assistant", "content": null, "reasoning_content": " h"});
            behind(&[begin, json!({"content": null, "reasoning_content": "m\n"})], kept())
        },
        || thought(" hm\n"),
    ),
    row(
        "moonshot-no-thinking-before-a-call",
        "https://github.com/continuedev/continue/pull/11806",
        moonshot,
        || behind(&[json!({"role": "assistant", "content": "", "reasoning_content": ""})], kept()),
        || thought(""),
    ),
    row(
        "openrouter-details-in-pieces",
        "https://github.com/agno-agi/agno/issues/8794",
        openrouter,
        || {
            let [text, cipher] = details();
            let piece = |name: &str, more: Value| {
                let mut piece = text.clone();
                piece.as_object_mut().into_iter().for_each(|piece| {
                    piece.retain(|name, _| name != "text" && name != "signature");
                });
                with(name, more, piece)
            };
            let said =
                |text: &str| json!({"reasoning": text, "reasoning_details": [piece("text", json!(text))]});
            let signed =
                json!({"reasoning": null, "reasoning_details": [piece("signature", json!("Et8B")), cipher]});
            behind(&[said("Let"), said(" me"), signed], kept())
        },
        || thought("Let me"),
    ),
    row(
        "litellm-thinking-blocks",
        "https://docs.litellm.ai/docs/reasoning_content",
        litellm,
        || {
            let piece = |text: &str, signature: Value| {
                let block = json!({"type": "thinking", "thinking": text, "signature": signature});
                json!({"reasoning_content": text, "thinking_blocks": [block]})
            };
            behind(&[piece("h", Value::Null), piece("m", Value::Null), piece("", json!("c2ln"))], kept())
        },
        || thought("hm"),
    ),
    row(
        "groq-one-name-for-thinking",
        "https://github.com/tashfeenahmed/freellmapi/issues/1070",
        groq,
        || behind(&[json!({"reasoning": "hm"})], kept()),
        || thought("hm"),
    ),
    row(
        "groq-takes-no-thinking-back",
        "https://github.com/karthink/gptel/issues/774",
        groq_deaf,
        || behind(&[json!({"reasoning": "hm"})], kept()),
        || thought("hm"),
    ),
    row(
        "mistral-nothing-of-others",
        "https://github.com/charmbracelet/crush/issues/1590",
        mistral,
        || text("ok"),
        ok,
    ),
    ProviderShape {
        name: "deepseek-thinking-in-blocks",
        source: "https://github.com/decolua/9router/issues/2397",
        wire: ShapeWire::Messages,
        refuses: deepseek_blocks,
        sends: || messages::behind(json!({"type": "thinking", "thinking": "hm"})),
        means: || thought("hm"),
    },
];
