//! The calls of a streamed answer, put together from pieces: by index, then by id, then by what is complete.

use std::collections::BTreeMap;

use protocol::{
    Object,
    prompt::{AnswerDelta, ModelFailure},
    usage::RequestTokens,
};
use serde_json::Value;

use crate::{
    blank::says_something,
    draft::{PartialAnswer, WritingBlock},
    loose::{self, count, word},
};

/// A piece of a call; what it does not say is empty.
#[derive(Debug, Default)]
struct Piece {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Piece {
    fn read(value: &Value) -> Self {
        // Some leave out the object in between.
        let function = value.get("function").filter(|function| function.is_object()).unwrap_or(value);
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(whole) => whole.to_string(),
        };
        Self {
            index: value.get("index").and_then(count),
            id: word(value.get("id")),
            name: word(function.get("name")),
            arguments,
        }
    }
}

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct StreamedCalls {
    /// Their blocks, in their order.
    blocks: Vec<usize>,
    /// The last call under each index that the server gave.
    indexes: BTreeMap<u64, usize>,
    /// The last call with each id that the server gave.
    ids: BTreeMap<String, usize>,
    /// How the arguments of each call came.
    arguments: BTreeMap<usize, Arguments>,
}

/// How the arguments of a call came.
#[derive(Debug)]
struct Arguments {
    /// Where the last piece begins.
    last: usize,
    /// Whether each piece began with the one before, so that the last may be all of them.
    are_wholes: bool,
}

impl StreamedCalls {
    /// Takes the pieces of a chunk; gives the block that each belongs to. `tokens` is what the request has
    /// cost so far.
    pub(super) fn take(
        &mut self,
        pieces: &[&Value],
        draft: &mut PartialAnswer,
        tokens: RequestTokens,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<Vec<usize>, ModelFailure> {
        let (mut touched, mut places) = (Vec::new(), Vec::new());
        for value in pieces {
            let piece = Piece::read(value);
            // The id is kept twice: with the block, and to find it by.
            draft.hold(2 * piece.id.len() + piece.name.len(), tokens)?;
            let known = self.known(&piece);
            let is_named = known.is_some_and(|at| touched.contains(&at)) && !piece.name.is_empty();
            match known.filter(|_| !is_named).map(|at| (at, going(draft.block(at), &piece))) {
                Some((at, Going::On)) => {
                    draft.grow(piece.arguments.len(), tokens)?;
                    self.go_on(at, piece, draft, &mut touched);
                    places.push(at);
                }
                Some((at, Going::Again)) => {
                    draft.hold(piece.arguments.len(), tokens)?;
                    places.push(at);
                }
                next => {
                    let name = match next {
                        Some((at, Going::Further)) => name_of(draft.block(at)),
                        _ => String::new(),
                    };
                    draft.grow_block(tokens)?;
                    draft.grow(piece.name.len() + piece.arguments.len(), tokens)?;
                    let call = WritingBlock::ToolUse {
                        id: String::new(),
                        name,
                        given: Object::new(),
                        json: String::new(),
                    };
                    let at = draft.open(call, deltas);
                    self.blocks.push(at);
                    self.go_on(at, piece, draft, &mut touched);
                    places.push(at);
                }
            }
        }
        Ok(places)
    }

    /// The block of the call that a piece seems to go on with.
    fn known(&self, piece: &Piece) -> Option<usize> {
        if let Some(at) = piece.index.and_then(|index| self.indexes.get(&index)) {
            return Some(*at);
        }
        let with_id = self.ids.get(&piece.id);
        match (piece.index, piece.id.is_empty(), piece.name.is_empty()) {
            // Under an index of its own, what has a name begins.
            (Some(_), _, false) => None,
            (_, false, false) | (Some(_), false, true) => with_id.copied(),
            (_, _, _) => with_id.or(self.blocks.last()).copied(),
        }
    }

    fn go_on(&mut self, at: usize, piece: Piece, draft: &mut PartialAnswer, touched: &mut Vec<usize>) {
        touched.push(at);
        self.indexes.extend(piece.index.map(|index| (index, at)));
        if let Some(WritingBlock::ToolUse { id, name, json, .. }) = draft.at(at) {
            // Said once or with every piece.
            if id.is_empty() && !piece.id.is_empty() {
                id.clone_from(&piece.id);
                self.ids.insert(piece.id, at);
            }
            // In pieces, whole again each time, or once more as far as it has come.
            if piece.name.starts_with(name.as_str()) {
                *name = piece.name;
            } else {
                name.push_str(&piece.name);
            }
            let one = self.arguments.entry(at).or_insert(Arguments { last: 0, are_wholes: true });
            if !piece.arguments.is_empty() {
                one.are_wholes &= piece.arguments.starts_with(json.get(one.last..).unwrap_or_default());
                one.last = json.len();
            }
            json.push_str(&piece.arguments);
        }
    }

    /// Makes good what only the end shows: arguments that came whole again with each piece, which are never
    /// an object one behind the other, and ids that are missing.
    pub(super) fn finish(&self, draft: &mut PartialAnswer) {
        for (at, Arguments { last, .. }) in self.arguments.iter().filter(|(_, came)| came.are_wholes) {
            if let Some(WritingBlock::ToolUse { json, .. }) = draft.at(*at)
                && *last > 0
                && loose::object(json).is_none()
                && json.get(*last..).is_some_and(is_whole)
            {
                json.drain(..*last);
            }
        }
        self.name(draft);
    }

    /// Gives each call without an id one of its place; the history keeps ids apart across answers.
    fn name(&self, draft: &mut PartialAnswer) {
        for (place, at) in self.blocks.iter().enumerate() {
            if let Some(WritingBlock::ToolUse { id, .. }) = draft.at(*at)
                && id.is_empty()
            {
                *id = format!("call_{place}");
            }
        }
    }
}

/// What a piece is to the call that it seems to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// More of it.
    On,
    /// Another call, under an index or an id that is not its own.
    Other,
    /// Another call of the same tool, which it does not name again.
    Further,
    /// The same once more.
    Again,
}

fn going(block: Option<&WritingBlock>, piece: &Piece) -> Going {
    let Some(WritingBlock::ToolUse { id, name, json, .. }) = block else { return Going::Other };
    let same = !piece.id.is_empty() && piece.id == *id;
    if !piece.name.is_empty() && !piece.id.is_empty() && !id.is_empty() && !same {
        return Going::Other;
    }
    let (unnamed, again) = (piece.name.is_empty(), piece.arguments == *json);
    // Looked at first, for what the call has so far may be long.
    if unnamed && !again && !is_whole(&piece.arguments) {
        return Going::On;
    }
    // An empty object often stands where the arguments are still to come.
    if !says_something(&piece.arguments) || !is_whole(json) || json.trim() == "{}" && (same || unnamed) {
        return Going::On;
    }
    match unnamed {
        true if again => Going::Again,
        true => Going::Further,
        false if same && again && piece.name == *name => Going::Again,
        false => Going::Other,
    }
}

fn is_whole(json: &str) -> bool {
    json.trim_end().ends_with('}') && serde_json::from_str::<Object>(json).is_ok()
}

fn name_of(block: Option<&WritingBlock>) -> String {
    match block {
        Some(WritingBlock::ToolUse { name, .. }) => name.clone(),
        Some(WritingBlock::Text(_) | WritingBlock::Thinking(_)) | None => String::new(),
    }
}
