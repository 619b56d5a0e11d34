//! What `edit` finds and puts whatever ends the lines have: `\r\n` and `\n` are one when it looks for a text.
//!
//! A model writes `\n` where a file has `\r\n`, and where a file has both it cannot see which line has which.
//! So ends stay as they are where lines stay, and new lines end as most of the file's do.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr_iter, memmem};

/// One text to be put into the place of another in `content`.
#[derive(Debug)]
pub(super) struct TextChange<'a> {
    content: &'a [u8],
    /// What is searched: the content with all its lines ending in `\n`.
    bare: Cow<'a, [u8]>,
    /// Where in it `\r` was left out before a `\n`.
    without: Vec<u32>,
    old: Vec<u8>,
    new: New<'a>,
}

/// What is put.
#[derive(Debug)]
enum New<'a> {
    /// This, byte for byte.
    Bytes(&'a [u8]),
    /// These lines.
    Lines(Vec<Line<'a>>),
}

#[derive(Debug)]
struct Line<'a> {
    text: &'a [u8],
    end: End,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is the last one, and what was behind the place follows it.
    Open,
    /// As the line of this number in the place ends, counted from 0.
    As(usize),
    /// As most lines of the file end.
    AsMost,
    /// With `\r\n`, as was sent.
    Both,
}

impl<'a> TextChange<'a> {
    /// Looks for `old`, which is not empty and not `new`. Content has less than 4 GiB.
    pub(super) fn new(content: &'a [u8], old: &'a str, new: &'a str) -> Self {
        let (bare_old, bare_new) = (bare(old.as_bytes()).0, bare(new.as_bytes()).0);
        let (bare_content, without) = bare(content);
        if bare_old == bare_new {
            // It is about the ends themselves.
            let new = New::Bytes(new.as_bytes());
            return Self { content, bare: bare_content, without, old: bare_old.into(), new };
        }
        if memmem::find(&bare_content, &bare_old).is_none() {
            // Part of an end, perhaps.
            let (bare, old) = (Cow::Borrowed(content), old.into());
            return Self { content, bare, without: Vec::new(), old, new: New::Bytes(new.as_bytes()) };
        }
        let new = New::Lines(lines(&bare_old, new.as_bytes()));
        Self { content, bare: bare_content, without, old: bare_old.into(), new }
    }

    /// Whether `old` is there at all.
    pub(super) fn is_there(&self) -> bool {
        memmem::find(&self.bare, &self.old).is_some()
    }

    /// The places in the content that would change, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Range<usize>> {
        let mut left_out = self.without.iter().peekable();
        let mut before = 0;
        let mut original = move |at: usize| {
            while left_out.next_if(|next| (**next as usize) < at).is_some() {
                before += 1;
            }
            at + before
        };
        let found = memmem::find_iter(&self.bare, &self.old);
        found
            .map(move |at| original(at)..original(at + self.old.len()))
            .filter(|place| !matches!(self.new, New::Bytes(new) if new == &self.content[place.clone()]))
    }

    /// What the content becomes, if that has so many bytes at most.
    pub(super) fn made(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let most = 2 * self.without.len() > memchr_iter(b'\n', self.content).count();
        let mut made = Vec::with_capacity(self.content.len());
        let mut from = 0;
        for place in self.places() {
            made.extend_from_slice(&self.content[from..place.start]);
            self.put(&place, most, &mut made);
            if made.len() > bytes_max {
                return None;
            }
            from = place.end;
        }
        made.extend_from_slice(&self.content[from..]);
        (made.len() <= bytes_max).then_some(made)
    }

    fn put(&self, place: &Range<usize>, most: bool, made: &mut Vec<u8>) {
        let lines = match &self.new {
            New::Bytes(new) => return made.extend_from_slice(new),
            New::Lines(lines) => lines,
        };
        let place = &self.content[place.clone()];
        let ends: Vec<bool> = memchr_iter(b'\n', place).map(|at| at > 0 && place[at - 1] == b'\r').collect();
        for line in lines {
            made.extend_from_slice(line.text);
            let both = match line.end {
                End::Open => continue,
                End::As(number) => ends.get(number).copied().unwrap_or(most),
                End::AsMost => most,
                End::Both => true,
            };
            made.extend_from_slice(if both { b"\r\n" } else { b"\n" });
        }
    }
}

