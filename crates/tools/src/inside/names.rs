//! Names of files as the model sees and sends them. Whatever is shown can be sent back, also what is no text.
//!
//! A name that would not survive (bytes that are no UTF-8, a newline, spaces nobody sees) is written as bash
//! writes it, `$'caf\xe9'`, so that all six tools take it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::{self, Display, Write};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use icu_normalizer::ComposingNormalizerBorrowed;

/// Names of a folder that are compared with one that is not there.
const COMPARED: usize = 50_000;

/// A path as it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownPath<'a>(pub(super) &'a Path);

impl Display for ShownPath<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_os_str().as_bytes();
        match str::from_utf8(bytes) {
            // Alone it would be the home.
            Ok(text) if plain(text) && self.0.starts_with("~") => write!(to, "./{text}"),
            Ok(text) if plain(text) => to.write_str(text),
            Ok(_) | Err(_) => quoted(bytes, to),
        }
    }
}

/// Whether a text can be copied from what shows it.
fn plain(text: &str) -> bool {
    !text.starts_with("$'") && text.trim_matches(' ').len() == text.len() && text.chars().all(visible)
}

fn visible(letter: char) -> bool {
    let blank = letter.is_whitespace() && letter != ' ';
    // Of no width, or turning the direction of what follows.
    let unseen = matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !(blank || unseen || letter.is_control())
}

fn quoted(bytes: &[u8], to: &mut fmt::Formatter<'_>) -> fmt::Result {
    to.write_str("$'")?;
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => to.write_str("\\n")?,
                '\t' => to.write_str("\\t")?,
                '\r' => to.write_str("\\r")?,
                '\\' | '\'' => write!(to, "\\{letter}")?,
                _ if visible(letter) => to.write_char(letter)?,
                _ => hexadecimal(letter.encode_utf8(&mut [0; 4]).as_bytes(), to)?,
            }
        }
        hexadecimal(chunk.invalid(), to)?;
    }
    to.write_char('\'')
}

fn hexadecimal(bytes: &[u8], to: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(to, "\\x{byte:02x}"))
}

/// The path that was sent, in either way.
///
/// # Errors
/// What is wrong with it.
pub(super) fn sent(text: &str) -> Result<PathBuf, &'static str> {
    let Some(inner) = text.strip_prefix("$'").and_then(|rest| rest.strip_suffix('\'')) else {
        return Ok(text.into());
    };
    let path = PathBuf::from(OsString::from_vec(unquoted(inner.as_bytes())?));
    // In quotes it is a name like others.
    Ok(if path.starts_with("~") { Path::new(".").join(path) } else { path })
}

/// What is said of an escape that is none.
const ESCAPES: &str =
    "holds an escape that is none: within $'…' are \\xHH, \\n, \\t, \\r, \\e, \\uHHHH, \\NNN, \\\\ and \\'";

fn unquoted(mut rest: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\'' => return Err("must have a backslash before a quote within $'…'"),
            b'\\' => escape(&mut rest, &mut bytes).ok_or(ESCAPES)?,
            _ => bytes.push(*byte),
        }
    }
    Ok(bytes)
}

/// Takes what stands behind a backslash.
fn escape(rest: &mut &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let (letter, after) = rest.split_first()?;
    if !letter.is_ascii_digit() {
        *rest = after;
    }
    bytes.push(match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'e' | b'E' => 0x1b,
        b'\\' | b'\'' | b'"' => *letter,
        b'x' => u8::try_from(number(rest, 16, 2)?).ok()?,
        b'0'..=b'7' => u8::try_from(number(rest, 8, 3)?).ok()?,
        b'u' | b'U' => {
            let letter = char::from_u32(number(rest, 16, if *letter == b'u' { 4 } else { 8 })?)?;
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    });
    Some(())
}

/// The number of so many digits at most that stands at the front.
fn number(rest: &mut &[u8], base: u32, digits: usize) -> Option<u32> {
    let all = rest.iter().take(digits).take_while(|byte| char::from(**byte).is_digit(base)).count();
    let (digits, after) = rest.split_at(all);
    *rest = after;
    u32::from_str_radix(str::from_utf8(digits).ok()?, base).ok()
}

