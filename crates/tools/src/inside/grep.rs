//! `grep`: finds lines by a regular expression, as ripgrep does.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use protocol::limits::GREP_SHOWN_BYTES;
use sandbox::Layout;

use super::{
    answer::{good, why},
    files,
    text::Text,
    walk::{Reach, Stop, Walked, walk},
};
use crate::wire::Outcome;

/// Characters of a line (spec/behaviour.md c.5).
const LINE_CHARS: usize = 2_000;
/// Bytes of a compiled expression, and of its cache: what a hostile one can take.
const REGEX_BYTES: usize = 10 * 1024 * 1024;
/// Bytes of a line that can be searched.
const HEAP_BYTES: usize = 8 * 1024 * 1024;

/// Runs it.
///
/// # Errors
/// What the model is told.
pub(super) fn run(
    layout: &Layout,
    pattern: &str,
    path: Option<&str>,
    stop: &Stop,
    text: Text,
) -> Result<Outcome, String> {
    let matcher = matcher(pattern)?;
    let base: PathBuf = files::resolve(layout, path.unwrap_or(".")).components().collect();
    files::folder_not_kernels(&base)?;
    let metadata = base.metadata().map_err(|error| why("search", &base, &error))?;
    let (mut paths, mut walked) = (Vec::new(), Walked::none());
    if metadata.is_dir() {
        walked = walk(&base, stop, |entry| {
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                paths.push(entry.path().to_owned());
            }
        });
        paths.sort();
    } else {
        files::regular(&base, metadata.file_type())?;
        paths.push(base.clone());
    }
    let mut searcher = SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HEAP_BYTES))
        .line_number(true)
        .build();
    let mut found = Found { text, shown: String::new(), bytes: 0, full: false };
    let mut skipped: Vec<(PathBuf, String)> = Vec::new();
    for path in paths {
        if stop.now() {
            walked.reach = Reach::Stopped;
        }
        if found.full || walked.reach == Reach::Stopped {
            break;
        }
        found.shown = files::shown(layout, &path).display().to_string();
        let result = files::open(&path).and_then(|(file, _)| {
            let from = Until { file, stop };
            searcher.search_reader(&matcher, from, &mut found).map_err(|error| error.to_string())
        });
        if let Err(error) = result {
            skipped.push((path, error));
        }
    }
    if stop.now() && !found.full {
        walked.reach = Reach::Stopped;
    }
    Ok(good(found.tell(&base, pattern, &walked, &skipped)))
}

fn matcher(pattern: &str) -> Result<RegexMatcher, String> {
    RegexMatcherBuilder::new()
        .line_terminator(Some(b'\n'))
        .multi_line(true)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
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
    stop: &'a Stop,
}

impl Read for Until<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.stop.now() { Ok(0) } else { self.file.read(to) }
    }
}

/// What was found.
#[derive(Debug)]
struct Found {
    text: Text,
    /// The path of the file that is being searched.
    shown: String,
    bytes: usize,
    full: bool,
}

impl Sink for Found {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let line = String::from_utf8_lossy(found.bytes());
        let line = line.trim_end_matches(['\r', '\n']);
        let (line, cut) = match line.char_indices().nth(LINE_CHARS) {
            Some((at, _)) => (&line[..at], " [cut]"),
            None => (line, ""),
        };
        let number = found.line_number().unwrap_or_default();
        let line = format!("{}:{number}:{line}{cut}\n", self.shown);
        if self.bytes + line.len() > GREP_SHOWN_BYTES {
            self.full = true;
            return Ok(false);
        }
        self.bytes += line.len();
        self.text.add(line.as_bytes());
        Ok(true)
    }
}

impl Found {
    fn tell(mut self, base: &Path, pattern: &str, walked: &Walked, skipped: &[(PathBuf, String)]) -> String {
        if self.text.is_empty() {
            let base = base.display();
            let ruled = if walked.ruled() { ", and what a .gitignore or .ignore names," } else { "" };
            let none = format!("no line matches `{pattern}` in {base} (binary files{ruled} are left out)");
            self.text.add(none.as_bytes());
        }
        let mut notes = walked.note();
        if self.full {
            notes +=
                "\n[more matches are left out, as much is shown as fits; give a narrower pattern or `path`]";
        }
        if let Some((path, error)) = skipped.first() {
            let (count, path) = (skipped.len(), path.display());
            notes.extend([format!("\n[not searched: {count} of the files, the first {path}: {error}]")]);
        }
        let text = self.text.finish();
        format!("{}{notes}", text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
