//! `glob`: finds files by name, the newest first.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::{GlobBuilder, GlobMatcher};
use sandbox::Layout;

use super::{
    answer::{good, why},
    files,
    text::Text,
    walk::{Stop, walk},
};
use crate::wire::Outcome;

/// Results that are shown (spec/behaviour.md c.5).
const RESULTS: usize = 200;

/// Runs it.
///
/// # Errors
/// What the model is told.
pub(super) fn run(
    layout: &Layout,
    pattern: &str,
    path: Option<&str>,
    stop: &Stop,
    mut text: Text,
) -> Result<Outcome, String> {
    let asked = files::resolve(layout, path.unwrap_or("."));
    files::folder_not_kernels(&asked)?;
    let metadata = asked.metadata().map_err(|error| why("look into", &asked, &error))?;
    if !metadata.is_dir() {
        return Err(format!("{} is a file; `path` must be a directory to look into", asked.display()));
    }
    let (plain, rest) = split(pattern);
    let base = clean(&asked.join(plain));
    let matcher = matcher(rest)?;
    let mut found: Vec<(Reverse<SystemTime>, PathBuf)> = Vec::new();
    let walked = walk(&base, stop, |entry| {
        if matcher.is_match(entry.path().strip_prefix(&base).unwrap_or(entry.path())) {
            let time = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
            found.push((Reverse(time.unwrap_or(SystemTime::UNIX_EPOCH)), entry.path().to_owned()));
        }
    });
    if found.is_empty() {
        let deeper =
            if pattern.contains('/') { String::new() } else { format!("; `**/{pattern}` looks deeper") };
        let shown = clean(&asked);
        let ruled = if walked.ruled() { "; what a .gitignore or .ignore names is left out" } else { "" };
        let note = walked.note();
        return Ok(good(format!("no files match `{pattern}` in {}{deeper}{ruled}{note}", shown.display())));
    }
    found.sort();
    for (_, path) in found.iter().take(RESULTS) {
        text.add(format!("{}\n", files::shown(layout, path).display()).as_bytes());
    }
    let more = found.len().saturating_sub(RESULTS);
    let more =
        if more == 0 { String::new() } else { format!("[{more} more, all older; give a narrower pattern]") };
    text.add(format!("{more}{}", walked.note()).as_bytes());
    Ok(good(text.finish().trim_end()))
}

/// The folders that a pattern names without a wildcard, and the rest.
fn split(pattern: &str) -> (&str, &str) {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map_or(("", pattern), |at| (&pattern[..=at], &pattern[at + 1..]))
}

/// Without the `.` in it, so that what is found below can be told from the front.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("`pattern`: {error}; it takes *, **, ?, [a-z] and {{a,b}}"))
}