/// A text in the one form (NFC) in which it is compared: a letter with its accent is one character or two,
/// nobody sees which, and models often write the other.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// The path that is there if this one is not: each name that is missing is the one of its folder that differs
/// in its form alone. Where none does, or more than one, it stays as it is.
pub(super) fn in_any_form(path: PathBuf) -> PathBuf {
    if path.as_os_str().is_ascii() || fs::symlink_metadata(&path).is_ok() {
        return path;
    }
    let mut found = PathBuf::new();
    for part in path.components() {
        let next = found.join(part);
        let other = match part {
            Component::Normal(name) if !name.is_ascii() && fs::symlink_metadata(&next).is_err() => {
                name.to_str().and_then(|name| alike(&found, name))
            }
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir
            | Component::Normal(_) => None,
        };
        found = other.unwrap_or(next);
    }
    found
}

/// The one entry of a folder whose name differs in its form alone.
fn alike(folder: &Path, name: &str) -> Option<PathBuf> {
    let wanted = composed(name);
    let same = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| composed(name) == wanted);
    let mut found = fs::read_dir(folder).ok()?.take(COMPARED).flatten().filter(same);
    let first = found.next()?;
    found.next().is_none().then(|| first.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown can be sent, whatever bytes it is of.
    #[test]
    fn what_is_shown_is_read_as_the_same_name() {
        let shown = |name: &[u8]| ShownPath(Path::new(std::ffi::OsStr::from_bytes(name))).to_string();
        for (name, expected) in [
            (&b"src/caf\xc3\xa9 au lait.txt"[..], "src/café au lait.txt"),
            (b"caf\xe9", "$'caf\\xe9'"),
            (b"a\nb\t\x1b[0m", "$'a\\nb\\t\\x1b[0m'"),
            (b" before", "$' before'"),
            (b"behind ", "$'behind '"),
            ("narrow\u{202f}space".as_bytes(), "$'narrow\\xe2\\x80\\xafspace'"),
            (b"it's", "it's"),
            (b"it's \\ \xff", "$'it\\'s \\\\ \\xff'"),
            (b"$'quoted'", "$'$\\'quoted\\''"),
            (b"~/x", "./~/x"),
            (b"~\xff", "$'~\\xff'"),
        ] {
            assert_eq!(shown(name), expected);
            let sent = sent(expected).expect("a name");
            assert_eq!(
                sent.components().collect::<PathBuf>().as_os_str().as_bytes(),
                if name[0] == b'~' && name[1] == b'/' { b"./~/x" } else { name }
            );
        }
        let letters = b"a '\\$~\n\xc3\xa9\xff\x7f\xe2\x80\x8b0x";
        let mut dice = 1_u64;
        for _ in 0..5_000 {
            let name: Vec<u8> = (0..8)
                .map(|_| {
                    dice =
                        dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    letters[(dice >> 33) as usize % letters.len()]
                })
                .collect();
            let back = sent(&shown(&name)).expect("a name");
            let back = back.as_os_str().as_bytes();
            assert_eq!(back.strip_prefix(b"./").unwrap_or(back), name);
        }
    }

    #[test]
    fn escapes_are_those_of_bash() {
        for (text, bytes) in [
            (r"$'\x41\x4z'", &b"A\x04z"[..]),
            (r"$'\101\0601'", b"A01"),
            (r"$'\u00e9\U0001f600'", "é\u{1f600}".as_bytes()),
            (r#"$'\"\e'"#, b"\"\x1b"),
            ("$'", b"$'"),
            ("$'~'", b"./~"),
        ] {
            assert_eq!(sent(text).expect("a name").as_os_str().as_bytes(), bytes, "{text}");
        }
        for text in [r"$'\'", r"$'\q'", "$'a'b'", r"$'\xzz'", r"$'\ud800'", r"$'\777'"] {
            assert!(sent(text).is_err(), "{text}");
        }
    }
}
