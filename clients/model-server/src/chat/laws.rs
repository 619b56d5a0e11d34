//! The laws of chat completions: what a request must be, each broken one named with its place.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    breach::{LawBreach, breach},
    chat::wire::Dialect,
    laws::is_tool_name,
    media::{self, AllowedLink},
    script::SaidMessage,
};

/// A request; a field that the API does not have is a mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatRequest<'a> {
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    pub(crate) max_tokens: Option<i64>,
    #[serde(default)]
    max_completion_tokens: Option<i64>,
    #[serde(borrow, default)]
    tools: Vec<Tool<'a>>,
    #[serde(borrow)]
    pub(crate) messages: Vec<ChatMessage<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    parameters: Value,
}

/// A message of any role; the fields that a role does not have are absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(#[serde(borrow)] Vec<Part<'a>>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Part<'a> {
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    ImageUrl {
        #[serde(borrow)]
        image_url: Link<'a>,
    },
    File {
        #[serde(borrow)]
        file: File<'a>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    filename: Cow<'a, str>,
    #[serde(borrow)]
    file_data: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    function: Called<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Called<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

impl ChatMessage<'_> {
    fn said(&self) -> Vec<&str> {
        match &self.content {
            None => Vec::new(),
            Some(Content::Text(text)) => parted(text),
            Some(Content::Parts(parts)) => parts.iter().filter_map(Part::text).collect(),
        }
    }
}

/// The texts that are one string: a script among them begins its own.
fn parted(text: &str) -> Vec<&str> {
    let begins = text.match_indices(SCRIPT_BEHIND).map(|(at, _)| at);
    let mut texts = Vec::new();
    let mut begun = 0;
    for at in begins {
        texts.push(&text[begun..at]);
        begun = at + "\n\n".len();
    }
    texts.push(&text[begun..]);
    texts
}

impl Part<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::ImageUrl { .. } | Self::File { .. } => None,
        }
    }
}

/// How a script begins behind other texts of one string.
const SCRIPT_BEHIND: &str = "\n\nscript:";
/// What a client says in the model's place, so that no user stands behind a tool.
const BETWEEN: &str = "I have the results.";

impl SaidMessage for ChatMessage<'_> {
    fn is_answer(&self) -> bool {
        self.role == "assistant" && (self.tool_calls.is_some() || self.said() != [BETWEEN])
    }

    fn texts(&self) -> Vec<&str> {
        if self.role == "user" { self.said() } else { Vec::new() }
    }

    fn every_text(&self) -> Vec<&str> {
        if self.role == "system" { Vec::new() } else { self.said() }
    }
}

impl ChatRequest<'_> {
    /// A plain count of the input: one token for every four bytes of text, and one more.
    pub(crate) fn tokens(&self) -> u64 {
        let bytes: usize = self.messages.iter().flat_map(ChatMessage::said).map(str::len).sum();
        1 + bytes as u64 / 4
    }
}

/// Checks every law; gives the first that is broken.
pub(crate) fn check(request: &ChatRequest<'_>) -> Result<(), LawBreach> {
    if request.model.is_empty() {
        return breach("model_named", "model is empty");
    }
    if !request.stream {
        return breach("stream_true", "stream is not true");
    }
    if !request.stream_options.as_ref().is_some_and(|options| options.include_usage) {
        return breach("usage_asked", "stream_options.include_usage is not true");
    }
    match (request.max_tokens, request.max_completion_tokens) {
        (Some(bound), None) | (None, Some(bound)) if bound > 0 => {}
        bounds => return breach("one_bound", format!("max_tokens and max_completion_tokens are {bounds:?}")),
    }
    tools(&request.tools)?;
    thoughts(request)?;
    history(&request.messages)
}

fn tools(tools: &[Tool<'_>]) -> Result<(), LawBreach> {
    let mut names = HashSet::new();
    for (place, tool) in tools.iter().enumerate() {
        let name = tool.function.name.as_ref();
        if tool.kind != "function" {
            return breach("tool_type", format!("tools.{place}.type is `{}`", tool.kind));
        }
        if !is_tool_name(name) {
            return breach("tool_name", format!("tools.{place}.function.name `{name}`"));
        }
        if !names.insert(name) {
            return breach(
                "tool_name_unique",
                format!("tools.{place}.function.name `{name}` is there twice"),
            );
        }
        if tool.function.description.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return breach("text_not_blank", format!("tools.{place}.function.description"));
        }
        if tool.function.parameters.get("type") != Some(&Value::from("object")) {
            return breach(
                "schema_object",
                format!("tools.{place}.function.parameters.type is not `object`"),
            );
        }
        if !tool.function.parameters["properties"].is_object() {
            return breach("schema_properties", format!("tools.{place}.function.parameters names none"));
        }
    }
    Ok(())
}

