//! `grep`: finds lines by a regular expression, as ripgrep does.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::path::{Path, PathBuf};

use encoding_rs_io::DecodeReaderBytesBuilder;
use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkFinish, SinkMatch};
use memchr::memchr;
use protocol::{
    limits::{GREP_LINE_CHARS, GREP_SHOWN_BYTES},
    parse::{Fields, Invalid},
};
use serde_json::json;

use super::{
    answer::{good, why},
    files, input,
    names::ShownPath,
    regex,
    stop::SearchStop,
    text::CollectedText,
    tool::{self, BuiltinTool, CheckedInput, ToolMeans, ToolText},
    walk::{WalkOutcome, WalkReach, walk},
};
use crate::{wire::ToolOutcome, workplace::Workplace};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || "{\"pattern\": string, \"path\"?: string}".to_owned(),
    read: input,
    bound: |_| tool::BOUND,
};

/// Characters of a long line that are shown before the match.
const BEFORE_CHARS: usize = 200;
/// Bytes of a line that can be searched.
const HEAP_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

fn told(workplace: &Workplace) -> ToolText {
    let description = "Finds lines that match a regular expression (Rust syntax, as ripgrep), in the files below a \
                       path. Files that .gitignore names and binary files are left out.";
    let place = format!("The file or directory to search. Default: {}.", workplace.workspace);
    let properties = json!({
        "pattern": {"type": "string", "description": "The regular expression."},
        "path": {"type": "string", "description": place},
    });
    ToolText { description: description.to_owned(), properties, required: &["pattern"] }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let (pattern, path) = input::search(fields)?;
    Ok(CheckedInput::task(move |means| run(means, &pattern, path.as_deref())))
}

fn run(means: ToolMeans<'_>, pattern: &str, path: Option<&Path>) -> Result<ToolOutcome, String> {
    let ToolMeans { layout, stop, text, .. } = means;
    let matcher = matcher(pattern)?;
    // Who asks for `\r` is to find it.
    let ends = ["\r", "\\r", "x0d", "x0D"].iter().any(|end| pattern.contains(end));
    let base: PathBuf = files::resolve(layout, path.unwrap_or(Path::new("."))).components().collect();
    files::folder_not_kernels(&base)?;
    let metadata = base.metadata().map_err(|error| why("search", &base, &error))?;
    let (mut paths, mut walked) = (Vec::new(), WalkOutcome::none());
    let alone = !metadata.is_dir();
    if alone {
        files::regular(&base, metadata.file_type())?;
        paths.push(base.clone());
    } else {
        walked = walk(&base, usize::MAX, stop, |path, kind| {
            if kind.is_file() {
                paths.push(path);
            }
        });
        paths.sort();
    }
    let mut searcher = SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HEAP_BYTES))
        .line_number(true)
        .bom_sniffing(false)
        .build();
    let mut found = Found::new(text, matcher.clone());
    let mut skipped: Vec<(PathBuf, String)> = Vec::new();
    for path in paths {
        if stop.now() {
            walked.reach = WalkReach::Stopped;
        }
        if found.full || walked.reach == WalkReach::Stopped {
            break;
        }
        found.begin(files::shown(layout, &path).to_string(), alone);
        let result = files::open(&path).and_then(|(file, _)| {
            let texts = DecodeReaderBytesBuilder::new()
                .utf8_passthru(true)
                .strip_bom(true)
                .build(Until { file, stop });
            let texts = BufReader::with_capacity(PIECE_BYTES, texts);
            searcher
                .search_reader(&matcher, Lines { texts, ends, held: false }, &mut found)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = result {
            skipped.push((path, error));
        }
    }
    if stop.now() && !found.full {
        walked.reach = WalkReach::Stopped;
    }
    Ok(good(found.tell(&base, pattern, &walked, &skipped)))
}

fn matcher(pattern: &str) -> Result<RegexMatcher, String> {
    regex::bounded()
        .line_terminator(Some(b'\n'))
        .multi_line(true)
        .build(pattern)
        .map_err(|error| {
            format!(
                "`pattern` is no regular expression that can be searched for: {error}\nIt is searched for line by \
                 line, in the syntax of ripgrep; put a backslash before ( ) [ ] {{ }} . * + ? | ^ $ to mean the \
                 character itself."
            )
        })
}

/// A file that ends early when the search has to stop.
#[derive(Debug)]
struct Until<'a> {
    file: File,
    stop: &'a SearchStop,
}

impl Read for Until<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.stop.now() { Ok(0) } else { self.file.read(to) }
    }
}

/// Texts whose lines all end in `\n`, so that `$` is before it, unless their `ends` are to stay.
#[derive(Debug)]
struct Lines<From> {
    texts: From,
    ends: bool,
    /// Whether a `\r` was read of which it is not known what comes behind it.
    held: bool,
}

impl<From: BufRead> Read for Lines<From> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ends {
            return self.texts.read(to);
        }
        let mut all = 0;
        while all < to.len() {
            let piece = self.texts.fill_buf()?;
            let next = piece.first().copied();
            if mem::take(&mut self.held) && next != Some(b'\n') {
                to[all] = b'\r';
                all += 1;
                continue;
            }
            if next.is_none() {
                break;
            }
            let room = piece.len().min(to.len() - all);
            let text = memchr(b'\r', &piece[..room]).unwrap_or(room);
            to[all..all + text].copy_from_slice(&piece[..text]);
            all += text;
            self.held = text < room;
            self.texts.consume(text + usize::from(self.held));
        }
        Ok(all)
    }
}

