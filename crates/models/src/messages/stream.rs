//! The fold of a streamed answer: events of the Messages API in, deltas and one answer out. No clock, no net.
//!
//! Read loosely, since many others speak this wire: what does not carry the answer may be missing, null or of
//! another kind, and cannot lose it.

use std::collections::BTreeMap;

use protocol::{
    Object,
    event::RefusalDetails,
    limits, memory,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerOrigin, AnswerStop, FailureClass, ModelAnswer, ModelFailure,
        OpaqueState,
    },
    routes::Route,
    usage::RequestTokens,
};
use serde_json::{Value, json};

use crate::{
    broken::is_error,
    draft::{PartialAnswer, WritingBlock, append, is_shallow},
    fold::{AnswerFold, StreamEnd, StreamStage},
    loose::{LooseValue, count, list, word},
    problem::ProviderProblem,
    reason::AnswerReason,
    secret::ProviderSecret,
};

/// The events that there are.
const KINDS: [&str; 8] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "message",
    "ping",
];

/// What a usage says.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    five_minutes: Option<u64>,
    hour: Option<u64>,
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

/// More of a block.
#[derive(Debug)]
enum Piece {
    Text(String),
    Thinking(String),
    Signature(String),
    Data(String),
    Input(String),
}

/// An answer that is being written.
#[derive(Debug, Default)]
pub(crate) struct MessagesReading {
    from: Option<AnswerOrigin>,
    secret: ProviderSecret,
    places: BTreeMap<u64, Place>,
    /// The index of the block that began last, for pieces without one.
    last: u64,
    draft: PartialAnswer,
    cost: Cost,
    /// The last word that said why the answer ends.
    reason: Option<String>,
    refused_for: RefusalDetails,
    /// Whether the answer went on after such a word, so that the word is no end.
    went_on: bool,
    /// Whether `message_stop` came: the answer is whole.
    stopped: bool,
    /// Whether the log was told of a block that is left out.
    warned: bool,
}

impl AnswerFold for MessagesReading {
    fn stage(&self) -> StreamStage {
        match (self.stopped, &self.reason) {
            (true, _) => StreamStage::Whole,
            (false, Some(_)) => StreamStage::Ending,
            (false, None) => StreamStage::Open,
        }
    }

    fn tokens(&self) -> RequestTokens {
        self.cost.tokens()
    }

    fn said(&self) -> usize {
        self.draft.said()
    }

    fn secret(&self) -> &ProviderSecret {
        &self.secret
    }

    fn take(
        &mut self,
        name: &[u8],
        LooseValue { value, .. }: LooseValue,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        let kind = kind(name, &value);
        if is_error(name, &value, KINDS.contains(&kind.as_str())) {
            return Err(ProviderProblem::of(&value).in_stream(self.tokens(), &self.secret));
        }
        let Value::Object(mut event) = value else { return Ok(()) };
        match kind.as_str() {
            "message_start" => {
                if let Some(usage) = event.get("message").and_then(|message| message.get("usage")) {
                    self.cost.update(usage);
                }
            }
            "content_block_start" => {
                let index = self.index(&event, true);
                self.begin(index, event.remove("content_block").unwrap_or_default(), deltas)?;
            }
            "content_block_delta" => {
                let index = self.index(&event, false);
                for piece in event.get("delta").map(Piece::read).unwrap_or_default() {
                    self.piece(index, piece, deltas)?;
                }
            }
            "message_delta" => self.ending(&event)?,
            "message_stop" => self.stopped = true,
            // An answer in one piece.
            "message" => {
                for block in list(event.remove("content").as_ref()) {
                    self.begin(self.places.len() as u64, block.clone(), deltas)?;
                }
                self.ending(&event)?;
                self.stopped = self.reason.is_some();
            }
            // `ping`, `content_block_stop`, and what the API may add.
            _ => {}
        }
        Ok(())
    }

    fn done(&mut self) {
        self.stopped = true;
    }

