//! The rows of the chat-completions wire.

use serde_json::{Value, json};

use super::laws;
use super::means::{failed, lacking, looked, named, ok, said};
use super::shape::{ProviderShape, RefusalLaw, ShapeWire};

const DONE: &str = "data: [DONE]\n\n";

/// A chunk with this delta, and the reason if there is one.
fn chunk(delta: &Value, reason: &Value) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
}

pub(super) fn delta(delta: Value) -> Value {
    chunk(&delta, &Value::Null)
}

pub(super) fn finish(reason: &str) -> Value {
    chunk(&json!({}), &json!(reason))
}

pub(super) fn usage() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
}

pub(super) fn frames(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain([DONE.to_owned()]).collect()
}

pub(super) fn text(text: &str) -> String {
    frames(&[delta(json!({"role": "assistant", "content": text})), finish("stop"), usage()])
}

/// A stream of these pieces of calls, each in a chunk of its own.
fn calls(pieces: &[Value], reason: &str) -> String {
    let pieces = pieces.iter().map(|piece| delta(json!({"tool_calls": [piece]})));
    frames(&pieces.chain([finish(reason), usage()]).collect::<Vec<_>>())
}

fn function(name: &str, arguments: &str) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// A call of `look`, without a place.
pub(super) fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": function("look", arguments)})
}

/// Two calls, as most rows make them.
fn two() -> Value {
    looked(&[json!({"q": "a"}), json!({"q": "b"})], [5, 2])
}

fn one() -> Value {
    looked(&[json!({"q": "a"})], [5, 2])
}

/// What servers without the right parser leave in the text.
const CALL_IN_TEXT: &str =
    "<tool_call>\n<function=look>\n<parameter=q>\na\n</parameter>\n</function>\n</tool_call>";
const CALL_ALONE: &str = "```json\n{\"name\": \"look\", \"arguments\": {\"q\": \"a\"}}\n```";
const THOUGHT: &str = "<think>\nhm\n</think>\n\nok";
const THOUGHT_ENDS: &str = "hm\n</think>\n\nok";

const A: &str = "{\"q\":\"a\"}";
const B: &str = "{\"q\":\"b\"}";

const fn row(
    name: &'static str,
    source: &'static str,
    sends: fn() -> String,
    means: fn() -> Value,
) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Chat, refuses: laws::none, sends, means }
}

/// A row of what is refused; the answer is a plain one.
const fn law(name: &'static str, source: &'static str, refuses: RefusalLaw) -> ProviderShape {
    ProviderShape { name, source, wire: ShapeWire::Chat, refuses, sends: || text("ok"), means: ok }
}

/// A row of what is refused for good.
const fn refused(
    name: &'static str,
    source: &'static str,
    refuses: RefusalLaw,
    means: fn() -> Value,
) -> ProviderShape {
    ProviderShape { means, ..law(name, source, refuses) }
}

