//! `edit`: puts one text into the place of another.

use std::io::Read;
use std::path::Path;

use memchr::memmem;
use protocol::limits::EDITED_BYTES;
use sandbox::Layout;

use super::{
    answer::{good, why},
    files,
    input::Edit,
    write,
};
use crate::wire::{Low, Outcome};

/// Lines that are named.
const NAMED: usize = 10;

/// Runs it.
///
/// # Errors
/// What the model is told.
pub(super) fn run(layout: &Layout, edit: &Edit, low: Option<Low>) -> Result<Outcome, String> {
    let path = files::resolve(layout, &edit.path);
    let (file, _) = files::open(&path)?;
    let mut content = Vec::new();
    file.take(EDITED_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|error| why("read", &path, &error))?;
    if content.len() > EDITED_BYTES {
        return Err(too_large(&path));
    }
    let (old, new) = ends(&content, &edit.old, &edit.new);
    let found: Vec<_> = memmem::find_iter(&content, &old).collect();
    if found.is_empty() {
        return Err(missing(&path, &content, &edit.old));
    }
    if found.len() > 1 && !edit.all {
        return Err(format!(
            "`old_string` is {} times in {} ({}): add lines around it until only one place fits, or send \
             \"replace_all\": true",
            found.len(),
            path.display(),
            lines(&content, &found)
        ));
    }
    if content.len() + found.len() * new.len() > EDITED_BYTES + found.len() * old.len() {
        return Err(too_large(&path));
    }
    let mut changed = Vec::with_capacity(content.len());
    let mut from = 0;
    for at in &found {
        changed.extend_from_slice(&content[from..*at]);
        changed.extend_from_slice(&new);
        from = at + old.len();
    }
    changed.extend_from_slice(&content[from..]);
    write::save(&path, &changed, low)?;
    let times = if found.len() == 1 { "1 place".to_owned() } else { format!("{} places", found.len()) };
    Ok(good(format!("changed {times} in {} ({})", path.display(), lines(&content, &found))))
}

fn too_large(path: &Path) -> String {
    format!(
        "{} has, or would have, more than 16 MiB; change it with `sed` or a program in bash",
        path.display()
    )
}

/// What to look for and what to put there, with the ends of lines that the file has: a model writes `\n` also
/// where the file has `\r\n`.
fn ends(content: &[u8], old: &str, new: &str) -> (Vec<u8>, Vec<u8>) {
    let windows = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
    let all = memchr::memchr_iter(b'\n', content).count();
    let with = memmem::find_iter(content, b"\r\n").count();
    let as_it_is = memmem::find(content, old.as_bytes()).is_some();
    if with > 0 && (with == all || !as_it_is) {
        (windows(old), windows(new))
    } else {
        (old.into(), new.into())
    }
}

/// The lines, counted from 1, at which these places begin.
fn lines(content: &[u8], found: &[usize]) -> String {
    let (mut line, mut from) = (1, 0);
    let mut named = Vec::new();
    for at in found.iter().take(NAMED) {
        line += memchr::memchr_iter(b'\n', &content[from..*at]).count();
        from = *at;
        named.push(line.to_string());
    }
    let more = if found.len() > NAMED { ", …" } else { "" };
    format!("line{} {}{more}", if found.len() == 1 { "" } else { "s" }, named.join(", "))
}

fn missing(path: &Path, content: &[u8], old: &str) -> String {
    let path = path.display();
    let content = String::from_utf8_lossy(content);
    match nearly(&content, old) {
        Some(line) => format!(
            "`old_string` is not in {path}, but at line {line} is a text that differs only in blanks: read these \
             lines with `view_range` and copy them exactly"
        ),
        None => format!("`old_string` is not in {path}: read the file and copy the text exactly"),
    }
}

/// The line at which `old` would be found if blanks did not count.
fn nearly(content: &str, old: &str) -> Option<usize> {
    let bare = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    let wanted = bare(old);
    if wanted.is_empty() {
        return None;
    }
    let at = bare(content).find(&wanted)?;
    // Back from the bare text to the line: as many bytes that are no blanks stand before it.
    let (mut line, mut seen) = (1, 0);
    for letter in content.chars() {
        if letter == '\n' {
            line += 1;
        } else if !letter.is_whitespace() {
            if seen >= at {
                break;
            }
            seen += letter.len_utf8();
        }
    }
    Some(line)
}
