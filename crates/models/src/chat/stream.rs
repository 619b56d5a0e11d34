//! The fold of a streamed chat completion: chunks in, deltas and one answer out. No clock, no net.
//!
//! Read loosely, because no two servers stream alike: what does not carry the answer may be missing, null or
//! of another kind, and cannot lose it.

use protocol::{
    Object,
    event::RefusalDetails,
    prompt::{AnswerDelta, AnswerOrigin, AnswerStop, ModelAnswer, ModelFailure, OpaqueState},
    routes::Route,
    usage::RequestTokens,
};
use serde_json::{Value, json};

use super::{
    beside::{CollectedMembers, keeps},
    calls::StreamedCalls,
};
use crate::{
    blank::says_something,
    broken::{is_error, is_failure},
    draft::{PartialAnswer, WritingBlock, append},
    fold::{AnswerFold, StreamEnd, StreamStage},
    loose::{LooseValue, count, list, word},
    problem::ProviderProblem,
    reason::AnswerReason,
    secret::ProviderSecret,
    words::WrittenValue,
};

/// The field of a thinking block that holds its text, unless that stands beside the answer. Its type keeps it
/// apart from other providers' thinking.
const THOUGHT: &str = "reasoning";
/// The members of a delta that thinking stands in. Those that send several send the same in each, the old
/// name for old clients.
const THOUGHTS: [&str; 3] = ["reasoning", "reasoning_content", "thinking"];

/// What a usage says.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    input: Option<u64>,
    output: Option<u64>,
    cached: Option<u64>,
}

impl Cost {
    /// Later figures replace earlier ones: they are sums, not steps.
    fn update(&mut self, usage: &Value) {
        let told = |pointers: &[&str]| pointers.iter().filter_map(|at| usage.pointer(at)).find_map(count);
        *self = Self {
            input: told(&["/prompt_tokens", "/input_tokens"]).or(self.input),
            output: told(&["/completion_tokens", "/output_tokens"]).or(self.output),
            cached: told(&["/prompt_tokens_details/cached_tokens", "/prompt_cache_hit_tokens"])
                .or(self.cached),
        };
    }

    fn tokens(self) -> RequestTokens {
        let input = self.input.unwrap_or(0);
        let cache_read = self.cached.unwrap_or(0).min(input);
        RequestTokens {
            input: input - cache_read,
            output: self.output.unwrap_or(0),
            cache_read,
            ..RequestTokens::default()
        }
    }
}

/// An answer that is being written.
#[derive(Debug, Default)]
pub(crate) struct ChatReading {
    from: Option<AnswerOrigin>,
    secret: ProviderSecret,
    draft: PartialAnswer,
    calls: StreamedCalls,
    beside: CollectedMembers,
    /// Blank text that no block has begun with yet: it is dropped if nothing visible follows.
    blank: String,
    refusal: String,
    cost: Cost,
    /// The last word that said why the answer ends.
    finish: Option<String>,
    /// Whether the answer went on after such a word, so that the word is no end.
    went_on: bool,
    done: bool,
}

