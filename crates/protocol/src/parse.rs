//! Reads a JSON body field by field, so that every mistake names the field it is in.
//!
//! Serde's own errors lose the path inside tagged unions and untagged ones; a person who sends a
//! wrong block wants to read `events.0.content.2.source.type`, so the shapes are read by hand.

use alloc::{
    borrow::{Cow, ToOwned},
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Number, Value};

use crate::{Object, limits, near};

/// A body that is not what it should be: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Invalid {
    /// The field, as `events.0.content`; empty for the body itself.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The machine-readable `details.error_code`, where the API names one.
    pub code: Option<&'static str>,
    /// Whether it names something that is not here, and is otherwise right.
    pub absent: bool,
}

impl Invalid {
    /// A mistake at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), code: None, absent: false }
    }

    /// The same with a named `error_code`.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same with an example of what would be right.
    #[must_use]
    pub fn with_example(mut self, example: &str) -> Self {
        self.message.extend(["; send ", example]);
        self
    }

    /// A field that Heddle knows but does not serve yet (docs/rules.md 11).
    pub fn unsupported(path: impl Into<String>, what: &str) -> Self {
        Self::new(path, format!("{what} is not supported yet"))
    }
}

/// What an optional field said: nothing, null, or a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenField<T> {
    /// The key is not there.
    Absent,
    /// The key is there and null.
    Null,
    /// The key holds this.
    Value(T),
}

impl<T> GivenField<T> {
    /// The value; null and absent alike are `None`.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value changed by `change`.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> GivenField<U> {
        match self {
            Self::Absent => GivenField::Absent,
            Self::Null => GivenField::Null,
            Self::Value(value) => GivenField::Value(change(value)),
        }
    }
}

/// One JSON object being read. Every key is taken once; `finish` refuses what is left.
#[derive(Debug)]
pub struct Fields {
    path: String,
    object: Object,
    /// The keys that were asked for, each with whether it had a value.
    asked: Vec<(&'static str, bool)>,
}

/// How many unknown keys, and known ones beside them, an error names at most.
const NAMED: usize = 12;
/// How many keys are looked at for one that was meant to be another.
const LOOKED_AT: usize = 64;

impl Fields {
    /// Begins to read `value`, which stands at `path`.
    pub fn of(value: Value, path: &str) -> Result<Self, Invalid> {
        match value {
            Value::Object(object) => Ok(Self { path: path.to_owned(), object, asked: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Invalid::new(path, format!("expected an object, got {}", kind(&value))))
            }
        }
    }

    /// The path of `key` in the whole body.
    pub fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The path of the object itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A mistake in `key`.
    pub fn wrong(&self, key: &str, message: impl Into<String>) -> Invalid {
        Invalid::new(self.at(key), message)
    }

    /// Whether `key` is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// Takes `key` as it is.
    pub fn take(&mut self, key: &'static str) -> GivenField<Value> {
        // `shift_remove` keeps the order of what is left, for the error about unknown keys.
        let given = match self.object.shift_remove(key) {
            None => GivenField::Absent,
            Some(Value::Null) => GivenField::Null,
            Some(value) => GivenField::Value(value),
        };
        if !self.asked.iter().any(|(asked, _)| *asked == key) {
            self.asked.push((key, matches!(given, GivenField::Value(_))));
        }
        given
    }

