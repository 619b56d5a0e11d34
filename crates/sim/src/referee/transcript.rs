//! What the model is told obeys the Messages API, and is what the log says: roles alternate, each tool use
//! is answered in the very next message, ids are unique, nothing is empty, each message stands once, and
//! words stand in place of what a provider refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::EventId;
use protocol::content::ContentBlock;
use protocol::prompt::{MessagePart, MessageRole, PromptMessage};

use crate::law::law;
use crate::line::LogLine;
use crate::model;

/// Refusals in a row from which on the last answer is left out too.
const WHOLE: u32 = 3;

/// What a reader of the log knows must stand in the history.
#[derive(Debug, Default)]
pub struct ExpectedHistory {
    told: Vec<Told>,
    /// Where what came since the last answer begins.
    since: usize,
    /// Where the agent's last message begins.
    answer: Option<usize>,
    /// Turns since the last answer that ended in a refusal of what was told.
    blamed: u32,
    /// What the open request has said.
    saying: Vec<Told>,
    /// How many calls the open request has made.
    calling: usize,
    /// What stands beside answers, and beside their last calls: where the answer begins, from which route,
    /// and what.
    beside: Vec<(usize, (String, String, bool))>,
    /// Calls without an answer.
    open: BTreeSet<EventId>,
}

/// Something that stands in the history.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    what: What,
    /// The event that says it; none for our own words, and for what stands in place of something.
    event: Option<EventId>,
    /// Its texts, and which blocks of the event they are.
    texts: Vec<(Option<usize>, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    User,
    Agent,
    /// What a call was answered with, and whether that was an error.
    Result(bool),
}

impl Told {
    /// The blocks of a line, each a text of its own.
    fn blocks(line: &LogLine, what: What) -> Vec<Self> {
        let one = |(block, text)| Self {
            what,
            event: line.id.filter(|_| block >= line.ours),
            texts: vec![(Some(block - line.ours.min(block)), text)],
        };
        said(line).map(one).collect()
    }

    fn ours(what: What, text: String) -> Self {
        Self { what, event: None, texts: vec![(None, text)] }
    }

    /// Words in place of all of it.
    fn leave_out(&mut self, removed: &str) {
        *self = Self::ours(self.what, removed.to_owned());
    }
}

/// The texts of a line that say anything, and which of its blocks they are.
fn said(line: &LogLine) -> impl Iterator<Item = (usize, String)> {
    let blocks = line.content.as_ref().and_then(serde_json::Value::as_array).into_iter().flatten();
    let text =
        |(place, block): (usize, &serde_json::Value)| Some((place, block.get("text")?.as_str()?.to_owned()));
    blocks.enumerate().filter_map(text).filter(|(_, text)| !text.trim().is_empty())
}

impl ExpectedHistory {
    /// Sees the next line of the log.
    pub fn see(&mut self, line: &LogLine) {
        match line.kind.as_str() {
            "user.message" => self.told.extend(Told::blocks(line, What::User)),
            "agent.custom_tool_use" | "agent.tool_use" => {
                self.open.extend(line.id);
                self.calling += 1;
            }
            "note.delegated" => self.calling += 1,
            "user.custom_tool_result" | "agent.tool_result" => {
                let first = line.about.is_some_and(|call| self.open.remove(&call));
                let texts = || said(line).map(|(block, text)| (Some(block), text)).collect();
                let what = What::Result(line.is_error);
                self.told.extend(first.then(|| Told { what, event: line.id, texts: texts() }));
            }
            "agent.message" => self.saying.extend(Told::blocks(line, What::Agent)),
            "span.model_request_end" => self.ended(line),
            "note.left_out" => {
                for piece in &line.pieces {
                    self.leave_out(*piece, &format!("[removed: {}]", line.reason));
                }
            }
            "note.blamed" => self.blame(&format!("[removed: {}]", line.reason)),
            _ => {}
        }
    }

    fn ended(&mut self, line: &LogLine) {
        let said = core::mem::take(&mut self.saying);
        let called = core::mem::take(&mut self.calling) > 0;
        if matches!(line.how.as_str(), "failed" | "cut") {
            return;
        }
        self.blamed = 0;
        let spoke = !said.is_empty();
        if spoke || called {
            self.answer = Some(self.told.len());
            self.keep(line, called);
        }
        self.told.extend(said);
        self.since = self.told.len();
        // A pause is answered in the user's name, unless the answer to a call comes first.
        if line.how == "paused" && self.open.is_empty() && spoke {
            self.told.push(Told::ours(What::User, "Continue.".into()));
        }
    }