impl AnswerFold for ChatReading {
    fn stage(&self) -> StreamStage {
        match (self.done, &self.finish) {
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
        LooseValue { value, text }: LooseValue,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        let choices = list(value.get("choices"));
        let failed = choices.first().and_then(|choice| choice.get("error")).is_some_and(is_failure);
        if is_error(name, &value, !choices.is_empty()) || failed {
            let problem = ProviderProblem::of(if failed { &choices[0] } else { &value });
            return Err(problem.in_stream(self.tokens(), &self.secret));
        }
        // A single answer was asked for.
        let is_it = |choice: &Value| choice.get("index").and_then(count).is_none_or(|index| index == 0);
        let place = choices.iter().position(is_it);
        let choice = place.and_then(|place| choices.get(place)).unwrap_or(&Value::Null);
        for usage in
            ["/usage", "/x_groq/usage"].iter().filter_map(|at| value.pointer(at)).chain(choice.get("usage"))
        {
            self.cost.update(usage);
        }
        // An answer in one piece says it all in `message`; one in many may say it all again, or the rest too.
        let message = choice.get("message");
        let piece = choice.get("delta").filter(|delta| delta.is_object());
        let has_piece = piece.is_some();
        let rest = message.filter(|_| !has_piece).and_then(|message| self.rest(message));
        let message = message.filter(|_| self.draft.last().is_none());
        if let Some(rest) = rest {
            self.say(rest, deltas)?;
        }
        if let Some(piece) = piece.or(message) {
            let name = if has_piece { "delta" } else { "message" };
            let written = text.as_deref().zip(place).and_then(|(text, place)| {
                let choices = WrittenValue::of(text).member("choices")?.items();
                choices.get(place)?.member(name)
            });
            self.piece(piece, written, deltas)?;
        }
        if !has_piece && message.is_some() {
            self.finish.get_or_insert_default();
        }
        // Who hands on another's answer may say more exactly why that one ended.
        let reasons = ["finish_reason", "native_finish_reason"].map(|key| word(choice.get(key)));
        let failed = |reason: &&String| matches!(AnswerReason::of(reason), AnswerReason::Failed(_));
        let reason = reasons.iter().find(failed).or(reasons.first()).filter(|reason| !reason.is_empty());
        if let Some(reason) = reason {
            self.draft.hold(reason.len(), self.cost.tokens())?;
            self.finish = Some(reason.clone());
        }
        Ok(())
    }

    fn done(&mut self) {
        self.done = true;
    }

    fn is_piece(&self, _: &[u8], value: &Value) -> bool {
        let is_chunk = value.get("object").and_then(Value::as_str).is_some_and(|kind| kind.contains("chunk"));
        is_chunk || ["choices", "usage", "x_groq"].iter().any(|key| value.get(*key).is_some())
    }

    fn is_reasoned(&self) -> bool {
        self.finish.is_some()
    }

    fn finish(mut self, end: StreamEnd) -> Result<ModelAnswer, ModelFailure> {
        let said = self.draft.last().is_some() || !self.refusal.is_empty();
        let finish = match self.finish.take() {
            Some(_) if end == StreamEnd::Torn && self.went_on => return Err(self.broken()),
            Some(finish) => finish,
            // Who says that all is sent and has sent something has only forgotten the reason.
            None if self.done && said => String::new(),
            None => return Err(self.broken()),
        };
        let calls = self.draft.calls();
        let stop = match AnswerReason::of(&finish) {
            AnswerReason::Failed(class) => return Err(self.stopped(class, &finish)),
            AnswerReason::Overflow => return Err(self.overflowed()),
            _ if !self.refusal.is_empty() => refused(core::mem::take(&mut self.refusal)),
            AnswerReason::Filtered => refused("The provider's content filter stopped the answer.".to_owned()),
            AnswerReason::Declined => AnswerStop::Refusal(RefusalDetails::default()),
            AnswerReason::Length => AnswerStop::MaxTokens,
            AnswerReason::Paused if !calls => AnswerStop::PauseTurn,
            // The calls decide, since some servers say `stop` although there are calls.
            AnswerReason::Ended | AnswerReason::Paused if calls => AnswerStop::ToolUse,
            AnswerReason::Ended | AnswerReason::Paused => AnswerStop::EndTurn,
        };
        self.calls.finish(&mut self.draft);
        let tokens = self.cost.tokens();
        let blocks = self.draft.finish(&stop);
        let opaque = self.from.and_then(|from| {
            let beside = self.beside.finish(&blocks, &from.route);
            (!beside.is_empty()).then_some(OpaqueState { from, beside })
        });
        Ok(ModelAnswer { blocks, stop, tokens, opaque })
    }
}

fn refused(explanation: String) -> AnswerStop {
    AnswerStop::Refusal(RefusalDetails { category: None, explanation: Some(explanation) })
}

impl ChatReading {
    /// The reading of an answer over this route.
    pub(crate) fn of(route: &Route, secret: &ProviderSecret) -> Self {
        Self { from: Some(AnswerOrigin::of(route)), secret: secret.clone(), ..Self::default() }
    }

