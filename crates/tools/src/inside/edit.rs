//! `edit`: puts one text into the place of another.

use std::io::Read;
use std::path::{Path, PathBuf};

use protocol::{
    limits::EDITED_BYTES,
    parse::{self, Fields, Invalid},
};
use serde_json::json;

use super::{
    answer::{good, why},
    ends::TextChange,
    files, input,
    names::ShownPath,
    read,
    tool::{self, BuiltinTool, CheckedInput, ToolMeans, ToolText},
    write,
};
use crate::{amount, wire::ToolOutcome, workplace::Workplace};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || {
        let fields = "\"file_path\": string, \"old_string\": string, \"new_string\": string";
        format!("{{{fields}, \"replace_all\"?: boolean}}")
    },
    read: input,
    bound: |_| tool::BOUND,
};

/// Lines that are named.
const NAMED: usize = 10;

/// A change of a file.
struct Edit {
    path: PathBuf,
    old: String,
    new: String,
    all: bool,
}

fn told(workplace: &Workplace) -> ToolText {
    let description = "Replaces text in a file. `old_string` must stand in the file exactly once, to the space, \
                       unless `replace_all` is true. Whether lines end in \\n or \\r\\n does not matter and stays as it \
                       is.";
    let properties = json!({
        "file_path": {"type": "string", "description": workplace.file()},
        "old_string": {"type": "string", "description": "The text to replace, word for word."},
        "new_string": {"type": "string", "description": "What to put there."},
        "replace_all": {"type": "boolean", "description": "Replace it everywhere. Default: false."},
    });
    let required = &["file_path", "old_string", "new_string"];
    ToolText { description: description.to_owned(), properties, required }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let path = fields.required("file_path", input::path)?;
    let old = fields.required("old_string", input::plain)?;
    let new = fields.required("new_string", input::plain)?;
    let all = fields.optional("replace_all", parse::boolean)?.unwrap_or_default();
    if old.is_empty() {
        return Err(fields.wrong("old_string", "must not be empty; make a file with `write`"));
    }
    if old == new {
        return Err(fields.wrong("new_string", "is the same as `old_string`; nothing would change"));
    }
    let edit = Edit { path, old, new, all };
    Ok(CheckedInput::task(move |means| run(&means, &edit)))
}

fn run(means: &ToolMeans<'_>, edit: &Edit) -> Result<ToolOutcome, String> {
    let path = files::resolve(means.layout, &edit.path);
    let (file, _) = files::open(&path)?;
    let mut content = Vec::new();
    file.take(EDITED_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|error| why("read", &path, &error))?;
    if content.len() > EDITED_BYTES {
        return Err(too_large(&path));
    }
    let change = TextChange::new(&content, &edit.old, &edit.new);
    let places = change.places().count();
    let shown = ShownPath(&path);
    if places == 0 {
        return Err(if change.is_there() {
            format!("nothing would change in {shown}: the lines of `old_string` end there as in `new_string`")
        } else {
            missing(&path, &content, &edit.old)
        });
    }
    let lines = lines(&content, change.places().map(|place| place.start).take(NAMED), places);
    if places > 1 && !edit.all {
        return Err(format!(
            "`old_string` is {places} times in {shown} ({lines}): add lines around it until only one place fits, or \
             send \"replace_all\": true"
        ));
    }
    write::save(&path, &change.made(EDITED_BYTES).ok_or_else(|| too_large(&path))?, means.low)?;
    let times = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
    Ok(good(format!("changed {times} in {shown} ({lines})")))
}

fn too_large(path: &Path) -> String {
    let (path, most) = (ShownPath(path), amount::size(EDITED_BYTES as u64));
    format!("{path} has, or would have, more than {most}; change it with `sed` or a program in bash")
}

/// The lines, counted from 1, in which the first of so many places begin.
fn lines(content: &[u8], starts: impl Iterator<Item = usize>, places: usize) -> String {
    let (mut line, mut from) = (1, 0);
    let mut named = Vec::new();
    for at in starts {
        line += memchr::memchr_iter(b'\n', &content[from..at]).count();
        from = at;
        named.push(line.to_string());
    }
    let more = if places > named.len() { ", …" } else { "" };
    format!("line{} {}{more}", if places == 1 { "" } else { "s" }, named.join(", "))
}

fn missing(path: &Path, content: &[u8], old: &str) -> String {
    let path = ShownPath(path);
    if let Some(what) = read::binary(content) {
        return format!("`old_string` is not in {path}, which is {what}; change it with a program in bash");
    }
    if old.contains('\u{fffd}') {
        return format!(
            "`old_string` is not in {path}: it holds U+FFFD, which stands for bytes that are no text where something \
             is shown; leave these out"
        );
    }
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