    fn is_piece(&self, name: &[u8], value: &Value) -> bool {
        KINDS.contains(&kind(name, value).as_str())
    }

    fn is_reasoned(&self) -> bool {
        self.reason.is_some()
    }

    fn finish(mut self, end: StreamEnd) -> Result<ModelAnswer, ModelFailure> {
        let reason = match self.reason.take() {
            Some(_) if !self.stopped && end == StreamEnd::Torn && self.went_on => return Err(self.broken()),
            Some(reason) => reason,
            // Who says that all is sent and has sent something has only forgotten the reason.
            None if self.stopped && self.draft.last().is_some() => String::new(),
            None if self.stopped => {
                return Err(self.failed(FailureClass::Cut, "The model's stream ended without a stop reason."));
            }
            None => return Err(self.broken()),
        };
        let calls = self.draft.calls();
        let stop = match AnswerReason::of(&reason) {
            AnswerReason::Failed(class) => return Err(self.stopped(class, &reason)),
            AnswerReason::Overflow => return Err(self.overflowed()),
            AnswerReason::Length => AnswerStop::MaxTokens,
            AnswerReason::Declined | AnswerReason::Filtered => {
                AnswerStop::Refusal(core::mem::take(&mut self.refused_for))
            }
            AnswerReason::Paused => AnswerStop::PauseTurn,
            // The calls decide, since a call must be answered whatever the word is.
            AnswerReason::Ended if calls => AnswerStop::ToolUse,
            AnswerReason::Ended => AnswerStop::EndTurn,
        };
        let tokens = self.tokens();
        let blocks = self.draft.finish(&stop);
        // Only who gave them can read them.
        let thoughts = blocks.iter().any(|block| matches!(block, AnswerBlock::Thinking { .. }));
        let opaque = self.from.filter(|_| thoughts).map(|from| OpaqueState { from, beside: Vec::new() });
        Ok(ModelAnswer { blocks, stop, tokens, opaque })
    }
}

impl MessagesReading {
    /// The reading of an answer over this route.
    pub(crate) fn of(route: &Route, secret: &ProviderSecret) -> Self {
        Self { from: Some(AnswerOrigin::of(route)), secret: secret.clone(), ..Self::default() }
    }

    /// The index of a block's event; without one, that of a block that begins, or of the one that began last.
    fn index(&mut self, event: &Object, begins: bool) -> u64 {
        let next = || self.places.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let given = event.get("index").and_then(count);
        let index = given.unwrap_or_else(|| if begins { next() } else { self.last });
        if begins {
            self.last = index;
        }
        index
    }