    fn leave_out(&mut self, (event, block): (EventId, Option<usize>), removed: &str) {
        let of = |told: &&mut Told| {
            let whole = block.is_none() || matches!(told.what, What::Result(_));
            told.event == Some(event) && (whole || told.texts.iter().any(|(place, _)| *place == block))
        };
        let Some(told) = self.told.iter_mut().rev().find(of) else { return };
        match (told.what, block) {
            (What::Result(_), Some(_)) => {
                if let Some(text) = told.texts.iter_mut().find(|(place, _)| *place == block) {
                    *text = (None, removed.to_owned());
                }
            }
            (What::Result(_) | What::User | What::Agent, _) => told.leave_out(removed),
        }
    }

    fn blame(&mut self, removed: &str) {
        self.blamed += 1;
        if self.blamed < WHOLE {
            self.told.iter_mut().skip(self.since).for_each(|told| told.leave_out(removed));
            return;
        }
        let answer = self.answer.unwrap_or(0);
        self.told.truncate(answer);
        self.beside.retain(|(at, _)| *at < answer);
        let agent = self.answer.map(|_| What::Agent);
        self.told.extend(agent.into_iter().chain([What::User]).map(|what| Told::ours(what, removed.into())));
    }

    /// Remembers what the model put beside an answer that ended.
    fn keep(&mut self, line: &LogLine, calls: bool) {
        let [input, output, ..] = line.tokens;
        let at = self.told.len();
        if let Some((from, json)) = model::beside(input, output).filter(|_| !line.is_error) {
            self.beside.extend(calls.then(|| (at, (from.route.clone(), json.clone(), true))));
            self.beside.push((at, (from.route, json, false)));
        }
    }

    /// Judges the history that is about to be sent to a model.
    ///
    /// # Errors
    /// The law it breaks.
    pub fn judge(&self, messages: &[Arc<PromptMessage>]) -> Result<(), String> {
        shape(messages)?;
        let last = messages.last().map(|message| message.role);
        law!(last == Some(MessageRole::User), "the last message is {last:?}'s");
        let words =
            |what| self.told.iter().filter(move |told| told.what == what).flat_map(|told| &told.texts);
        let of = |what| words(what).map(|(_, text)| text.as_str()).collect::<Vec<_>>();
        law!(
            texts(messages, MessageRole::User) == of(What::User),
            "the user's words are not those of the log"
        );
        law!(
            texts(messages, MessageRole::Assistant) == of(What::Agent),
            "the agent's words are not those of the log"
        );
        let kept = self.beside.iter().map(|(_, beside)| beside);
        law!(beside(messages)?.iter().eq(kept), "what stands beside answers is not what the model put there");
        let given = self.told.iter().filter_map(|told| match told.what {
            What::Result(is_error) => {
                Some((told.texts.iter().map(|(_, text)| text.clone()).collect(), is_error))
            }
            What::User | What::Agent => None,
        });
        law!(results(messages).eq(given), "the results are not those of the log");
        Ok(())
    }
}

/// What calls were answered with, in order.
fn results(messages: &[Arc<PromptMessage>]) -> impl Iterator<Item = (Vec<String>, bool)> {
    let text = |block: &ContentBlock| match block {
        ContentBlock::Text { text } => Some(text.clone()),
        ContentBlock::Redacted
        | ContentBlock::Image { .. }
        | ContentBlock::Document { .. }
        | ContentBlock::SearchResult { .. } => None,
    };
    messages.iter().flat_map(|message| &message.parts).filter_map(move |part| match part {
        MessagePart::ToolResult { content, is_error, .. } => {
            Some((content.iter().filter_map(text).collect(), *is_error))
        }
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. } => None,
    })
}

/// What stands beside answers: of each the route, what it is, and whether it is beside the last call.
fn beside(messages: &[Arc<PromptMessage>]) -> Result<Vec<(String, String, bool)>, String> {
    let mut found = Vec::new();
    for message in messages {
        let last = message.parts.iter().rev().find_map(|part| match part {
            MessagePart::ToolUse { id, .. } => Some(id),
            MessagePart::Content(_)
            | MessagePart::Thinking(_)
            | MessagePart::Beside { .. }
            | MessagePart::ToolResult { .. } => None,
        });
        let mut route = None;
        for part in &message.parts {
            match part {
                MessagePart::Beside { from, beside } => {
                    law!(
                        beside.call.is_none() || beside.call.as_ref() == last,
                        "{beside:?} stands beside another call"
                    );
                    route = Some(from);
                    found.push((from.route.clone(), beside.json.clone(), beside.call.is_some()));
                }
                MessagePart::Thinking(thought) => {
                    law!(thought.from.as_ref() == route, "{thought:?} came over {route:?}");
                }
                MessagePart::Content(_) | MessagePart::ToolUse { .. } | MessagePart::ToolResult { .. } => {}
            }
        }
    }
    Ok(found)
}

