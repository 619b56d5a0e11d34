//! The body of a Messages API request: a prompt in the wire's words, with its cache marks.
//!
//! Borrows everything from the prompt: a long history is written once, into the body's bytes.

use protocol::{
    Object,
    content::{Citations, ContentBlock, MediaSource, SearchText},
    prompt::{HistorySpot, MessagePart, MessageRole, Prompt, PromptMessage, ThinkingPart},
    routes::Route,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    blank::{EMPTY, says_something},
    learned::RequestExtra,
    named::MessagePath,
    transport::RequestWriting,
};

/// User messages from the end whose last block carries a cache mark (docs/rules.md 9).
const MARKED_MESSAGES: usize = 2;

/// The body of `POST /v1/messages` for a streamed answer.
pub(crate) fn body(prompt: &Prompt, route: &Route, writ: RequestWriting) -> serde_json::Result<Vec<u8>> {
    let mark = if writ.omitted.has(RequestExtra::CacheControl) { None } else { MARK };
    let system = prompt.system.iter().filter(|text| says_something(text));
    let body = Body {
        model: &prompt.model,
        max_tokens: writ.bound,
        stream: true,
        further: &route.body,
        system: system.map(|text| Wire::Text { text, cache_control: mark }).collect(),
        tools: tools(prompt, mark),
        messages: messages(prompt, route, mark),
    };
    serde_json::to_vec(&body)
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    #[serde(flatten)]
    further: &'a Object,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Wire<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: &'a Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Wire<'a>>,
}

/// "Cache everything up to here for five minutes."
#[derive(Clone, Copy, Serialize)]
struct Mark {
    #[serde(rename = "type")]
    kind: &'static str,
}

const MARK: Option<Mark> = Some(Mark { kind: "ephemeral" });

/// A block as the API names it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    Image {
        source: &'a MediaSource,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    Document {
        source: &'a MediaSource,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    SearchResult {
        citations: &'a Citations,
        content: &'a [SearchText],
        source: &'a str,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Object,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Wire<'a>>,
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    #[serde(untagged)]
    Thinking(&'a Value),
}

impl Wire<'_> {
    /// Sets the cache mark; what only an assistant says carries none.
    fn mark(&mut self, mark: Option<Mark>) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::SearchResult { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => *cache_control = mark,
            Self::ToolUse { .. } | Self::Thinking(_) => {}
        }
    }
}

fn tools(prompt: &Prompt, mark: Option<Mark>) -> Vec<WireTool<'_>> {
    let mut tools: Vec<WireTool<'_>> = prompt
        .tools
        .iter()
        .map(|tool| WireTool {
            name: &tool.name,
            description: &tool.description,
            input_schema: &tool.input_schema,
            cache_control: None,
        })
        .collect();
    if let Some(last) = tools.last_mut() {
        last.cache_control = mark;
    }
    tools
}

fn messages<'a>(prompt: &'a Prompt, route: &Route, mark: Option<Mark>) -> Vec<WireMessage<'a>> {
    let mut messages: Vec<WireMessage<'_>> =
        prompt.messages.iter().map(|said| message(said, route)).collect();
    let users = messages.iter_mut().rev().filter(|message| message.role == "user");
    for last in users.take(MARKED_MESSAGES).filter_map(|message| message.content.last_mut()) {
        last.mark(mark);
    }
    messages
}

fn message<'a>(message: &'a PromptMessage, route: &Route) -> WireMessage<'a> {
    let role = match message.role {
        MessageRole::User => "user",
        MessageRole::Assistant => "assistant",
    };
    WireMessage { role, content: filled(message.parts.iter().filter_map(|said| part(said, route)).collect()) }
}

