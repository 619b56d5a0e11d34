//! The body of a chat-completions request: a prompt in that wire's words.
//!
//! Borrows what is large from the prompt: a picture is written once, into the body's bytes. A tool's result
//! is a `tool` message and can hold text alone; what else it holds stands in the user's message that follows.
//! Thinking is not sent back as such, but what its provider put beside its answers is.

use std::{borrow::Cow, collections::BTreeMap};

use protocol::{
    Object,
    content::{ContentBlock, MediaSource},
    prompt::{MessagePart, MessageRole, Prompt, PromptMessage},
    routes::Route,
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::back::{GivenBack, RawMembers};
use crate::{
    blank::{EMPTY, says_something},
    learned::RequestExtra,
    transport::RequestWriting,
};

/// Begins the result of a tool that failed: this wire has no field for it.
const FAILED: &str = "Error: ";
/// What the model says between the results of its tools and a person: strict servers (Mistral's) take no user
/// right behind a tool.
const BETWEEN: &str = "I have the results.";
/// What a PDF is called if it has no name: this wire wants one.
const UNNAMED: &str = "document.pdf";

/// The name by which the longest answer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerBound {
    MaxTokens,
    MaxCompletionTokens,
}

impl AnswerBound {
    /// What a provider refuses that does not take it.
    pub(super) fn extra(self) -> RequestExtra {
        match self {
            Self::MaxTokens => RequestExtra::MaxTokens,
            Self::MaxCompletionTokens => RequestExtra::MaxCompletionTokens,
        }
    }

    /// The field of the body.
    fn field(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// The body of `POST …/chat/completions` for a streamed answer, its bound under that name if under any, with
/// the route's further members.
pub(super) fn body(
    prompt: &Prompt,
    route: &Route,
    writ: RequestWriting,
    bound: Option<AnswerBound>,
) -> serde_json::Result<Vec<u8>> {
    let tools = prompt.tools.iter().map(|tool| WireTool::Function {
        function: Function {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.input_schema,
        },
    });
    let stream_options = StreamOptions { include_usage: true };
    let body = Body {
        model: &prompt.model,
        stream: true,
        stream_options: (!writ.omitted.has(RequestExtra::StreamOptions)).then_some(stream_options),
        bound: bound.map(|bound| (bound.field(), writ.bound)).into_iter().collect(),
        further: &route.body,
        tools: tools.collect(),
        messages: messages(prompt, &GivenBack::of(prompt, route, writ.omitted)),
    };
    serde_json::to_vec(&body)
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    bound: BTreeMap<&'static str, u64>,
    #[serde(flatten)]
    further: &'a Object,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    messages: Vec<WireMessage<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireTool<'a> {
    Function { function: Function<'a> },
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(serialize_with = "with_properties")]
    parameters: &'a Object,
}

/// A schema that names its properties, also when there are none: OpenAI refuses one that does not.
fn with_properties<S: Serializer>(schema: &Object, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (key, value) in schema {
        map.serialize_entry(key, value)?;
    }
    if !schema.contains_key("properties") {
        map.serialize_entry("properties", &Object::new())?;
    }
    map.end()
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Said<'a>,
    },
    Assistant {
        /// Null beside calls alone.
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
        #[serde(flatten)]
        beside: RawMembers<'a>,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: Cow<'a, str>,
    },
}

/// Texts alone are one string: that is what every server takes, also those that know no parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageLink<'a> },
    File { file: FilePart<'a> },
}

#[derive(Serialize)]
pub(super) struct ImageLink<'a> {
    url: Address<'a>,
}

#[derive(Serialize)]
pub(super) struct FilePart<'a> {
    filename: Cow<'a, str>,
    file_data: Address<'a>,
}

/// An address, or one that holds the bytes themselves.
enum Address<'a> {
    Url(&'a str),
    Data { media_type: &'a str, data: &'a str },
}

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Url(url) => serializer.serialize_str(url),
            Self::Data { media_type, data } => {
                serializer.collect_str(&format_args!("data:{media_type};base64,{data}"))
            }
        }
    }
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Called<'a>,
    #[serde(flatten)]
    beside: RawMembers<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    #[serde(serialize_with = "as_text")]
    arguments: &'a Object,
    #[serde(flatten)]
    beside: RawMembers<'a>,
}

/// This wire wants the arguments as a text that holds JSON.
fn as_text<S: Serializer>(arguments: &Object, serializer: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_string(arguments).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}