fn texts(messages: &[Arc<PromptMessage>], role: MessageRole) -> Vec<&str> {
    let parts = messages.iter().filter(|message| message.role == role).flat_map(|message| &message.parts);
    let text = |part| match part {
        &MessagePart::Content(ContentBlock::Text { ref text }) => Some(text.as_str()),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. }
        | MessagePart::ToolResult { .. } => None,
    };
    parts.filter_map(text).collect()
}

/// The laws that hold for any history.
fn shape(messages: &[Arc<PromptMessage>]) -> Result<(), String> {
    let mut expected = MessageRole::User;
    let mut used = BTreeSet::new();
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in messages {
        law!(message.role == expected, "two messages of {:?} stand side by side", message.role);
        law!(!message.parts.is_empty(), "an empty message");
        let mut content = false;
        for part in &message.parts {
            law!(fits(message.role, part), "{:?} cannot say {part:?}", message.role);
            match part {
                MessagePart::ToolUse { id, name, .. } => {
                    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                    law!(!id.is_empty() && id.bytes().all(legal), "the tool id {id:?} is not legal");
                    let long = name.is_empty() || name.len() > 128;
                    law!(!long && name.bytes().all(legal), "the tool name {name:?} is not legal");
                    law!(used.insert(id.as_str()), "the tool id {id} is used twice");
                    open.insert(id);
                }
                MessagePart::ToolResult { id, .. } => {
                    law!(!content, "a tool result stands behind other content");
                    law!(open.remove(id.as_str()), "a result of {id}, which is not open");
                }
                MessagePart::Content(_) | MessagePart::Thinking(_) => content = true,
                MessagePart::Beside { .. } => {}
            }
        }
        law!(
            message.role == MessageRole::Assistant || open.is_empty(),
            "{open:?} not answered in the next message"
        );
        law!(!matches!(message.parts.last(), Some(MessagePart::Thinking(_))), "a message ends in thinking");
        expected = match expected {
            MessageRole::User => MessageRole::Assistant,
            MessageRole::Assistant => MessageRole::User,
        };
    }
    law!(open.is_empty(), "{open:?} never answered");
    Ok(())
}