    /// Takes `key` and reads it with `read`, which gets the value and its path.
    pub fn given<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value, &str) -> Result<T, Invalid>,
    ) -> Result<GivenField<T>, Invalid> {
        let path = self.at(key);
        Ok(match self.take(key) {
            GivenField::Absent => GivenField::Absent,
            GivenField::Null => GivenField::Null,
            GivenField::Value(value) => GivenField::Value(read(value, &path)?),
        })
    }

    /// Like [`Fields::given`], with null and absent alike as `None`.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value, &str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        Ok(self.given(key, read)?.value())
    }

    /// Like [`Fields::given`], and refuses null and absent.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value, &str) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        self.optional(key, read)?.ok_or_else(|| self.missing(key, ""))
    }

    /// `key` is not there: what it may be, and what was sent that may be meant to be it.
    fn missing(&self, key: &str, choices: &str) -> Invalid {
        let mut message = format!("this field is required{choices}");
        let sent = || self.object.keys().take(LOOKED_AT).map(String::as_str);
        let near = sent().filter(|sent| near::nearest(sent, [key]).is_some());
        let near = near.min_by_key(|sent| near::edits(sent, key));
        if let Some(sent) = near.or_else(|| sent().find(|sent| is_more_or_less(sent, key))) {
            message.extend(["; `", sent, "` was sent, did you mean that?"]);
        }
        self.wrong(key, message)
    }

    /// Takes the `type`, one of `known`, that tells which shape the object has; any text is given back.
    pub fn tag(&mut self, known: &[&str]) -> Result<String, Invalid> {
        self.optional(TYPE, string)?.ok_or_else(|| self.missing(TYPE, &format!(": {}", listed(known))))
    }

    /// Takes `type` and refuses any but `expected`.
    pub fn tagged(&mut self, expected: &str) -> Result<(), Invalid> {
        let tag = self.tag(&[expected])?;
        if tag == expected {
            Ok(())
        } else {
            Err(self.wrong(TYPE, format!("expected `{expected}`, got `{}`", shown(&tag))))
        }
    }

    /// Refuses a `tag` that is none of `known`.
    pub fn unknown_tag(&self, tag: &str, known: &[&str]) -> Invalid {
        self.wrong(TYPE, format!("`{}` is not one of {}", shown(tag), listed(known)))
    }

    /// Ends the reading; keys that nobody took are refused by name, with what may be meant by each.
    pub fn finish(self) -> Result<(), Invalid> {
        match self.object.keys().next() {
            None => Ok(()),
            Some(first) => Err(self.wrong(first, self.strange())),
        }
    }

    /// What is wrong with the keys that are left; the first is named by the error's path.
    fn strange(&self) -> String {
        let mut strange = self.object.keys().take(NAMED).map(|key| (shown(key), self.meant(key)));
        let first = strange.next().and_then(|(_, meant)| meant);
        let mut message = match first {
            Some(meant) => format!("unknown field; did you mean `{meant}`?"),
            None => format!("unknown field; {}", self.takes()),
        };
        let more: Vec<_> = strange.collect();
        for (index, (key, meant)) in more.iter().enumerate() {
            let end = if first.is_none() { ". " } else { " " };
            message.extend(if index == 0 { [end, "Unknown too: "] } else { [", ", ""] });
            message.extend(["`", key, "`"]);
            message.extend(meant.iter().flat_map(|meant| [" (did you mean `", meant, "`?)"]));
        }
        if self.object.len() > NAMED {
            message.extend([" and ", &(self.object.len() - NAMED).to_string(), " more"]);
        }
        if first.is_some() && more.iter().any(|(_, meant)| meant.is_none()) {
            message.extend(["; ", &self.takes()]);
        }
        message
    }

    /// Of the keys that were asked for and had no value, the one that somebody meant by writing `sent`.
    fn meant(&self, sent: &str) -> Option<&'static str> {
        let free = || self.asked.iter().filter(|(_, given)| !given).map(|(key, _)| *key);
        near::nearest(sent, free()).or_else(|| free().find(|key| is_more_or_less(sent, key)))
    }

    /// What an object may hold here, beside what was not looked at.
    fn takes(&self) -> String {
        let names: Vec<&str> = self.asked.iter().take(NAMED).map(|(key, _)| *key).collect();
        match self.asked.len() {
            0 => "remove it".to_owned(),
            1..=NAMED => format!("this takes {}", listed(&names)),
            _ => format!("this takes {}, and others", listed(&names)),
        }
    }
}

/// The key of the tag.
const TYPE: &str = "type";

/// Whether one key is the other with a word more. Not of `type`: `media_type` is another thing.
fn is_more_or_less(sent: &str, key: &str) -> bool {
    key != TYPE && near::is_longer(sent, key)
}

/// The path of `key` below `path`; of a key that is too long to be one of ours, as much as can be read.
pub fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

/// A text from outside as an error repeats it: whole, or its first 128 characters.
pub fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(limits::SHOWN_CHARS) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

/// The names as one phrase: `a`, `b` or `c`.
pub fn listed(names: &[&str]) -> String {
    let mut phrase = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            phrase.push_str(if index + 1 == names.len() { " or " } else { ", " });
        }
        phrase.extend(["`", name, "`"]);
    }
    phrase
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads a string of any length.
pub fn string(value: Value, path: &str) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Invalid::new(path, format!("expected a string, got {}", kind(&value))))
        }
    }
}

