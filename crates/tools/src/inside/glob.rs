//! `glob`: finds files by name, the newest first.

use std::cmp::Reverse;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::GlobBuilder;
use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use protocol::{
    limits::{GLOB_BRACES, GLOB_PATTERN_BYTES, GLOB_RESULTS},
    parse::{Fields, Invalid},
};
use serde_json::json;

use super::{
    answer::{good, why},
    files, input,
    names::{self, ShownPath},
    regex,
    tool::{self, BuiltinTool, CheckedInput, ToolMeans, ToolText},
    walk::walk,
};
use crate::{wire::ToolOutcome, workplace::Workplace};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || "{\"pattern\": string, \"path\"?: string}".to_owned(),
    read: input,
    bound: |_| tool::BOUND,
};

fn told(workplace: &Workplace) -> ToolText {
    let description = format!(
        "Finds files (no directories) whose path matches a pattern such as `src/**/*.rs`; the newest come first, at most \
         {GLOB_RESULTS}. `**` goes through directories, `[ab]` is one character of several: for a name like `[id]` write \
         `[[]id]`. A name that is no plain text is shown as $'…', which all tools take as it is."
    );
    let place = format!("The directory to search. Default: {}.", workplace.workspace);
    let properties = json!({
        "pattern": {"type": "string", "description": "The pattern, relative to `path`."},
        "path": {"type": "string", "description": place},
    });
    ToolText { description, properties, required: &["pattern"] }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let (pattern, path) = input::search(fields)?;
    Ok(CheckedInput::task(move |means| run(means, &pattern, path.as_deref())))
}

fn run(means: ToolMeans<'_>, pattern: &str, path: Option<&Path>) -> Result<ToolOutcome, String> {
    let ToolMeans { layout, stop, mut text, .. } = means;
    let (asked, relative) = match pattern.strip_prefix("~/") {
        Some(rest) => (layout.home.clone(), rest),
        None => (files::resolve(layout, path.unwrap_or(Path::new("."))), pattern),
    };
    files::folder_not_kernels(&asked)?;
    let metadata = asked.metadata().map_err(|error| why("look into", &asked, &error))?;
    if !metadata.is_dir() {
        return Err(format!("{} is a file; `path` must be a directory to look into", ShownPath(&asked)));
    }
    let (plain, rest) = split(relative);
    let base = names::in_any_form(clean(&asked.join(plain)));
    let matcher = matcher(rest)?;
    let mut found: Vec<(Reverse<SystemTime>, PathBuf)> = Vec::new();
    let mut folders = 0;
    let walked = walk(&base, depth(rest), stop, |path, kind| {
        if !matcher.is_match(path.strip_prefix(&base).unwrap_or(&path)) {
            return;
        }
        if kind.is_dir() {
            folders += 1;
            return;
        }
        let time = path.symlink_metadata().ok().and_then(|metadata| metadata.modified().ok());
        found.push((Reverse(time.unwrap_or(SystemTime::UNIX_EPOCH)), path));
    });
    if found.is_empty() {
        let (shown, hints, note) = (clean(&asked), hints(pattern, folders), walked.note());
        let ruled = if walked.ruled { "; what a .gitignore or .ignore names is left out" } else { "" };
        return Ok(good(format!("no files match `{pattern}` in {}{hints}{ruled}{note}", ShownPath(&shown))));
    }
    found.sort();
    for (_, path) in found.iter().take(GLOB_RESULTS) {
        text.add(format!("{}\n", files::shown(layout, path)).as_bytes());
    }
    let more = found.len().saturating_sub(GLOB_RESULTS);
    let more =
        if more == 0 { String::new() } else { format!("[{more} more, all older; give a narrower pattern]") };
    text.add(format!("{more}{}", walked.note()).trim_start().as_bytes());
    Ok(good(text.finish().trim_end_matches('\n')))
}

/// What may have been meant by a pattern that finds nothing.
fn hints(pattern: &str, folders: usize) -> String {
    let mut hints = Vec::new();
    if !pattern.contains('/') {
        hints.push(format!("; `**/{pattern}` looks deeper"));
    }
    if pattern.ends_with('/') {
        hints.push(format!("; `{pattern}*` are the files in it"));
    }
    if folders > 0 {
        hints.push(format!("; it matches folders ({folders}), and only files are shown: add `/*`"));
    }
    if pattern.split('/').any(|part| part.contains("**") && part != "**") {
        hints.push("; `**` goes through folders only as a whole part, as in `**/*.rs`".to_owned());
    }
    if pattern.contains('[') {
        let escaped = pattern.replace('[', "[[]");
        hints
            .push(format!("; `[…]` is one character of several, so for brackets in a name send `{escaped}`"));
    }
    hints.concat()
}

/// The folders that a pattern names without a wildcard, and the rest.
fn split(pattern: &str) -> (&str, &str) {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map_or(("", pattern), |at| (&pattern[..=at], &pattern[at + 1..]))
}

/// How many names deep a pattern can match; counted too many in braces, which does no harm.
fn depth(pattern: &str) -> usize {
    if pattern.contains("**") { usize::MAX } else { 1 + pattern.matches('/').count() }
}

/// Without the `.` in it, so that what is found below can be told from the front.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A pattern for paths. They are compared as texts in one form, since the library's own comparison is of
/// bytes and a `?` of one byte.
#[derive(Debug)]
struct Pattern(RegexMatcher);

impl Pattern {
    fn is_match(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.0.is_match(names::composed(&path).as_bytes()).unwrap_or_default()
    }
}

fn matcher(pattern: &str) -> Result<Pattern, String> {
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
        // Beyond 250 the library's regular expressions panic.
        if depth > GLOB_BRACES {
            return Err(format!("`pattern`: braces may lie in each other {GLOB_BRACES} deep at most"));
        }
    }
    let wrong = |error: &dyn Display| {
        format!(
            "`pattern`: {error}; it takes *, **, ?, [a-z] and {{a,b}}, and each of these in brackets is itself: [[]"
        )
    };
    let pattern = names::composed(pattern);
    let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
    let glob = glob.map_err(|error| wrong(&error))?;
    let expression = regex::bounded().dot_matches_new_line(true).build(&of_characters(glob.regex()));
    expression.map(Pattern).map_err(|error| wrong(&error))
}

/// The library's regular expression of bytes as one of characters.
fn of_characters(regex: &str) -> String {
    let regex = regex.strip_prefix("(?-u)").unwrap_or(regex);
    let mut bytes = Vec::with_capacity(regex.len());
    let mut rest = regex.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = if *first == b'\\' { after } else { &[] };
        match escaped {
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let byte =
                    str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.extend(byte);
                rest = &escaped[3..];
            }
            [letter, ..] => {
                bytes.extend([b'\\', *letter]);
                rest = &escaped[1..];
            }
            [] => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_braces_and_long_patterns_are_refused_in_words() {
        let nested = |depth: usize| "{".repeat(depth) + "a" + &"}".repeat(depth);
        assert!(matcher(&nested(GLOB_BRACES)).is_ok_and(|glob| glob.is_match(Path::new("a"))));
        for depth in [GLOB_BRACES + 1, 500, 2_000] {
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
                glob.is_match(Path::new("a/b/ab"));
            }
        }
    }
}
