//! What an outcome may hold. It goes into the log and to the model's provider, and it comes from where the
//! agent's own programs run.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::{
    content::{ContentBlock, MediaSource},
    limits,
};

/// Characters of text in one outcome.
const TEXT_CHARS: usize = 120_000;
/// Bytes of an outcome.
const BYTES: usize = 32 * 1024 * 1024;

const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];
const PDF: &str = "application/pdf";

/// Whether our own inside could have said this; `Err`: what it could not have.
pub(super) fn check(content: &[ContentBlock]) -> Result<(), &'static str> {
    if content.len() > limits::CONTENT_BLOCKS {
        return Err("it answered with too many blocks");
    }
    if content.iter().map(ContentBlock::weight).sum::<usize>() > BYTES {
        return Err("it answered with too many bytes");
    }
    let mut chars = 0;
    for block in content {
        match block {
            ContentBlock::Text { text } => chars += text.chars().count(),
            ContentBlock::Image { source: MediaSource::Base64 { data, media_type } }
                if IMAGES.contains(&media_type.as_str()) && data.len() <= limits::PICTURE_BYTES =>
            {
                encoded(data)?;
            }
            ContentBlock::Document { source: MediaSource::Base64 { data, media_type }, title, context }
                if media_type == PDF =>
            {
                chars +=
                    [title, context].into_iter().flatten().map(|text| text.chars().count()).sum::<usize>();
                encoded(data)?;
            }
            ContentBlock::Image { .. }
            | ContentBlock::Document { .. }
            | ContentBlock::SearchResult { .. }
            | ContentBlock::Redacted => {
                return Err("it answered with a block that no tool makes");
            }
        }
    }
    if chars > TEXT_CHARS { Err("it answered with too much text") } else { Ok(()) }
}

/// Whether this is base64 and holds something; in pieces, so that nothing large is decoded.
fn encoded(data: &str) -> Result<(), &'static str> {
    const WRONG: &str = "it answered with bytes that are not base64";
    const PIECE: usize = 4 * 1024;
    let bare = data.trim_end_matches('=');
    if bare.is_empty() || bare.contains('=') {
        return Err(WRONG);
    }
    let mut decoded = [0; PIECE];
    for piece in data.as_bytes().chunks(PIECE) {
        STANDARD.decode_slice(piece, &mut decoded).map_err(|_| WRONG)?;
    }
    Ok(())
}
