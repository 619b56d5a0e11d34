//! Which part of the history stands at a place of the body: a prompt's messages are not one to one those of
//! this wire.

use protocol::prompt::{HistorySpot, MessagePart, MessageRole, Prompt, PromptMessage};

use super::request::{self, WirePart};
use crate::{blank::says_something, named::MessagePath};

/// What stands in one entry of a message's content.
#[derive(Debug, Default)]
struct Entry {
    spots: Vec<HistorySpot>,
    is_text: bool,
}

impl Entry {
    /// What we say ourselves.
    fn ours() -> Self {
        Self { spots: Vec::new(), is_text: true }
    }
}

/// The parts of the history that stand at this place.
pub(super) fn of(prompt: &Prompt, path: MessagePath) -> Vec<HistorySpot> {
    let layout = layout(prompt);
    let Some(entries) = layout.get(path.message) else { return Vec::new() };
    match path.content {
        Some(content) => entries.get(content).map(|entry| entry.spots.clone()).unwrap_or_default(),
        None => entries.iter().flat_map(|entry| entry.spots.clone()).collect(),
    }
}

/// The entries of each message's content, in the order of the body. A content that is one text has one.
fn layout(prompt: &Prompt) -> Vec<Vec<Entry>> {
    let has_system = prompt.system.as_deref().is_some_and(says_something);
    let mut layout = if has_system { vec![vec![Entry::ours()]] } else { Vec::new() };
    for (place, message) in prompt.messages.iter().enumerate() {
        match message.role {
            MessageRole::Assistant => layout.push(vec![assistant(place, message)]),
            MessageRole::User => user(place, message, &mut layout),
        }
    }
    layout
}

fn assistant(place: usize, message: &PromptMessage) -> Entry {
    let texts = message.parts.iter().enumerate().filter(|(_, part)| match part {
        MessagePart::Content(block) => request::text(block).is_some(),
        MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. }
        | MessagePart::ToolResult { .. } => false,
    });
    let spots = texts.map(|(part, _)| HistorySpot { message: place, part, block: None }).collect();
    Entry { spots, is_text: true }
}

fn user(place: usize, message: &PromptMessage, layout: &mut Vec<Vec<Entry>>) {
    let (mut attached, mut said) = (Vec::new(), Vec::new());
    let mut answers = false;
    for (part, told) in message.parts.iter().enumerate() {
        let spot = |block| HistorySpot { message: place, part, block };
        match told {
            MessagePart::ToolResult { content, .. } => {
                answers = true;
                layout.push(vec![Entry { spots: vec![spot(None)], is_text: true }]);
                let beside: Vec<Entry> = content
                    .iter()
                    .enumerate()
                    .filter(|(_, block)| request::text(block).is_none())
                    .flat_map(|(at, block)| entries(spot(Some(at)), request::media(block)))
                    .collect();
                if !beside.is_empty() {
                    attached.push(Entry::ours());
                    attached.extend(beside);
                }
            }
            MessagePart::Content(block) => said.extend(entries(spot(None), request::parts(block))),
            MessagePart::Thinking(_) | MessagePart::Beside { .. } | MessagePart::ToolUse { .. } => {}
        }
    }
    attached.append(&mut said);
    if attached.is_empty() && answers {
        return;
    }
    if answers {
        // What the model says between its results and a person.
        layout.push(vec![Entry::ours()]);
    }
    if attached.iter().all(|entry| entry.is_text) {
        let spots = attached.into_iter().flat_map(|entry| entry.spots).collect();
        layout.push(vec![Entry { spots, is_text: true }]);
    } else {
        layout.push(attached);
    }
}

fn entries(spot: HistorySpot, parts: Vec<WirePart<'_>>) -> impl Iterator<Item = Entry> {
    parts.into_iter().map(move |part| Entry {
        spots: vec![spot],
        is_text: match part {
            WirePart::Text { .. } => true,
            WirePart::ImageUrl { .. } | WirePart::File { .. } => false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{learned::OmittedExtras, transport::RequestWriting};
    use protocol::{content::ContentBlock, routes::Route};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn text(text: &str) -> MessagePart {
        MessagePart::Content(ContentBlock::text(text))
    }

    fn png() -> ContentBlock {
        let source = json!({"type": "base64", "data": "aGk=", "media_type": "image/png"});
        serde_json::from_value(json!({"type": "image", "source": source})).expect("a block")
    }

    fn call(id: &str) -> MessagePart {
        MessagePart::ToolUse { id: id.into(), name: "look".into(), input: protocol::Object::new() }
    }

    fn result(id: &str, content: Vec<ContentBlock>) -> MessagePart {
        MessagePart::ToolResult { id: id.into(), content, is_error: false }
    }

    /// A history of all that there is.
    fn prompt() -> Prompt {
        let message = |role, parts| Arc::new(PromptMessage { role, parts });
        let messages = vec![
            message(MessageRole::User, vec![text("one"), MessagePart::Content(png())]),
            message(
                MessageRole::Assistant,
                vec![
                    MessagePart::Thinking(protocol::prompt::ThinkingPart { raw: json!({}), from: None }),
                    text("1"),
                    call("a"),
                    call("b"),
                ],
            ),
            message(
                MessageRole::User,
                vec![
                    result("a", vec![ContentBlock::text("seen"), png(), png()]),
                    result("b", vec![]),
                    text("two"),
                    text(" "),
                ],
            ),
            message(MessageRole::Assistant, vec![text("2"), text("3"), call("c")]),
            message(MessageRole::User, vec![result("c", vec![ContentBlock::text("found")])]),
            message(MessageRole::Assistant, vec![text("4")]),
            message(MessageRole::User, vec![text("five"), text("six")]),
        ];
        Prompt { model: "m".into(), system: Some("be brief".into()), tools: vec![], messages, counted: None }
    }

    #[test]
    fn the_layout_is_that_of_the_body() {
        let writ = RequestWriting { omitted: OmittedExtras::default(), bound: 9 };
        let body: Value = serde_json::from_slice(
            &request::body(&prompt(), &Route::script("m"), writ, None).expect("a body"),
        )
        .expect("JSON");
        let entries = |message: &Value| message["content"].as_array().map_or(1, Vec::len);
        let written: Vec<usize> =
            body["messages"].as_array().expect("messages").iter().map(entries).collect();
        let layout: Vec<usize> = layout(&prompt()).iter().map(Vec::len).collect();
        assert_eq!(layout, written);
    }

    #[test]
    fn a_place_of_the_body_leads_to_the_parts_that_stand_there() {
        let of = |message, content| of(&prompt(), MessagePath { message, content, inner: None });
        let spot = |message, part, block| HistorySpot { message, part, block };
        assert_eq!(of(0, None), [], "the system prompt");
        assert_eq!(of(1, Some(1)), [spot(0, 1, None)]);
        assert_eq!(of(2, None), [spot(1, 1, None)]);
        assert_eq!(of(3, Some(0)), [spot(2, 0, None)], "a result as a whole");
        assert_eq!(of(4, None), [spot(2, 1, None)]);
        assert_eq!(of(5, None), [], "our own words");
        assert_eq!(of(6, Some(0)), [], "our own words");
        assert_eq!(of(6, Some(2)), [spot(2, 0, Some(2))], "a picture that a result held");
        assert_eq!(of(6, Some(3)), [spot(2, 2, None)]);
        assert_eq!(of(7, None), [spot(3, 0, None), spot(3, 1, None)]);
        assert_eq!(of(10, None), [spot(6, 0, None), spot(6, 1, None)]);
        assert_eq!(of(11, None), []);
    }
}