    /// Why the answer ends, and what it cost; a later event says more and takes nothing back.
    fn ending(&mut self, event: &Object) -> Result<(), ModelFailure> {
        let delta = event.get("delta");
        let told = |key: &str| delta.and_then(|delta| delta.get(key)).or_else(|| event.get(key));
        let reason = word(told("stop_reason"));
        let details =
            told("stop_details").map(|details| ["category", "explanation"].map(|key| word(details.get(key))));
        let details = details.unwrap_or_default();
        let bytes = reason.len() + details.iter().map(String::len).sum::<usize>();
        self.draft.hold(bytes, self.cost.tokens())?;
        if !reason.is_empty() {
            self.reason = Some(reason);
        }
        let [category, explanation] = details.map(|said| (!said.is_empty()).then_some(said));
        let known = &mut self.refused_for;
        known.category = category.or(known.category.take());
        known.explanation = explanation.or(known.explanation.take());
        if let Some(usage) = event.get("usage").or_else(|| delta.and_then(|delta| delta.get("usage"))) {
            self.cost.update(usage);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        index: u64,
        block: Value,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        self.went_on |= self.reason.is_some();
        self.draft.grow_block(self.tokens())?;
        let Value::Object(mut block) = block else {
            self.places.insert(index, Place::Dropped);
            return Ok(());
        };
        // Read, not removed: thinking is kept word for word, and so is the order of its fields.
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = match kind.as_str() {
            "text" => {
                self.places.insert(index, Place::Silent);
                return self.piece(index, Piece::Text(string(&mut block, "text")), deltas);
            }
            "thinking" | "redacted_thinking" if !is_shallow(&block) => {
                let most = limits::BODY_DEPTH;
                tracing::warn!(most, "a thinking block whose members lie too deep in each other is left out");
                Place::Dropped
            }
            "thinking" | "redacted_thinking" => {
                self.grow(memory::object(&block))?;
                Place::At(self.draft.open(WritingBlock::Thinking(block), deltas))
            }
            "tool_use" => {
                let (given, json) = match block.remove("input") {
                    Some(Value::Object(input)) => (input, String::new()),
                    Some(Value::String(json)) => (Object::new(), json),
                    Some(_) | None => (Object::new(), String::new()),
                };
                let (id, name) = (word(block.get("id")), string(&mut block, "name"));
                self.grow(id.len() + name.len() + json.len() + memory::object(&given))?;
                let call = WritingBlock::ToolUse { id, name, given, json };
                Place::At(self.draft.open(call, deltas))
            }
            _ => {
                if !std::mem::replace(&mut self.warned, true) {
                    let kind = self.secret.shown(&kind);
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
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        self.went_on |= piece.bytes() > 0 && self.reason.is_some();
        self.grow(piece.bytes())?;
        let place = self.places.get(&index).copied();
        let at = match (place, &piece) {
            (Some(Place::At(at)), _) => at,
            // A block that nobody began is begun by what it says.
            (Some(Place::Silent) | None, Piece::Text(text)) if !text.is_empty() => {
                self.open(index, WritingBlock::Text(String::new()), place.is_none(), deltas)?
            }
            (None, Piece::Thinking(thought)) if !thought.is_empty() => {
                let block = Object::from_iter([("type".to_owned(), json!("thinking"))]);
                self.open(index, WritingBlock::Thinking(block), true, deltas)?
            }
            (Some(Place::Dropped | Place::Silent) | None, _) => return Ok(()),
        };
        match (self.draft.at(at), piece) {
            (Some(WritingBlock::Text(_)), Piece::Text(text)) => self.draft.say(at, text, deltas),
            (Some(WritingBlock::Thinking(raw)), Piece::Thinking(thinking)) => {
                append(raw, "thinking", &thinking);
            }
            (Some(WritingBlock::Thinking(raw)), Piece::Signature(signature)) => {
                seal(raw, "signature", &signature);
            }
            (Some(WritingBlock::Thinking(raw)), Piece::Data(data)) => seal(raw, "data", &data),
            (Some(WritingBlock::ToolUse { json, .. }), Piece::Input(more)) => json.push_str(&more),
            (
                Some(WritingBlock::Text(_) | WritingBlock::Thinking(_) | WritingBlock::ToolUse { .. }) | None,
                _,
            ) => {}
        }
        Ok(())
    }

    fn open(
        &mut self,
        index: u64,
        block: WritingBlock,
        is_new: bool,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<usize, ModelFailure> {
        if is_new {
            self.draft.grow_block(self.tokens())?;
            self.last = index;
        }
        let at = self.draft.open(block, deltas);
        self.places.insert(index, Place::At(at));
        Ok(at)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ModelFailure> {
        let tokens = self.tokens();
        self.draft.grow(bytes, tokens)
    }
}

impl Piece {
    /// The pieces that a delta is, by what it holds: its `type` says no more.
    fn read(delta: &Value) -> Vec<Self> {
        let text = |key: &str| match delta.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(whole @ Value::Object(_)) if key == "partial_json" => Some(whole.to_string()),
            Some(_) | None => None,
        };
        let pieces = [
            text("text").map(Self::Text),
            text("thinking").map(Self::Thinking),
            text("signature").map(Self::Signature),
            text("data").map(Self::Data),
            text("partial_json").map(Self::Input),
        ];
        pieces.into_iter().flatten().collect()
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text)
            | Self::Thinking(text)
            | Self::Signature(text)
            | Self::Data(text)
            | Self::Input(text) => text.len(),
        }
    }
}

impl Cost {
    /// Later figures replace earlier ones: they are sums, not steps.
    fn update(&mut self, usage: &Value) {
        let told = |pointer: &str| usage.pointer(pointer).and_then(count);
        *self = Self {
            input: told("/input_tokens").or(self.input),
            output: told("/output_tokens").or(self.output),
            cache_read: told("/cache_read_input_tokens").or(self.cache_read),
            cache_write: told("/cache_creation_input_tokens").or(self.cache_write),
            five_minutes: told("/cache_creation/ephemeral_5m_input_tokens").or(self.five_minutes),
            hour: told("/cache_creation/ephemeral_1h_input_tokens").or(self.hour),
        };
    }

    fn tokens(self) -> RequestTokens {
        // Providers that do not tell the two kinds apart write for five minutes, as we ask.
        let (five_minutes, hour) = match (self.five_minutes, self.hour) {
            (None, None) => (self.cache_write.unwrap_or(0), 0),
            (five_minutes, hour) => (five_minutes.unwrap_or(0), hour.unwrap_or(0)),
        };
        RequestTokens {
            input: self.input.unwrap_or(0),
            output: self.output.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: five_minutes,
            cache_write_1h: hour,
        }
    }
}

/// Goes on with what seals a block; the same once more is no more of it.
fn seal(raw: &mut Object, key: &str, more: &str) {
    if raw.get(key).and_then(Value::as_str) != Some(more) {
        append(raw, key, more);
    }
}

/// What an event is: as a rule its name is what its data's `type` is too.
fn kind(name: &[u8], value: &Value) -> String {
    let kind = word(value.get("type"));
    if kind.is_empty() { String::from_utf8_lossy(name).into_owned() } else { kind }
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

    fn read(events: &[Value]) -> (Result<ModelAnswer, ModelFailure>, Vec<AnswerDelta>) {
        let mut reading = MessagesReading::default();
        let mut deltas = Vec::new();
        for event in events {
            let taken = reading.take(b"", event.clone().into(), &mut |delta| deltas.push(delta));
            if let Err(failure) = taken {
                return (Err(failure), deltas);
            }
        }
        (reading.finish(StreamEnd::Whole), deltas)
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

    const TOKENS: RequestTokens =
        RequestTokens { input: 3, output: 5, cache_read: 7, cache_write_5m: 4, cache_write_1h: 5 };

    fn call(input: Option<Value>) -> AnswerBlock {
        let input = input.map(|input| input.as_object().expect("an object").clone());
        AnswerBlock::ToolUse { id: "t1".to_owned(), name: "look".to_owned(), input }
    }

    fn asked(pieces: &[&str], reason: &str) -> ModelAnswer {
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
            ModelAnswer {
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
                opaque: None,
            }
        );
        assert_eq!(
            deltas,
            [
                AnswerDelta::Start { index: 0, kind: DeltaKind::Thinking },
                AnswerDelta::Start { index: 1, kind: DeltaKind::Thinking },
                AnswerDelta::Start { index: 2, kind: DeltaKind::Text },
                AnswerDelta::Text { index: 2, text: "hel".to_owned() },
                AnswerDelta::Text { index: 2, text: "lo".to_owned() },
                AnswerDelta::Start { index: 3, kind: DeltaKind::ToolUse },
            ]
        );
    }

    #[test]
    fn what_seals_thinking_is_kept_once_wherever_it_comes() {
        for (begun, pieces, kept) in [
            (
                json!({"type": "thinking", "thinking": ""}),
                vec![json!({"thinking": "hm", "signature": "S"})],
                json!({"type": "thinking", "thinking": "hm", "signature": "S"}),
            ),
            (
                json!({"type": "thinking", "thinking": "hm", "signature": "S"}),
                vec![json!({"signature": "S"}), json!({"signature": ""})],
                json!({"type": "thinking", "thinking": "hm", "signature": "S"}),
            ),
            (
                json!({"type": "thinking", "thinking": "hm", "signature": ""}),
                vec![json!({"signature": "S"}), json!({"signature": "T"})],
                json!({"type": "thinking", "thinking": "hm", "signature": "ST"}),
            ),
            (
                json!({"type": "redacted_thinking", "data": ""}),
                vec![json!({"data": "D"})],
                json!({"type": "redacted_thinking", "data": "D"}),
            ),
            (
                json!({"type": "redacted_thinking"}),
                vec![json!({"data": "D"}), json!({"data": "D"})],
                json!({"type": "redacted_thinking", "data": "D"}),
            ),
        ] {
            let mut events = vec![start(0, begun)];
            events.extend(pieces.into_iter().map(|piece| delta(0, piece)));
            events.extend(ending(json!("end_turn")));
            let blocks = read(&events).0.expect("an answer").blocks;
            assert_eq!(blocks, [AnswerBlock::Thinking { raw: kept }]);
        }
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
            delta(9, json!({"type": "input_json_delta", "partial_json": "nowhere"})),
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
                AnswerDelta::Start { index: 0, kind: DeltaKind::Text },
                AnswerDelta::Text { index: 0, text: "begun ".to_owned() },
                AnswerDelta::Text { index: 0, text: "well".to_owned() },
            ]
        );
    }

    #[test]
    fn thinking_that_lies_too_deep_to_be_read_again_is_left_out_whole() {
        let deep = |depth: usize| (2..depth).fold(json!([]), |deep, _| json!([deep]));
        for (kind, member) in [("thinking", "x"), ("thinking", "signature"), ("redacted_thinking", "data")] {
            let kept = |depth: usize| {
                let mut events = vec![
                    start(0, json!({"type": kind, member: deep(depth)})),
                    delta(0, json!({"thinking": "hm", "signature": deep(depth)})),
                    start(1, json!({"type": "text", "text": "hi"})),
                ];
                events.extend(ending(json!("end_turn")));
                let blocks = read(&events).0.expect("an answer").blocks;
                let thoughts = blocks.iter().filter(|block| matches!(block, AnswerBlock::Thinking { .. }));
                (thoughts.count(), blocks.len())
            };
            assert_eq!(kept(limits::BODY_DEPTH), (1, 2), "{kind} {member}");
            for depth in [limits::BODY_DEPTH + 1, 124] {
                assert_eq!(kept(depth), (0, 1), "{kind} {member} {depth}");
            }
        }
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
        assert_eq!((overflow.class, overflow.tokens), (FailureClass::Overflow, TOKENS));
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
        let so_far = RequestTokens { output: 1, ..TOKENS };
        let (ended, _) = read(&[opening()]);
        let message = "The model's stream ended in the middle.".to_owned();
        assert_eq!(
            ended,
            Err(ModelFailure {
                class: FailureClass::Cut,
                status: None,
                message,
                retry_after: None,
                tokens: so_far,
                spots: Vec::new()
            })
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
        let mut reading = MessagesReading::default();
        let block = start(0, json!({"type": "text", "text": ""}));
        reading.take(b"", block.into(), &mut |_| {}).expect("a block");
        let megabyte = delta(0, json!({"type": "text_delta", "text": "x".repeat(1024 * 1024)}));
        let taken =
            (0..32).map(|_| reading.take(b"", megabyte.clone().into(), &mut |_| {})).find_map(Result::err);
        assert_eq!(taken.expect("a failure").class, FailureClass::Unusable);
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
            let mut reading = MessagesReading::default();
            let block = start(0, json!({"type": "thinking", "thinking": ""}));
            reading.take(b"", block.into(), &mut |_| {}).expect("a block");
            let taken =
                (0..33).map(|_| reading.take(b"", event.clone().into(), &mut |_| {})).find_map(Result::err);
            assert_eq!(taken.map(|failure| failure.class), Some(FailureClass::Unusable), "{part}");
        }
    }
}
