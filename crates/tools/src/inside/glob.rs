//! `glob`: finds files by name, the newest first.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::{GlobBuilder, GlobMatcher};
use protocol::limits::{GLOB_PATTERN_BYTES, GLOB_RESULTS};
use sandbox::Layout;

use super::{
    answer::{good, why},
    files,
    text::Text,
    walk::{Stop, walk},
};
use crate::wire::Outcome;

/// How deep braces may lie in each other. Beyond 250 the library's regular expressions panic.
const BRACES: usize = 32;

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
    for (_, path) in found.iter().take(GLOB_RESULTS) {
        text.add(format!("{}\n", files::shown(layout, path).display()).as_bytes());
    }
    let more = found.len().saturating_sub(GLOB_RESULTS);
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
    if pattern.len() > GLOB_PATTERN_BYTES {
        let bytes = pattern.len();
        return Err(format!(
            "`pattern` has {bytes} bytes and may have {GLOB_PATTERN_BYTES}; name fewer alternatives at once"
        ));
    }
    // Counted too many if they are escaped, which does no harm.
    let mut depth = 0_usize;
    for byte in pattern.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > BRACES {
            return Err(format!("`pattern`: braces may lie in each other {BRACES} deep at most"));
        }
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("`pattern`: {error}; it takes *, **, ?, [a-z] and {{a,b}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_braces_and_long_patterns_are_refused_in_words() {
        let nested = |depth: usize| "{".repeat(depth) + "a" + &"}".repeat(depth);
        assert!(matcher(&nested(BRACES)).is_ok_and(|glob| glob.is_match("a")));
        for depth in [BRACES + 1, 500, 2_000] {
            assert_eq!(
                matcher(&nested(depth)).err(),
                Some("`pattern`: braces may lie in each other 32 deep at most".into())
            );
        }
        assert!(matcher(&"x".repeat(GLOB_PATTERN_BYTES + 1)).is_err_and(|why| why.contains("4097 bytes")));
    }

    /// Whatever the pattern: an answer, and no panic.
    #[test]
    fn no_pattern_breaks_it() {
        let letters = b"{}[]*?!,\\-/ab^\xff.";
        let mut dice = 1_u64;
        for _ in 0..20_000 {
            let mut pattern = String::new();
            for _ in 0..(dice >> 33) % 40 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pattern.push(char::from(letters[(dice >> 33) as usize % letters.len()]));
            }
            dice = dice.wrapping_add(1).wrapping_mul(6_364_136_223_846_793_005);
            if let Ok(glob) = matcher(&pattern) {
                glob.is_match("a/b/ab");
            }
        }
    }
}
