//! Content blocks: what a person, an agent or a tool says.

use alloc::{format, string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    limits,
    parse::{self, Fields, Invalid},
    schema::Tagged,
};

/// One block of content, in the API's own words (docs/rules.md 19).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Block")]
pub enum ContentBlock {
    /// Plain text.
    Text {
        /// What it says.
        text: String,
    },
    /// A picture.
    Image {
        /// Where its bytes are.
        source: MediaSource,
    },
    /// A PDF or a text.
    Document {
        /// Where its bytes are.
        source: MediaSource,
        /// What it is called.
        title: Option<String>,
        /// What the model should know about it; not cited from.
        context: Option<String>,
    },
    /// One hit of a search that a client's tool made.
    SearchResult {
        /// Whether the model may cite it.
        citations: Citations,
        /// Its text.
        content: Vec<SearchText>,
        /// Where it was found.
        source: String,
        /// What it is called.
        title: String,
    },
    /// Content withheld by the service; never accepted from a client.
    Redacted,
}

impl ContentBlock {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// How many bytes of the queue's bound it takes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Image { source } => source.weight(),
            Self::Document { source, title, context } => {
                source.weight()
                    + title.as_deref().map_or(0, str::len)
                    + context.as_deref().map_or(0, str::len)
            }
            Self::SearchResult { content, source, title, citations: _ } => {
                source.len() + title.len() + content.iter().map(|part| part.text.len()).sum::<usize>()
            }
            Self::Redacted => 0,
        }
    }
}

/// Where the bytes of an image or a document are.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Source")]
pub enum MediaSource {
    /// Here, in base64.
    Base64 {
        /// The encoded bytes.
        data: String,
        /// What they are, as `image/png`.
        media_type: String,
    },
    /// Here, as text; documents only.
    Text {
        /// The text.
        data: String,
        /// Always `text/plain`.
        media_type: String,
    },
    /// At an address that the model's provider fetches.
    Url {
        /// The address.
        url: String,
    },
    /// In an uploaded file.
    File {
        /// The file's id.
        file_id: String,
    },
    /// In our own store: how the log keeps what a tool read. Never accepted, and expanded to `base64`
    /// before it leaves by any door.
    #[schemars(skip)]
    Kept {
        /// The name it was stored under.
        blob: String,
        /// How many bytes it takes in base64.
        encoded_bytes: usize,
        /// What it is, as `image/png`.
        media_type: String,
    },
}

impl MediaSource {
    fn weight(&self) -> usize {
        match self {
            Self::Base64 { data, .. } | Self::Text { data, .. } => data.len(),
            Self::Url { url } => url.len(),
            Self::File { file_id } => file_id.len(),
            Self::Kept { encoded_bytes, .. } => *encoded_bytes,
        }
    }
}

/// Whether a search result may be cited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Citations {
    /// Whether it may.
    pub enabled: bool,
}

/// A piece of a search result's text.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "text")]
#[schemars(rename = "SearchText", transform = Tagged("text"))]
pub struct SearchText {
    /// The text.
    pub text: String,
}

/// Which blocks may stand in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedBlocks {
    /// text, image, document: a user's message.
    Message,
    /// text, image, document, search_result: a tool's result.
    Result,
}

/// Reads the content of a message: 1 to 1,000 blocks.
pub fn message(value: Value, path: &str) -> Result<Vec<ContentBlock>, Invalid> {
    blocks(1, AllowedBlocks::Message, value, path)
}

/// Reads the content of a tool's result: 0 to 1,000 blocks.
pub fn result(value: Value, path: &str) -> Result<Vec<ContentBlock>, Invalid> {
    blocks(0, AllowedBlocks::Result, value, path)
}

fn blocks(
    least: usize,
    allowed: AllowedBlocks,
    value: Value,
    path: &str,
) -> Result<Vec<ContentBlock>, Invalid> {
    let is_list = value.is_array();
    let read = parse::list(least, limits::CONTENT_BLOCKS, |value, path| block(allowed, value, path));
    read(value, path).map_err(|wrong| {
        if is_list { wrong } else { wrong.with_example("[{\"type\": \"text\", \"text\": \"…\"}]") }
    })
}

fn block(allowed: AllowedBlocks, value: Value, path: &str) -> Result<ContentBlock, Invalid> {
    let known: &[&str] = match allowed {
        AllowedBlocks::Message => &["text", "image", "document"],
        AllowedBlocks::Result => &["text", "image", "document", "search_result"],
    };
    let bare = |wrong: Invalid| wrong.with_example("{\"type\": \"text\", \"text\": \"…\"}");
    let mut fields = Fields::of(value, path).map_err(bare)?;
    let tag = fields.tag(known)?;
    if !known.contains(&tag.as_str()) {
        return Err(fields.unknown_tag(&tag, known));
    }
    let block = match tag.as_str() {
        "text" => ContentBlock::Text { text: text(allowed, &mut fields)? },
        "image" => ContentBlock::Image { source: fields.required("source", image_source)? },
        "document" => ContentBlock::Document {
            source: fields.required("source", document_source)?,
            title: fields.optional("title", parse::string)?,
            context: fields.optional("context", parse::string)?,
        },
        _ => ContentBlock::SearchResult {
            citations: fields.required("citations", citations)?,
            content: fields.required("content", parse::list(1, limits::CONTENT_BLOCKS, search_text))?,
            source: fields.required("source", parse::string)?,
            title: fields.required("title", parse::string)?,
        },
    };
    fields.finish()?;
    Ok(block)
}

