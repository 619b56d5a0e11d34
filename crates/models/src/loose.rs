//! JSON as providers stream it, read where a strict reader would give up what was paid for.

use serde_json::{Error, Value};

use protocol::Object;

use crate::{kept::is_opaque, weight::is_readable, words::WrittenValue};

/// The last frame of a chat stream; gateways put it behind other streams too.
const DONE: &str = "[DONE]";

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LooseValue {
    /// It.
    pub(crate) value: Value,
    /// What it was read from, where that holds what is kept as it was written.
    pub(crate) text: Option<String>,
}

impl From<Value> for LooseValue {
    fn from(value: Value) -> Self {
        Self { value, text: None }
    }
}

impl LooseValue {
    fn of(value: Value, text: &str) -> Self {
        Self { value, text: is_opaque(text).then(|| text.to_owned()) }
    }

    /// Itself, or each of several that are wrapped in a list.
    pub(crate) fn each(self) -> Vec<Self> {
        let Value::Array(several) = self.value else { return vec![self] };
        let mut texts =
            self.text.as_deref().map(|text| WrittenValue::of(text).items()).unwrap_or_default().into_iter();
        let one = |value| Self { value, text: texts.next().map(|words| words.text().to_owned()) };
        several.into_iter().map(one).collect()
    }
}

/// What a frame's data is.
#[derive(Debug, PartialEq)]
pub(crate) enum FrameData {
    /// An object or a list.
    Value(LooseValue),
    /// The word that says that all is sent.
    Done,
    /// What is no JSON of a wire: it carries nothing of an answer, but may say why there is none.
    Words(String),
}

/// Reads frames in their order.
#[derive(Debug, Default)]
pub(crate) struct LooseReader {
    /// The first half of a character whose second half begins a later frame, both written as escapes.
    half: Option<u32>,
}

impl LooseReader {
    /// The pieces of a frame's data: one, or one a line where no blank line parts them.
    pub(crate) fn read(&mut self, data: &[u8]) -> Result<Vec<FrameData>, Error> {
        let text = String::from_utf8_lossy(data);
        // Some put the mark with which a text begins before each.
        let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        let whole = self.piece(text);
        match whole {
            Ok(piece) => Ok(piece.into_iter().collect()),
            Err(error) => {
                let lines = text.lines().map(|line| self.piece(line.trim()));
                lines
                    .collect::<Result<Vec<_>, _>>()
                    .map_or(Err(error), |pieces| Ok(pieces.into_iter().flatten().collect()))
            }
        }
    }

    fn piece(&mut self, text: &str) -> Result<Option<FrameData>, Error> {
        if text.trim_matches('"').eq_ignore_ascii_case(DONE) {
            return Ok(Some(FrameData::Done));
        }
        if !text.starts_with(['{', '[']) {
            return Ok((!text.is_empty()).then(|| FrameData::Words(text.to_owned())));
        }
        let read = serde_json::from_str(text).map(|value| LooseValue::of(value, text)).or_else(|_| {
            let half = self.half;
            let mended = self.mended(text);
            let read = serde_json::from_str(&mended).map(|value| LooseValue::of(value, &mended));
            read.inspect_err(|_| self.half = half)
        });
        read.map(|read| Some(FrameData::Value(read)))
    }

    /// The text with what no strict reader takes made good: halves of characters, characters and escapes that
    /// may not stand in a string, and numbers that are none.
    fn mended(&mut self, text: &str) -> String {
        let mut mended = String::with_capacity(text.len() + 16);
        let (mut rest, mut in_string, mut at_start) = (text, false, false);
        while let Some(first) = rest.chars().next() {
            let began = core::mem::take(&mut at_start);
            let mut taken = first.len_utf8();
            match first {
                '"' => {
                    in_string = !in_string;
                    at_start = in_string;
                    mended.push('"');
                }
                '\\' if in_string => taken = self.escape(rest, began, &mut mended),
                _ if in_string && u32::from(first) < 0x20 => {
                    mended.extend(["\\u", &format!("{:04x}", u32::from(first))]);
                }
                _ if in_string => mended.push(first),
                _ => match ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word)) {
                    Some(word) => {
                        mended.push_str("null");
                        taken = word.len();
                    }
                    None => mended.push(first),
                },
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        mended
    }