/// Reads a string of `min` to `max` characters.
pub fn text(min: usize, max: usize) -> impl Fn(Value, &str) -> Result<String, Invalid> {
    move |value, path| {
        let text = string(value, path)?;
        let len = text.chars().count();
        if len < min {
            let least = counted(min, "character");
            return Err(Invalid::new(path, format!("must have at least {least}, has {len}")));
        }
        if len > max {
            let most = counted(max, "character");
            return Err(Invalid::new(path, format!("must have at most {most}, has {len}")));
        }
        Ok(text)
    }
}

/// Reads one of `known`, and returns the one it is.
pub fn one_of(known: &'static [&'static str]) -> impl Fn(Value, &str) -> Result<&'static str, Invalid> {
    move |value, path| {
        let text = string(value, path)?;
        known
            .iter()
            .find(|name| **name == text)
            .copied()
            .ok_or_else(|| Invalid::new(path, format!("`{}` is not one of {}", shown(&text), listed(known))))
    }
}

/// Reads a boolean.
pub fn boolean(value: Value, path: &str) -> Result<bool, Invalid> {
    value.as_bool().ok_or_else(|| Invalid::new(path, format!("expected a boolean, got {}", kind(&value))))
}

/// Reads a whole number of `min` to `max`, written with or without a fraction of zero: `3.0` is whole.
pub fn whole(min: u64, max: u64) -> impl Fn(Value, &str) -> Result<u64, Invalid> {
    move |value, path| {
        let bounds = match max {
            u64::MAX => format!("at least {min}"),
            max => format!("between {min} and {max}"),
        };
        let Value::Number(number) = &value else {
            return Err(Invalid::new(path, format!("expected a whole number, got {}", kind(&value))));
        };
        match number.as_u64().or_else(|| integral(number)).filter(|number| (min..=max).contains(number)) {
            Some(number) => Ok(number),
            None => Err(Invalid::new(path, format!("must be a whole number, {bounds}, is {number}"))),
        }
    }
}

/// A float that is a whole number which it holds exactly: beyond 2^53 its neighbours are lost.
fn integral(number: &Number) -> Option<u64> {
    let float = number.as_f64()?;
    ((0.0..=9_007_199_254_740_992.0).contains(&float) && float % 1.0 == 0.0).then_some(float as u64)
}

/// Reads an object as it is.
pub fn object(value: Value, path: &str) -> Result<Object, Invalid> {
    Fields::of(value, path).map(|fields| fields.object)
}

/// Reads an id.
pub fn id<K: crate::id::IdKind>(value: Value, path: &str) -> Result<crate::id::Id<K>, Invalid> {
    let text = string(value, path)?;
    text.parse().map_err(|wrong: crate::id::NotAnId| Invalid::new(path, wrong.to_string()))
}

/// Reads the id of something that must be here: one of another server is right, and absent.
pub fn reference<K: crate::id::IdKind>(value: Value, path: &str) -> Result<crate::id::Id<K>, Invalid> {
    let text = string(value, path)?;
    let wrong = |wrong: crate::id::NotAnId| Invalid {
        absent: wrong.is_foreign(),
        ..Invalid::new(path, wrong.to_string())
    };
    text.parse().map_err(wrong)
}

/// A number of things, of which one is called `noun`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Reads an array of `min` to `max` elements with `read`, which gets each element and its path.
pub fn list<T>(
    min: usize,
    max: usize,
    read: impl Fn(Value, &str) -> Result<T, Invalid>,
) -> impl FnOnce(Value, &str) -> Result<Vec<T>, Invalid> {
    move |value, path| match value {
        Value::Array(items) => {
            if items.len() < min || items.len() > max {
                let (word, bound) = if items.len() < min { ("least", min) } else { ("most", max) };
                let wrong = format!("must have at {word} {}, has {}", counted(bound, "element"), items.len());
                return Err(Invalid::new(path, wrong));
            }
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| read(item, &join(path, &index.to_string())))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Invalid::new(path, format!("expected an array, got {}", kind(&value))))
        }
    }
}

/// A resource's free key-value pairs (docs/rules.md 12: 16 pairs, keys of 64, values of 512 characters).
pub type Metadata = BTreeMap<String, String>;

/// A change to metadata: a key with `None` is removed, the rest stay or are set.
pub type MetadataPatch = BTreeMap<String, Option<String>>;

const INVALID_METADATA: &str = "invalid_metadata";

