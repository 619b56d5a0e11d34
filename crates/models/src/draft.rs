//! An answer that is being written: its blocks and their bound, whatever the wire.

use protocol::{
    Object,
    limits::{self, ANSWER_BYTES},
    prompt::{AnswerBlock, AnswerDelta, AnswerStop, DeltaKind, FailureClass, ModelFailure},
    usage::RequestTokens,
};
use serde_json::Value;

use crate::loose;

/// What a block costs of [`ANSWER_BYTES`] beside its content.
const BLOCK_BYTES: usize = 256;

/// A block that is being written.
#[derive(Debug)]
pub(crate) enum WritingBlock {
    Text(String),
    /// Kept as the provider gave it.
    Thinking(Object),
    /// `given` is an input that came whole; `json` is one that comes in pieces, and goes before it.
    ToolUse {
        id: String,
        name: String,
        given: Object,
        json: String,
    },
}

/// The blocks so far.
#[derive(Debug, Default)]
pub(crate) struct PartialAnswer {
    blocks: Vec<WritingBlock>,
    bytes: usize,
    said: usize,
}

impl PartialAnswer {
    /// Makes room for further content. `tokens` is what the request has cost so far.
    pub(crate) fn grow(&mut self, bytes: usize, tokens: RequestTokens) -> Result<(), ModelFailure> {
        self.said = self.said.saturating_add(bytes);
        self.hold(bytes, tokens)
    }

    /// Makes room for what is kept and is no content.
    pub(crate) fn hold(&mut self, bytes: usize, tokens: RequestTokens) -> Result<(), ModelFailure> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= ANSWER_BYTES {
            return Ok(());
        }
        let message = format!("The model's answer is larger than {ANSWER_BYTES} bytes.");
        Err(ModelFailure {
            class: FailureClass::Unusable,
            status: None,
            message,
            retry_after: None,
            tokens,
            spots: Vec::new(),
        })
    }

    /// Makes room for one more block.
    pub(crate) fn grow_block(&mut self, tokens: RequestTokens) -> Result<(), ModelFailure> {
        self.hold(BLOCK_BYTES, tokens)
    }

    /// Bytes of content so far: grows as the answer does, and with nothing else.
    pub(crate) const fn said(&self) -> usize {
        self.said
    }

    /// Begins a block; gives its place.
    pub(crate) fn open(
        &mut self,
        block: WritingBlock,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> usize {
        let index = self.blocks.len();
        let kind = match &block {
            WritingBlock::Text(_) => DeltaKind::Text,
            WritingBlock::Thinking(_) => DeltaKind::Thinking,
            WritingBlock::ToolUse { .. } => DeltaKind::ToolUse,
        };
        self.blocks.push(block);
        deltas(AnswerDelta::Start { index, kind });
        index
    }

    /// Goes on with the text block at `index`; what is no text block is left alone.
    pub(crate) fn say(&mut self, index: usize, text: String, deltas: &mut (dyn FnMut(AnswerDelta) + Send)) {
        if let Some(WritingBlock::Text(whole)) = self.blocks.get_mut(index)
            && !text.is_empty()
        {
            whole.push_str(&text);
            deltas(AnswerDelta::Text { index, text });
        }
    }

    /// The block at `index`.
    pub(crate) fn block(&self, index: usize) -> Option<&WritingBlock> {
        self.blocks.get(index)
    }

    /// The block at `index`, to go on with it.
    pub(crate) fn at(&mut self, index: usize) -> Option<&mut WritingBlock> {
        self.blocks.get_mut(index)
    }

    /// The last block and its place.
    pub(crate) fn last(&self) -> Option<(usize, &WritingBlock)> {
        self.blocks.iter().enumerate().next_back()
    }

    /// Whether there is a call among the blocks.
    pub(crate) fn calls(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, WritingBlock::ToolUse { .. }))
    }

    /// The blocks of an answer that ended so.
    pub(crate) fn finish(self, stop: &AnswerStop) -> Vec<AnswerBlock> {
        let last = self.blocks.len().wrapping_sub(1);
        let cut_off = |index: usize| *stop == AnswerStop::MaxTokens && index == last;
        self.blocks.into_iter().enumerate().map(|(index, block)| block.finish(cut_off(index))).collect()
    }
}

impl WritingBlock {
    /// `cut_off`: the output limit fell into this block, so that no input at all is not `{}`.
    fn finish(self, cut_off: bool) -> AnswerBlock {
        match self {
            Self::Text(text) => AnswerBlock::Text { text },
            Self::Thinking(raw) => AnswerBlock::Thinking { raw: Value::Object(raw) },
            Self::ToolUse { id, name, given, json } => {
                let input = if json.trim().is_empty() {
                    (!cut_off || !given.is_empty()).then_some(given)
                } else {
                    loose::object(&json)
                };
                let input = input.filter(is_shallow);
                AnswerBlock::ToolUse { id, name, input }
            }
        }
    }
}

/// Whether an object may be kept: what lies too deep could be written into the log and never be read again.
pub(crate) fn is_shallow(fields: &Object) -> bool {
    is_flat(fields.values(), limits::BODY_DEPTH - 1)
}

/// Whether objects and arrays lie in each other at most `depth` deep.
fn is_flat<'a>(mut values: impl Iterator<Item = &'a Value>, depth: usize) -> bool {
    values.all(|value| match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(_) | Value::Object(_) if depth == 0 => false,
        Value::Array(items) => is_flat(items.iter(), depth - 1),
        Value::Object(fields) => is_flat(fields.values(), depth - 1),
    })
}

/// Appends to a text field of an object, or makes it.
pub(crate) fn append(raw: &mut Object, key: &str, more: &str) {
    if let Some(Value::String(text)) = raw.get_mut(key) {
        text.push_str(more);
    } else {
        raw.insert(key.to_owned(), Value::String(more.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_input_that_lies_too_deep_to_be_read_again_counts_as_none() {
        let called = |depth: usize| {
            let json = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            let (id, name) = ("c".to_owned(), "t".to_owned());
            let mut draft = PartialAnswer::default();
            draft.open(WritingBlock::ToolUse { id, name, given: Object::new(), json }, &mut |_| {});
            draft.finish(&AnswerStop::ToolUse)
        };
        let input = |depth| match called(depth).as_slice() {
            [AnswerBlock::ToolUse { input, .. }] => input.clone(),
            other => panic!("{other:?}"),
        };
        let mut deep = json!([]);
        for _ in 2..limits::BODY_DEPTH {
            deep = json!([deep]);
        }
        assert_eq!(input(limits::BODY_DEPTH), Some(Object::from_iter([("a".to_owned(), deep)])));
        assert_eq!(input(limits::BODY_DEPTH + 1), None);
        assert_eq!(input(120), None);
    }
}
