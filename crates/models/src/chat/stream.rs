//! The fold of a streamed chat completion: chunks in, deltas and one answer out. No clock, no net.
//!
//! Read loosely, because no two servers stream alike: a call may come whole or in pieces, with or without an
//! id, with an index that is the same for all; the last word may be missing, and so may the cost.

use std::collections::BTreeMap;

use protocol::{
    Object,
    event::RefusalDetails,
    prompt::{Answer, AnswerStop, Delta, Failure, FailureClass},
    usage::Tokens,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    blank::says_something,
    draft::{Draft, Writing, append},
    failure::Problem,
    transport::{Fold, Stage},
};

/// The last frame of a stream.
const DONE: &[u8] = b"[DONE]";
/// The field of a thinking block that holds its text. Its type keeps it apart from other providers' thinking.
const THOUGHT: &str = "reasoning";

/// A chunk, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Chunk {
    object: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<Piece>,
    finish_reason: Option<String>,
    usage: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Piece {
    content: Option<Value>,
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
    function_call: Option<FunctionPiece>,
}

#[derive(Debug, Default, Deserialize)]
struct CallPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionPiece>,
}

#[derive(Debug, Default, Deserialize)]
struct FunctionPiece {
    name: Option<String>,
    /// A text of JSON, a piece of one, or the object itself.
    arguments: Option<Value>,
}

/// What a usage says; what it does not say is zero.
fn tokens(usage: &Value) -> Tokens {
    let told = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (input, cached) = (told("/prompt_tokens"), told("/prompt_tokens_details/cached_tokens"));
    let cache_read = cached.min(input);
    Tokens { input: input - cache_read, output: told("/completion_tokens"), cache_read, ..Tokens::default() }
}

/// An answer that is being written.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    draft: Draft,
    /// The blocks of the calls, in their order.
    calls: Vec<usize>,
    /// Of the last call under each index that the server gave.
    indexes: BTreeMap<u64, usize>,
    /// Of each call that the server gave an id.
    ids: BTreeMap<String, usize>,
    /// Blank text that no block has begun with yet: it is dropped if nothing visible follows.
    blank: String,
    refusal: String,
    tokens: Tokens,
    finish: Option<String>,
    done: bool,
}

impl Fold for Reading {
    fn stage(&self) -> Stage {
        match (self.done, &self.finish) {
            (true, _) => Stage::Whole,
            (false, Some(_)) => Stage::Ending,
            (false, None) => Stage::Open,
        }
    }

    fn tokens(&self) -> Tokens {
        self.tokens
    }

    fn said(&self) -> usize {
        self.draft.said()
    }

