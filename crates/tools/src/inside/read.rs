//! `read`: a text as it is, or some of its lines; a picture or a PDF as a block of content.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use protocol::{
    content::{ContentBlock, MediaSource},
    limits::READ_TEXT_BYTES,
    parse::{self, Fields, Invalid},
};
use serde_json::{Value, json};

use super::{
    answer::{good, why},
    files, input,
    names::ShownPath,
    stop::SearchStop,
    text::CollectedText,
    tool::{self, BuiltinTool, CheckedInput, ToolMeans, ToolText},
};
use crate::{
    amount,
    media::{MediaKind, MediaRefusal},
    wire::ToolOutcome,
    workplace::Workplace,
};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || "{\"file_path\": string, \"view_range\"?: [first line, last line or -1]}".to_owned(),
    read: input,
    bound: |_| tool::BOUND,
};

/// Bytes by which it is told what a file is.
const SNIFF_BYTES: u64 = 16 * 1024;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// First line from 1, and last, which counts too; without it, to the end.
type Range = (u64, Option<u64>);

fn told(workplace: &Workplace) -> ToolText {
    let large = amount::size(READ_TEXT_BYTES);
    let description = format!(
        "Reads a file: text as it is, an image (png, jpg, gif, webp) or a PDF as something you can see. Text over \
         {large} needs `view_range`."
    );
    let properties = json!({
        "file_path": {"type": "string", "description": workplace.file()},
        "view_range": {
            "type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2,
            "description": "First and last line to read, counted from 1; a last line of 0 or less means the end."
        },
    });
    ToolText { description, properties, required: &["file_path"] }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let path: PathBuf = fields.required("file_path", input::path)?;
    let range = fields.optional("view_range", parse::list(2, 2, line))?;
    let range = match range.as_deref() {
        None => None,
        Some(&[first, last]) if first >= 1 && last <= 0 => Some((first as u64, None)),
        Some(&[first, last]) if first >= 1 && last >= first => Some((first as u64, Some(last as u64))),
        Some(_) => {
            let message = "the first line must be 1 or more, and the last not before it, or -1 for the end";
            return Err(fields.wrong("view_range", message));
        }
    };
    Ok(CheckedInput::task(move |means| run(means, &path, range)))
}

fn line(value: Value, at: &str) -> Result<i64, Invalid> {
    value.as_i64().ok_or_else(|| Invalid::new(at, "expected a whole number"))
}

fn run(means: ToolMeans<'_>, path: &Path, range: Option<Range>) -> Result<ToolOutcome, String> {
    let ToolMeans { layout, stop, text, .. } = means;
    let path = files::resolve(layout, path);
    let (mut file, metadata) = files::open(&path)?;
    let failed = |error: &io::Error| why("read", &path, error);
    let mut first = Vec::new();
    file.by_ref().take(SNIFF_BYTES).read_to_end(&mut first).map_err(|error| failed(&error))?;
    if let Some(media) = MediaKind::of(&first) {
        return block(&path, file, first, media, range.is_some());
    }
    if let Some(what) = binary(&first) {
        let path = ShownPath(&path);
        return Err(format!(
            "{path} is {what}; look at it with bash, for instance with `file` or `xxd | head`"
        ));
    }
    match range {
        // Whatever its lines are, what matters is that there are none.
        Some(range) if !first.is_empty() => lines(&path, file, first, range, stop, text),
        Some(_) | None => whole(&path, file, first, &metadata, text),
    }
}

fn whole(
    path: &Path,
    file: File,
    mut bytes: Vec<u8>,
    metadata: &Metadata,
    mut text: CollectedText,
) -> Result<ToolOutcome, String> {
    // A file of /proc says that it is empty, and another may grow while it is read.
    let left = (READ_TEXT_BYTES + 1).saturating_sub(bytes.len() as u64);
    file.take(left).read_to_end(&mut bytes).map_err(|error| why("read", path, &error))?;
    if bytes.len() as u64 > READ_TEXT_BYTES {
        let size = match metadata.len() {
            0 => String::new(),
            size => format!(" ({size} bytes)"),
        };
        return Err(format!(
            "{} is too large to be read at once{size}: read some lines with `view_range`, as [1, 200], or search \
             it with `grep`",
            ShownPath(path)
        ));
    }
    if bytes.is_empty() {
        let media = path.extension().and_then(|extension| MediaKind::named(&extension.to_string_lossy()));
        return match media {
            Some(media) => Err(format!(
                "{} is empty: what should have written this {} has not, or not yet; look at how it was made",
                ShownPath(path),
                media.name()
            )),
            None => Ok(good("(the file is empty)")),
        };
    }
    if let Some(what) = binary(&bytes) {
        return Err(format!("{} is {what}; look at it with bash", ShownPath(path)));
    }
    text.add(&bytes);
    Ok(good(text.finish()))
}

