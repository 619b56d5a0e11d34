//! Pictures and PDFs, told by their content. One that a model's provider would not take is refused here: once
//! in the session's history it would be sent, and refused, with every later request.

use imagesize::blob_size;
use memchr::memmem::{find, find_iter, rfind};
use protocol::limits::PICTURE_SIDE;

/// Bytes at the end of a PDF in which its end mark must be.
const END_BYTES: usize = 4 * 1024;

/// What can be shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Png,
    Jpeg,
    Gif,
    Webp,
    Pdf,
}

impl Media {
    /// Tells it from the first bytes, and not from the name.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            _ => None,
        }
    }

    /// What a file with this extension should hold.
    pub(super) fn named(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "gif" => Some(Self::Gif),
            "webp" => Some(Self::Webp),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    /// Its media type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// Whether a provider would take these bytes, which [`Media::of`] has told.
    ///
    /// # Errors
    /// What is wrong and what to do; to be read after the file's name.
    pub(super) fn check(self, bytes: &[u8]) -> Result<(), String> {
        let name = self.name();
        if let Some(lacks) = self.lacks(bytes) {
            return Err(format!(
                "begins as {name} but is not complete ({lacks}); if it is still being written wait for it, else \
                 make or fetch it again, or repair it with a program in bash"
            ));
        }
        if self == Self::Pdf {
            return if encrypted(bytes) {
                let advice = "decrypt it with a program in bash, or turn it into text, and read that";
                Err(format!("is an encrypted {name}, which cannot be shown; {advice}"))
            } else {
                Ok(())
            };
        }
        let size = match blob_size(bytes) {
            Ok(size) if size.width > 0 && size.height > 0 => size,
            Ok(_) | Err(_) => {
                return Err(format!(
                    "is {name} without a width and a height that could be found; make it again, or convert it \
                     with a program in bash and read that"
                ));
            }
        };
        if size.width > PICTURE_SIDE || size.height > PICTURE_SIDE {
            let (width, height) = (size.width, size.height);
            return Err(format!(
                "has {width} x {height} pixels, and {PICTURE_SIDE} on a side is the most that can be shown; resize it, or \
                 cut a part out of it, with a program in bash and read that"
            ));
        }
        Ok(())
    }

    /// What is missing of a file that was cut.
    fn lacks(self, bytes: &[u8]) -> Option<&'static str> {
        let (complete, lacks) = match self {
            Self::Png => (
                bytes.get(12..16) == Some(b"IHDR") && rfind(bytes, b"\0\0\0\0IEND").is_some(),
                "without IHDR or IEND",
            ),
            // The end of a preview in the header is not the end of the picture.
            Self::Jpeg => (
                rfind(bytes, b"\xff\xda").is_some_and(|scan| find(&bytes[scan..], b"\xff\xd9").is_some()),
                "without an end marker",
            ),
            Self::Gif => (bytes.iter().rfind(|byte| **byte != 0) == Some(&b';'), "without a trailer"),
            Self::Webp => (riff_fits(bytes), "shorter than it says"),
            Self::Pdf => (find(end(bytes), b"%%EOF").is_some(), "without %%EOF at its end"),
        };
        (!complete).then_some(lacks)
    }
}

/// Whether all of a RIFF file is there, and at least a chunk in it.
fn riff_fits(bytes: &[u8]) -> bool {
    let Some((_, [a, b, c, d, rest @ ..])) = bytes.split_at_checked(4) else { return false };
    let size = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    (12..=rest.len()).contains(&size)
}

fn end(pdf: &[u8]) -> &[u8] {
    &pdf[pdf.len().saturating_sub(END_BYTES)..]
}

/// Whether the trailer of a PDF names an encryption. It is where `startxref` says: after a table, or the
/// dictionary of a stream.
fn encrypted(pdf: &[u8]) -> bool {
    let start = || {
        let (_, after) = pdf.split_at_checked(rfind(pdf, b"startxref")? + b"startxref".len())?;
        let digits = after.trim_ascii_start();
        let digits = &digits[..digits.iter().take_while(|byte| byte.is_ascii_digit()).count()];
        let part = pdf.get(str::from_utf8(digits).ok()?.parse::<usize>().ok()?..)?.trim_ascii_start();
        let begins = part.starts_with(b"xref") || part.first().is_some_and(u8::is_ascii_digit);
        let ends = [&b"stream"[..], b"startxref"].into_iter().filter_map(|word| find(part, word)).min();
        begins.then_some(&part[..ends.unwrap_or(part.len())])
    };
    // Readers mend a wrong place by looking for the trailer.
    names(start().unwrap_or_else(|| end(pdf)), b"/Encrypt")
}

/// Whether this name is in it, and not only the beginning of a longer one.
fn names(part: &[u8], name: &[u8]) -> bool {
    find_iter(part, name).any(|at| !part.get(at + name.len()).is_some_and(u8::is_ascii_alphanumeric))
}