    /// Takes the escape that `rest` begins with; gives its bytes. `began`: it is the first of its string.
    fn escape(&mut self, rest: &str, began: bool, mended: &mut String) -> usize {
        let Some(unit) = unit(rest) else {
            let second = rest[1..].chars().next();
            if second.is_some_and(|second| "\"\\/bfnrtu".contains(second)) {
                mended.push_str(rest.get(..2).unwrap_or(rest));
                return 2;
            }
            mended.push_str("\\\\");
            return 1;
        };
        match unit {
            0xd800..=0xdbff => match rest.get(6..).and_then(self::unit).filter(|low| is_low(*low)) {
                Some(_) => {
                    mended.push_str(&rest[..12]);
                    return 12;
                }
                None if rest[6..].starts_with('"') => self.half = Some(unit),
                None => mended.push(char::REPLACEMENT_CHARACTER),
            },
            low if is_low(low) => {
                let high = self.half.take_if(|_| began);
                let code = high.map(|high| 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                mended.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => mended.push_str(&rest[..6]),
        }
        6
    }
}

fn is_low(unit: u32) -> bool {
    (0xdc00..=0xdfff).contains(&unit)
}

/// The code unit that a text begins with as an escape.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

/// The object that a text holds: itself, behind an empty one that stood in its place, or within a string.
pub(crate) fn object(text: &str) -> Option<Object> {
    let text = text.trim();
    if !is_readable(text.as_bytes()) {
        return None;
    }
    if text.starts_with('"') {
        let inner: String = serde_json::from_str(text).ok()?;
        return inner.trim_start().starts_with('{').then(|| object(&inner)).flatten();
    }
    let read = |text: &str| match LooseReader::default().piece(text) {
        Ok(Some(FrameData::Value(LooseValue { value: Value::Object(object), .. }))) => Some(object),
        Ok(_) | Err(_) => None,
    };
    read(text).or_else(|| read(text.strip_prefix("{}").filter(|rest| rest.starts_with('{'))?))
}

/// A count, however it is written.
pub(crate) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The whole part of what no cast can bend.
fn whole(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}

/// A word: a text, or a number written as one; empty where there is neither.
pub(crate) fn word(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

/// Several, or one that stands where a list should.
pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(items)) => items,
        Some(one @ Value::Object(_)) => core::slice::from_ref(one),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(frames: &[&str]) -> Vec<FrameData> {
        let mut reader = LooseReader::default();
        frames.iter().flat_map(|frame| reader.read(frame.as_bytes()).expect("readable")).collect()
    }

    fn value(frame: &str) -> Value {
        match read(&[frame]).pop() {
            Some(FrameData::Value(read)) => read.value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_character_cut_in_two_is_put_together_over_frames() {
        let frames = [r#"{"a":"x\ud83d"}"#, r#"{"ping":1}"#, r#"{"a":"\ude00y","b":"\ud83d\ude00"}"#];
        let values = [json!({"a": "x"}), json!({"ping": 1}), json!({"a": "😀y", "b": "😀"})];
        assert_eq!(read(&frames), values.map(|value| FrameData::Value(value.into())));
    }

    #[test]
    fn what_may_not_stand_in_a_string_or_is_no_number_loses_nothing_else() {
        assert_eq!(value(r#"{"a":"x\ud83dy","b":"\ude00"}"#), json!({"a": "x\u{fffd}y", "b": "\u{fffd}"}));
        assert_eq!(value("{\"a\":\"tab\there\",\"n\":NaN}"), json!({"a": "tab\there", "n": null}));
        assert_eq!(
            value(r#"{"p":-Infinity,"q":Infinity,"a":"it\'s \x"}"#),
            json!({"p": null, "q": null, "a": "it\\'s \\x"})
        );
        assert_eq!(value(r#"{"a":1,"a":2}"#), json!({"a": 2}), "a key that is there twice");
        let mut reader = LooseReader::default();
        let piece = reader.read(b"{\"a\":\"caf\xff\"}").expect("readable");
        assert_eq!(piece, [FrameData::Value(json!({"a": "caf\u{fffd}"}).into())]);
    }

    #[test]
    fn lines_that_no_blank_line_parts_are_frames_of_their_own() {
        assert_eq!(
            read(&["{\"a\":1}\n{\"a\":2}\n[DONE]"]),
            [
                FrameData::Value(json!({"a": 1}).into()),
                FrameData::Value(json!({"a": 2}).into()),
                FrameData::Done
            ]
        );
        assert_eq!(read(&["\u{feff}{\"a\":1}"]), [FrameData::Value(json!({"a": 1}).into())]);
        assert_eq!(read(&["{\n\"a\":\n1}"]), [FrameData::Value(json!({"a": 1}).into())]);
        assert_eq!(
            read(&["\"[DONE]\"", " [DONE] ", "[done]", "", "ping"]),
            [FrameData::Done, FrameData::Done, FrameData::Done, FrameData::Words("ping".to_owned())]
        );
        assert!(LooseReader::default().read(b"{\"a\":").is_err());
    }

    #[test]
    fn an_object_is_found_behind_what_stood_in_its_place() {
        let found = Some(json!({"q": "a"}).as_object().expect("an object").clone());
        for text in [r#"{"q":"a"}"#, " {\"q\":\"a\"}\n", r#"{}{"q":"a"}"#, r#""{\"q\":\"a\"}""#] {
            assert_eq!(object(text), found, "{text}");
        }
        for text in ["[1]", "7", "{\"q\":\"a", "{} {}", "\"x\"", "{\"q\":1}{\"q\":2}"] {
            assert_eq!(object(text), None, "{text}");
        }
    }

    #[test]
    fn counts_come_as_numbers_of_any_kind() {
        for (written, counted) in
            [(json!(7), Some(7)), (json!(7.0), Some(7)), (json!("7"), Some(7)), (json!(-7), None)]
        {
            assert_eq!(count(&written), counted, "{written}");
        }
    }
}