    /// What a message says of the text beyond what is there, if it begins with that.
    fn rest(&self, message: &Value) -> Option<String> {
        let Some((_, WritingBlock::Text(text))) = self.draft.last() else { return None };
        let whole = words(message.get("content")?);
        let rest = whole.strip_prefix(text.as_str())?;
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    /// `written` is the piece as it was, if something of it is to be kept so.
    fn piece(
        &mut self,
        piece: &Value,
        written: Option<WrittenValue<'_>>,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        self.beside.message(piece, written);
        let thoughts = THOUGHTS.iter().filter_map(|key| Some((key, piece.get(*key)?)));
        let mut thoughts = thoughts.map(|(key, value)| (keeps(key, value), words(value)));
        if let Some((is_kept, thought)) = thoughts.find(|(_, thought)| !thought.is_empty()) {
            self.think(&thought, is_kept, deltas)?;
        }
        match piece.get("content") {
            // Thinking and text may lie beside each other.
            Some(Value::Array(parts)) => {
                for part in parts {
                    match part.get("thinking") {
                        Some(thought) => self.think(&words(thought), false, deltas)?,
                        None => self.say(words(part), deltas)?,
                    }
                }
            }
            Some(content) => self.say(words(content), deltas)?,
            None => {}
        }
        let refusal = piece.get("refusal").map(words).unwrap_or_default();
        self.grow(refusal.len())?;
        self.refusal.push_str(&refusal);
        let mut calls: Vec<_> = list(piece.get("tool_calls")).iter().collect();
        calls.extend(piece.get("function_call").filter(|call| call.is_object()));
        if !calls.is_empty() {
            self.went_on |= self.finish.is_some();
            self.blank.clear();
            let places = self.calls.take(&calls, &mut self.draft, self.cost.tokens(), deltas)?;
            let calls = written.and_then(|piece| piece.member("tool_calls")).map(WrittenValue::items);
            for (at, call) in places.into_iter().zip(calls.unwrap_or_default()) {
                self.beside.call(at, call);
            }
        }
        Ok(())
    }

    /// Makes room for further content, which says that the answer goes on.
    fn grow(&mut self, bytes: usize) -> Result<(), ModelFailure> {
        self.went_on |= bytes > 0 && self.finish.is_some();
        self.draft.grow(bytes, self.cost.tokens())
    }

    /// A text begins with its first visible character, so that the line breaks that models put before a call
    /// are no message.
    fn say(
        &mut self,
        text: String,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        self.grow(text.len())?;
        if let Some((at, WritingBlock::Text(_))) = self.draft.last() {
            self.draft.say(at, text, deltas);
            return Ok(());
        }
        // All before it is blank.
        let begins = says_something(&text);
        self.blank.push_str(&text);
        if begins {
            let text = core::mem::take(&mut self.blank);
            let at = self.open(WritingBlock::Text(String::new()), deltas)?;
            self.draft.say(at, text, deltas);
        }
        Ok(())
    }

    /// What is kept beside the answer its block need not hold.
    fn think(
        &mut self,
        thought: &str,
        is_kept: bool,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure> {
        self.grow(thought.len())?;
        let (at, more) = if let Some((at, WritingBlock::Thinking(_))) = self.draft.last() {
            (at, thought)
        } else {
            let begun = thought.trim_start();
            if begun.is_empty() {
                return Ok(());
            }
            let block = Object::from_iter([("type".to_owned(), json!(THOUGHT))]);
            (self.open(WritingBlock::Thinking(block), deltas)?, begun)
        };
        if let Some(WritingBlock::Thinking(raw)) = self.draft.at(at).filter(|_| !is_kept) {
            append(raw, THOUGHT, more);
        }
        Ok(())
    }

    fn open(
        &mut self,
        block: WritingBlock,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<usize, ModelFailure> {
        self.blank.clear();
        self.draft.grow_block(self.cost.tokens())?;
        Ok(self.draft.open(block, deltas))
    }
}

/// The text of a piece: itself, or that of its parts.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(words).collect(),
        Value::Object(fields) => {
            let told = ["text", "content", "refusal"].iter().filter_map(|key| fields.get(*key));
            told.map(words).find(|text| !text.is_empty()).unwrap_or_default()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        loose::{FrameData, LooseReader},
        sse::SseDecoder,
    };
    use proptest::{collection::vec, prelude::*, sample::Index};
    use protocol::prompt::{AnswerBlock, DeltaKind, FailureClass};

    /// A part of an answer, in the words of the wire.
    #[derive(Debug, Clone)]
    enum Said {
        Reasoning(String),
        Content(String),
        Refusal(String),
        Call { name: String, arguments: String },
    }

    fn said() -> impl Strategy<Value = Said> {
        let text = || "[a-z \n\"é😀]{0,12}";
        prop_oneof![
            text().prop_map(Said::Reasoning),
            text().prop_map(Said::Content),
            text().prop_map(Said::Content),
            text().prop_map(Said::Refusal),
            (
                "[a-z_]{1,6}",
                prop_oneof![
                    text().prop_map(|text| json!({"text": text, "n": [1, {}]}).to_string()),
                    Just(String::new()),
                    Just("{\"cut\": \"o".to_owned()),
                ]
            )
                .prop_map(|(name, arguments)| Said::Call { name, arguments }),
        ]
    }

    /// Splits a text in two, wherever it may be split.
    fn split(text: &str, at: Index) -> [&str; 2] {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        text.split_at(places[at.index(places.len())]).into()
    }

    /// The deltas of an answer, each text in one piece, or in two split somewhere.
    fn deltas(parts: &[Said], cuts: Option<&[Index]>) -> Vec<Value> {
        let mut calls = 0;
        let mut deltas = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let pieces = |text: &str| match cuts {
                Some(cuts) => split(text, cuts[place]).map(str::to_owned).to_vec(),
                None => vec![text.to_owned()],
            };
            match part {
                Said::Reasoning(text) => {
                    deltas.extend(pieces(text).iter().map(|text| json!({"reasoning": text})));
                }
                Said::Content(text) => {
                    deltas.extend(pieces(text).iter().map(|text| json!({"content": text})));
                }
                Said::Refusal(text) => {
                    deltas.extend(pieces(text).iter().map(|text| json!({"refusal": text})));
                }
                Said::Call { name, arguments } => {
                    let id = format!("id{calls}");
                    deltas.push(
                        json!({"tool_calls": [{"index": calls, "id": id, "function": {"name": name}}]}),
                    );
                    deltas.extend(pieces(arguments).iter().map(
                        |text| json!({"tool_calls": [{"index": calls, "function": {"arguments": text}}]}),
                    ));
                    calls += 1;
                }
            }
        }
        deltas
    }

    fn stream(deltas: &[Value], reason: &str) -> String {
        let chunk = |delta: &Value, reason: Option<&str>| {
            format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
            )
        };
        let mut stream: String = deltas.iter().map(|delta| chunk(delta, None)).collect::<Vec<_>>().concat();
        stream += &chunk(&json!({}), Some(reason));
        stream + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n"
    }