fn part<'a>(part: &'a MessagePart, route: &Route) -> Option<Wire<'a>> {
    match part {
        MessagePart::Content(block) => wire(block),
        MessagePart::Thinking(thought) => is_own(thought, route).then_some(Wire::Thinking(&thought.raw)),
        // This wire puts all into its blocks.
        MessagePart::Beside { .. } => None,
        MessagePart::ToolUse { id, name, input } => Some(Wire::ToolUse { id, name, input }),
        MessagePart::ToolResult { id, content, is_error } => Some(Wire::ToolResult {
            tool_use_id: id,
            content: filled(content.iter().filter_map(wire).collect()),
            is_error: *is_error,
            cache_control: None,
        }),
    }
}

/// The part of the history that stands at this place of the body.
pub(crate) fn spots(prompt: &Prompt, route: &Route, path: MessagePath) -> Vec<HistorySpot> {
    let find = || {
        let parts = &prompt.messages.get(path.message)?.parts;
        let mut written = parts.iter().enumerate().filter(|(_, told)| part(told, route).is_some());
        let (place, told) = written.nth(path.content?)?;
        let block = match (told, path.inner) {
            (MessagePart::ToolResult { content, .. }, Some(inner)) => {
                let mut written = content.iter().enumerate().filter(|(_, block)| wire(block).is_some());
                Some(written.nth(inner)?.0)
            }
            (
                MessagePart::Content(_)
                | MessagePart::Thinking(_)
                | MessagePart::Beside { .. }
                | MessagePart::ToolUse { .. },
                _,
            )
            | (MessagePart::ToolResult { .. }, None) => None,
        };
        Some(HistorySpot { message: path.message, part: place, block })
    };
    find().into_iter().collect()
}