/// What was found.
#[derive(Debug)]
struct Found {
    text: CollectedText,
    matcher: RegexMatcher,
    /// The path of the file that is being searched.
    shown: String,
    /// Whether it matters that it is searched to its end.
    matters: bool,
    /// Of files that matter, those that were not: how many, and the first.
    binary: usize,
    first: Option<String>,
    bytes: usize,
    full: bool,
}

impl Sink for Found {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let line = found.bytes().strip_suffix(b"\n").unwrap_or(found.bytes());
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        let place = self.matcher.find(line).ok().flatten();
        let at = place.map_or(0, |place| place.start());
        let number = found.line_number().unwrap_or_default();
        let line = format!("{}:{number}:{}\n", self.shown, part(bare, at));
        self.matters = true;
        if self.bytes + line.len() > GREP_SHOWN_BYTES {
            self.full = true;
            return Ok(false);
        }
        self.bytes += line.len();
        self.text.add(line.as_bytes());
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, end: &SinkFinish) -> io::Result<()> {
        if end.binary_byte_offset().is_some() && self.matters {
            self.binary += 1;
            self.first.get_or_insert_with(|| self.shown.clone());
        }
        Ok(())
    }
}

/// A line, or of a long one a part in which the match is that begins at this byte.
fn part(line: &[u8], at: usize) -> String {
    let (before, after) = line.split_at(at.min(line.len()));
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let first = before.chars().count();
    let all = first + after.chars().count();
    if all <= GREP_LINE_CHARS {
        return format!("{before}{after}");
    }
    let from = if first < GREP_LINE_CHARS - BEFORE_CHARS { 0 } else { first - BEFORE_CHARS };
    let shown: String = before.chars().chain(after.chars()).skip(from).take(GREP_LINE_CHARS).collect();
    let cut = |is: bool, mark: &'static str| if is { mark } else { "" };
    format!("{}{shown}{}", cut(from > 0, "[cut] "), cut(from + GREP_LINE_CHARS < all, " [cut]"))
}

impl Found {
    fn new(text: CollectedText, matcher: RegexMatcher) -> Self {
        let (shown, first) = (String::new(), None);
        Self { text, matcher, shown, matters: false, binary: 0, first, bytes: 0, full: false }
    }

    fn begin(&mut self, shown: String, alone: bool) {
        (self.shown, self.matters) = (shown, alone);
    }

    fn tell(
        mut self,
        base: &Path,
        pattern: &str,
        walked: &WalkOutcome,
        skipped: &[(PathBuf, String)],
    ) -> String {
        if self.text.is_empty() {
            let base = ShownPath(base);
            let ruled = if walked.ruled { ", and what a .gitignore or .ignore names," } else { "" };
            let none = format!("no line matches `{pattern}` in {base} (binary files{ruled} are left out)");
            self.text.add(none.as_bytes());
        }
        let mut notes = walked.note();
        if self.full {
            notes +=
                "\n[more matches are left out, as much is shown as fits; give a narrower pattern or `path`]";
        }
        if let Some(first) = &self.first {
            let count = self.binary;
            notes.extend([format!(
                "\n[searched only up to a NUL byte: {count} of the files, the first {first}; search on with `grep -a` \
                 in bash]"
            )]);
        }
        if let Some((path, error)) = skipped.first() {
            let (count, path) = (skipped.len(), ShownPath(path));
            notes.extend([format!("\n[not searched: {count} of the files, the first {path}: {error}]")]);
        }
        let text = self.text.finish();
        format!("{}{notes}", text.trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_lines_are_found_wherever_a_piece_ends() {
        let text = b"a\r\n\r\r\n\rb\r\nc\n\r";
        for piece in 1..20 {
            let mut lines = Lines { texts: &text[..], ends: false, held: false };
            let mut read = Vec::new();
            let mut bytes = vec![0; piece];
            loop {
                let count = lines.read(&mut bytes).expect("bytes");
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&bytes[..count]);
            }
            assert_eq!(read, b"a\n\r\n\rb\nc\n\r", "{piece}");
        }
    }

    /// Whatever the pattern: an answer within its bounds, and no panic.
    #[test]
    fn no_pattern_breaks_it() {
        for pattern in [
            "(".repeat(8_000),
            "((a{1000}){1000}){1000}".into(),
            r"\pL{1000}{1000}".into(),
            "(?:a|b)*".repeat(2_000),
        ] {
            let _either_way = matcher(&pattern).is_ok();
        }
        let parts = [
            "(",
            ")",
            "[",
            "]",
            "{2,9}",
            "*",
            "+?",
            "|",
            "^",
            "$",
            ".",
            r"\b",
            r"\pL",
            "(?i)",
            "a",
            "é",
            r"\x{10FFFF}",
            "[^a]",
            r"\",
            "&&",
        ];
        let mut dice = 1_u64;
        for _ in 0..5_000 {
            let mut pattern = String::new();
            for _ in 0..(dice >> 33) % 12 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pattern.push_str(parts[(dice >> 33) as usize % parts.len()]);
            }
            dice = dice.wrapping_add(1).wrapping_mul(6_364_136_223_846_793_005);
            let _either_way = matcher(&pattern).is_ok();
        }
    }
}
