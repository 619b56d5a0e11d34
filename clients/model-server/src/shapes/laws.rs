//! What providers refuse of a request, and how they say it.

use serde_json::{Value, json};

/// Nothing is refused.
pub(super) fn none(_: &Value) -> Option<(u16, Value)> {
    None
}

pub(super) fn messages(body: &Value) -> impl Iterator<Item = &Value> {
    body["messages"].as_array().into_iter().flatten()
}

/// Mistral: between the results of tools and a person the model has to speak.
pub(super) fn user_behind_tool(body: &Value) -> Option<(u16, Value)> {
    let roles: Vec<&str> = messages(body).filter_map(|message| message["role"].as_str()).collect();
    roles.windows(2).any(|pair| pair == ["tool", "user"]).then(|| {
        let message = "Unexpected role 'user' after role 'tool'";
        let kind = "invalid_request_message_order";
        (400, json!({"object": "error", "message": message, "type": kind, "param": null, "code": "3230"}))
    })
}

/// Mistral: ids of calls are nine letters and digits.
pub(super) fn ids_of_nine(body: &Value) -> Option<(u16, Value)> {
    let calls = messages(body).flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
    let ids = calls.filter_map(|call| call["id"].as_str());
    let wrong =
        ids.into_iter().find(|id| id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    wrong.map(|id| {
        let message = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
        let kind = "invalid_function_call";
        (400, json!({"object": "error", "message": message, "type": kind, "param": null, "code": "3280"}))
    })
}

/// DeepSeek, of messages that are texts alone: content is a string.
pub(super) fn content_in_parts(body: &Value) -> Option<(u16, Value)> {
    let place = messages(body).position(|message| message["content"].is_array())?;
    let message = format!("messages[{place}]: invalid type: sequence, expected a string");
    Some((422, json!({"error": {"message": message, "type": "invalid_request_error", "param": null}})))
}

/// Groq, in its time: one member too many.
pub(super) fn stream_options(body: &Value) -> Option<(u16, Value)> {
    body.get("stream_options").map(|_| {
        let message = "property 'stream_options' is unsupported, did you mean 'stream'?";
        (400, json!({"error": {"message": message, "type": "invalid_request_error"}}))
    })
}

/// Mistral's way to name a member that it does not know: in a list within the message.
pub(super) fn stream_options_in_a_list(body: &Value) -> Option<(u16, Value)> {
    body.get("stream_options").map(|given| {
        let wrong = json!([{"type": "extra_forbidden", "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted", "input": given}]);
        let kind = "invalid_request_error";
        (422, json!({"object": "error", "message": {"detail": wrong}, "type": kind, "code": null}))
    })
}

/// OpenAI's newer models, and Azure's: the bound has another name.
pub(super) fn max_tokens(body: &Value) -> Option<(u16, Value)> {
    body.get("max_tokens").map(|_| {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                       Use 'max_completion_tokens' instead.";
        let kind = "invalid_request_error";
        (
            400,
            json!({"error": {"message": message, "type": kind, "param": "max_tokens",
            "code": "unsupported_parameter"}}),
        )
    })
}

/// OpenAI: an object names its properties.
pub(super) fn properties(body: &Value) -> Option<(u16, Value)> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let place = tools
        .map(|tool| &tool["function"]["parameters"])
        .position(|schema| schema["type"] == "object" && !schema["properties"].is_object())?;
    let message = "Invalid schema for function: In context=(), object schema missing properties.";
    let param = format!("tools[{place}].function.parameters");
    let kind = "invalid_request_error";
    Some((
        400,
        json!({"error": {"message": message, "type": kind, "param": param,
        "code": "invalid_function_parameters"}}),
    ))
}

/// vLLM: what is read and what may be written fit the window together.
pub(super) fn window(body: &Value) -> Option<(u16, Value)> {
    let (read, window) = (27_000, 32_768);
    let bound = body["max_tokens"].as_u64().unwrap_or(0);
    (read + bound > window).then(|| {
        let message = format!(
            "This model's maximum context length is {window} tokens. However, you requested {} tokens \
             ({read} in the messages, {bound} in the completion).",
            read + bound
        );
        (400, json!({"error": {"message": message, "type": "BadRequestError", "param": null, "code": 400}}))
    })
}

/// Google, for whatever it does not like: a list.
pub(super) fn google(body: &Value) -> Option<(u16, Value)> {
    let message = "Request contains an invalid argument.";
    let error = json!({"code": 400, "message": message, "status": "INVALID_ARGUMENT"});
    messages(body).next().map(|_| (400, json!([{ "error": error }])))
}

/// OpenRouter, of what another provider says: its words stand within a text.
pub(super) fn openrouter(body: &Value) -> Option<(u16, Value)> {
    let raw =
        json!({"object": "error", "message": "Unexpected role 'tool' after role 'user'", "code": "3230"});
    let beside = json!({"raw": raw.to_string(), "provider_name": "Mistral"});
    let error = json!({"message": "Provider returned error", "code": 400, "metadata": beside});
    messages(body).next().map(|_| (400, json!({ "error": error })))
}