/// Reads whole metadata.
///
/// # Errors
/// The key that is wrong, or the whole; always with the code `invalid_metadata`.
pub fn metadata(value: Value, path: &str) -> Result<Metadata, Invalid> {
    let patch = metadata_patch(value, path)?;
    let mut metadata = Metadata::new();
    for (key, value) in patch {
        let wrong = || Invalid::new(join(path, &key), "expected a string, got null");
        let value = value.ok_or_else(|| wrong().with_code(INVALID_METADATA))?;
        metadata.insert(key, value);
    }
    bounded(&metadata, path)?;
    Ok(metadata)
}

/// Reads a change to metadata.
///
/// # Errors
/// As [`metadata`].
pub fn metadata_patch(value: Value, path: &str) -> Result<MetadataPatch, Invalid> {
    let coded = |wrong: Invalid| wrong.with_code(INVALID_METADATA);
    let mut patch = MetadataPatch::new();
    for (key, value) in object(value, path).map_err(coded)? {
        let at = join(path, &key);
        let len = key.chars().count();
        if len == 0 || len > limits::METADATA_KEY_CHARS {
            let message = format!("a metadata key has 1 to {} characters", limits::METADATA_KEY_CHARS);
            return Err(coded(Invalid::new(at, message)));
        }
        let read = text(0, limits::METADATA_VALUE_CHARS);
        let value = if value.is_null() { None } else { Some(read(value, &at).map_err(coded)?) };
        patch.insert(key, value);
    }
    Ok(patch)
}

/// Applies `patch` to `metadata`; `empty_deletes` says whether `""` removes a key as null does.
pub fn patched(
    metadata: &Metadata,
    patch: MetadataPatch,
    empty_deletes: bool,
    path: &str,
) -> Result<Metadata, Invalid> {
    let mut metadata = metadata.clone();
    for (key, value) in patch {
        match value {
            Some(value) if !(empty_deletes && value.is_empty()) => {
                metadata.insert(key, value);
            }
            Some(_) | None => {
                metadata.remove(&key);
            }
        }
    }
    bounded(&metadata, path)?;
    Ok(metadata)
}