pub(super) const ROWS: &[ProviderShape] = &[
    row(
        "gemini-calls-without-index",
        "https://github.com/open-webui/computer/issues/224",
        || {
            let piece = |id: &str, arguments: &str| {
                let mut piece = call(id, arguments);
                piece["extra_content"] = json!({"google": {"thought_signature": "c2ln"}});
                piece
            };
            calls(&[piece("function-call-1", A), piece("function-call-2", B)], "stop")
        },
        two,
    ),
    row(
        "gemini-second-call-under-the-first-index",
        "https://github.com/dyedd/lens/issues/49",
        || {
            let first =
                json!({"index": 0, "id": "toolu_1", "type": "function", "function": function("look", "")});
            let more = |arguments: &str| json!({"index": 0, "function": function("", arguments)});
            calls(&[first, more(A), more(B)], "tool_calls")
        },
        two,
    ),
    row(
        "gemini-malformed-call",
        "https://github.com/NousResearch/hermes-agent/pull/83882",
        || frames(&[finish("function_call_filter: MALFORMED_FUNCTION_CALL"), usage()]),
        || failed("cut", "MALFORMED_FUNCTION_CALL"),
    ),
    ProviderShape {
        means: || failed("invalid", "Request contains an invalid argument"),
        ..law(
            "gemini-errors-in-a-list",
            "https://github.com/google-gemini/gemini-cli/issues/12823",
            laws::google,
        )
    },
    row(
        "deepseek-keep-alive-and-cache",
        "https://share.apidog.com/apidoc/docs-site/747793/rate-limit-835830m0",
        || {
            let cost = json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4,
                "prompt_cache_miss_tokens": 1});
            let thought = delta(json!({"role": "assistant", "content": null, "reasoning_content": "hm"}));
            let mut last = finish("stop");
            last["usage"] = cost;
            let said = delta(json!({"content": "ok", "reasoning_content": null}));
            format!(": keep-alive\n\n: keep-alive\n\n{}", frames(&[thought, said, last]))
        },
        || json!({"thought": "hm", "said": ["ok"], "calls": [], "stop": "end_turn", "tokens": [5, 2]}),
    ),
    row(
        "deepseek-no-resources",
        "https://docs.rs/crate/ds-api/latest/source/src/raw/response/non_streaming/finish_reason.rs",
        || frames(&[delta(json!({"content": "so"})), finish("insufficient_system_resource")]),
        || failed("overloaded", "insufficient_system_resource"),
    ),
    law(
        "deepseek-content-is-a-string",
        "https://github.com/QwenLM/qwen-code/pull/2320",
        laws::content_in_parts,
    ),
    law(
        "mistral-user-behind-tool",
        "https://github.com/zed-industries/zed/issues/37021",
        laws::user_behind_tool,
    ),
    law("mistral-ids-of-nine", "https://github.com/anomalyco/opencode/issues/1680", laws::ids_of_nine),
    law(
        "mistral-unknown-member-in-a-list",
        "https://github.com/partITech/php-mistral/issues/76",
        laws::stream_options_in_a_list,
    ),
    row(
        "mistral-thinking-in-parts",
        "https://github.com/BerriAI/litellm/issues/16272",
        || {
            let thought = |text: &str| {
                let inner = json!([{"type": "text", "text": text}]);
                delta(json!({"content": [{"type": "thinking", "thinking": inner}]}))
            };
            frames(&[thought("h"), thought("m"), delta(json!({"content": "ok"})), finish("stop"), usage()])
        },
        || json!({"thought": "hm", "said": ["ok"], "calls": [], "stop": "end_turn", "tokens": [5, 2]}),
    ),
    row(
        "openrouter-comments-and-an-error-behind-them",
        "https://openrouter.ai/docs/api/reference/streaming",
        || {
            let error = json!({"code": 502, "message": "Provider disconnected"});
            let mut last = chunk(&json!({"content": ""}), &json!("error"));
            last["error"] = error;
            format!(": OPENROUTER PROCESSING\n\n{}", frames(&[delta(json!({"content": "so"})), last]))
        },
        || failed("unavailable", "Provider disconnected"),
    ),
    ProviderShape {
        means: || failed("invalid", "Unexpected role 'tool' after role 'user'"),
        ..law("openrouter-raw-errors", "https://github.com/charmbracelet/crush/issues/279", laws::openrouter)
    },
    row(
        "vllm-one-index-for-all",
        "https://github.com/InternLM/lmdeploy/issues/3412",
        || {
            let at = |mut piece: Value| {
                piece["index"] = json!(0);
                piece
            };
            let first = |id: &str| at(call(id, ""));
            let more = |arguments: &str| {
                let mut piece = at(call("", arguments));
                piece["function"]["name"] = Value::Null;
                piece
            };
            calls(&[first("chatcmpl-tool-1"), more(A), first("chatcmpl-tool-2"), more(B)], "tool_calls")
        },
        two,
    ),
    row(
        "vllm-name-in-every-piece",
        "https://github.com/weicj/vLLM-2080Ti-Definitive/issues/127",
        || {
            let piece = |arguments: &str| json!({"index": 0, "function": function("look", arguments)});
            calls(&["{\"q\": ", "\"a", "\"", "}", ""].map(piece), "tool_calls")
        },
        one,
    ),
    row(
        "vllm-errors-under-other-names",
        "https://github.com/NousResearch/hermes-agent/issues/68451",
        || {
            let message = "This model's maximum context length is 163840 tokens.";
            format!(
                "data: {}\n\n{DONE}",
                json!({"error_type": "context_length_exceeded", "error_message": message})
            )
        },
        || failed("overflow", "maximum context length"),
    ),
    law("vllm-window", "https://github.com/NousResearch/hermes-agent/issues/68451", laws::window),
    row(
        "vllm-a-call-left-in-the-text",
        "https://github.com/vllm-project/vllm/issues/21571",
        || text(CALL_IN_TEXT),
        || lacking("calls", CALL_IN_TEXT),
    ),
    row(
        "tgi-a-call-that-is-no-list",
        "https://github.com/huggingface/text-generation-inference/pull/2949",
        || {
            let call = json!({"index": 0, "id": "", "type": "function",
                "function": {"name": "look", "arguments": {"q": "a"}}});
            frames(&[delta(json!({"role": "assistant", "tool_calls": call})), finish("stop"), usage()])
        },
        one,
    ),
    row(
        "ollama-one-index-for-all",
        "https://github.com/ollama/ollama/issues/15457",
        || {
            let piece = |id: &str, arguments: &str| {
                let mut piece = call(id, arguments);
                piece["index"] = json!(0);
                piece
            };
            calls(&[piece("call_abc123", A), piece("call_def456", B)], "stop")
        },
        two,
    ),
    row(
        "ollama-no-index",
        "https://github.com/ollama/ollama/issues/7881",
        || {
            let bare = |arguments: &str| json!({"type": "function", "function": function("look", arguments)});
            frames(&[
                delta(json!({"content": "", "tool_calls": [bare(A), bare(B)]})),
                finish("stop"),
                usage(),
            ])
        },
        two,
    ),
    row(
        "ollama-a-call-that-is-all-of-the-text",
        "https://github.com/ollama/ollama-vscode/pull/20",
        || text(CALL_ALONE),
        || lacking("calls", CALL_ALONE),
    ),
    row(
        "llamacpp-errors-in-a-field-of-their-own",
        "https://github.com/coddy-project/coddy-agent/pull/106",
        || {
            let message = "the request exceeds the available context size. try increasing the context size";
            let error = json!({"code": 400, "message": message, "type": "invalid_request_error"});
            format!("error: {error}\n\n{DONE}")
        },
        || failed("overflow", "exceeds the available context size"),
    ),
    row(
        "llamacpp-null-content-and-no-last-line",
        "https://github.com/darshi1337/apogee/pull/139",
        || {
            let begin = delta(json!({"role": "assistant", "content": null}));
            let whole = frames(&[begin, delta(json!({"content": "ok"})), finish("stop"), usage()]);
            whole.trim_end().to_owned()
        },
        ok,
    ),
    row(
        "llamacpp-the-end-of-thinking-left-in-the-text",
        "https://github.com/ggml-org/llama.cpp/issues/23320",
        || text(THOUGHT_ENDS),
        || lacking("thinking", THOUGHT_ENDS),
    ),
    row(
        "lmstudio-thinking-left-in-the-text",
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/1569",
        || text(THOUGHT),
        || lacking("thinking", THOUGHT),
    ),
    row(
        "lmstudio-an-event-that-is-an-error",
        "https://github.com/nugget/thane-ai-agent/pull/1395",
        || {
            let message = "Context size has been exceeded.";
            let error = json!({"error": message, "message": message});
            format!("event: error\ndata: {error}\n\n")
        },
        || failed("overflow", "Context size has been exceeded"),
    ),
    row(
        "lmstudio-nothing-said",
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2339",
        || frames(&[delta(json!({"role": "assistant"})), finish("stop"), usage()]),
        || json!({"thought": "", "said": [], "calls": [], "stop": "end_turn", "tokens": [5, 2]}),
    ),
    law("groq-no-stream-options", "https://github.com/vercel/ai/pull/1578", laws::stream_options),
    row(
        "groq-usage-of-its-own",
        "https://github.com/vercel/ai/issues/1651",
        || {
            let mut last = finish("stop");
            let cost = json!({"queue_time": 0.075, "prompt_tokens": 5, "completion_tokens": 2});
            last["x_groq"] = json!({"id": "req_1", "usage": cost});
            frames(&[delta(json!({"role": "assistant", "content": "ok", "tool_calls": []})), last])
        },
        ok,
    ),
    ProviderShape {
        means: || failed("overloaded", "capacity_exceeded"),
        ..law("groq-no-capacity", "https://console.groq.com/docs/flex-processing", laws::capacity)
    },
    row(
        "azure-chunks-without-a-choice-or-a-delta",
        "https://github.com/microsoft/autogen/issues/6465",
        || {
            let filter = json!({"id": "", "choices": [], "created": 0, "model": "", "object": "",
                "prompt_filter_results": [{"prompt_index": 0}]});
            let offsets = json!({"id": "", "created": 0, "model": "", "object": "", "choices": [
                {"finish_reason": null, "index": 0, "content_filter_offsets": {"check_offset": 1}}]});
            frames(&[filter, delta(json!({"content": "ok"})), offsets, finish("stop"), usage()])
        },
        ok,
    ),
    law(
        "openai-objects-name-their-properties",
        "https://github.com/tailcallhq/forgecode/issues/1359",
        laws::properties,
    ),
    law(
        "azure-max-tokens-renamed",
        "https://github.com/owndev/Open-WebUI-Functions/issues/136",
        laws::max_tokens,
    ),
    refused(
        "openai-a-part-by-its-place",
        "https://github.com/if-ai/ComfyUI-IF_AI_tools/issues/101",
        laws::typed_part,
        || named("expected an object", json!([[0, 0, null], [0, 1, null]])),
    ),
    refused(
        "openai-a-message-and-no-part-of-it",
        "https://github.com/openai/openai-node/issues/1030",
        laws::whole_message,
        || failed("invalid", "Image URLs are only allowed"),
    ),
    refused(
        "azure-a-filter-that-names-nothing",
        "https://github.com/openai/openai-python/issues/331",
        laws::filter,
        || failed("invalid", "content management policy"),
    ),
    refused(
        "vllm-roles-must-alternate",
        "https://github.com/microsoft/autogen/issues/1037",
        laws::template,
        || failed("invalid", "roles must alternate"),
    ),
    refused(
        "llamacpp-a-template-that-fails",
        "https://github.com/eclipse-theia/theia/issues/17104",
        laws::template_failed,
        || failed("invalid", "Jinja Exception"),
    ),
    row(
        "litellm-an-empty-usage-in-each-chunk",
        "https://github.com/BerriAI/litellm/issues/1571",
        || {
            let mut first = delta(json!({"content": "ok", "role": null}));
            let mut cost = usage();
            cost["id"] = json!("another");
            let mut last = finish("stop");
            first["usage"] = json!({});
            last["usage"] = json!({});
            let after = json!({"id": "a third", "choices": [], "usage": {}});
            frames(&[first, last, cost, after])
        },
        ok,
    ),
    row(
        "glm-network-error",
        "https://github.com/NousResearch/hermes-agent/pull/92161",
        || frames(&[delta(json!({"content": ""})), finish("network_error")]),
        || failed("cut", "network_error"),
    ),
    row(
        "glm-sensitive",
        "https://github.com/BerriAI/litellm/pull/24373",
        || frames(&[delta(json!({"content": "ok"})), finish("sensitive"), usage()]),
        || {
            let mut means = said("ok", [5, 2]);
            means["stop"] = json!("refusal");
            means
        },
    ),
];