fn messages<'a>(prompt: &'a Prompt, back: &GivenBack<'a>) -> Vec<WireMessage<'a>> {
    let system = prompt.system.as_deref().filter(|text| says_something(text));
    let mut messages: Vec<WireMessage<'_>> =
        system.map(|content| WireMessage::System { content }).into_iter().collect();
    let mut tools = BTreeMap::new();
    for (at, message) in prompt.messages.iter().enumerate() {
        match message.role {
            MessageRole::Assistant => {
                tools = called(message);
                messages.push(assistant(at, message, back));
            }
            MessageRole::User => user(message, &tools, back, &mut messages),
        }
    }
    messages
}

/// The names of the tools that a message calls, by the ids of the calls.
fn called(message: &PromptMessage) -> BTreeMap<&str, &str> {
    let calls = message.parts.iter().filter_map(|part| match part {
        MessagePart::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolResult { .. } => None,
    });
    calls.collect()
}

fn assistant<'a>(at: usize, message: &'a PromptMessage, back: &GivenBack<'a>) -> WireMessage<'a> {
    let (mut texts, mut tool_calls) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            MessagePart::Content(block) => texts.extend(text(block)),
            MessagePart::ToolUse { id: given, name, input } => {
                tool_calls.push(WireCall {
                    id: back.id(given),
                    kind: "function",
                    function: Called { name, arguments: input, beside: back.function(given) },
                    beside: back.call(given),
                });
            }
            MessagePart::Thinking(_) | MessagePart::Beside { .. } | MessagePart::ToolResult { .. } => {}
        }
    }
    if texts.is_empty() && tool_calls.is_empty() {
        texts.push(EMPTY.into());
    }
    let content = if texts.is_empty() { None } else { Some(joined(texts, "\n\n")) };
    WireMessage::Assistant { content, tool_calls, beside: back.message(at) }
}

/// The answers to calls, each a message of its own, then one message with everything else.
fn user<'a>(
    message: &'a PromptMessage,
    tools: &BTreeMap<&str, &str>,
    back: &GivenBack<'a>,
    messages: &mut Vec<WireMessage<'a>>,
) {
    let (mut attached, mut said) = (Vec::new(), Vec::new());
    let mut answers = false;
    for part in &message.parts {
        match part {
            MessagePart::ToolResult { id: given, content, is_error } => {
                answers = true;
                let (mut texts, mut beside) = (Vec::new(), Vec::new());
                for block in content {
                    match text(block) {
                        Some(text) => texts.push(text),
                        None => beside.extend(media(block)),
                    }
                }
                messages.push(WireMessage::Tool {
                    tool_call_id: back.id(given),
                    content: told(texts, *is_error, !beside.is_empty()),
                });
                if !beside.is_empty() {
                    let tool = tools.get(given.as_str()).copied().unwrap_or("a tool");
                    let call = back.id(given);
                    let intro = format!("What {tool} returned with the result of call {call}:");
                    attached.push(WirePart::Text { text: intro.into() });
                    attached.extend(beside);
                }
            }
            MessagePart::Content(block) => said.extend(parts(block)),
            MessagePart::Thinking(_) | MessagePart::Beside { .. } | MessagePart::ToolUse { .. } => {}
        }
    }
    attached.append(&mut said);
    if attached.is_empty() && !answers {
        attached.push(WirePart::Text { text: EMPTY.into() });
    }
    if attached.is_empty() {
        return;
    }
    if matches!(messages.last(), Some(WireMessage::Tool { .. })) {
        let (content, beside) = (Some(BETWEEN.into()), RawMembers::new());
        messages.push(WireMessage::Assistant { content, tool_calls: Vec::new(), beside });
    }
    let texts = attached.iter().map(|part| match part {
        WirePart::Text { text } => Some(text.clone()),
        WirePart::ImageUrl { .. } | WirePart::File { .. } => None,
    });
    let content = match texts.collect::<Option<Vec<_>>>() {
        Some(texts) => Said::Text(joined(texts, "\n\n")),
        None => Said::Parts(attached),
    };
    messages.push(WireMessage::User { content });
}

/// The text of a tool's result, which is never empty.
fn told(mut texts: Vec<Cow<'_, str>>, is_error: bool, attached: bool) -> Cow<'_, str> {
    if attached {
        texts.push("(what else it returned is in the next message)".into());
    }
    if texts.is_empty() {
        texts.push(EMPTY.into());
    }
    let whole = joined(texts, "\n");
    if is_error { format!("{FAILED}{whole}").into() } else { whole }
}

fn joined<'a>(mut texts: Vec<Cow<'a, str>>, between: &str) -> Cow<'a, str> {
    if texts.len() == 1 { texts.remove(0) } else { texts.join(between).into() }
}

