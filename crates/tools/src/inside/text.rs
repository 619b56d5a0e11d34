//! What a tool says, bounded as it comes: a long text goes to a file, and the model gets both its ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::str;

use protocol::limits::{OUTPUT_CHARS, OUTPUT_END_CHARS, OUTPUT_FILE_BYTES};

use super::names::ShownPath;
use crate::amount;

/// Bytes of the tail above which it is cut down to what can be needed of it.
const TAIL_BYTES: usize = 128 * 1024;

/// A text that is being collected: UTF-8, with U+FFFD for what is none and for NUL, which no JSON store
/// takes.
#[derive(Debug)]
pub(super) struct CollectedText {
    /// All of it, until it is too long; its first characters then.
    head: String,
    chars: usize,
    /// The start of a character whose rest has not come yet.
    partial: Vec<u8>,
    path: PathBuf,
    low: bool,
    long: Option<Long>,
}

/// The rest of a long one.
#[derive(Debug)]
struct Long {
    tail: String,
    lines: usize,
    file: io::Result<BufWriter<File>>,
    written: usize,
    cut: bool,
}

impl CollectedText {
    /// An empty one, that goes to `results/event.txt` if it gets long.
    /// With `low`, which says that the disk is nearly full, there will be no file.
    pub(super) fn new(results: &Path, event: &str, low: bool) -> Self {
        let path = results.join(format!("{event}.txt"));
        Self { head: String::new(), chars: 0, partial: Vec::new(), path, low, long: None }
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.chars == 0 && self.partial.is_empty()
    }

    /// Adds bytes, which may end in the middle of a character.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let mut joined = mem::take(&mut self.partial);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.say(chunk.valid());
            let wrong = chunk.invalid();
            let unfinished = || str::from_utf8(wrong).is_err_and(|error| error.error_len().is_none());
            if !wrong.is_empty() && chunks.peek().is_none() && unfinished() {
                self.partial = wrong.to_vec();
            } else if !wrong.is_empty() {
                self.say("\u{fffd}");
            }
        }
    }

    fn say(&mut self, text: &str) {
        if text.contains('\0') {
            self.keep(&text.replace('\0', "\u{fffd}"));
        } else {
            self.keep(text);
        }
    }

    fn keep(&mut self, text: &str) {
        self.chars += text.chars().count();
        if let Some(long) = &mut self.long {
            long.add(text);
            return;
        }
        self.head.push_str(text);
        if self.chars > OUTPUT_CHARS {
            let mut long = Long { tail: String::new(), lines: 1, file: self.file(), written: 0, cut: false };
            let head = start(&self.head, OUTPUT_END_CHARS).len();
            long.write(&self.head);
            long.tail = self.head.split_off(head);
            long.trim();
            self.long = Some(long);
        }
    }

    fn file(&self) -> io::Result<BufWriter<File>> {
        if self.low { Err(io::Error::other("the server's disk is nearly full")) } else { create(&self.path) }
    }

    /// What the model gets.
    pub(super) fn finish(mut self) -> String {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.keep("\u{fffd}");
        }
        let Some(mut long) = self.long else { return self.head };
        let tail = end(&long.tail, OUTPUT_END_CHARS);
        let left = self.chars.saturating_sub(2 * OUTPUT_END_CHARS);
        let total = self.chars;
        let path = ShownPath(&self.path);
        let kept = long
            .file
            .as_mut()
            .map_err(|error| error.to_string())
            .and_then(|file| file.flush().map_err(|error| error.to_string()));
        // Of a longer line `read` would show both ends again.
        let how = if total / long.lines > 2 * OUTPUT_END_CHARS {
            "take parts of its long lines with `cut -c` in bash"
        } else {
            "read parts of it with `read` and `view_range`"
        };
        let whole = match kept {
            Ok(()) if long.cut => {
                let kept = amount::size(OUTPUT_FILE_BYTES as u64);
                format!("Its first {kept} are in {path}, the rest is lost: {how}, or search it with `grep`.")
            }
            Ok(()) => format!("The whole text is in {path}: {how}, or search it with `grep`."),
            Err(error) => format!(
                "The whole text could not be kept in {path} ({error}): free some space and ask for less at once."
            ),
        };
        format!("{}\n\n[{left} of {total} characters are left out here. {whole}]\n\n{tail}", self.head)
    }
}