    /// Reads a stream; checks that the deltas told are the answer's own.
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> ModelAnswer {
        let (mut decoder, mut reading, mut told) =
            (SseDecoder::default(), ChatReading::default(), Vec::new());
        for chunk in chunks {
            for frame in decoder.take(chunk).expect("small frames") {
                for piece in LooseReader::default().read(&frame.data).expect("a good frame") {
                    match piece {
                        FrameData::Value(read) => {
                            reading.take(b"", read, &mut |delta| told.push(delta)).expect("a good chunk");
                        }
                        FrameData::Done => reading.done(),
                        FrameData::Words(words) => panic!("{words}"),
                    }
                }
            }
        }
        assert_eq!(reading.stage(), StreamStage::Whole);
        let answer = reading.finish(StreamEnd::Whole).expect("an answer");
        let mut shown = vec![String::new(); answer.blocks.len()];
        let mut kinds = Vec::new();
        for delta in told {
            match delta {
                AnswerDelta::Start { index, kind } => {
                    assert_eq!(index, kinds.len(), "blocks begin in order");
                    kinds.push(kind);
                }
                AnswerDelta::Text { index, text } => shown[index] += &text,
            }
        }
        for ((block, shown), kind) in answer.blocks.iter().zip(shown).zip(kinds) {
            let (text, is) = match block {
                AnswerBlock::Text { text } => (text.as_str(), DeltaKind::Text),
                AnswerBlock::Thinking { .. } => ("", DeltaKind::Thinking),
                AnswerBlock::ToolUse { .. } => ("", DeltaKind::ToolUse),
            };
            assert_eq!((shown.as_str(), kind), (text, is));
        }
        answer
    }

