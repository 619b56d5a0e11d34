//! What a provider puts beside its answer, as it comes: kept word for word, to be given back.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    limits::{BESIDE_BYTES, BODY_DEPTH},
    prompt::{self, AnswerBlock},
};
use serde_json::Value;

use super::pieced::PiecedMembers;
use crate::{
    kept::{CALL, FUNCTION, ID, MESSAGE, Pieces},
    weight::depth,
    words::WrittenValue,
};

/// What an item of a list, and a member that it gets later, costs of [`BESIDE_BYTES`] beside what it says.
const PIECE_BYTES: usize = 64;
/// How many items of a list back one is looked for that comes once more.
const AGAIN: usize = 16;

/// Members of an item that come in pieces; whatever else one has, it has it whole.
const TEXTS: [&str; 3] = ["text", "summary", "thinking"];

/// Whether thinking under that name is kept here.
pub(super) fn keeps(name: &str, thought: &Value) -> bool {
    (thought.is_string() || !says_nothing(thought))
        && MESSAGE.iter().any(|(own, pieces, _)| *own == name && *pieces == Pieces::Text)
}

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct CollectedMembers {
    texts: BTreeMap<&'static str, PiecedMembers>,
    lists: BTreeMap<&'static str, Vec<Entry>>,
    /// The names of those lists that came as one object.
    singles: BTreeSet<&'static str>,
    /// By the index of the call's block.
    calls: BTreeMap<(usize, &'static str), String>,
    bytes: usize,
    /// How deep the deepest of it lies, also if it was left out.
    depth: usize,
}

impl CollectedMembers {
    /// Takes what stands in a piece of the message: its texts as they were read, the rest as it was written.
    pub(super) fn message(&mut self, piece: &Value, words: Option<WrittenValue<'_>>) {
        for (name, pieces, _) in MESSAGE {
            match (pieces, piece.get(name)) {
                (Pieces::Text | Pieces::List, Some(Value::String(more))) => self.text(name, more),
                (Pieces::Text, Some(told)) if !says_nothing(told) => {
                    if told.is_object() {
                        self.singles.insert(name);
                    }
                    let told = told.to_string();
                    WrittenValue::of(&told).items().into_iter().for_each(|item| self.item(name, item));
                }
                (Pieces::Text, _) => {}
                (Pieces::List, _) => {
                    let list = words.and_then(|words| words.member(name));
                    list.map(WrittenValue::items)
                        .into_iter()
                        .flatten()
                        .for_each(|item| self.item(name, item));
                }
            }
        }
    }

    fn text(&mut self, name: &'static str, more: &str) {
        if !self.is_too_much() {
            let bytes = self.texts.entry(name).or_default().push(more);
            self.hold(bytes);
        }
    }

    fn item(&mut self, name: &'static str, item: WrittenValue<'_>) {
        // It lies in a list.
        self.sink(depth(item.text()) + 1);
        if !self.is_too_much() {
            let bytes = put(self.lists.entry(name).or_default(), item);
            self.hold(bytes);
        }
    }

    /// Takes what stands in a piece of the call in the block `at`. What is said twice counts as it is last,
    /// but for what says nothing.
    pub(super) fn call(&mut self, at: usize, words: WrittenValue<'_>) {
        for (name, words) in CALL.into_iter().filter_map(|name| Some((name, words.member(name)?))) {
            self.insert(at, name, words.text().to_owned());
        }
        let Some(function) = words.member("function") else { return };
        for (name, words) in
            FUNCTION.into_iter().filter_map(|(own, name)| Some((name, function.member(own)?)))
        {
            self.insert(at, name, words.text().to_owned());
        }
    }

    fn insert(&mut self, at: usize, name: &'static str, json: String) {
        if self.calls.get(&(at, name)).is_some_and(|own| *own == json || is_blank(&json)) {
            return;
        }
        self.sink(depth(&json));
        if !self.is_too_much() {
            let bytes = json.len();
            self.calls.insert((at, name), json);
            self.hold(bytes);
        }
    }

    /// Counts what has come to be kept; nothing is once it is too much.
    fn hold(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_too_much() {
            (self.texts, self.lists, self.calls) = Default::default();
        }
    }

    /// Counts how deep it lies: deeper than is read, nothing is kept.
    fn sink(&mut self, depth: usize) {
        self.depth = self.depth.max(depth);
        self.hold(0);
    }

    fn is_too_much(&self) -> bool {
        self.bytes > BESIDE_BYTES || self.depth > BODY_DEPTH
    }

    /// All of it; what belongs to a call by the index of its block among `blocks`.
    pub(super) fn finish(
        mut self,
        blocks: &[AnswerBlock],
        route: &str,
    ) -> Vec<prompt::ProviderMember<usize>> {
        for (at, block) in blocks.iter().enumerate() {
            match block {
                AnswerBlock::ToolUse { id, .. } if !is_plain(id) => self.insert(at, ID, json(id)),
                AnswerBlock::ToolUse { .. } | AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. } => {}
            }
        }
        if self.is_too_much() {
            let (bytes, depth) = (self.bytes, self.depth);
            tracing::warn!(
                %route, bytes, depth,
                "what the provider put beside an answer is larger than {BESIDE_BYTES} bytes or deeper than \
                 {BODY_DEPTH} levels; it is left out"
            );
        }
        let Self { mut texts, mut lists, singles, calls, .. } = self;
        let message = MESSAGE.iter().filter_map(|(name, ..)| {
            let text = texts.remove(name).map(|text| json(text.text()));
            let is_single = singles.contains(name);
            Some((name, text.or_else(|| lists.remove(name).map(|entries| listed(entries, is_single)))?))
        });
        let message =
            message.map(|(name, json)| prompt::ProviderMember { call: None, name: (*name).to_owned(), json });
        let calls = calls.into_iter().map(|((at, name), json)| prompt::ProviderMember {
            call: Some(at),
            name: name.to_owned(),
            json,
        });
        message.chain(calls).collect()
    }
}