fn fits(role: MessageRole, part: &MessagePart) -> bool {
    match part {
        MessagePart::Content(ContentBlock::Text { text }) => !text.trim().is_empty(),
        MessagePart::Content(_) => true,
        MessagePart::Thinking(_) | MessagePart::Beside { .. } | MessagePart::ToolUse { .. } => {
            role == MessageRole::Assistant
        }
        MessagePart::ToolResult { .. } => role == MessageRole::User,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, event, told};
    use super::*;
    use protocol::{
        Object,
        prompt::{AnswerOrigin, ProviderMember, ThinkingPart},
    };

    fn text(text: &str) -> MessagePart {
        MessagePart::Content(ContentBlock::text(text))
    }

    fn tool(id: &str) -> MessagePart {
        MessagePart::ToolUse { id: id.into(), name: "f".into(), input: Object::new() }
    }

    fn result(id: &str) -> MessagePart {
        MessagePart::ToolResult { id: id.into(), content: Vec::new(), is_error: false }
    }

    fn history(turns: &[(MessageRole, &[MessagePart])]) -> Vec<Arc<PromptMessage>> {
        turns
            .iter()
            .map(|(role, parts)| Arc::new(PromptMessage { role: *role, parts: parts.to_vec() }))
            .collect()
    }

    const U: MessageRole = MessageRole::User;
    const A: MessageRole = MessageRole::Assistant;

    #[test]
    fn a_history_that_keeps_the_laws_is_fine() {
        let fine: [(MessageRole, &[MessagePart]); 3] = [
            (U, &[text("a")]),
            (A, &[text("b"), tool("1"), tool("2")]),
            (U, &[result("2"), result("1"), text("c")]),
        ];
        assert_eq!(shape(&history(&fine)), Ok(()));
    }

    #[test]
    fn each_broken_law_is_objected_to() {
        let thought = MessagePart::Thinking(ThinkingPart { raw: serde_json::Value::Null, from: None });
        let odd = MessagePart::ToolUse { id: "1".into(), name: "f.g".into(), input: Object::new() };
        let broken: [&[(MessageRole, &[MessagePart])]; 11] = [
            &[(U, &[text("a")]), (A, &[odd]), (U, &[result("1")])],
            &[(A, &[text("a")])],
            &[(U, &[text("a")]), (U, &[text("b")])],
            &[(U, &[])],
            &[(U, &[text(" ")])],
            &[(U, &[text("a")]), (A, &[tool("1")])],
            &[(U, &[text("a")]), (A, &[tool("1")]), (U, &[text("b")])],
            &[(U, &[text("a")]), (A, &[tool("1")]), (U, &[text("b"), result("1")])],
            &[(U, &[text("a")]), (A, &[tool("1"), tool("1")]), (U, &[result("1")])],
            &[(U, &[text("a")]), (A, &[text("b")]), (U, &[result("1")])],
            &[(U, &[text("a")]), (A, &[thought])],
        ];
        for turns in broken {
            assert!(shape(&history(turns)).is_err(), "{turns:?}");
        }
    }

    #[test]
    fn words_that_are_lost_or_said_twice_are_objected_to() {
        let mut script = ExpectedHistory::default();
        let content = Some(serde_json::json!([{"type": "text", "text": "a"}]));
        script.see(&LogLine { content, ..event(1, "user.message") });
        assert_eq!(script.judge(&history(&[(U, &[text("a")])])), Ok(()));
        assert!(script.judge(&history(&[(U, &[text("a"), text("a")])])).is_err());
        assert!(script.judge(&history(&[(U, &[text("b")])])).is_err());
        assert!(script.judge(&history(&[(U, &[text("a")]), (A, &[text("b")])])).is_err());
    }

    #[test]
    fn results_that_are_lost_or_changed_are_objected_to() {
        let mut script = ExpectedHistory::default();
        let content = Some(serde_json::json!([{"type": "text", "text": "a"}]));
        script.see(&LogLine { content, ..event(1, "user.message") });
        script.see(&called(2, "bash", "allow"));
        script.see(&told(2, "b"));
        let history = |is_error, said: &str| {
            let content = vec![ContentBlock::text(said)];
            let result = MessagePart::ToolResult { id: "1".into(), content, is_error };
            history(&[(U, &[text("a")]), (A, &[tool("1")]), (U, &[result])])
        };
        assert_eq!(script.judge(&history(true, "b")), Ok(()));
        assert!(script.judge(&history(false, "b")).is_err());
        assert!(script.judge(&history(true, "c")).is_err());
    }

    #[test]
    fn what_stands_beside_an_answer_and_is_lost_changed_or_somewhere_else_is_objected_to() {
        let mut script = ExpectedHistory::default();
        let content = |text: &str| Some(serde_json::json!([{"type": "text", "text": text}]));
        script.see(&LogLine { content: content("a"), ..event(1, "user.message") });
        script.see(&called(2, "bash", "allow"));
        script.see(&LogLine { tokens: [1, 2, 0, 0], ..event(3, "span.model_request_end") });
        let (from, json) = model::beside(1, 2).expect("it has");
        let at = |from: &AnswerOrigin, call: Option<&str>, json: &str| MessagePart::Beside {
            from: Arc::new(from.clone()),
            beside: ProviderMember { call: call.map(String::from), name: "n".into(), json: json.into() },
        };
        let judged = |parts: &[MessagePart]| {
            let said = [parts, &[tool("0"), tool("1")]].concat();
            script.judge(&history(&[(U, &[text("a")]), (A, &said), (U, &[result("0"), result("1")])]))
        };
        let fine = [at(&from, Some("1"), &json), at(&from, None, &json)];
        let why = judged(&fine).expect_err("the results are others");
        assert!(why.contains("results"), "{why}");
        let other = AnswerOrigin { route: "other".into(), ..from.clone() };
        let broken: [&[MessagePart]; 5] = [
            &[],
            &fine[..1],
            &[at(&from, Some("0"), &json), fine[1].clone()],
            &[at(&other, Some("1"), &json), fine[1].clone()],
            &[at(&from, Some("1"), "{}"), fine[1].clone()],
        ];
        for parts in broken {
            let why = judged(parts).expect_err("broken");
            assert!(why.contains("beside"), "{why}");
        }
    }

    #[test]
    fn an_agent_with_the_last_word_is_objected_to() {
        let mut script = ExpectedHistory::default();
        let content = |text: &str| Some(serde_json::json!([{"type": "text", "text": text}]));
        script.see(&LogLine { content: content("a"), ..event(1, "user.message") });
        script.see(&LogLine { content: content("b"), ..event(2, "agent.message") });
        let said = history(&[(U, &[text("a")]), (A, &[text("b")])]);
        script.see(&LogLine { how: "paused".into(), ..event(3, "span.model_request_end") });
        assert!(script.judge(&said).is_err());
        let goes_on = history(&[(U, &[text("a")]), (A, &[text("b")]), (U, &[text("Continue.")])]);
        assert_eq!(script.judge(&goes_on), Ok(()));
    }
}