    proptest! {
        #[test]
        fn any_chunking_and_any_splitting_of_a_stream_give_the_same_answer(
            parts in vec(said(), 0..8),
            cuts in vec(any::<Index>(), 8),
            places in vec(any::<Index>(), 0..16),
            reason in prop_oneof![Just("stop"), Just("tool_calls"), Just("length"), Just("content_filter")],
        ) {
            let whole = stream(&deltas(&parts, None), reason);
            let answer = read([whole.as_bytes()]);
            let pieces = stream(&deltas(&parts, Some(&cuts)), reason);
            prop_assert_eq!(&read(pieces.as_bytes().chunks(1)), &answer);
            let mut ends: Vec<usize> = places.iter().map(|at| at.index(whole.len() + 1)).collect();
            ends.extend([0, whole.len()]);
            ends.sort_unstable();
            let chunks = ends.windows(2).map(|pair| &whole.as_bytes()[pair[0]..pair[1]]);
            prop_assert_eq!(&read(chunks), &answer);
        }
    }

    #[test]
    fn an_answer_without_end_is_refused_at_the_bound() {
        let megabyte = "x".repeat(1024 * 1024);
        for delta in [
            json!({"content": megabyte}),
            json!({"content": " ".repeat(megabyte.len())}),
            json!({"reasoning": megabyte}),
            json!({"refusal": megabyte}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": megabyte}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": {"a": megabyte}}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"name": megabyte}}]}),
            json!({"tool_calls": [{"index": 0, "id": megabyte}]}),
            json!({"function_call": {"name": megabyte}}),
            json!({"content": [{"text": megabyte}]}),
            json!({"tool_calls": (0..4_000).map(|_| json!({"function": {"name": "x", "arguments": "{}"}}))
                .collect::<Vec<_>>()}),
        ] {
            let chunk = json!({"choices": [{"delta": delta}]});
            let mut reading = ChatReading::default();
            let taken =
                (0..=32).map(|_| reading.take(b"", chunk.clone().into(), &mut |_| {})).find_map(Result::err);
            assert_eq!(taken.expect("a failure").class, FailureClass::Unusable);
        }
        let chunk = json!({"choices": [{"delta": {}, "finish_reason": megabyte}]});
        let mut reading = ChatReading::default();
        let taken =
            (0..=32).map(|_| reading.take(b"", chunk.clone().into(), &mut |_| {})).find_map(Result::err);
        assert_eq!(taken.expect("a failure").class, FailureClass::Unusable);
    }
}
