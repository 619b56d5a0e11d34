//! The fold of a streamed answer: events of the Messages API in, deltas and one answer out. No clock, no net.

use std::collections::BTreeMap;

use protocol::{
    Object,
    event::RefusalDetails,
    limits, memory,
    prompt::{Answer, AnswerStop, Delta, Failure, FailureClass},
    usage::Tokens,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    draft::{Draft, Writing, append},
    failure::Problem,
    transport::{Fold, Stage},
};

/// An event of the stream, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Opening,
    },
    ContentBlockStart {
        index: u64,
        content_block: Value,
    },
    ContentBlockDelta {
        index: u64,
        delta: Piece,
    },
    MessageDelta {
        delta: Ending,
        #[serde(default)]
        usage: WireUsage,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// `ping`, `content_block_stop`, and what the API may add.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Opening {
    #[serde(default)]
    usage: WireUsage,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece {
    TextDelta {
        text: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Default, Deserialize)]
struct Ending {
    stop_reason: Option<String>,
    stop_details: Option<RefusedFor>,
}

/// The `stop_details` of a refusal; read loosely, since it only informs.
#[derive(Debug, Deserialize)]
struct RefusedFor {
    category: Option<String>,
    explanation: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<WireCreation>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct WireCreation {
    #[serde(default)]
    ephemeral_5m_input_tokens: u64,
    #[serde(default)]
    ephemeral_1h_input_tokens: u64,
}

/// Where a block of the provider's goes.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A text that has said nothing yet: it becomes a block with its first character.
    Silent,
    /// A block of the answer, by its index there.
    At(usize),
    /// A kind of block that we do not know.
    Dropped,
}

/// An answer that is being written.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    places: BTreeMap<u64, Place>,
    draft: Draft,
    usage: WireUsage,
    ending: Ending,
    /// Whether `message_stop` came: the answer is whole.
    stopped: bool,
    /// Whether the log was told of a block that is left out.
    warned: bool,
}

impl Fold for Reading {
    fn stage(&self) -> Stage {
        if self.stopped { Stage::Whole } else { Stage::Open }
    }

    fn tokens(&self) -> Tokens {
        self.usage.tokens()
    }

    fn said(&self) -> usize {
        self.draft.said()
    }

