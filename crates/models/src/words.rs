//! JSON that is looked into and not read: what it holds stays as it was written.

use core::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A value as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenValue<'a>(&'a str);

impl<'a> WrittenValue<'a> {
    /// A text that holds one value.
    pub(crate) fn of(text: &'a str) -> Self {
        Self(text.trim())
    }

    /// It, word for word.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    /// The members of an object in their order; none of what is no object.
    pub(crate) fn members(self) -> Vec<(String, Self)> {
        let members: Result<Members<'a>, _> = serde_json::from_str(self.0);
        members.map(|Members(members)| members).unwrap_or_default()
    }

    /// A member of an object, unless it is null; of several with one name the last, as where it is read.
    pub(crate) fn member(self, name: &str) -> Option<Self> {
        let found = self.members().into_iter().rev().find(|(own, _)| own == name);
        found.map(|(_, words)| words).filter(|words| words.0 != "null")
    }

    /// The items of a list, or one object that stands where a list should.
    pub(crate) fn items(self) -> Vec<Self> {
        match self.0.as_bytes().first() {
            Some(b'[') => {
                let items: Result<Vec<&'a RawValue>, _> = serde_json::from_str(self.0);
                items.unwrap_or_default().into_iter().map(|item| Self(item.get())).collect()
            }
            Some(b'{') => vec![self],
            Some(_) | None => Vec::new(),
        }
    }

    /// What it says, if it is a text.
    pub(crate) fn said(self) -> Option<String> {
        self.0.starts_with('"').then(|| serde_json::from_str(self.0).ok()).flatten()
    }
}

struct Members<'a>(Vec<(String, WrittenValue<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, WrittenValue<'de>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, WrittenValue(value.get())));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_into_stays_as_it_was_written() {
        let words = WrittenValue::of(
            r#" {"a": [1.0, {"n" : 12345678901234567890123}, "\u00e9"], "b":null,"a b":{"c":1e5}} "#,
        );
        let items: Vec<_> =
            words.member("a").expect("a list").items().into_iter().map(WrittenValue::text).collect();
        assert_eq!(items, ["1.0", r#"{"n" : 12345678901234567890123}"#, r#""\u00e9""#]);
        assert_eq!(WrittenValue::of(items[2]).said().as_deref(), Some("é"));
        assert_eq!((words.member("b"), words.member("c"), words.items().len()), (None, None, 1));
        assert_eq!(
            words.member("a b").and_then(|inner| inner.member("c")).map(WrittenValue::text),
            Some("1e5")
        );
        assert_eq!(
            (WrittenValue::of("7").items(), WrittenValue::of("7").members(), WrittenValue::of("7").said()),
            (vec![], vec![], None)
        );
    }
}