    fn take(&mut self, data: &[u8], deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        let data = data.trim_ascii();
        if data.is_empty() || self.done {
            return Ok(());
        }
        if data == DONE {
            self.done = true;
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_slice(data).map_err(|error| self.unreadable(&error))?;
        if chunk.error.is_some() || chunk.object.as_deref() == Some("error") {
            return Err(Problem::read(data).in_stream(self.tokens()));
        }
        self.chunk(chunk, deltas)
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        let said = self.draft.last().is_some() || !self.refusal.is_empty();
        let stop = match self.finish.as_deref() {
            // Who says that all is sent and has sent something has only forgotten the reason.
            None if !self.done || !said => return Err(self.broken()),
            Some("error" | "abort") => return Err(self.broken()),
            Some("insufficient_system_resource") => {
                let message = "The model provider is overloaded: it broke the answer off.";
                return Err(self.failed(FailureClass::Overloaded, message));
            }
            _ if !self.refusal.is_empty() => refused(core::mem::take(&mut self.refusal)),
            Some("content_filter") => refused("The provider's content filter stopped the answer.".to_owned()),
            Some("length" | "model_length") => AnswerStop::MaxTokens,
            // `stop`, `tool_calls`, `function_call` and words we do not know: the calls decide, since some
            // servers say `stop` although there are calls.
            Some(_) | None if self.draft.calls() => AnswerStop::ToolUse,
            Some(_) | None => AnswerStop::EndTurn,
        };
        self.name_calls();
        Ok(Answer { blocks: self.draft.finish(&stop), stop, tokens: self.tokens })
    }
}

fn refused(explanation: String) -> AnswerStop {
    AnswerStop::Refusal(RefusalDetails { category: None, explanation: Some(explanation) })
}

impl Reading {
    fn chunk(&mut self, chunk: Chunk, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        // A single answer was asked for.
        let choice =
            chunk.choices.into_iter().flatten().find(|choice| choice.index.is_none_or(|index| index == 0));
        let (delta, finish, beside) = match choice {
            Some(choice) => (choice.delta, choice.finish_reason, choice.usage),
            None => (None, None, None),
        };
        if let Some(usage) = chunk.usage.or(beside) {
            self.tokens = tokens(&usage);
        }
        if let Some(piece) = delta {
            self.piece(piece, deltas)?;
        }
        if let Some(reason) = finish.filter(|reason| !reason.is_empty()) {
            self.grow(reason.len())?;
            self.finish = Some(reason);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        // Those that send both send the same twice, the old name for old clients.
        let thought = [piece.reasoning, piece.reasoning_content].into_iter().flatten().map(words);
        if let Some(thought) = thought.into_iter().find(|thought| !thought.is_empty()) {
            self.think(&thought, deltas)?;
        }
        if let Some(content) = piece.content {
            self.say(words(content), deltas)?;
        }
        if let Some(refusal) = piece.refusal {
            self.grow(refusal.len())?;
            self.refusal.push_str(&refusal);
        }
        for call in piece.tool_calls.into_iter().flatten() {
            self.call(call, deltas)?;
        }
        if let Some(function) = piece.function_call {
            self.call(CallPiece { function: Some(function), ..CallPiece::default() }, deltas)?;
        }
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        self.draft.grow(bytes, self.tokens)
    }

    /// A text begins with its first visible character, so that the line breaks that models put before a call
    /// are no message.
    fn say(&mut self, text: String, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        self.grow(text.len())?;
        if let Some((at, Writing::Text(_))) = self.draft.last() {
            self.draft.say(at, text, deltas);
            return Ok(());
        }
        self.blank.push_str(&text);
        if says_something(&self.blank) {
            let text = core::mem::take(&mut self.blank);
            let at = self.open(Writing::Text(String::new()), deltas)?;
            self.draft.say(at, text, deltas);
        }
        Ok(())
    }

    fn think(&mut self, thought: &str, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        self.grow(thought.len())?;
        let (at, more) = if let Some((at, Writing::Thinking(_))) = self.draft.last() {
            (at, thought)
        } else {
            let begun = thought.trim_start();
            if begun.is_empty() {
                return Ok(());
            }
            let block = Object::from_iter([("type".to_owned(), json!(THOUGHT))]);
            (self.open(Writing::Thinking(block), deltas)?, begun)
        };
        if let Some(Writing::Thinking(raw)) = self.draft.at(at) {
            append(raw, THOUGHT, more);
        }
        Ok(())
    }

    fn open(&mut self, block: Writing, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<usize, Failure> {
        self.blank.clear();
        self.draft.grow_block(self.tokens)?;
        Ok(self.draft.open(block, deltas))
    }

    fn call(&mut self, piece: CallPiece, deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure> {
        let function = piece.function.unwrap_or_default();
        let (given_id, given_name) = (piece.id.unwrap_or_default(), function.name.unwrap_or_default());
        let arguments = match function.arguments {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(whole) => whole.to_string(),
        };
        // The id is kept twice: with the block, and to find it by. Some say it and the name with every piece.
        self.draft.hold(2 * given_id.len() + given_name.len(), self.tokens)?;
        self.grow(arguments.len())?;
        let known = self.known(piece.index, &given_id);
        let known = known.filter(|at| !self.begins(*at, &given_id, &given_name, &arguments));
        let at = if let Some(at) = known {
            at
        } else {
            let (id, name, given) = (String::new(), String::new(), Object::new());
            let at = self.open(Writing::ToolUse { id, name, given, json: String::new() }, deltas)?;
            self.grow(given_name.len())?;
            self.calls.push(at);
            self.indexes.extend(piece.index.map(|index| (index, at)));
            at
        };
        if let Some(Writing::ToolUse { id, name, json, .. }) = self.draft.at(at) {
            // Said once or with every piece.
            if id.is_empty() && !given_id.is_empty() {
                id.clone_from(&given_id);
                self.ids.insert(given_id, at);
            }
            if name.is_empty() {
                *name = given_name;
            }
            json.push_str(&arguments);
        }
        Ok(())
    }

    /// The block of the call that a piece seems to go on with: the last one under its index; without an index
    /// the one with its id, else the last one.
    fn known(&self, index: Option<u64>, given_id: &str) -> Option<usize> {
        match index {
            Some(index) => self.indexes.get(&index).copied(),
            None => self.ids.get(given_id).or(self.calls.last()).copied(),
        }
    }

    /// Whether a piece that names a tool begins a call of its own, under an index that is not: it has another
    /// id, or the arguments of the call at `at` are complete and it brings further ones.
    fn begins(&self, at: usize, given_id: &str, given_name: &str, arguments: &str) -> bool {
        let Some(Writing::ToolUse { id, json, .. }) = self.draft.block(at) else { return false };
        if given_name.is_empty() {
            return false;
        }
        let other = !given_id.is_empty() && !id.is_empty() && given_id != id;
        let same = !given_id.is_empty() && given_id == id;
        let further = !same && says_something(arguments) && json.ends_with('}');
        other || (further && serde_json::from_str::<Object>(json).is_ok())
    }

    /// Gives each call without an id one of its place; the history keeps ids apart across answers.
    fn name_calls(&mut self) {
        for (place, at) in self.calls.iter().enumerate() {
            if let Some(Writing::ToolUse { id, .. }) = self.draft.at(*at)
                && id.is_empty()
            {
                *id = format!("call_{place}");
            }
        }
    }
}

/// The text of a piece: itself, or that of its parts.
fn words(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Decoder;
    use proptest::{collection::vec, prelude::*, sample::Index};
    use protocol::prompt::{AnswerBlock, DeltaKind};

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
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Answer {
        let (mut decoder, mut reading, mut told) = (Decoder::default(), Reading::default(), Vec::new());
        for chunk in chunks {
            for frame in decoder.take(chunk).expect("small frames") {
                reading.take(&frame, &mut |delta| told.push(delta)).expect("a good frame");
            }
        }
        assert_eq!(reading.stage(), Stage::Whole);
        let answer = reading.finish().expect("an answer");
        let mut shown = vec![String::new(); answer.blocks.len()];
        let mut kinds = Vec::new();
        for delta in told {
            match delta {
                Delta::Start { index, kind } => {
                    assert_eq!(index, kinds.len(), "blocks begin in order");
                    kinds.push(kind);
                }
                Delta::Text { index, text } => shown[index] += &text,
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
            let chunk = json!({"choices": [{"delta": delta}]}).to_string();
            let mut reading = Reading::default();
            let taken = (0..=32).map(|_| reading.take(chunk.as_bytes(), &mut |_| {})).find_map(Result::err);
            assert_eq!(taken.expect("a failure").class, FailureClass::Invalid);
        }
        let chunk = json!({"choices": [{"delta": {}, "finish_reason": megabyte}]}).to_string();
        let mut reading = Reading::default();
        let taken = (0..=32).map(|_| reading.take(chunk.as_bytes(), &mut |_| {})).find_map(Result::err);
        assert_eq!(taken.expect("a failure").class, FailureClass::Invalid);
    }
}