/// A block in this wire's words; none for what says nothing.
pub(super) fn parts(block: &ContentBlock) -> Vec<WirePart<'_>> {
    text(block).map_or_else(|| media(block), |text| vec![WirePart::Text { text }])
}

/// What cannot be told as a text.
pub(super) fn media(block: &ContentBlock) -> Vec<WirePart<'_>> {
    match block {
        ContentBlock::Image { source } => match address(source) {
            Some(url) => vec![WirePart::ImageUrl { image_url: ImageLink { url } }],
            None => vec![WirePart::Text { text: "[an image that is not available]".into() }],
        },
        ContentBlock::Document { source, title, context } => {
            let about = context.as_deref().map(|context| heading(title.as_deref(), Some(context)));
            let file = address(source).map(|file_data| WirePart::File {
                file: FilePart { filename: title.as_deref().map_or(UNNAMED.into(), filename), file_data },
            });
            about.map(|text| WirePart::Text { text: text.into() }).into_iter().chain(file).collect()
        }
        ContentBlock::Text { .. } | ContentBlock::SearchResult { .. } | ContentBlock::Redacted => Vec::new(),
    }
}

/// The text of a block that can be told as one.
pub(super) fn text(block: &ContentBlock) -> Option<Cow<'_, str>> {
    match block {
        ContentBlock::Text { text } => says_something(text).then_some(Cow::Borrowed(text.as_str())),
        ContentBlock::SearchResult { content, source, title, citations: _ } => {
            let found: Vec<&str> = content.iter().map(|part| part.text.as_str()).collect();
            Some(format!("{title}\n{source}\n\n{}", found.join("\n")).into())
        }
        ContentBlock::Document { source, title, context } => {
            let heading = || heading(title.as_deref(), context.as_deref());
            match source {
                MediaSource::Text { data, .. } => Some(format!("{}\n\n{data}", heading()).into()),
                // This wire has files of bytes alone.
                MediaSource::Url { url } => Some(format!("{}\n\nIt is at {url}", heading()).into()),
                MediaSource::File { .. } | MediaSource::Kept { .. } => {
                    Some(format!("{}\n\n[it is not available]", heading()).into())
                }
                MediaSource::Base64 { .. } => None,
            }
        }
        ContentBlock::Image { .. } | ContentBlock::Redacted => None,
    }
}

fn heading(title: Option<&str>, context: Option<&str>) -> String {
    let title = title.unwrap_or("(untitled)");
    match context {
        Some(context) => format!("Document: {title}\n{context}"),
        None => format!("Document: {title}"),
    }
}

fn filename(title: &str) -> Cow<'_, str> {
    let named = title.len() > 4 && title.to_ascii_lowercase().ends_with(".pdf");
    if named { title.into() } else { format!("{title}.pdf").into() }
}