/// Content that is never empty: a failed call's may not be, and some take no empty one at all.
fn filled(mut content: Vec<Wire<'_>>) -> Vec<Wire<'_>> {
    if content.is_empty() {
        content.push(Wire::Text { text: EMPTY, cache_control: None });
    }
    content
}

/// Whether a thinking block is this API's, and came over this route if that is known: another provider's has
/// no signature, or one that nobody else can read, and would be refused.
fn is_own(thought: &ThinkingPart, route: &Route) -> bool {
    let kind = thought.raw.get("type").and_then(Value::as_str);
    matches!(kind, Some("thinking" | "redacted_thinking"))
        && thought.from.as_ref().is_none_or(|from| from.is(route))
}

/// The block, unless the API would refuse it: a blank text, or what was redacted from view.
fn wire(block: &ContentBlock) -> Option<Wire<'_>> {
    match block {
        ContentBlock::Text { text } => {
            says_something(text).then_some(Wire::Text { text, cache_control: None })
        }
        ContentBlock::Image { source } => Some(Wire::Image { source, cache_control: None }),
        ContentBlock::Document { source, title, context } => Some(Wire::Document {
            source,
            title: title.as_deref(),
            context: context.as_deref(),
            cache_control: None,
        }),
        ContentBlock::SearchResult { citations, content, source, title } => {
            Some(Wire::SearchResult { citations, content, source, title, cache_control: None })
        }
        ContentBlock::Redacted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learned::OmittedExtras;
    use protocol::{
        prompt::{AnswerOrigin, ToolSpec},
        routes::RouteProvider,
    };
    use serde_json::json;
    use std::sync::Arc;

    fn object(value: &Value) -> Object {
        value.as_object().expect("an object").clone()
    }

    fn text(text: &str) -> MessagePart {
        MessagePart::Content(ContentBlock::text(text))
    }

    fn thought(raw: &Value, from: Option<AnswerOrigin>) -> MessagePart {
        MessagePart::Thinking(ThinkingPart { raw: raw.clone(), from: from.map(Arc::new) })
    }

    fn user(parts: Vec<MessagePart>) -> PromptMessage {
        PromptMessage { role: MessageRole::User, parts }
    }

    fn assistant(parts: Vec<MessagePart>) -> PromptMessage {
        PromptMessage { role: MessageRole::Assistant, parts }
    }

    fn tool(name: &str, description: &str) -> ToolSpec {
        let input_schema = object(&json!({"type": "object", "properties": {}}));
        ToolSpec { name: name.to_owned(), description: description.to_owned(), input_schema }
    }

    fn prompt(system: Option<&str>, tools: Vec<ToolSpec>, messages: Vec<PromptMessage>) -> Prompt {
        let tools = tools.into_iter().map(Arc::new).collect();
        let messages = messages.into_iter().map(Arc::new).collect();
        Prompt {
            model: "claude-test".to_owned(),
            system: system.map(str::to_owned),
            tools,
            messages,
            counted: None,
        }
    }

    fn written(prompt: &Prompt) -> Value {
        let writ = RequestWriting { omitted: OmittedExtras::default(), bound: 4_096 };
        let bytes = body(prompt, &Route::script("claude-*"), writ).expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn a_plain_prompt_is_as_small_as_can_be() {
        let written = written(&prompt(None, vec![], vec![user(vec![text("hi")])]));
        assert_eq!(
            written,
            json!({
                "model": "claude-test", "max_tokens": 4096, "stream": true,
                "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}],
            })
        );
    }

    #[test]
    fn a_history_with_tools_carries_four_marks_and_no_more() {
        let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let call =
            MessagePart::ToolUse { id: "t1".into(), name: "look".into(), input: object(&json!({"a": 1})) };
        let result = MessagePart::ToolResult {
            id: "t1".into(),
            content: vec![ContentBlock::text("seen")],
            is_error: true,
        };
        let messages = vec![
            user(vec![text("one")]),
            assistant(vec![text("1")]),
            user(vec![text("two"), text("and")]),
            assistant(vec![thought(&thinking, None), text("2"), call]),
            user(vec![result]),
        ];
        let tools = vec![tool("look", "Looks."), tool("bare", "")];
        let schema = json!({"type": "object", "properties": {}});
        let mark = json!({"type": "ephemeral"});
        assert_eq!(
            written(&prompt(Some("be brief"), tools, messages)),
            json!({
                "model": "claude-test", "max_tokens": 4096, "stream": true,
                "system": [{"type": "text", "text": "be brief", "cache_control": mark}],
                "tools": [
                    {"name": "look", "description": "Looks.", "input_schema": schema},
                    {"name": "bare", "input_schema": schema, "cache_control": mark},
                ],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "one"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "1"}]},
                    {"role": "user", "content": [
                        {"type": "text", "text": "two"},
                        {"type": "text", "text": "and", "cache_control": mark}]},
                    {"role": "assistant", "content": [
                        thinking,
                        {"type": "text", "text": "2"},
                        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "is_error": true,
                         "content": [{"type": "text", "text": "seen"}], "cache_control": mark}]},
                ],
            })
        );
    }

    #[test]
    fn a_provider_that_refuses_cache_marks_gets_none() {
        let tools = vec![tool("look", "Looks.")];
        let prompt = prompt(Some("be brief"), tools, vec![user(vec![text("one")])]);
        let omitted = OmittedExtras::default().and(RequestExtra::CacheControl);
        let bytes =
            body(&prompt, &Route::script("claude-*"), RequestWriting { omitted, bound: 9 }).expect("a body");
        assert!(!String::from_utf8_lossy(&bytes).contains("cache_control"));
    }

    #[test]
    fn blank_texts_are_left_out_and_a_message_of_nothing_else_says_so() {
        let result = MessagePart::ToolResult {
            id: "t1".into(),
            content: vec![ContentBlock::text(" \n")],
            is_error: false,
        };
        let messages = vec![
            user(vec![text("  "), MessagePart::Content(ContentBlock::Redacted)]),
            assistant(vec![text("")]),
            user(vec![result, text("")]),
        ];
        let mark = json!({"type": "ephemeral"});
        assert_eq!(
            written(&prompt(Some(" "), vec![], messages)),
            json!({
                "model": "claude-test", "max_tokens": 4096, "stream": true,
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "(empty)", "cache_control": mark}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "(empty)"}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "is_error": false,
                         "content": [{"type": "text", "text": "(empty)"}], "cache_control": mark}]},
                ],
            })
        );
    }

    #[test]
    fn every_kind_of_block_goes_out_as_it_came_in() {
        let blocks = json!([
            {"type": "image", "source": {"type": "base64", "data": "aGk=", "media_type": "image/png"}},
            {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"},
             "title": "T", "context": "C"},
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            {"type": "search_result", "citations": {"enabled": true},
             "content": [{"type": "text", "text": "found"}], "source": "https://example.com", "title": "S"},
        ]);
        let content: Vec<ContentBlock> = serde_json::from_value(blocks.clone()).expect("blocks");
        let result = MessagePart::ToolResult { id: "t1".into(), content, is_error: false };
        let written = written(&prompt(None, vec![], vec![user(vec![result])]));
        assert_eq!(written["messages"][0]["content"][0]["content"], blocks);
    }

    #[test]
    fn a_place_of_the_body_leads_to_the_part_that_stands_there() {
        let foreign = thought(&json!({"type": "reasoning", "reasoning": "hm"}), None);
        let call = MessagePart::ToolUse { id: "t1".into(), name: "look".into(), input: Object::new() };
        let content = vec![ContentBlock::text(" "), ContentBlock::text("seen"), ContentBlock::text("too")];
        let result = MessagePart::ToolResult { id: "t1".into(), content, is_error: false };
        let prompt = prompt(
            Some("be brief"),
            vec![],
            vec![
                user(vec![text(""), text("one")]),
                assistant(vec![foreign, text("1"), call]),
                user(vec![result]),
            ],
        );
        let spots = |message, content, inner| {
            spots(&prompt, &Route::script("claude-*"), MessagePath { message, content, inner })
        };
        let spot = |message, part, block| vec![HistorySpot { message, part, block }];
        assert_eq!(spots(0, Some(0), None), spot(0, 1, None));
        assert_eq!(spots(1, Some(1), None), spot(1, 2, None));
        assert_eq!(spots(2, Some(0), None), spot(2, 0, None));
        assert_eq!(spots(2, Some(0), Some(1)), spot(2, 0, Some(2)));
        for (message, content, inner) in
            [(0, Some(1), None), (0, None, None), (3, Some(0), None), (2, Some(0), Some(2))]
        {
            assert_eq!(spots(message, content, inner), vec![], "{message} {content:?} {inner:?}");
        }
    }

    #[test]
    fn thinking_goes_back_by_the_road_it_came_and_by_no_other() {
        let raw = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let from = |wire, route: &str| Some(AnswerOrigin { wire, route: route.to_owned() });
        for (from, is_sent) in [
            (None, true),
            (from(RouteProvider::Script, "claude-*"), true),
            (from(RouteProvider::Script, "claude-test"), false),
            (from(RouteProvider::Messages, "claude-*"), false),
        ] {
            let said = assistant(vec![thought(&raw, from), text("1")]);
            let written = written(&prompt(None, vec![], vec![user(vec![text("one")]), said]));
            let blocks = written["messages"][1]["content"].as_array().expect("blocks");
            assert_eq!(blocks.contains(&raw), is_sent, "{blocks:?}");
        }
    }

    #[test]
    fn another_providers_thinking_is_not_sent() {
        let foreign = thought(&json!({"type": "reasoning"}), None);
        let messages =
            vec![user(vec![text("one")]), assistant(vec![foreign, text("1")]), user(vec![text("two")])];
        let written = written(&prompt(None, vec![], messages));
        let said = json!({"role": "assistant", "content": [{"type": "text", "text": "1"}]});
        assert_eq!(written["messages"][1], said);
    }
}
