//! The laws of pictures and documents: which may stand where, and that their bytes are what they are called.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    breach::{LawBreach, breach},
    request::{AnyBlock, AttachedSource, TypedSource},
};

/// What a block may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockHolder {
    /// A user's message.
    Message,
    /// The result of a tool.
    Result,
}

/// Checks blocks that are no results themselves: their kinds, and what pictures and documents hold.
pub(crate) fn check<'m>(
    path: &str,
    blocks: impl Iterator<Item = (usize, &'m AnyBlock<'m>)>,
    place: BlockHolder,
) -> Result<(), LawBreach> {
    for (at, block) in blocks {
        let path = format!("{path}.content.{at}");
        match (block.kind.as_ref(), &block.source) {
            ("image", Some(AttachedSource::Given(given))) => image(&path, given)?,
            ("document", Some(AttachedSource::Given(given))) => document(&path, given)?,
            ("image" | "document", _) => return breach("media_source", format!("{path} has no source")),
            ("text" | "search_result", _) => {}
            (kind, _) => {
                let (law, place) = match place {
                    BlockHolder::Message => ("user_block", "a user's message"),
                    BlockHolder::Result => ("result_block", "a tool_result"),
                };
                return breach(law, format!("{path}: `{kind}` in {place}"));
            }
        }
    }
    Ok(())
}

/// What an address of a chat completion may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllowedLink {
    /// A picture, by address or in it.
    Picture,
    /// A document, whose bytes are in the address.
    Document,
}

/// Checks an address: one of the web, or one that holds the bytes of what it is called.
pub(crate) fn address(path: &str, url: &str, linked: AllowedLink) -> Result<(), LawBreach> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if web && linked == AllowedLink::Picture {
        return Ok(());
    }
    let Some((media_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"))
    else {
        return breach("media_source", format!("{path}: the address is neither of the web nor holds data"));
    };
    let [kind, media_type, data] = ["base64", media_type, data].map(Cow::Borrowed);
    let given = TypedSource { kind, media_type, data, url: Cow::Borrowed("") };
    match linked {
        AllowedLink::Picture => image(path, &given),
        AllowedLink::Document => document(path, &given),
    }
}

fn image(path: &str, given: &TypedSource<'_>) -> Result<(), LawBreach> {
    let magic: &[u8] = match (given.kind.as_ref(), given.media_type.as_ref()) {
        ("base64", "image/png") => b"\x89PNG\r\n\x1a\n",
        ("base64", "image/jpeg") => b"\xff\xd8\xff",
        ("base64", "image/gif") => b"GIF8",
        ("base64", "image/webp") => b"RIFF",
        ("url", _) if !given.url.is_empty() => return Ok(()),
        (kind, media) => return breach("media_source", format!("{path}: an image `{kind}` of `{media}`")),
    };
    bytes(path, given, magic)
}

fn document(path: &str, given: &TypedSource<'_>) -> Result<(), LawBreach> {
    match (given.kind.as_ref(), given.media_type.as_ref()) {
        ("base64", "application/pdf") => bytes(path, given, b"%PDF-"),
        ("text", "text/plain") if !given.data.is_empty() => Ok(()),
        ("url", _) if !given.url.is_empty() => Ok(()),
        (kind, media) => breach("media_source", format!("{path}: a document `{kind}` of `{media}`")),
    }
}

fn bytes(path: &str, given: &TypedSource<'_>, magic: &[u8]) -> Result<(), LawBreach> {
    match BASE64_STANDARD.decode(given.data.as_bytes()) {
        Ok(bytes) if bytes.starts_with(magic) => Ok(()),
        Ok(_) => breach("media_as_named", format!("{path}: the bytes are no {}", given.media_type)),
        Err(error) => breach("media_base64", format!("{path}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";

    fn block(kind: &str, media: &str, bytes: &[u8]) -> Value {
        let data = BASE64_STANDARD.encode(bytes);
        json!({"type": kind, "source": {"type": "base64", "media_type": media, "data": data}})
    }

    fn broken(block: &Value, place: BlockHolder) -> &'static str {
        let text = block.to_string();
        let block: AnyBlock<'_> = serde_json::from_str(&text).expect("a block");
        check("m", [(0, &block)].into_iter(), place).map_or_else(|breach| breach.law, |()| "none")
    }

    #[test]
    fn pictures_documents_texts_and_search_results_may_stand_in_messages_and_results() {
        for place in [BlockHolder::Message, BlockHolder::Result] {
            for block in [
                json!({"type": "text", "text": "x"}),
                json!({"type": "search_result", "source": "https://example.com", "title": "t"}),
                json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
                json!({"type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "x"}}),
                block("image", "image/png", PNG),
                block("document", "application/pdf", b"%PDF-1.4"),
            ] {
                assert_eq!(broken(&block, place), "none", "{block}");
            }
        }
    }

    #[test]
    fn each_law_of_media_is_noticed() {
        let called = json!({"type": "tool_use", "id": "t", "name": "n", "input": {}});
        assert_eq!(broken(&called, BlockHolder::Result), "result_block");
        assert_eq!(broken(&called, BlockHolder::Message), "user_block");
        assert_eq!(broken(&json!({"type": "image"}), BlockHolder::Result), "media_source");
        assert_eq!(broken(&json!({"type": "image", "source": "x"}), BlockHolder::Result), "media_source");
        assert_eq!(broken(&block("image", "image/tiff", PNG), BlockHolder::Result), "media_source");
        assert_eq!(broken(&block("document", "image/png", PNG), BlockHolder::Result), "media_source");
        assert_eq!(broken(&block("image", "image/gif", PNG), BlockHolder::Result), "media_as_named");
        assert_eq!(broken(&block("image", "image/png", b""), BlockHolder::Result), "media_as_named");
        let mut bad = block("image", "image/png", PNG);
        bad["source"]["data"] = json!("no base64");
        assert_eq!(broken(&bad, BlockHolder::Result), "media_base64");
    }
}