fn address(source: &MediaSource) -> Option<Address<'_>> {
    match source {
        MediaSource::Base64 { data, media_type } => Some(Address::Data { media_type, data }),
        MediaSource::Url { url } => Some(Address::Url(url)),
        MediaSource::Text { .. } | MediaSource::File { .. } | MediaSource::Kept { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learned::OmittedExtras;
    use protocol::prompt::{ThinkingPart, ToolSpec};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn text(text: &str) -> MessagePart {
        MessagePart::Content(ContentBlock::text(text))
    }

    fn thought(raw: Value) -> MessagePart {
        MessagePart::Thinking(ThinkingPart { raw, from: None })
    }

    fn block(block: Value) -> ContentBlock {
        serde_json::from_value(block).expect("a block")
    }

    fn call(id: &str, input: &Value) -> MessagePart {
        let input = input.as_object().expect("an object").clone();
        MessagePart::ToolUse { id: id.to_owned(), name: "look".to_owned(), input }
    }

    fn result(id: &str, is_error: bool, content: Vec<ContentBlock>) -> MessagePart {
        MessagePart::ToolResult { id: id.to_owned(), content, is_error }
    }

    fn user(parts: Vec<MessagePart>) -> PromptMessage {
        PromptMessage { role: MessageRole::User, parts }
    }

    fn assistant(parts: Vec<MessagePart>) -> PromptMessage {
        PromptMessage { role: MessageRole::Assistant, parts }
    }

    fn prompt(system: Option<&str>, tools: Vec<ToolSpec>, messages: Vec<PromptMessage>) -> Prompt {
        let tools = tools.into_iter().map(Arc::new).collect();
        let messages = messages.into_iter().map(Arc::new).collect();
        Prompt { model: "m".to_owned(), system: system.map(str::to_owned), tools, messages, counted: None }
    }

    fn written(prompt: &Prompt, bound: AnswerBound) -> Value {
        let writ = RequestWriting { omitted: OmittedExtras::default(), bound: 9 };
        serde_json::from_slice(&body(prompt, &Route::script("m"), writ, Some(bound)).expect("a body"))
            .expect("JSON")
    }

    fn told(messages: Vec<PromptMessage>) -> Value {
        written(&prompt(None, vec![], messages), AnswerBound::MaxTokens)["messages"].take()
    }

    fn png() -> Value {
        json!({"type": "image", "source": {"type": "base64", "data": "aGk=", "media_type": "image/png"}})
    }

    fn shown_png() -> Value {
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}})
    }

    #[test]
    fn a_whole_history_is_told_in_the_words_of_the_wire() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let tool = |name: &str, description: &str| ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema: schema.as_object().expect("an object").clone(),
        };
        let thinking = thought(json!({"type": "thinking", "thinking": "hm", "signature": "s"}));
        let messages = vec![
            user(vec![text("one")]),
            assistant(vec![
                thinking.clone(),
                text("1"),
                call("c1", &json!({"z": 1, "a": "é\""})),
                call("c2", &json!({})),
            ]),
            user(vec![
                result("c1", false, vec![ContentBlock::text("seen"), ContentBlock::text("twice")]),
                result("c2", true, vec![ContentBlock::text("no")]),
                text("and?"),
            ]),
            assistant(vec![call("c3", &json!({}))]),
            user(vec![result("c3", false, vec![])]),
            assistant(vec![text("2"), text("3")]),
            user(vec![text("four"), text("five")]),
        ];
        let tools = vec![tool("look", "Looks."), tool("bare", "")];
        let called = |id: &str, arguments: &str| {
            let function = json!({"name": "look", "arguments": arguments});
            json!({"id": id, "type": "function", "function": function})
        };
        assert_eq!(
            written(&prompt(Some("be brief"), tools, messages), AnswerBound::MaxCompletionTokens),
            json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true},
                "max_completion_tokens": 9,
                "tools": [
                    {"type": "function",
                     "function": {"name": "look", "description": "Looks.", "parameters": schema}},
                    {"type": "function", "function": {"name": "bare", "parameters": schema}},
                ],
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "one"},
                    {"role": "assistant", "content": "1",
                     "tool_calls": [called("c1", "{\"z\":1,\"a\":\"é\\\"\"}"), called("c2", "{}")]},
                    {"role": "tool", "tool_call_id": "c1", "content": "seen\ntwice"},
                    {"role": "tool", "tool_call_id": "c2", "content": "Error: no"},
                    {"role": "assistant", "content": "I have the results."},
                    {"role": "user", "content": "and?"},
                    {"role": "assistant", "content": null, "tool_calls": [called("c3", "{}")]},
                    {"role": "tool", "tool_call_id": "c3", "content": "(empty)"},
                    {"role": "assistant", "content": "2\n\n3"},
                    {"role": "user", "content": "four\n\nfive"},
                ],
            })
        );
    }

    #[test]
    fn a_schema_names_its_properties_even_if_there_are_none() {
        let input_schema = json!({"type": "object"}).as_object().expect("an object").clone();
        let tool = ToolSpec { name: "bare".to_owned(), description: String::new(), input_schema };
        let written =
            written(&prompt(None, vec![tool], vec![user(vec![text("one")])]), AnswerBound::MaxTokens);
        let parameters = &written["tools"][0]["function"]["parameters"];
        assert_eq!(*parameters, json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn pictures_and_documents_are_parts() {
        let note = json!({"type": "text", "data": "x", "media_type": "text/plain"});
        let pdf = json!({"type": "base64", "data": "JVBERi0=", "media_type": "application/pdf"});
        let link = json!({"type": "url", "url": "https://example.com/a"});
        let blocks = [
            png(),
            json!({"type": "image", "source": link}),
            json!({"type": "document", "source": note, "title": "T", "context": "C"}),
            json!({"type": "document", "source": note}),
            json!({"type": "document", "source": pdf, "title": "Report"}),
            json!({"type": "document", "source": pdf, "title": "a.PDF", "context": "C"}),
            json!({"type": "document", "source": pdf}),
            json!({"type": "document", "source": link, "title": "T"}),
            json!({"type": "redacted"}),
        ];
        let parts = blocks.map(|written| MessagePart::Content(block(written))).to_vec();
        let text = |text: &str| json!({"type": "text", "text": text});
        let file = |name: &str| {
            let data = "data:application/pdf;base64,JVBERi0=";
            json!({"type": "file", "file": {"filename": name, "file_data": data}})
        };
        assert_eq!(
            told(vec![user(parts)]),
            json!([{"role": "user", "content": [
                shown_png(),
                {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
                text("Document: T\nC\n\nx"),
                text("Document: (untitled)\n\nx"),
                file("Report.pdf"),
                text("Document: a.PDF\nC"), file("a.PDF"),
                file("document.pdf"),
                text("Document: T\n\nIt is at https://example.com/a"),
            ]}])
        );
    }

    #[test]
    fn what_a_result_holds_beside_text_follows_in_a_message_that_says_whose_it_is() {
        let found = json!({"type": "search_result", "citations": {"enabled": false}, "source": "here",
            "content": [{"type": "text", "text": "found"}, {"type": "text", "text": "it"}], "title": "S"});
        let messages = vec![
            assistant(vec![call("c1", &json!({})), call("c2", &json!({})), call("c3", &json!({}))]),
            user(vec![
                result("c1", false, vec![block(png())]),
                result("c2", true, vec![ContentBlock::text("half"), block(png()), block(found)]),
                result("c3", false, vec![ContentBlock::text("plain")]),
                text("and?"),
            ]),
        ];
        let calls = told(messages.clone())[0].take();
        let note = "(what else it returned is in the next message)";
        let intro = |id: &str| {
            let words = format!("What look returned with the result of call {id}:");
            json!({"type": "text", "text": words})
        };
        assert_eq!(
            told(messages),
            json!([
                calls,
                {"role": "tool", "tool_call_id": "c1", "content": note},
                {"role": "tool", "tool_call_id": "c2",
                 "content": format!("Error: half\nS\nhere\n\nfound\nit\n{note}")},
                {"role": "tool", "tool_call_id": "c3", "content": "plain"},
                {"role": "assistant", "content": "I have the results."},
                {"role": "user", "content": [
                    intro("c1"), shown_png(), intro("c2"), shown_png(), {"type": "text", "text": "and?"}]},
            ])
        );
    }

    #[test]
    fn what_a_provider_refuses_is_left_out_and_ids_are_made_short() {
        let messages = vec![
            assistant(vec![call("call_1", &json!({})), call("abcDEF123", &json!({}))]),
            user(vec![result("call_1", false, vec![block(png())]), result("abcDEF123", false, vec![])]),
        ];
        let omitted = OmittedExtras::default().and(RequestExtra::StreamOptions).and(RequestExtra::CallIds);
        let prompt = prompt(None, vec![], messages);
        let writ = RequestWriting { omitted, bound: 9 };
        let bytes = body(&prompt, &Route::script("m"), writ, None).expect("a body");
        let written: Value = serde_json::from_slice(&bytes).expect("JSON");
        let keys: Vec<&String> = written.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["model", "stream", "messages"]);
        let told = &written["messages"];
        let id = told[0]["tool_calls"][0]["id"].as_str().expect("an id");
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(told[0]["tool_calls"][1]["id"], "abcDEF123");
        assert_eq!((&told[1]["tool_call_id"], &told[2]["tool_call_id"]), (&json!(id), &json!("abcDEF123")));
        let intro = told[4]["content"][0]["text"].as_str().expect("a text");
        assert!(intro.contains(id), "{intro}");
    }

    #[test]
    fn blank_texts_are_left_out_and_a_message_of_nothing_else_says_so() {
        let thought = thought(json!({"type": "reasoning", "reasoning": "hm"}));
        let messages = vec![
            user(vec![text("  "), MessagePart::Content(ContentBlock::Redacted)]),
            assistant(vec![thought, text("")]),
        ];
        let empty = |role: &str| json!({"role": role, "content": "(empty)"});
        assert_eq!(told(messages), json!([empty("user"), empty("assistant")]));
        let blank = written(&prompt(Some(" "), vec![], vec![user(vec![text("x")])]), AnswerBound::MaxTokens);
        assert_eq!(blank["messages"], json!([{"role": "user", "content": "x"}]));
        assert_eq!((&blank["max_tokens"], blank.get("tools")), (&json!(9), None));
    }
}