fn lines(
    path: &Path,
    mut file: File,
    mut piece: Vec<u8>,
    (first, last): Range,
    stop: &SearchStop,
    mut text: CollectedText,
) -> Result<ToolOutcome, String> {
    let last = last.unwrap_or(u64::MAX);
    let mut line = 1;
    let mut ends_open = false;
    while !piece.is_empty() && line <= last {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if (first..=last).contains(&line) {
                text.add(part);
            }
            ends_open = !part.ends_with(b"\n");
            line += u64::from(!ends_open);
        }
        if stop.now() {
            return Err(format!(
                "{} is too long to be read up to line {line} in time; take the lines out with `sed -n` in bash",
                ShownPath(path)
            ));
        }
        piece.resize(PIECE_BYTES, 0);
        let count = file.read(&mut piece).map_err(|error| why("read", path, &error))?;
        piece.truncate(count);
    }
    if text.is_empty() {
        let count = line - u64::from(!ends_open);
        return Err(format!("{} has only {count} lines; begin at one of them", ShownPath(path)));
    }
    Ok(good(text.finish()))
}

fn block(
    path: &Path,
    file: File,
    mut bytes: Vec<u8>,
    media: MediaKind,
    ranged: bool,
) -> Result<ToolOutcome, String> {
    let (path_shown, media_type) = (ShownPath(path), media.name());
    if ranged {
        return Err(format!(
            "{path_shown} is {media_type}, which has no lines: read it without `view_range`"
        ));
    }
    let left = (media.bytes_max() + 1).saturating_sub(bytes.len());
    file.take(left as u64).read_to_end(&mut bytes).map_err(|error| why("read", path, &error))?;
    media.check(&bytes).map_err(|wrong| format!("{path_shown} {wrong}; {}", advice(wrong)))?;
    let source =
        MediaSource::Base64 { data: BASE64_STANDARD.encode(&bytes), media_type: media_type.to_owned() };
    let content = if media == MediaKind::Pdf {
        ContentBlock::Document { source, title: None, context: None }
    } else {
        ContentBlock::Image { source }
    };
    Ok(ToolOutcome { content: vec![content], is_error: false })
}

/// What the model can do about it.
fn advice(wrong: MediaRefusal) -> &'static str {
    match wrong {
        MediaRefusal::TooLarge { media: MediaKind::Pdf } => {
            "take pages out of it in bash, or turn it into text"
        }
        MediaRefusal::TooLarge {
            media: MediaKind::Png | MediaKind::Jpeg | MediaKind::Gif | MediaKind::Webp,
        } => "make a smaller copy in bash and read that",
        MediaRefusal::Incomplete { .. } => {
            "if it is still being written wait for it, else make or fetch it again, or repair it with a program in \
             bash"
        }
        MediaRefusal::Encrypted => "decrypt it with a program in bash, or turn it into text, and read that",
        MediaRefusal::Sizeless { .. } => "make it again, or convert it with a program in bash and read that",
        MediaRefusal::TooWide { .. } => {
            "resize it, or cut a part out of it, with a program in bash and read that"
        }
    }
}

/// What it is if it is no text in UTF-8. The bytes may end in the middle of a character.
pub(super) fn binary(bytes: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    if text && !bytes.contains(&0) {
        return None;
    }
    Some(match bytes {
        [0x7f, b'E', b'L', b'F', ..] => "a binary file (an ELF program or library)",
        [b'P', b'K', 3, 4, ..] => "a binary file (a zip archive, or an office document)",
        [0x1f, 0x8b, ..] => "a binary file (compressed with gzip)",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "a binary file (compressed with xz)",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a binary file (compressed with zstd)",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "a binary file (an SQLite database)",
        [0, b'a', b's', b'm', ..] => "a binary file (WebAssembly)",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "a text in UTF-16 (turn it into UTF-8 with `iconv -f UTF-16`)",
        _ if !bytes.contains(&0) => {
            "not a text in UTF-8 (if it is one in Latin-1, turn it with `iconv -f LATIN1`)"
        }
        _ => "a binary file",
    })
}