fn text(allowed: AllowedBlocks, fields: &mut Fields) -> Result<String, Invalid> {
    let text = fields.required("text", parse::string)?;
    // A tool may well have nothing to say; a person who says nothing has made a mistake, and no provider
    // takes a blank text.
    if allowed == AllowedBlocks::Message && text.trim().is_empty() {
        return Err(fields.wrong("text", "must not be blank"));
    }
    Ok(text)
}

fn citations(value: Value, path: &str) -> Result<Citations, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let enabled = fields.required("enabled", parse::boolean)?;
    fields.finish()?;
    Ok(Citations { enabled })
}

fn search_text(value: Value, path: &str) -> Result<SearchText, Invalid> {
    let mut fields = Fields::of(value, path)?;
    fields.tagged("text")?;
    let text = fields.required("text", parse::string)?;
    fields.finish()?;
    Ok(SearchText { text })
}

fn image_source(value: Value, path: &str) -> Result<MediaSource, Invalid> {
    source(&["base64", "url", "file"], &["image/jpeg", "image/png", "image/gif", "image/webp"], value, path)
}

fn document_source(value: Value, path: &str) -> Result<MediaSource, Invalid> {
    source(&["base64", "text", "url", "file"], &["application/pdf"], value, path)
}

fn source(known: &[&str], encoded: &[&str], value: Value, path: &str) -> Result<MediaSource, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let tag = fields.tag(known)?;
    if !known.contains(&tag.as_str()) {
        return Err(fields.unknown_tag(&tag, known));
    }
    let source = match tag.as_str() {
        "base64" => MediaSource::Base64 {
            data: fields.required("data", base64)?,
            media_type: media_type(&mut fields, encoded)?,
        },
        "text" => MediaSource::Text {
            data: fields.required("data", parse::string)?,
            media_type: media_type(&mut fields, &["text/plain"])?,
        },
        "url" => MediaSource::Url { url: fields.required("url", url)? },
        _ => return Err(Invalid::unsupported(fields.path(), "a `file` source")),
    };
    fields.finish()?;
    Ok(source)
}

fn media_type(fields: &mut Fields, known: &[&str]) -> Result<String, Invalid> {
    let media_type = fields.required("media_type", parse::string)?;
    if known.contains(&media_type.as_str()) {
        Ok(media_type)
    } else {
        let message = format!("`{}` is not one of {}", parse::shown(&media_type), parse::listed(known));
        Err(fields.wrong("media_type", message))
    }
}

fn base64(value: Value, path: &str) -> Result<String, Invalid> {
    let data = parse::string(value, path)?;
    let body = data.trim_end_matches('=');
    let padding = data.len() - body.len();
    let alphabet = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    if data.is_empty() || !data.len().is_multiple_of(4) || padding > 2 || !alphabet {
        return Err(Invalid::new(path, "must be standard base64 with padding and without line breaks"));
    }
    Ok(data)
}

fn url(value: Value, path: &str) -> Result<String, Invalid> {
    let url = parse::text(1, limits::URL_CHARS)(value, path)?;
    if url.starts_with("https://") || url.starts_with("http://") {
        Ok(url)
    } else {
        Err(Invalid::new(path, "must be an http or https URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    fn mistake(content: Value) -> Invalid {
        message(content, "content").expect_err("a mistake")
    }

    #[test]
    fn each_kind_of_block_reads_as_it_was_sent() {
        let sent = json!([
            {"type": "text", "text": "hi"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "T"},
        ]);
        let png = MediaSource::Base64 { data: "aGk=".into(), media_type: "image/png".into() };
        let note = MediaSource::Text { data: "x".into(), media_type: "text/plain".into() };
        let read = message(sent, "content").expect("all legal");
        assert_eq!(
            read,
            vec![
                ContentBlock::text("hi"),
                ContentBlock::Image { source: png },
                ContentBlock::Document { source: note, title: Some("T".into()), context: None },
            ]
        );
    }

    #[test]
    fn blocks_that_do_not_belong_in_a_message_are_refused_by_path() {
        let redacted = mistake(json!([{"type": "text", "text": "a"}, {"type": "redacted"}]));
        assert_eq!(redacted.path, "content.1.type");
        let empty = mistake(json!([]));
        assert_eq!(
            (empty.path.as_str(), empty.message.as_str()),
            ("content", "must have at least 1 element, has 0")
        );
        let example = r#"{"type": "text", "text": "…"}"#;
        let (bare, line) = (mistake(json!("hello")), mistake(json!(["hello"])));
        assert_eq!(bare.message, format!("expected an array, got a string; send [{example}]"));
        let wrong = format!("expected an object, got a string; send {example}");
        assert_eq!(line, Invalid::new("content.0", wrong));
        assert_eq!(
            result(json!(7), "content").expect_err("a mistake").message,
            format!("expected an array, got a number; send [{example}]")
        );
        let untyped = mistake(json!([{"text": "a"}]));
        assert_eq!(untyped.message, "this field is required: `text`, `image` or `document`");
        let encoded = mistake(
            json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "a b"}}]),
        );
        assert_eq!(encoded.path, "content.0.source.data");
        let file = mistake(json!([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]));
        assert_eq!(file.message, "a `file` source is not supported yet");
    }
}
