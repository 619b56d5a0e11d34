//! How many bytes of memory things take: what a cache of them is bounded by. Estimates, counted piece by
//! piece; where they err, they say too much.

use alloc::{string::String, vec::Vec};

use crate::{
    Object,
    agent::{AgentDefinition, RosterMember, SessionAgent, SessionCoordinator},
    content::{ContentBlock, MediaSource},
    event::{Body, Event},
    prompt::{AnswerOrigin, MessagePart, ProviderMember},
    tool::AgentTool,
};
use serde_json::Value;

/// What an allocator adds to each piece, and rounds it up by.
pub const PIECE: usize = 16;
/// What an entry of an object takes beside its key and its value: its hash, and its place in the table.
const ENTRY: usize = 32;

/// A text, beside the three words that point to it.
pub const fn text(text: &str) -> usize {
    if text.is_empty() { 0 } else { text.len() + PIECE }
}

/// What `items` points to, and each of them by `each`.
pub fn list<T>(items: &Vec<T>, each: impl Fn(&T) -> usize) -> usize {
    let place = if items.capacity() == 0 { 0 } else { items.capacity() * size_of::<T>() + PIECE };
    place + items.iter().map(each).sum::<usize>()
}

/// What a value of JSON points to.
pub fn value(json: &Value) -> usize {
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(said) => text(said),
        Value::Array(items) => list(items, value),
        Value::Object(entries) => object(entries),
    }
}

/// What an object of JSON points to.
pub fn object(entries: &Object) -> usize {
    let entry = size_of::<String>() + size_of::<Value>() + ENTRY;
    let one = |(key, of): (&String, &Value)| entry + text(key) + value(of);
    if entries.is_empty() { 0 } else { 2 * PIECE + entries.iter().map(one).sum::<usize>() }
}

/// What a block of content points to.
pub fn block(block: &ContentBlock) -> usize {
    match block {
        ContentBlock::Text { text: said } => text(said),
        ContentBlock::Image { source: from } => source(from),
        ContentBlock::Document { source: from, title, context } => {
            source(from) + option(title.as_ref()) + option(context.as_ref())
        }
        ContentBlock::SearchResult { content, source, title, citations: _ } => {
            text(source) + text(title) + list(content, |part| text(&part.text))
        }
        ContentBlock::Redacted => 0,
    }
}

fn source(source: &MediaSource) -> usize {
    match source {
        MediaSource::Base64 { data, media_type } | MediaSource::Text { data, media_type } => {
            text(data) + text(media_type)
        }
        MediaSource::Url { url } => text(url),
        MediaSource::File { file_id } => text(file_id),
        MediaSource::Kept { blob, media_type, encoded_bytes: _ } => text(blob) + text(media_type),
    }
}

/// What a part of a message points to.
pub fn part(part: &MessagePart) -> usize {
    match part {
        MessagePart::Content(content) => block(content),
        MessagePart::Thinking(thought) => value(&thought.raw) + thought.from.as_deref().map_or(0, origin),
        MessagePart::Beside { from, beside: ProviderMember { call, name, json } } => {
            text(name) + text(json) + option(call.as_ref()) + origin(from)
        }
        MessagePart::ToolUse { id, name, input } => text(id) + text(name) + object(input),
        MessagePart::ToolResult { id, content, is_error: _ } => text(id) + list(content, block),
    }
}

fn origin(origin: &AnswerOrigin) -> usize {
    size_of::<AnswerOrigin>() + text(&origin.route) + PIECE
}

/// What an event that waits in a queue points to. Only messages ever do.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks two of forty kinds")]
pub fn queued(event: &Event) -> usize {
    match &event.body {
        Body::UserMessage { content } => list(content, block),
        Body::AgentThreadMessageReceived { content, .. } => list(content, block) + 4 * PIECE,
        _ => 0,
    }
}

/// An agent, its roster and itself included.
pub fn agent(agent: &SessionAgent) -> usize {
    size_of::<SessionAgent>() + PIECE + definition(&agent.definition) + members(agent.multiagent.as_ref())
}

fn members(roster: Option<&SessionCoordinator>) -> usize {
    let Some(roster) = roster else { return 0 };
    let one =
        |member: &RosterMember| definition(&member.agent.definition) + members(member.multiagent.as_ref());
    list(&roster.agents, one)
}

fn definition(agent: &AgentDefinition) -> usize {
    text(&agent.name)
        + option(agent.description.as_ref())
        + option(agent.system.as_ref())
        + text(&agent.model.id)
        + list(&agent.tools, tool)
}

fn option(said: Option<&String>) -> usize {
    said.map_or(0, |said| text(said))
}

fn tool(tool: &AgentTool) -> usize {
    match tool {
        AgentTool::Custom(custom) => {
            text(&custom.name) + text(&custom.description) + object(&custom.input_schema)
        }
        AgentTool::Toolset(toolset) => list(&toolset.configs, |config| {
            // Domains and the like: as text they take less than three quarters of what they do as strings.
            let web = config.web.as_ref().and_then(|web| serde_json::to_vec(web).ok());
            web.map_or(0, |json| 2 * json.len())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use serde_json::json;

    #[test]
    fn what_is_large_is_weighed_as_it_lies_in_memory() {
        let long = "x".repeat(1_000);
        let base64 = MediaSource::Base64 { data: long.clone(), media_type: "image/png".into() };
        let kept =
            MediaSource::Kept { blob: "b".into(), encoded_bytes: 1_000_000, media_type: "image/png".into() };
        let input: Object = (0..100).map(|key| (format!("key {key}"), json!([key, "text"]))).collect();
        // The keys and texts themselves, and the structs that hold them.
        let held = 100 * (6 + 4 + size_of::<String>() + 3 * size_of::<Value>());
        for (weighed, least, most) in [
            (block(&ContentBlock::text(long.clone())), 1_000, 1_100),
            (block(&ContentBlock::Image { source: base64 }), 1_000, 1_100),
            (block(&ContentBlock::Image { source: kept }), 10, 100),
            (value(&json!({"type": "thinking", "thinking": long, "signature": long})), 2_000, 2_700),
            (object(&input), held, 2 * held),
        ] {
            assert!((least..most).contains(&weighed), "{weighed} is not in {least}..{most}");
        }
    }
}