/// What the model thought comes back, if it does, beside what it said, by the names that this server gave it.
fn thoughts(request: &ChatRequest<'_>) -> Result<(), LawBreach> {
    let mut names = Dialect::of(&request.model).reasoning.to_vec();
    names.sort_unstable();
    for (place, message) in request.messages.iter().enumerate() {
        let own = [("reasoning", &message.reasoning), ("reasoning_content", &message.reasoning_content)];
        let own: Vec<_> = own.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).collect();
        let all = own.iter().map(|(name, _)| *name).eq(names.iter().copied());
        let same = own.windows(2).all(|pair| pair[0].1 == pair[1].1);
        if !(own.is_empty() || all && same && message.role == "assistant") {
            return breach("thinking_as_given", format!("messages.{place} of `{}`: {own:?}", message.role));
        }
    }
    Ok(())
}

/// What the messages so far leave open.
#[derive(Default)]
struct History<'m> {
    /// Whether the last message is a tool's.
    tool_last: bool,
    /// Every id that a call has had.
    ids: HashSet<&'m str>,
    /// The calls of the nearest assistant's message that are not answered yet.
    open: Vec<&'m str>,
}

fn history(messages: &[ChatMessage<'_>]) -> Result<(), LawBreach> {
    let mut history = History::default();
    for (place, message) in messages.iter().enumerate() {
        history.message(&format!("messages.{place}"), place, message)?;
    }
    history.answered(&format!("the end of {} messages", messages.len()))?;
    match messages.last().map(|last| last.role.as_ref()) {
        Some("user" | "tool") => Ok(()),
        last => breach("last_is_not_the_models", format!("the last message is of {last:?}")),
    }
}

impl<'m> History<'m> {
    fn message(&mut self, path: &str, place: usize, message: &'m ChatMessage<'_>) -> Result<(), LawBreach> {
        let role = message.role.as_ref();
        if core::mem::replace(&mut self.tool_last, role == "tool") && role == "user" {
            return breach("user_not_behind_tool", path);
        }
        let calls = message.tool_calls.is_some();
        if (calls && role != "assistant") || (role == "tool") != message.tool_call_id.is_some() {
            return breach("fields_of_the_role", format!("{path} of `{role}`"));
        }
        match role {
            "tool" => return self.answer(path, message),
            "system" if place > 0 => return breach("system_first", path),
            "system" | "user" | "assistant" => self.answered(path)?,
            _ => return breach("role_known", format!("{path}.role is `{role}`")),
        }
        match (&message.content, &message.tool_calls) {
            (None, Some(calls)) => self.calls(path, calls),
            (Some(content), calls) => {
                filled(path, role, content)?;
                self.calls(path, calls.as_deref().unwrap_or_default())
            }
            (None, None) => breach("content_not_empty", format!("{path} has neither content nor calls")),
        }
    }

    /// Before anything else is said, every call is answered.
    fn answered(&self, path: &str) -> Result<(), LawBreach> {
        match self.open.first() {
            Some(id) => breach("call_has_result", format!("{path} comes before an answer to call `{id}`")),
            None => Ok(()),
        }
    }

    fn answer(&mut self, path: &str, message: &ChatMessage<'_>) -> Result<(), LawBreach> {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        match &message.content {
            Some(content @ Content::Text(_)) => filled(path, "tool", content)?,
            Some(Content::Parts(_)) | None => return breach("tool_says_text", path),
        }
        let Some(at) = self.open.iter().position(|open| *open == id) else {
            let law = if self.ids.contains(id) { "one_result" } else { "result_has_call" };
            return breach(law, format!("{path}: no open call `{id}`"));
        };
        self.open.remove(at);
        Ok(())
    }

    fn calls(&mut self, path: &str, calls: &'m [Call<'_>]) -> Result<(), LawBreach> {
        for (place, call) in calls.iter().enumerate() {
            let path = format!("{path}.tool_calls.{place}");
            if call.id.is_empty() || call.id.len() > 40 || !self.ids.insert(&call.id) {
                return breach("call_id_unique", format!("{path}.id `{}`", call.id));
            }
            if call.kind != "function" || !is_tool_name(&call.function.name) {
                return breach("call_shape", format!("{path}: `{}` of `{}`", call.kind, call.function.name));
            }
            if !serde_json::from_str(&call.function.arguments).is_ok_and(|given: Value| given.is_object()) {
                return breach("arguments_are_json", format!("{path}: `{}`", call.function.arguments));
            }
            self.open.push(&call.id);
        }
        Ok(())
    }
}