fn bounded(metadata: &Metadata, path: &str) -> Result<(), Invalid> {
    if metadata.len() > limits::METADATA_PAIRS {
        let message = format!("must have at most {} pairs, has {}", limits::METADATA_PAIRS, metadata.len());
        return Err(Invalid::new(path, message).with_code(INVALID_METADATA));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    #[test]
    fn a_mistake_deep_inside_names_its_whole_path() {
        let body = json!({"events": [{"type": "a", "n": 3}, {"type": "a", "n": "x"}]});
        let read = |value: Value, path: &str| {
            let mut fields = Fields::of(value, path)?;
            fields.tagged("a")?;
            let n = fields.required("n", whole(0, 9))?;
            fields.finish()?;
            Ok(n)
        };
        let result = Fields::of(body, "").and_then(|mut fields| fields.required("events", list(0, 5, read)));
        assert_eq!(result, Err(Invalid::new("events.1.n", "expected a whole number, got a string")));
    }

    /// What is said of an object of which these keys are taken.
    fn said(sent: Value, keys: &[&'static str]) -> String {
        let mut fields = Fields::of(sent, "agent").expect("an object");
        for key in keys {
            fields.take(key);
        }
        fields.finish().expect_err("a key is left").to_string()
    }

    #[test]
    fn a_key_nobody_takes_is_refused_by_name() {
        let keys = ["name", "model", "system", "permission_policy"];
        for (sent, wanted) in [
            (json!({"modle": 1}), "agent.modle: unknown field; did you mean `model`?"),
            (
                json!({"name": 1, "permision_policy": 1}),
                "agent.permision_policy: unknown field; did you mean `permission_policy`?",
            ),
            (json!({"system_prompt": 1}), "agent.system_prompt: unknown field; did you mean `system`?"),
            // What was given is not meant by another, and what is null was not.
            (
                json!({"system": "a", "system_prompt": 1}),
                "agent.system_prompt: unknown field; this takes `name`, `model`, `system` or `permission_policy`",
            ),
            (json!({"model": null, "modle": 1}), "agent.modle: unknown field; did you mean `model`?"),
            (
                json!({"temperature": 1}),
                "agent.temperature: unknown field; this takes `name`, `model`, `system` or `permission_policy`",
            ),
            (
                json!({"modle": 1, "sytem": 1}),
                "agent.modle: unknown field; did you mean `model`? Unknown too: `sytem` (did you mean `system`?)",
            ),
            (
                json!({"modle": 1, "top_p": 1, "sytem": 1}),
                "agent.modle: unknown field; did you mean `model`? Unknown too: `top_p`, `sytem` (did you mean \
                 `system`?); this takes `name`, `model`, `system` or `permission_policy`",
            ),
            (
                json!({"top_p": 1, "top_k": 1}),
                "agent.top_p: unknown field; this takes `name`, `model`, `system` or `permission_policy`. Unknown \
                 too: `top_k`",
            ),
        ] {
            assert_eq!(said(sent, &keys), wanted);
        }
        assert_eq!(said(json!({"a": 1}), &[]), "agent.a: unknown field; remove it");
    }

    #[test]
    fn an_error_names_no_more_keys_than_can_be_read() {
        let sent: Object = (0..1_000).map(|n| (format!("{n}{}", "é".repeat(4_000)), json!(1))).collect();
        let keys = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13"];
        let said = said(Value::Object(sent), &keys);
        assert!(said.ends_with("` and 988 more") && said.chars().count() < 2_000, "{said}");
        assert!(
            said.contains("this takes `a1`, ") && said.contains("`a12`, and others. Unknown too: "),
            "{said}"
        );
    }

    #[test]
    fn a_field_that_is_missing_is_told_with_what_was_sent_in_its_place() {
        for (sent, key, wanted) in [
            (json!({}), "agent", ""),
            (json!({"title": 1, "agent_id": 1}), "agent", "; `agent_id` was sent, did you mean that?"),
            (json!({"environment": 1}), "environment_id", "; `environment` was sent, did you mean that?"),
            (json!({"agents": 1}), "agent", "; `agents` was sent, did you mean that?"),
            (json!({"path": 1}), "file_path", "; `path` was sent, did you mean that?"),
            (json!({"agent_id": 1, "agnet": 1}), "agent", "; `agnet` was sent, did you mean that?"),
            (json!({"title": 1}), "name", ""),
        ] {
            let mut fields = Fields::of(sent, "").expect("an object");
            let wrong = fields.required(key, string).expect_err("it is not there");
            assert_eq!(wrong.to_string(), format!("{key}: this field is required{wanted}"));
        }
    }

    #[test]
    fn a_type_that_is_missing_is_told_with_those_that_there_are() {
        let missing = |sent: Value| Fields::of(sent, "").and_then(|mut fields| fields.tag(&["a", "b"]));
        for (sent, wanted) in [
            (json!({}), ""),
            (json!({"type": null}), ""),
            (json!({"media_type": "a"}), ""),
            (json!({"typ": "a"}), "; `typ` was sent, did you mean that?"),
        ] {
            let wrong = missing(sent).expect_err("it is not there").to_string();
            assert_eq!(wrong, format!("type: this field is required: `a` or `b`{wanted}"));
        }
        assert_eq!(missing(json!({"type": "c"})), Ok("c".to_owned()));
        let tagged = Fields::of(json!({}), "").and_then(|mut fields| fields.tagged("a"));
        assert_eq!(tagged, Err(Invalid::new("type", "this field is required: `a`")));
    }

    #[test]
    fn absent_null_and_value_are_told_apart() {
        let mut fields = Fields::of(json!({"a": null, "b": true}), "").expect("an object");
        let given = [
            fields.given("a", boolean).expect("null is fine"),
            fields.given("b", boolean).expect("true is fine"),
            fields.given("c", boolean).expect("absent is fine"),
        ];
        assert_eq!(given, [GivenField::Null, GivenField::Value(true), GivenField::Absent]);
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        let read = |text: &str| whole(0, u64::MAX)(serde_json::from_str(text).expect("JSON"), "n").ok();
        let read = ["3", "3.0", "3e2", "18446744073709551615", "3.5", "-3.0", "1e300"].map(read);
        assert_eq!(read, [Some(3), Some(3), Some(300), Some(u64::MAX), None, None, None]);
    }

    #[test]
    fn a_patch_removes_sets_and_keeps() {
        let metadata = Metadata::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        let patch = metadata_patch(json!({"a": null, "c": "", "b": "3"}), "metadata").expect("a patch");
        let kept: Vec<_> =
            patched(&metadata, patch.clone(), false, "metadata").expect("fits").into_iter().collect();
        assert_eq!(kept, vec![("b".to_string(), "3".to_string()), ("c".to_string(), String::new())]);
        let kept: Vec<_> = patched(&metadata, patch, true, "metadata").expect("fits").into_iter().collect();
        assert_eq!(kept, vec![("b".to_string(), "3".to_string())]);
    }

    #[test]
    fn a_number_that_does_not_fit_is_told_with_its_bounds() {
        for (sent, bounds) in
            [(json!(0), "at least 1"), (json!(1.5), "at least 1"), (json!(-7), "at least 1")]
        {
            let wrong = whole(1, u64::MAX)(sent.clone(), "n").expect_err("does not fit");
            assert_eq!(wrong.message, format!("must be a whole number, {bounds}, is {sent}"));
        }
        assert_eq!(
            [json!(7), json!(7.0), json!(7e0)].map(|sent| whole(1, 9)(sent, "n")),
            [Ok(7), Ok(7), Ok(7)]
        );
        for sent in [json!(1e17), json!(-0.5), json!(0.0), json!(-1.0)] {
            assert!(whole(1, u64::MAX)(sent.clone(), "n").is_err(), "{sent}");
        }
        let wrong = whole(1, 9)(json!(10), "n").expect_err("too large");
        assert_eq!(wrong.message, "must be a whole number, between 1 and 9, is 10");
    }

    #[test]
    fn an_error_repeats_no_more_than_can_be_read() {
        let long = "é".repeat(4_000);
        let clipped = format!("{}…", "é".repeat(limits::SHOWN_CHARS));
        let fields = Fields::of(json!({long.as_str(): 1}), "agent").expect("an object");
        assert_eq!(fields.finish().map_err(|wrong| wrong.path), Err(format!("agent.{clipped}")));
        let wrong = one_of(&["a"])(json!(long), "x").expect_err("is not a");
        assert_eq!(wrong.message, format!("`{clipped}` is not one of `a`"));
        let fields = Fields::of(json!({}), "").expect("an object");
        assert_eq!(fields.unknown_tag(&long, &["a"]).message, format!("`{clipped}` is not one of `a`"));
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        for filler in ["x", "é", "𐐷", "\u{0}"] {
            let bound = |len: usize| text(1, 256)(json!(filler.repeat(len)), "name").map(|text| text.len());
            assert_eq!(bound(256), Ok(256 * filler.len()));
            let wrong = Invalid::new("name", "must have at most 256 characters, has 257");
            assert_eq!(bound(257), Err(wrong));
        }
    }

    #[test]
    fn every_mistake_in_metadata_names_its_key_and_has_the_code() {
        let key = "é".repeat(limits::METADATA_KEY_CHARS);
        let value = "é".repeat(limits::METADATA_VALUE_CHARS);
        assert!(metadata(json!({key.as_str(): value.as_str()}), "metadata").is_ok());
        let long = format!("{key}é");
        for (sent, path) in [
            (json!({"": "v"}), "metadata.".to_string()),
            (json!({long.as_str(): "v"}), format!("metadata.{long}")),
            (json!({"k": format!("{value}é")}), "metadata.k".into()),
            (json!({"k": 7}), "metadata.k".into()),
            (json!({"k": null}), "metadata.k".into()),
            (json!(["k"]), "metadata".into()),
        ] {
            let wrong = metadata(sent, "metadata").expect_err("a mistake");
            assert_eq!((wrong.path, wrong.code), (path, Some("invalid_metadata")));
        }
    }

    #[test]
    fn a_patch_is_bounded_by_what_it_comes_to() {
        let full: Metadata = (0..16).map(|n| (n.to_string(), "v".to_string())).collect();
        let patch = |sent: Value| {
            let patch = metadata_patch(sent, "metadata").expect("a patch");
            patched(&full, patch, false, "metadata").map(|metadata| metadata.len())
        };
        let wrong = Invalid::new("metadata", "must have at most 16 pairs, has 17");
        assert_eq!(patch(json!({"x": "v"})), Err(wrong.with_code("invalid_metadata")));
        assert_eq!(patch(json!({"x": "v", "0": null})), Ok(16));
        assert_eq!(patch(json!({"x": null, "0": "w"})), Ok(16));
        let many: Object = (0..1_000).map(|n| (n.to_string(), Value::Null)).collect();
        assert_eq!(patch(Value::Object(many)), Ok(0));
    }

    #[test]
    fn the_seventeenth_pair_is_refused() {
        let object: Object = (0..17).map(|n| (n.to_string(), json!("v"))).collect();
        let wrong = metadata(Value::Object(object), "metadata").expect_err("one too many");
        assert_eq!((wrong.path.as_str(), wrong.code), ("metadata", Some("invalid_metadata")));
    }
}
