//! Pictures and PDFs, told by their content. One that a model's provider would not take is refused here,
//! whether a tool reads it or a client sends it: once in the session's history it would be sent, and refused,
//! with every later request.

use core::fmt;

use imagesize::blob_size;
use memchr::memmem::{find, find_iter, rfind};
use protocol::limits::{PDF_BYTES, PICTURE_BYTES, PICTURE_SIDE};

use crate::amount;

/// Bytes at the end of a PDF in which its end mark must be.
const END_BYTES: usize = 4 * 1024;

/// What can be shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A PNG.
    Png,
    /// A JPEG.
    Jpeg,
    /// A GIF, which may move.
    Gif,
    /// A WebP.
    Webp,
    /// A PDF.
    Pdf,
}

/// Why a provider would not take a picture or a PDF; to be read after what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaRefusal {
    /// It has more bytes than it may.
    TooLarge {
        /// What it is.
        media: MediaKind,
    },
    /// Something of it is missing.
    Incomplete {
        /// What it begins as.
        media: MediaKind,
        /// What it lacks.
        lacks: &'static str,
    },
    /// It is a PDF with a password.
    Encrypted,
    /// It is a picture without a size.
    Sizeless {
        /// What it is.
        media: MediaKind,
    },
    /// It is a picture with too many pixels on a side.
    TooWide {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
}

impl fmt::Display for MediaRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { media } => {
                let most = amount::size(media.bytes_max() as u64);
                write!(f, "has more than {most}, the most that a {} may have", media.name())
            }
            Self::Incomplete { media, lacks } => {
                write!(f, "begins as {} but is not complete ({lacks})", media.name())
            }
            Self::Encrypted => write!(f, "is an encrypted {}, which cannot be shown", MediaKind::Pdf.name()),
            Self::Sizeless { media } => {
                write!(f, "is {} without a width and a height that could be found", media.name())
            }
            Self::TooWide { width, height } => write!(
                f,
                "has {width} x {height} pixels, and {PICTURE_SIDE} on a side is the most that can be shown"
            ),
        }
    }
}

impl MediaKind {
    /// Tells it from the first bytes, and not from the name.
    pub fn of(first: &[u8]) -> Option<Self> {
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
    pub(crate) fn named(extension: &str) -> Option<Self> {
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
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// Most bytes that it may have.
    pub const fn bytes_max(self) -> usize {
        match self {
            // As many as the base64 that is sent of it may have.
            Self::Png | Self::Jpeg | Self::Gif | Self::Webp => PICTURE_BYTES / 4 * 3,
            Self::Pdf => PDF_BYTES as usize,
        }
    }

    /// Whether a provider would take these bytes, which [`MediaKind::of`] has told.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(self, bytes: &[u8]) -> Result<(), MediaRefusal> {
        let media = self;
        if bytes.len() > self.bytes_max() {
            return Err(MediaRefusal::TooLarge { media });
        }
        if let Some(lacks) = self.lacks(bytes) {
            return Err(MediaRefusal::Incomplete { media, lacks });
        }
        if self == Self::Pdf {
            return if encrypted(bytes) { Err(MediaRefusal::Encrypted) } else { Ok(()) };
        }
        match blob_size(bytes) {
            Ok(size) if size.width == 0 || size.height == 0 => Err(MediaRefusal::Sizeless { media }),
            Ok(size) if size.width > PICTURE_SIDE || size.height > PICTURE_SIDE => {
                Err(MediaRefusal::TooWide { width: size.width, height: size.height })
            }
            Ok(_) => Ok(()),
            Err(_) => Err(MediaRefusal::Sizeless { media }),
        }
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