/// Whether an id is no more than one: it stands in the history as it is.
fn is_plain(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// An item of a list.
#[derive(Debug)]
enum Entry {
    /// As it came.
    Whole(String),
    /// Put together from pieces: its members in their order.
    Pieces(Vec<(String, Part)>),
}

#[derive(Debug)]
enum Part {
    Text(PiecedMembers),
    Words(String),
}

/// Puts an item behind the others, or what goes on with the last one into that; gives the bytes that it adds.
fn put(entries: &mut Vec<Entry>, item: WrittenValue<'_>) -> usize {
    let is_sealed =
        ["data", "signature"].iter().any(|name| item.member(name).is_some_and(|told| !is_blank(told.text())));
    if is_sealed && entries.iter().rev().take(AGAIN).any(|entry| entry.is_again(item)) {
        return 0;
    }
    match entries.last_mut() {
        Some(last) if last.goes_on(item) => last.go_on(item),
        Some(_) | None => {
            entries.push(Entry::Whole(item.text().to_owned()));
            item.text().len() + PIECE_BYTES
        }
    }
}

impl Entry {
    fn member(&self, name: &str) -> Option<String> {
        match self {
            Self::Whole(text) => WrittenValue::of(text).member(name).map(|words| words.text().to_owned()),
            Self::Pieces(parts) => {
                let found = parts.iter().find(|(own, part)| own == name && !part.is_null());
                found.map(|(_, part)| part.json())
            }
        }
    }

    /// Whether an item says no more than this one has.
    fn is_again(&self, item: WrittenValue<'_>) -> bool {
        let same = |name: &str, told: WrittenValue<'_>| {
            self.member(name).is_some_and(|own| own == told.text() || same_text(&own, told))
        };
        item.members().into_iter().all(|(name, told)| told.text() == "null" || same(&name, told))
    }

    /// Whether an item is more of this one: of its kind, of the same place and name where both say one, no
    /// cipher, which comes whole, and no new text behind a signature.
    fn goes_on(&self, item: WrittenValue<'_>) -> bool {
        let told = |name| item.member(name).map(WrittenValue::text);
        let same = |name| match (self.member(name), told(name)) {
            (Some(own), Some(other)) => own == other,
            (None, _) | (_, None) => true,
        };
        let seals = |name: &str| self.member(name).is_some_and(|own| !is_blank(&own));
        let is_ciphered = seals("data") || told("data").is_some_and(|data| !is_blank(data));
        let says = TEXTS.iter().any(|name| told(name).is_some_and(|text| text != "\"\""));
        let is_signed = seals("signature");
        told("type").is_some()
            && same("type")
            && same("index")
            && same("id")
            && !is_ciphered
            && !(is_signed && says)
    }

    fn go_on(&mut self, item: WrittenValue<'_>) -> usize {
        if let Self::Whole(text) = self {
            let parts = WrittenValue::of(text).members().into_iter().map(|(name, words)| {
                let part = Part::of(&name, words);
                (name, part)
            });
            *self = Self::Pieces(parts.collect());
        }
        let Self::Pieces(parts) = self else { return 0 };
        let mut bytes = 0;
        for (name, words) in item.members().into_iter().filter(|(_, words)| words.text() != "null") {
            let more = Part::of(&name, words);
            match (parts.iter_mut().find(|(own, _)| *own == name), more) {
                (Some((_, Part::Text(text))), Part::Text(more)) => {
                    bytes += text.push(more.text());
                }
                (Some((_, part)), more) if part.is_null() || !is_blank(words.text()) => *part = more,
                (Some(_), _) => {}
                (None, more) => {
                    bytes += words.text().len() + name.len() + PIECE_BYTES;
                    parts.push((name, more));
                }
            }
        }
        bytes
    }

    fn json(self) -> String {
        match self {
            Self::Whole(text) => text,
            Self::Pieces(parts) => {
                let parts: Vec<_> =
                    parts.iter().map(|(name, part)| format!("{}:{}", json(name), part.json())).collect();
                format!("{{{}}}", parts.join(","))
            }
        }
    }
}

impl Part {
    fn of(name: &str, words: WrittenValue<'_>) -> Self {
        let text = TEXTS.contains(&name).then(|| words.said()).flatten();
        text.map_or_else(|| Self::Words(words.text().to_owned()), |text| Self::Text(PiecedMembers::of(text)))
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Words(words) if words == "null")
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => json(text.text()),
            Self::Words(words) => words.clone(),
        }
    }
}

fn listed(entries: Vec<Entry>, is_single: bool) -> String {
    let entries: Vec<_> = entries.into_iter().map(Entry::json).collect();
    match &entries[..] {
        [single] if is_single => single.clone(),
        several => format!("[{}]", several.join(",")),
    }
}

fn same_text(own: &str, told: WrittenValue<'_>) -> bool {
    let own = WrittenValue::of(own).said();
    own.is_some() && own == told.said()
}

/// Whether a value in JSON holds nothing that is said.
fn is_blank(json: &str) -> bool {
    serde_json::from_str(json).is_ok_and(|value| says_nothing(&value))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(says_nothing),
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A text as JSON.
fn json(text: &str) -> String {
    Value::from(text).to_string()
}