impl Long {
    fn add(&mut self, text: &str) {
        self.write(text);
        self.tail.push_str(text);
        if self.tail.len() > TAIL_BYTES {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let kept = end(&self.tail, OUTPUT_END_CHARS).len();
        self.tail.drain(..self.tail.len() - kept);
    }

    fn write(&mut self, text: &str) {
        self.lines += text.matches('\n').count();
        let room = OUTPUT_FILE_BYTES - self.written;
        let kept = &text[..text.floor_char_boundary(room)];
        self.cut |= kept.len() < text.len();
        self.written += kept.len();
        if let Ok(file) = &mut self.file
            && let Err(error) = file.write_all(kept.as_bytes())
        {
            self.file = Err(error);
        }
    }
}

/// A new file. One of that name is of a run of the same call before a crash, or somebody's trap: it goes.
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path).map(BufWriter::new)
}

fn start(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(at, _)| &text[..at])
}

fn end(text: &str, chars: usize) -> &str {
    text.char_indices().nth_back(chars.saturating_sub(1)).map_or(text, |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&[u8]]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let mut text = CollectedText::new(folder.path(), "e", false);
        for piece in pieces {
            text.add(piece);
        }
        text.finish()
    }

    #[test]
    fn characters_that_come_in_pieces_are_whole_and_bytes_that_are_none_are_marked() {
        assert_eq!(said(&[b"a\xc3", b"\xa4b"]), "aäb");
        assert_eq!(said(&[b"\xf0", b"\x9f", b"\x98", b"\x80."]), "\u{1f600}.");
        assert_eq!(said(&[b"a\xffb\0c\xc3"]), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(said(&[b"\xc3", b"\xc3", b"\xa4"]), "\u{fffd}ä");
    }

    #[test]
    fn a_text_of_the_most_characters_is_whole_and_one_more_goes_to_the_file() {
        let whole = "ä".repeat(OUTPUT_CHARS);
        assert_eq!(said(&[whole.as_bytes()]), whole);
        let folder = tempfile::tempdir().expect("a folder");
        let mut text = CollectedText::new(folder.path(), "sevt_1", false);
        let path = folder.path().join("sevt_1.txt");
        fs::write(&path, "from before").expect("writes");
        for index in 0..=OUTPUT_CHARS {
            text.add(if index % 10 == 0 { b"\n" } else { b"x" });
        }
        let said = text.finish();
        let file = fs::read_to_string(&path).expect("the file");
        assert_eq!(file.len(), OUTPUT_CHARS + 1);
        let note = format!(
            "\n\n[84001 of 100001 characters are left out here. The whole text is in {}: read parts of it with \
             `read` and `view_range`, or search it with `grep`.]\n\n",
            path.display()
        );
        assert_eq!(
            said,
            format!("{}{note}{}", &file[..OUTPUT_END_CHARS], &file[file.len() - OUTPUT_END_CHARS..])
        );
    }

    #[test]
    fn a_text_of_long_lines_is_to_be_cut_and_not_read() {
        let text = said(&["x".repeat(OUTPUT_CHARS + 1).as_bytes()]);
        assert!(
            text.contains(": take parts of its long lines with `cut -c` in bash, or search it"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_and_both_ends_are_there() {
        let mut text = CollectedText::new(Path::new("/proc/nowhere"), "e", false);
        text.add("x".repeat(OUTPUT_CHARS + 1).as_bytes());
        let said = text.finish();
        assert!(said.contains("could not be kept in /proc/nowhere/e.txt"), "{said}");
    }
}