/// A text with all its lines ending in `\n`, and where in it `\r` was left out.
fn bare(text: &[u8]) -> (Cow<'_, [u8]>, Vec<u32>) {
    if memmem::find(text, b"\r\n").is_none() {
        return (Cow::Borrowed(text), Vec::new());
    }
    let (mut bare, mut without, mut from) = (Vec::with_capacity(text.len()), Vec::new(), 0);
    for at in memmem::find_iter(text, b"\r\n") {
        bare.extend_from_slice(&text[from..at]);
        without.push(u32::try_from(bare.len()).unwrap_or(u32::MAX));
        from = at + 1;
    }
    bare.extend_from_slice(&text[from..]);
    (Cow::Owned(bare), without)
}

/// The lines of `new`, and how each is to end: as the line of `old` that it stands for. Equal ones at the
/// front and at the back stand for each other, and what is between one after the other.
fn lines<'a>(old: &[u8], new: &'a [u8]) -> Vec<Line<'a>> {
    let old: Vec<_> = old.split(|byte| *byte == b'\n').collect();
    let mut lines: Vec<_> =
        new.split(|byte| *byte == b'\n').map(|text| Line { text, end: End::AsMost }).collect();
    let last = lines.len() - 1;
    for (number, line) in lines.iter_mut().enumerate() {
        if number == last {
            line.end = End::Open;
        } else if let Some(text) = line.text.strip_suffix(b"\r") {
            *line = Line { text, end: End::Both };
        }
    }
    let both = old.len().min(lines.len());
    let front = (0..both).take_while(|number| old[*number] == lines[*number].text).count();
    let from_back = |back: &usize| old[old.len() - back] == lines[lines.len() - back].text;
    let back = (1..=both - front).take_while(from_back).count();
    let between = both - back;
    let as_many = lines.len();
    for (number, line) in lines.iter_mut().enumerate().take(last) {
        if number < between && number + 1 < old.len() {
            line.end = End::As(number);
        } else if as_many - number <= back {
            line.end = End::As(old.len() + number - as_many);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(content: &str, old: &str, new: &str) -> (usize, String) {
        let change = TextChange::new(content.as_bytes(), old, new);
        let made = change.made(1_000).expect("short");
        (change.places().count(), String::from_utf8(made).expect("a text"))
    }

    #[test]
    fn ends_stay_where_lines_stay_and_new_lines_end_as_most() {
        for (content, old, new, places, expected) in [
            ("a\nb\n", "a\nb", "x\ny\nz", 1, "x\ny\nz\n"),
            ("a\r\nb\r\n", "a\nb", "x\ny\nz", 1, "x\r\ny\r\nz\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n", "x\ny\n", 1, "x\r\ny\r\n"),
            ("a\r\nb\nc\r\n", "a\nb\nc", "x\ny\nz", 1, "x\r\ny\nz\r\n"),
            ("a\r\nb\r\nc\nd\r\n", "b", "b1\nb2", 1, "a\r\nb1\r\nb2\r\nc\nd\r\n"),
            ("a\nb\r\nc\nd\n", "a\nb\nc", "a\nnew\nb\nc", 1, "a\nnew\nb\r\nc\nd\n"),
            ("a\nb\r\nc\nd\n", "a\nb\nc\n", "a\nc\n", 1, "a\nc\nd\n"),
            ("x\nb\r\nx\r\nb\nx\n", "x\nb", "y\nb", 2, "y\nb\r\ny\r\nb\nx\n"),
            // The ends themselves.
            ("a\r\nb\nc\r\n", "\r\n", "\n", 2, "a\nb\nc\n"),
            ("a\r\nb\nc\r\n", "\n", "\r\n", 1, "a\r\nb\r\nc\r\n"),
            ("a\nb\n", "\r\n", "\n", 0, "a\nb\n"),
            ("a\r\nb\n", "a\r", "a", 1, "a\nb\n"),
            // What was sent on purpose.
            ("a\nb\n", "a", "a\r\nx", 1, "a\r\nx\nb\n"),
            ("one", "one", "one\r\ntwo\n", 1, "one\r\ntwo\n"),
            ("a\r\r\nb", "a\r", "x", 1, "x\r\nb"),
            ("a\r\n\r\nb\r\n", "\n\n", "\n", 1, "a\r\nb\r\n"),
        ] {
            assert_eq!(
                changed(content, old, new),
                (places, expected.to_owned()),
                "{content:?} {old:?} {new:?}"
            );
        }
    }
}