/// Content says something, and a role says only what it may.
fn filled(path: &str, role: &str, content: &Content<'_>) -> Result<(), LawBreach> {
    let parts = match content {
        Content::Text(text) if text.trim().is_empty() => return breach("text_not_blank", path),
        Content::Text(_) => return Ok(()),
        Content::Parts(parts) if parts.is_empty() => return breach("content_not_empty", path),
        Content::Parts(parts)
            if parts.iter().all(|part| part.text().is_some_and(|text| !text.trim().is_empty())) =>
        {
            return breach("texts_alone_are_a_string", path);
        }
        Content::Parts(parts) => parts,
    };
    for (place, part) in parts.iter().enumerate() {
        let path = format!("{path}.content.{place}");
        match part {
            Part::Text { text } if text.trim().is_empty() => return breach("text_not_blank", path),
            Part::Text { .. } => {}
            _ if role != "user" => return breach("part_of_the_role", format!("{path} of `{role}`")),
            Part::ImageUrl { image_url } => media::address(&path, &image_url.url, AllowedLink::Picture)?,
            Part::File { file } if file.filename.is_empty() => return breach("file_named", path),
            Part::File { file } => media::address(&path, &file.file_data, AllowedLink::Document)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A legal request with everything in it.
    fn legal() -> Value {
        let called = json!({"name": "look", "arguments": "{\"a\":[1]}"});
        let call = |id: &str| json!({"id": id, "type": "function", "function": called});
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 9,
            "tools": [{"type": "function", "function": {
                "name": "look", "parameters": {"type": "object", "properties": {}}}}],
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    {"type": "file",
                     "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]},
                {"role": "assistant", "content": null, "tool_calls": [call("c1"), call("c2")]},
                {"role": "tool", "tool_call_id": "c2", "content": "x"},
                {"role": "tool", "tool_call_id": "c1", "content": "x"},
                {"role": "assistant", "content": "more"},
                {"role": "assistant", "content": "so"},
                {"role": "user", "content": "b"},
            ],
        })
    }

    fn broken(change: impl FnOnce(&mut Value)) -> String {
        let mut request = legal();
        change(&mut request);
        let body = request.to_string();
        let checked = serde_json::from_str::<ChatRequest<'_>>(&body).map_err(|error| error.to_string());
        checked
            .and_then(|request| check(&request).map_err(|breach| breach.law.to_owned()))
            .err()
            .unwrap_or_default()
    }

    fn in_message(place: usize, field: &str, value: Value) -> String {
        broken(|request| request["messages"][place][field] = value)
    }

    fn in_call(path: &str, value: Value) -> String {
        broken(|request| {
            *request.pointer_mut(&format!("/messages/2/tool_calls/0/{path}")).expect("it") = value;
        })
    }

    #[test]
    fn a_legal_request_passes() {
        assert_eq!(broken(|_| {}), "");
    }

    #[test]
    fn each_law_of_the_request_is_noticed() {
        let set = |field: &str, value: Value| broken(|request| request[field] = value);
        assert_eq!(set("model", json!("")), "model_named");
        assert_eq!(set("stream", json!(false)), "stream_true");
        assert_eq!(set("stream_options", json!(null)), "usage_asked");
        assert_eq!(set("max_tokens", json!(0)), "one_bound");
        assert_eq!(set("max_tokens", json!(null)), "one_bound");
        assert_eq!(set("max_completion_tokens", json!(9)), "one_bound");
        assert!(set("system", json!("x")).contains("unknown field"));
        let tool = |path: &str, value: Value| {
            broken(|request| *request.pointer_mut(&format!("/tools/0/{path}")).expect("it") = value)
        };
        assert_eq!(tool("type", json!("custom")), "tool_type");
        assert_eq!(tool("function/name", json!("a b")), "tool_name");
        assert_eq!(tool("function/parameters/type", json!("array")), "schema_object");
        assert_eq!(tool("function/parameters/properties", json!(null)), "schema_properties");
        let twice = json!([legal()["tools"][0], legal()["tools"][0]]);
        assert_eq!(set("tools", twice), "tool_name_unique");
    }

    #[test]
    fn each_law_of_messages_is_noticed() {
        assert_eq!(in_message(5, "role", json!("user")), "user_not_behind_tool");
        let texts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(in_message(7, "content", texts), "texts_alone_are_a_string");
        assert_eq!(in_message(1, "role", json!("person")), "role_known");
        assert_eq!(in_message(1, "role", json!("system")), "system_first");
        assert_eq!(in_message(1, "tool_call_id", json!("c1")), "fields_of_the_role");
        assert_eq!(in_message(1, "tool_calls", json!([])), "fields_of_the_role");
        assert_eq!(in_message(0, "content", json!(" ")), "text_not_blank");
        assert_eq!(in_message(7, "content", json!(null)), "content_not_empty");
        assert_eq!(in_message(7, "content", json!([])), "content_not_empty");
        assert_eq!(in_message(7, "content", json!([{"type": "text", "text": ""}])), "text_not_blank");
        assert_eq!(in_message(6, "content", legal()["messages"][1]["content"].clone()), "part_of_the_role");
        assert!(in_message(6, "reasoning_details", json!([])).contains("unknown field"));
        assert_eq!(in_message(6, "reasoning_content", json!("hm")), "");
        assert_eq!(in_message(6, "reasoning", json!("hm")), "thinking_as_given");
        assert_eq!(in_message(7, "reasoning_content", json!("hm")), "thinking_as_given");
        let picture = |url: &str| json!([{"type": "image_url", "image_url": {"url": url}}]);
        assert_eq!(in_message(7, "content", picture("https://example.com/a.png")), "");
        assert_eq!(in_message(7, "content", picture("data:image/gif;base64,aGk=")), "media_as_named");
        assert_eq!(in_message(7, "content", picture("file:///a.png")), "media_source");
        let file = |url: &str| json!([{"type": "file", "file": {"filename": "a", "file_data": url}}]);
        assert_eq!(in_message(7, "content", file("https://example.com/a.pdf")), "media_source");
        assert_eq!(
            broken(|r| drop(r["messages"].as_array_mut().expect("a list").pop())),
            "last_is_not_the_models"
        );
    }

    #[test]
    fn a_script_is_found_among_the_texts_of_one_string_and_a_bridge_is_no_answer() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content}).to_string();
        let user = message("user", "Message from dyer:\n\nscript:[{}]\n\nscript:[]");
        let read: ChatMessage<'_> = serde_json::from_str(&user).expect("a message");
        assert_eq!(read.texts(), ["Message from dyer:", "script:[{}]", "script:[]"]);
        let said = [("assistant", "so", true), ("assistant", BETWEEN, false), ("user", "so", false)];
        for (role, content, is_answer) in said {
            let written = message(role, content);
            let read: ChatMessage<'_> = serde_json::from_str(&written).expect("a message");
            assert_eq!(read.is_answer(), is_answer, "{role}: {content}");
        }
    }

    #[test]
    fn each_law_of_calls_and_results_is_noticed() {
        assert_eq!(in_message(3, "tool_call_id", json!("c9")), "result_has_call");
        assert_eq!(in_message(3, "tool_call_id", json!("c1")), "one_result");
        assert_eq!(in_message(3, "content", json!([{"type": "text", "text": "x"}])), "tool_says_text");
        assert_eq!(in_message(3, "content", json!("")), "text_not_blank");
        let swapped = |one: usize, two: usize| {
            broken(|request| request["messages"].as_array_mut().expect("a list").swap(one, two))
        };
        assert_eq!(swapped(4, 5), "call_has_result");
        assert_eq!(swapped(2, 6), "result_has_call");
        assert_eq!(broken(|r| r["messages"].as_array_mut().expect("a list").truncate(4)), "call_has_result");
        assert_eq!(in_call("id", json!("c2")), "call_id_unique");
        assert_eq!(in_call("id", json!("")), "call_id_unique");
        assert_eq!(in_call("type", json!("tool")), "call_shape");
        assert_eq!(in_call("function/name", json!("")), "call_shape");
        for wrong in ["", "[1]", "{\"a\":"] {
            assert_eq!(in_call("function/arguments", json!(wrong)), "arguments_are_json");
        }
    }
}
