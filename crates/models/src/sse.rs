//! Server-sent events, decoded from bytes as they come, each frame bounded.
//!
//! Our own, because the maintained decoders hold a frame without bound. Follows the HTML standard's
//! "event stream interpretation" as far as a model's stream needs it: `id` and `retry` are ignored.

use core::mem;

/// Most bytes of one line, and of one frame's data.
pub const FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseFrame {
    /// The event's name; empty where none is given, as a rule because it is in the data's own `type`.
    pub name: Vec<u8>,
    /// Its data lines, joined by `\n`.
    pub data: Vec<u8>,
}

/// A frame is larger than [`FRAME_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLarge;

/// Turns chunks of bytes into frames; where a chunk ends does not matter.
#[derive(Debug, Default)]
pub struct SseDecoder {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The data lines of the frame that is not complete yet, each with its `\n`.
    data: Vec<u8>,
    /// The name of the event that is not complete yet.
    name: Vec<u8>,
    /// Whether the last byte was a `\r`, so that a `\n` now is its second half.
    after_return: bool,
    /// Whether a line has been read; a byte order mark may stand before the first.
    begun: bool,
}

impl SseDecoder {
    /// Takes the next bytes; gives the frames that they complete.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<SseFrame>, FrameTooLarge> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if mem::take(&mut self.after_return) && first == b'\n' {
                rest = after;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, tail) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + line.len() > FRAME_BYTES {
                return Err(FrameTooLarge);
            }
            self.line.extend_from_slice(line);
            rest = tail;
            if let Some((&ending, after)) = tail.split_first() {
                self.after_return = ending == b'\r';
                rest = after;
                frames.extend(self.end_line()?);
            }
        }
        Ok(frames)
    }

    /// What an ended stream has left: a frame that no blank line ends. The standard drops it; a provider's
    /// last word often stands in it.
    pub fn finish(mut self) -> Option<SseFrame> {
        if !self.line.is_empty() {
            self.end_line().ok()?;
        }
        self.end_line().ok()?
    }

    /// Reads the complete line; a blank one ends a frame, if the frame has data.
    fn end_line(&mut self) -> Result<Option<SseFrame>, FrameTooLarge> {
        let whole = mem::take(&mut self.line);
        let mark =
            if mem::replace(&mut self.begun, true) { None } else { whole.strip_prefix(b"\xef\xbb\xbf") };
        let line = mark.unwrap_or(&whole);
        if line.is_empty() {
            let (name, mut data) = (mem::take(&mut self.name), mem::take(&mut self.data));
            return Ok(data.pop().map(|_| SseFrame { name, data }));
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            // No field is called so: it is data that lacks its name.
            _ if line.starts_with(b"{") => (&b"data"[..], line),
            Some(at) => {
                let value = &line[at + 1..];
                (&line[..at], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"event" => {
                self.name = value.to_vec();
                return Ok(None);
            }
            // Some servers name the field itself so, with a failure in it.
            b"error" => self.name = field.to_vec(),
            b"data" => {}
            _ => return Ok(None),
        }
        if self.data.len() + value.len() > FRAME_BYTES {
            return Err(FrameTooLarge);
        }
        self.data.extend_from_slice(value);
        self.data.push(b'\n');
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn decoded<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = SseDecoder::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            frames.extend(decoder.take(chunk).expect("small frames"));
        }
        frames.into_iter().map(|frame| String::from_utf8(frame.data).expect("UTF-8")).collect()
    }

    #[test]
    fn lines_comments_names_and_endings_are_read_as_the_standard_says() {
        let stream = "\u{feff}: hello\n\nevent: a\ndata: one\n\ndata:two\r\ndata:  three\r\n\r\n\
                      data\n\nid: 4\nretry: 9\ndatabase: no\n\ndata: mixed\r\rdata: unfinished\n";
        assert_eq!(decoded([stream.as_bytes()]), ["one", "two\n three", "", "mixed"]);
    }

    #[test]
    fn names_failures_and_what_no_blank_line_ends_are_kept() {
        let mut decoder = SseDecoder::default();
        let stream = b"event: error\ndata: why\n\nerror: {\"a\":1}\n\n{\"bare\":1}\n\nevent: lost\n\n\
                       event: end\ndata:x";
        let frames = decoder.take(stream).expect("small frames");
        let read = |frame: &SseFrame| {
            [&frame.name, &frame.data].map(|part| String::from_utf8_lossy(part).into_owned())
        };
        let read_all: Vec<_> = frames.iter().map(read).collect();
        assert_eq!(read_all, [["error", "why"], ["error", "{\"a\":1}"], ["", "{\"bare\":1}"]]);
        assert_eq!(decoder.finish().as_ref().map(read), Some(["end".to_owned(), "x".to_owned()]));
        assert_eq!(SseDecoder::default().finish(), None);
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let mut decoder = SseDecoder::default();
        let chunk = vec![b'x'; FRAME_BYTES];
        assert_eq!(decoder.take(&chunk), Ok(vec![]));
        assert_eq!(decoder.take(b"x"), Err(FrameTooLarge));
    }

    #[test]
    fn a_frame_of_many_lines_is_refused_at_the_bound() {
        let mut decoder = SseDecoder::default();
        let line = [b"data:".as_slice(), &vec![b'x'; FRAME_BYTES / 4], b"\n"].concat();
        let outcomes: Vec<bool> = (0..4).map(|_| decoder.take(&line).is_ok()).collect();
        assert_eq!(outcomes, [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            lines in vec(prop_oneof!["data: [a-zé€😀]{0,6}", "data:x", ":c", "event: e", ""], 0..24),
            endings in vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 24),
            cuts in vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pairs = lines.iter().zip(&endings);
            let stream: String = pairs.flat_map(|(line, end)| [line.as_str(), *end]).collect();
            let bytes = stream.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let chunks = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(decoded(chunks), decoded([bytes]));
        }

        #[test]
        fn frames_written_with_any_ending_are_read_back(
            texts in vec("[ -~é€😀]{1,8}", 0..8), ending in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        ) {
            let frame = |text: &String| format!("event: e{ending}data: {text}{ending}{ending}");
            let stream = texts.iter().map(frame).collect::<Vec<_>>().concat();
            prop_assert_eq!(decoded(stream.as_bytes().chunks(1)), texts);
        }
    }
}
