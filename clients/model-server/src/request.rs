//! A request of the Messages API, as far as the laws and the script read it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::script::SaidMessage;

/// A request; strings are borrowed from the body.
#[derive(Debug, Deserialize)]
pub(crate) struct LooseRequest<'a> {
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    pub(crate) max_tokens: i64,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(borrow, default)]
    pub(crate) system: MessageContent<'a>,
    #[serde(borrow, default)]
    pub(crate) tools: Vec<Tool<'a>>,
    #[serde(borrow)]
    pub(crate) messages: Vec<LooseMessage<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tool<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) input_schema: Schema<'a>,
    #[serde(default)]
    pub(crate) cache_control: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Schema<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LooseMessage<'a> {
    #[serde(borrow)]
    pub(crate) role: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: MessageContent<'a>,
}

/// What stands in `content` or `system`: nothing, a string or blocks.
#[derive(Debug, Default)]
pub(crate) enum MessageContent<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Blocks(Vec<AnyBlock<'a>>),
}

/// A block of any type; the fields that a type does not have are empty.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyBlock<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) thinking: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) signature: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) data: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) tool_use_id: Cow<'a, str>,
    #[serde(default)]
    pub(crate) is_error: bool,
    #[serde(default)]
    pub(crate) input: Shape,
    #[serde(borrow, default)]
    pub(crate) source: Option<AttachedSource<'a>>,
    #[serde(borrow, default)]
    pub(crate) content: MessageContent<'a>,
    #[serde(default)]
    pub(crate) cache_control: Option<IgnoredAny>,
}

/// Where a picture or a document comes from, or the plain text that a search result names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum AttachedSource<'a> {
    /// A picture's or a document's.
    #[serde(borrow)]
    Given(TypedSource<'a>),
    /// A search result's.
    Named(IgnoredAny),
}

/// A source with its type; the fields that a type does not have are empty.
#[derive(Debug, Deserialize)]
pub(crate) struct TypedSource<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) media_type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) data: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) url: Cow<'a, str>,
}

/// Whether a value is an object; its insides are skipped.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Shape {
    #[default]
    Other,
    Object,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Shape::Object)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MessageContent<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = MessageContent<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of blocks")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<MessageContent<'de>, E> {
                Ok(MessageContent::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<MessageContent<'de>, E> {
                Ok(MessageContent::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<MessageContent<'de>, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(blocks)).map(MessageContent::Blocks)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

impl<'a> MessageContent<'a> {
    pub(crate) fn blocks(&self) -> &[AnyBlock<'a>] {
        match self {
            Self::Blocks(blocks) => blocks,
            Self::Absent | Self::Text(_) => &[],
        }
    }

    /// The texts that stand here themselves, not inside a tool's result.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let plain = match self {
            Self::Text(text) => Some(text.as_ref()),
            Self::Absent | Self::Blocks(_) => None,
        };
        plain
            .into_iter()
            .chain(self.blocks().iter().filter(|block| block.kind == "text").map(|b| b.text.as_ref()))
    }

    /// The texts that stand inside tools' results, which come first, and then those that stand here.
    pub(crate) fn every_text(&self) -> impl Iterator<Item = &str> {
        self.blocks().iter().flat_map(|block| block.content.texts()).chain(self.texts())
    }

    fn bytes(&self) -> usize {
        let inside = |block: &AnyBlock<'_>| block.text.len() + block.thinking.len() + block.content.bytes();
        match self {
            Self::Absent => 0,
            Self::Text(text) => text.len(),
            Self::Blocks(blocks) => blocks.iter().map(inside).sum(),
        }
    }

    /// How many blocks carry `cache_control`.
    pub(crate) fn marks(&self) -> usize {
        self.blocks().iter().map(|b| usize::from(b.cache_control.is_some()) + b.content.marks()).sum()
    }
}

impl SaidMessage for LooseMessage<'_> {
    fn is_answer(&self) -> bool {
        self.role == "assistant"
    }

    fn texts(&self) -> Vec<&str> {
        self.content.texts().collect()
    }

    fn every_text(&self) -> Vec<&str> {
        self.content.every_text().collect()
    }
}

impl LooseRequest<'_> {
    /// A plain count of the input: one token for every four bytes of text, and one more.
    pub(crate) fn tokens(&self) -> u64 {
        let history: usize = self.messages.iter().map(|message| message.content.bytes()).sum();
        1 + (self.system.bytes() + history) as u64 / 4
    }
}