    fn take(&mut self, data: &[u8], deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        if data.is_empty() || self.stopped {
            return Ok(());
        }
        match serde_json::from_slice(data) {
            Ok(event) => self.event(event, deltas),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        if !self.stopped {
            return Err(self.broken());
        }
        let ending = std::mem::take(&mut self.ending);
        let calls = self.draft.calls();
        let stop = match ending.stop_reason.as_deref() {
            Some("max_tokens") => AnswerStop::MaxTokens,
            Some("refusal") => {
                AnswerStop::Refusal(ending.stop_details.map_or_else(Default::default, |details| {
                    RefusalDetails { category: details.category, explanation: details.explanation }
                }))
            }
            Some("pause_turn") => AnswerStop::PauseTurn,
            Some("model_context_window_exceeded") => {
                let message = "The conversation no longer fits the model's context window.";
                return Err(self.failed(FailureClass::Invalid, message.to_owned()));
            }
            None => {
                let message = "The model's stream ended without a stop reason.";
                return Err(self.failed(FailureClass::Cut, message.to_owned()));
            }
            // `end_turn`, `stop_sequence`, `tool_use` and words we do not know: the calls decide, since
            // a call must be answered whatever the word is.
            Some(_) if calls => AnswerStop::ToolUse,
            Some(_) => AnswerStop::EndTurn,
        };
        let tokens = self.tokens();
        let blocks = self.draft.finish(&stop);
        Ok(Answer { blocks, stop, tokens })
    }
}

impl Reading {
    fn event(&mut self, event: Event, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        match event {
            Event::MessageStart { message } => self.usage.update(message.usage),
            Event::ContentBlockStart { index, content_block } => {
                self.draft.grow_block(self.usage.tokens())?;
                self.begin(index, content_block, deltas)?;
            }
            Event::ContentBlockDelta { index, delta } => self.piece(index, delta, deltas)?,
            Event::MessageDelta { delta, usage } => {
                self.draft.hold(delta.bytes(), self.usage.tokens())?;
                self.ending = delta;
                self.usage.update(usage);
            }
            Event::MessageStop => self.stopped = true,
            Event::Error { error } => return Err(Problem::of(&error).in_stream(self.tokens())),
            Event::Other => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        index: u64,
        block: Value,
        deltas: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<(), Failure> {
        let Value::Object(mut block) = block else {
            self.places.insert(index, Place::Dropped);
            return Ok(());
        };
        // Read, not removed: thinking is kept word for word, and so is the order of its fields.
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = match kind.as_str() {
            "text" => {
                self.places.insert(index, Place::Silent);
                let text = string(&mut block, "text");
                return self.piece(index, Piece::TextDelta { text }, deltas);
            }
            "thinking" | "redacted_thinking" => {
                self.grow(memory::object(&block))?;
                Place::At(self.draft.open(Writing::Thinking(block), deltas))
            }
            "tool_use" => {
                let given = match block.remove("input") {
                    Some(Value::Object(input)) => input,
                    Some(_) | None => Object::new(),
                };
                let (id, name) = (string(&mut block, "id"), string(&mut block, "name"));
                self.grow(id.len() + name.len() + memory::object(&given))?;
                let call = Writing::ToolUse { id, name, given, json: String::new() };
                Place::At(self.draft.open(call, deltas))
            }
            _ => {
                if !std::mem::replace(&mut self.warned, true) {
                    let kind: String = kind.chars().take(limits::SHOWN_CHARS).collect();
                    tracing::warn!(kind, "blocks of an unknown kind are left out of the answer");
                }
                Place::Dropped
            }
        };
        self.places.insert(index, place);
        Ok(())
    }

    fn piece(
        &mut self,
        index: u64,
        piece: Piece,
        deltas: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<(), Failure> {
        self.grow(piece.bytes())?;
        let place = self.places.get(&index).copied().unwrap_or(Place::Dropped);
        let at = match (place, &piece) {
            (Place::Silent, Piece::TextDelta { text }) if !text.is_empty() => {
                let at = self.draft.open(Writing::Text(String::new()), deltas);
                self.places.insert(index, Place::At(at));
                at
            }
            (Place::At(at), _) => at,
            (Place::Silent | Place::Dropped, _) => return Ok(()),
        };
        match (self.draft.at(at), piece) {
            (Some(Writing::Text(_)), Piece::TextDelta { text }) => self.draft.say(at, text, deltas),
            (Some(Writing::Thinking(raw)), Piece::ThinkingDelta { thinking }) => {
                append(raw, "thinking", &thinking);
            }
            (Some(Writing::Thinking(raw)), Piece::SignatureDelta { signature }) => {
                append(raw, "signature", &signature);
            }
            (Some(Writing::ToolUse { json, .. }), Piece::InputJsonDelta { partial_json }) => {
                json.push_str(&partial_json);
            }
            (Some(Writing::Text(_) | Writing::Thinking(_) | Writing::ToolUse { .. }) | None, _) => {}
        }
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let tokens = self.tokens();
        self.draft.grow(bytes, tokens)
    }
}

impl Ending {
    fn bytes(&self) -> usize {
        let details = self.stop_details.iter().flat_map(|details| [&details.category, &details.explanation]);
        details.chain([&self.stop_reason]).flatten().map(String::len).sum()
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Self::TextDelta { text } => text.len(),
            Self::ThinkingDelta { thinking } => thinking.len(),
            Self::SignatureDelta { signature } => signature.len(),
            Self::InputJsonDelta { partial_json } => partial_json.len(),
            Self::Other => 0,
        }
    }
}

impl WireUsage {
    /// Later figures replace earlier ones: they are sums, not steps.
    fn update(&mut self, later: Self) {
        *self = Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_creation: later.cache_creation.or(self.cache_creation),
        };
    }

    fn tokens(self) -> Tokens {
        // Providers that do not tell the two kinds apart write for five minutes, as we ask.
        let (five_minutes, hour) = match self.cache_creation {
            Some(split) => (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens),
            None => (self.cache_creation_input_tokens.unwrap_or(0), 0),
        };
        Tokens {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m: five_minutes,
            cache_write_1h: hour,
        }
    }
}

/// Takes a string out of a block; empty if it is none.
fn string(block: &mut Object, key: &str) -> String {
    match block.remove(key) {
        Some(Value::String(text)) => text,
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::prompt::{AnswerBlock, DeltaKind};
    use serde_json::json;

    fn read(events: &[Value]) -> (Result<Answer, Failure>, Vec<Delta>) {
        let mut reading = Reading::default();
        let mut deltas = Vec::new();
        for event in events {
            let taken = reading.take(event.to_string().as_bytes(), &mut |delta| deltas.push(delta));
            if let Err(failure) = taken {
                return (Err(failure), deltas);
            }
        }
        (reading.finish(), deltas)
    }

    fn start(index: u64, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn delta(index: u64, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    fn ending(reason: Value) -> [Value; 2] {
        let stop =
            json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}});
        [stop, json!({"type": "message_stop"})]
    }

    fn opening() -> Value {
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1,
            "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}}}})
    }

    const TOKENS: Tokens =
        Tokens { input: 3, output: 5, cache_read: 7, cache_write_5m: 4, cache_write_1h: 5 };

    fn call(input: Option<Value>) -> AnswerBlock {
        let input = input.map(|input| input.as_object().expect("an object").clone());
        AnswerBlock::ToolUse { id: "t1".to_owned(), name: "look".to_owned(), input }
    }

    fn asked(pieces: &[&str], reason: &str) -> Answer {
        let mut events = vec![start(0, json!({"type": "tool_use", "id": "t1", "name": "look", "input": {}}))];
        events
            .extend(pieces.iter().map(|p| delta(0, json!({"type": "input_json_delta", "partial_json": p}))));
        events.extend(ending(json!(reason)));
        read(&events).0.expect("an answer")
    }

    #[test]
    fn a_whole_answer_keeps_every_block_and_every_token() {
        let mut events = vec![
            opening(),
            json!({"type": "ping"}),
            start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "h"})),
            delta(0, json!({"type": "thinking_delta", "thinking": "m"})),
            delta(0, json!({"type": "signature_delta", "signature": "sig"})),
            json!({"type": "content_block_stop", "index": 0}),
            start(1, json!({"type": "redacted_thinking", "data": "zzz"})),
            start(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "hel"})),
            delta(2, json!({"type": "text_delta", "text": "lo"})),
            delta(2, json!({"type": "citations_delta", "citation": {}})),
            start(3, json!({"type": "tool_use", "id": "t1", "name": "look", "input": {}})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "1}"})),
        ];
        events.extend(ending(json!("tool_use")));
        let (answer, deltas) = read(&events);
        let answer = answer.expect("an answer");
        let AnswerBlock::Thinking { raw } = &answer.blocks[0] else { panic!("thinking comes first") };
        let word_for_word = r#"{"type":"thinking","thinking":"hm","signature":"sig"}"#;
        assert_eq!(raw.to_string(), word_for_word);
        assert_eq!(
            answer,
            Answer {
                blocks: vec![
                    AnswerBlock::Thinking {
                        raw: json!({"type": "thinking", "thinking": "hm", "signature": "sig"})
                    },
                    AnswerBlock::Thinking { raw: json!({"type": "redacted_thinking", "data": "zzz"}) },
                    AnswerBlock::Text { text: "hello".to_owned() },
                    call(Some(json!({"a": 1}))),
                ],
                stop: AnswerStop::ToolUse,
                tokens: TOKENS,
            }
        );
        assert_eq!(
            deltas,
            [
                Delta::Start { index: 0, kind: DeltaKind::Thinking },
                Delta::Start { index: 1, kind: DeltaKind::Thinking },
                Delta::Start { index: 2, kind: DeltaKind::Text },
                Delta::Text { index: 2, text: "hel".to_owned() },
                Delta::Text { index: 2, text: "lo".to_owned() },
                Delta::Start { index: 3, kind: DeltaKind::ToolUse },
            ]
        );
    }

    #[test]
    fn what_is_not_known_leaves_no_hole_in_the_indexes() {
        let mut events = vec![
            start(0, json!({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}})),
            delta(0, json!({"type": "input_json_delta", "partial_json": "{}"})),
            start(1, json!({"type": "text", "text": ""})),
            start(2, json!({"type": "text", "text": "begun "})),
            delta(2, json!({"type": "text_delta", "text": "well"})),
            delta(2, json!({"type": "novel_delta", "x": 1})),
            delta(9, json!({"type": "text_delta", "text": "nowhere"})),
            json!({"type": "novel_event"}),
        ];
        events.extend(ending(json!("a_new_word")));
        let (answer, deltas) = read(&events);
        let answer = answer.expect("an answer");
        let blocks = vec![AnswerBlock::Text { text: "begun well".to_owned() }];
        assert_eq!((answer.blocks, answer.stop), (blocks, AnswerStop::EndTurn));
        assert_eq!(
            deltas,
            [
                Delta::Start { index: 0, kind: DeltaKind::Text },
                Delta::Text { index: 0, text: "begun ".to_owned() },
                Delta::Text { index: 0, text: "well".to_owned() },
            ]
        );
    }

    #[test]
    fn a_calls_input_is_an_object_or_nothing() {
        assert_eq!(asked(&[], "tool_use").blocks, [call(Some(json!({})))]);
        assert_eq!(asked(&[""], "tool_use").blocks, [call(Some(json!({})))]);
        assert_eq!(asked(&["[1]"], "tool_use").blocks, [call(None)]);
        assert_eq!(asked(&["{\"a\": \"b"], "max_tokens").blocks, [call(None)]);
        assert_eq!(asked(&[""], "max_tokens").blocks, [call(None)]);
        assert_eq!(asked(&["{\"a\":1}"], "max_tokens").blocks, [call(Some(json!({"a": 1})))]);
    }

    #[test]
    fn each_stop_reason_has_its_meaning() {
        let stop = |reason: Value| read(&[&[opening()], &ending(reason)[..]].concat()).0.map(|a| a.stop);
        assert_eq!(stop(json!("end_turn")), Ok(AnswerStop::EndTurn));
        assert_eq!(stop(json!("stop_sequence")), Ok(AnswerStop::EndTurn));
        assert_eq!(stop(json!("max_tokens")), Ok(AnswerStop::MaxTokens));
        assert_eq!(stop(json!("pause_turn")), Ok(AnswerStop::PauseTurn));
        assert_eq!(stop(json!("refusal")), Ok(AnswerStop::Refusal(RefusalDetails::default())));
        assert_eq!(
            stop(json!("tool_use")),
            Ok(AnswerStop::EndTurn),
            "without a call there is nothing to run"
        );
        assert_eq!(asked(&["{}"], "end_turn").stop, AnswerStop::ToolUse, "a call must be answered");
        let overflow = stop(json!("model_context_window_exceeded")).expect_err("a failure");
        assert_eq!((overflow.class, overflow.tokens), (FailureClass::Invalid, TOKENS));
        assert!(overflow.message.contains("context window"), "{overflow}");
        assert_eq!(stop(Value::Null).expect_err("a failure").class, FailureClass::Cut);
    }

    #[test]
    fn a_refusal_says_why() {
        let details = json!({"type": "refusal", "category": "cyber", "explanation": "no"});
        let stop =
            json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
        let (answer, _) = read(&[stop, json!({"type": "message_stop"})]);
        let details =
            RefusalDetails { category: Some("cyber".to_owned()), explanation: Some("no".to_owned()) };
        assert_eq!(answer.expect("an answer").stop, AnswerStop::Refusal(details));
    }

    #[test]
    fn a_stream_that_breaks_fails_with_what_it_has_cost() {
        let so_far = Tokens { output: 1, ..TOKENS };
        let (ended, _) = read(&[opening()]);
        let message = "The model's stream ended in the middle.".to_owned();
        assert_eq!(
            ended,
            Err(Failure { class: FailureClass::Cut, message, retry_after: None, tokens: so_far })
        );
        let (garbled, _) = read(&[opening(), json!({"type": "content_block_delta", "index": "x"})]);
        let garbled = garbled.expect_err("a failure");
        assert_eq!((garbled.class, garbled.tokens), (FailureClass::Cut, so_far));
    }

    #[test]
    fn an_error_event_is_a_failure_of_its_class() {
        let class = |kind: &str| {
            let error = json!({"type": "error", "error": {"type": kind, "message": "why"}});
            let failure = read(&[opening(), error]).0.expect_err("a failure");
            assert!(failure.message.contains("why"), "{failure}");
            failure.class
        };
        assert_eq!(class("overloaded_error"), FailureClass::Overloaded);
        assert_eq!(class("rate_limit_error"), FailureClass::RateLimited);
        assert_eq!(class("api_error"), FailureClass::Unavailable);
        assert_eq!(class("timeout_error"), FailureClass::Unavailable);
        assert_eq!(class("invalid_request_error"), FailureClass::Invalid);
        assert_eq!(class("billing_error"), FailureClass::Billing);
        assert_eq!(class("authentication_error"), FailureClass::Denied);
        assert_eq!(class("a_new_error"), FailureClass::Unavailable);
    }

    #[test]
    fn an_answer_without_end_is_refused_at_the_bound() {
        let mut reading = Reading::default();
        let block = start(0, json!({"type": "text", "text": ""})).to_string();
        reading.take(block.as_bytes(), &mut |_| {}).expect("a block");
        let megabyte = delta(0, json!({"type": "text_delta", "text": "x".repeat(1024 * 1024)})).to_string();
        let taken = (0..32).map(|_| reading.take(megabyte.as_bytes(), &mut |_| {})).find_map(Result::err);
        assert_eq!(taken.expect("a failure").class, FailureClass::Invalid);
    }

    #[test]
    fn every_part_of_an_answer_counts_against_its_bound() {
        let megabyte = || "x".repeat(1024 * 1024);
        let dense: Vec<Value> = (0..20_000).map(|_| json!([])).collect();
        for (part, event) in [
            ("a call's input", start(1, json!({"type": "tool_use", "input": {"a": [megabyte()]}}))),
            ("a dense input", start(1, json!({"type": "tool_use", "input": {"a": dense}}))),
            ("a call's name", start(1, json!({"type": "tool_use", "name": megabyte()}))),
            ("a call's id", start(1, json!({"type": "tool_use", "id": megabyte()}))),
            ("thinking", start(1, json!({"type": "thinking", "thinking": megabyte()}))),
            ("a signature", start(1, json!({"type": "thinking", "signature": megabyte()}))),
            ("what is hidden", start(1, json!({"type": "redacted_thinking", "data": megabyte()}))),
            ("more of a block", start(1, json!({"type": "thinking", "more": {"of": [megabyte()]}}))),
            ("a key", start(1, json!({"type": "thinking", megabyte(): 1}))),
            ("text at once", start(1, json!({"type": "text", "text": megabyte()}))),
            ("pieces of thinking", delta(0, json!({"type": "thinking_delta", "thinking": megabyte()}))),
            ("pieces of a signature", delta(0, json!({"type": "signature_delta", "signature": megabyte()}))),
            ("pieces of input", delta(0, json!({"type": "input_json_delta", "partial_json": megabyte()}))),
            ("a reason", json!({"type": "message_delta", "delta": {"stop_reason": megabyte()}})),
            (
                "an explanation",
                json!({"type": "message_delta", "delta": {"stop_details": {"explanation": megabyte()}}}),
            ),
        ] {
            let mut reading = Reading::default();
            let block = start(0, json!({"type": "thinking", "thinking": ""})).to_string();
            reading.take(block.as_bytes(), &mut |_| {}).expect("a block");
            let event = event.to_string();
            let taken = (0..33).map(|_| reading.take(event.as_bytes(), &mut |_| {})).find_map(Result::err);
            assert_eq!(taken.map(|failure| failure.class), Some(FailureClass::Invalid), "{part}");
        }
    }
}