/// Anthropic: a part by its place in the body.
fn part(place: &str, why: &str) -> (u16, Value) {
    let message = format!("messages.{place}: {why}");
    (400, json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}))
}

/// Anthropic: a picture of too many bytes, here in place of the second text.
pub(super) fn large_picture(body: &Value) -> Option<(u16, Value)> {
    let why = "image exceeds 5 MB maximum: 5895160 bytes > 5242880 bytes";
    messages(body).next().map(|_| part("0.content.1.image.source.base64", why))
}

/// Anthropic: a picture of too many pixels, whose place stands beside the words, here a result of a tool.
pub(super) fn wide_picture(body: &Value) -> Option<(u16, Value)> {
    let details = json!({"error_code": "image_dimensions_too_large", "max_side_length_pixels": 2000,
        "paths": ["messages.2.content.0"]});
    let message = "An image is too large for a request with many images";
    let error = json!({"type": "invalid_request_error", "message": message, "details": details});
    messages(body).next().map(|_| (400, json!({"type": "error", "error": error})))
}

/// Anthropic: a thought that was signed for another conversation, here in place of what the model said.
pub(super) fn foreign_thought(body: &Value) -> Option<(u16, Value)> {
    messages(body).next().map(|_| part("1.content.0", "Invalid `signature` in `thinking` block"))
}

/// Anthropic: a body of too many bytes.
pub(super) fn large_body(body: &Value) -> Option<(u16, Value)> {
    let error = json!({"type": "request_too_large", "message": "Request exceeds the maximum size"});
    messages(body).next().map(|_| (413, json!({ "error": error })))
}

/// OpenAI: a part by its place in the body, here all that the person said.
pub(super) fn typed_part(body: &Value) -> Option<(u16, Value)> {
    let param = "messages[1].content[0].image_url";
    let message = format!("Invalid type for '{param}': expected an object, but got a string instead.");
    let error =
        json!({"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_type"});
    messages(body).next().map(|_| (400, json!({ "error": error })))
}

/// OpenAI: a message by its place, and no part of it.
pub(super) fn whole_message(body: &Value) -> Option<(u16, Value)> {
    let message = "Invalid 'messages[1]'. Image URLs are only allowed for messages with role 'user'.";
    messages(body)
        .next()
        .map(|_| (400, json!({"error": {"message": message, "type": "invalid_request_error"}})))
}

/// Azure: a filter takes what is said, and says nothing of where.
pub(super) fn filter(body: &Value) -> Option<(u16, Value)> {
    let message = "The response was filtered due to the prompt triggering the content management policy.";
    let error =
        json!({"message": message, "type": null, "param": "prompt", "code": "content_filter", "status": 400});
    messages(body).next().map(|_| (400, json!({ "error": error })))
}

/// vLLM: a chat template takes only some orders of roles.
pub(super) fn template(body: &Value) -> Option<(u16, Value)> {
    let message = "Conversation roles must alternate user/assistant/user/assistant/...";
    let kind = "invalid_request_error";
    messages(body)
        .next()
        .map(|_| (400, json!({"object": "error", "message": message, "type": kind, "code": null})))
}

/// llama.cpp: the same, as if the server had failed.
pub(super) fn template_failed(body: &Value) -> Option<(u16, Value)> {
    let message = "While executing CallExpression at line 189: Error: Jinja Exception: conversation roles must \
                   alternate user and assistant roles except for tool calls and results.";
    messages(body)
        .next()
        .map(|_| (500, json!({"error": {"code": 500, "message": message, "type": "server_error"}})))
}

/// Groq: a tier without room.
pub(super) fn capacity(body: &Value) -> Option<(u16, Value)> {
    let error = json!({"message": "capacity_exceeded", "type": "capacity_exceeded"});
    messages(body).next().map(|_| (498, json!({ "error": error })))
}

/// Vertex behind a gateway: nothing is to be cached.
pub(super) fn cache_control(body: &Value) -> Option<(u16, Value)> {
    body.to_string().contains("\"cache_control\"").then(|| {
        let message = "system.0.cache_control: Extra inputs are not permitted";
        (400, json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}))
    })
}

/// Bedrock: the result of a failed call is not empty.
pub(super) fn empty_failure(body: &Value) -> Option<(u16, Value)> {
    let blocks = messages(body).flat_map(|message| message["content"].as_array().into_iter().flatten());
    let empty = |block: &&Value| {
        let content = &block["content"];
        block["is_error"] == true && (content.is_null() || content.as_array().is_some_and(Vec::is_empty))
    };
    blocks.into_iter().find(empty).map(|_| {
        let message = "The content field at messages.0.content.0.toolResult cannot be empty when status \
                       value is error.";
        (400, json!({"message": message}))
    })
}
