//! Reads the input of each tool (spec/behaviour.md c.5). A mistake names its field and says what to send.

use std::path::PathBuf;
use std::time::Duration;

use protocol::{
    Object,
    limits::{COMMAND_BYTES, COMMAND_MS, COMMAND_MS_MAX, GREP_PATTERN_BYTES},
    parse::{self, Fields, Invalid},
    tool::Builtin,
};
use serde_json::Value;

use super::names;

/// Bytes of a path; the system takes no longer one.
const PATH_BYTES: usize = 4_096;

/// A checked input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Bash(Bash),
    File(Task),
}

/// For the shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bash {
    /// Absent only with `restart`.
    pub(super) command: Option<String>,
    pub(super) restart: bool,
    pub(super) timeout: Duration,
}

/// For the tools that need no shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    Read {
        path: PathBuf,
        /// First line from 1, and last, which counts too; without it, to the end.
        range: Option<(u64, Option<u64>)>,
    },
    Write {
        path: PathBuf,
        content: String,
    },
    Edit(Edit),
    Glob {
        pattern: String,
        path: Option<PathBuf>,
    },
    Grep {
        pattern: String,
        path: Option<PathBuf>,
    },
}

/// A change of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) path: PathBuf,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) all: bool,
}

type Reader = fn(&mut Fields) -> Result<Input, Invalid>;

/// Reads the input of `tool`.
///
/// # Errors
/// What the model is told.
pub(super) fn read(tool: Builtin, input: Object) -> Result<Input, String> {
    let (usage, read): (&str, Reader) = match tool {
        Builtin::Bash => (
            "{\"command\": string, \"restart\"?: boolean, \"timeout_ms\"?: 1 to 600000}; `command` may be left \
             out with \"restart\": true",
            bash,
        ),
        Builtin::Read => ("{\"file_path\": string, \"view_range\"?: [first line, last line or -1]}", file),
        Builtin::Write => ("{\"file_path\": string, \"content\": string}", write),
        Builtin::Edit => (
            "{\"file_path\": string, \"old_string\": string, \"new_string\": string, \"replace_all\"?: boolean}",
            edit,
        ),
        Builtin::Glob => ("{\"pattern\": string, \"path\"?: string}", glob),
        Builtin::Grep => ("{\"pattern\": string, \"path\"?: string}", grep),
        Builtin::WebFetch | Builtin::WebSearch => {
            return Err(format!("`{}` is not served here; do without it", tool.name()));
        }
    };
    let result = Fields::of(Value::Object(input), "").and_then(|mut fields| {
        let read = read(&mut fields)?;
        fields.finish()?;
        Ok(read)
    });
    result.map_err(|Invalid { path, message, code: _, absent: _ }| {
        let end = if message.ends_with('?') { "" } else { "." };
        format!("`{path}`: {message}{end} Send {} {usage}.", tool.name())
    })
}

fn bash(fields: &mut Fields) -> Result<Input, Invalid> {
    let command = fields.optional("command", parse::string)?;
    let restart = fields.optional("restart", parse::boolean)?.unwrap_or_default();
    let timeout_ms = fields.optional("timeout_ms", parse::whole(1, COMMAND_MS_MAX))?.unwrap_or(COMMAND_MS);
    match &command {
        None if !restart => return Err(fields.wrong("command", "this field is required")),
        Some(command) if command.contains('\0') => {
            return Err(fields.wrong("command", "must hold no NUL character; write '\\0' with printf"));
        }
        Some(command) if command.len() > COMMAND_BYTES => {
            let message = "must have at most 1 MiB; put the text into a file with `write` and use that";
            return Err(fields.wrong("command", message));
        }
        Some(_) | None => {}
    }
    Ok(Input::Bash(Bash { command, restart, timeout: Duration::from_millis(timeout_ms) }))
}

fn file(fields: &mut Fields) -> Result<Input, Invalid> {
    let path = fields.required("file_path", path)?;
    let range = fields.optional("view_range", parse::list(2, 2, line))?;
    let range = match range.as_deref() {
        None => None,
        Some(&[first, last]) if first >= 1 && last <= 0 => Some((first as u64, None)),
        Some(&[first, last]) if first >= 1 && last >= first => Some((first as u64, Some(last as u64))),
        Some(_) => {
            let message = "the first line must be 1 or more, and the last not before it, or -1 for the end";
            return Err(fields.wrong("view_range", message));
        }
    };
    Ok(Input::File(Task::Read { path, range }))
}

fn write(fields: &mut Fields) -> Result<Input, Invalid> {
    let path = fields.required("file_path", path)?;
    let content = fields.required("content", plain)?;
    Ok(Input::File(Task::Write { path, content }))
}

fn edit(fields: &mut Fields) -> Result<Input, Invalid> {
    let path = fields.required("file_path", path)?;
    let old = fields.required("old_string", plain)?;
    let new = fields.required("new_string", plain)?;
    let all = fields.optional("replace_all", parse::boolean)?.unwrap_or_default();
    if old.is_empty() {
        return Err(fields.wrong("old_string", "must not be empty; make a file with `write`"));
    }
    if old == new {
        return Err(fields.wrong("new_string", "is the same as `old_string`; nothing would change"));
    }
    Ok(Input::File(Task::Edit(Edit { path, old, new, all })))
}

fn glob(fields: &mut Fields) -> Result<Input, Invalid> {
    let (pattern, path) = search(fields)?;
    Ok(Input::File(Task::Glob { pattern, path }))
}

fn grep(fields: &mut Fields) -> Result<Input, Invalid> {
    let (pattern, path) = search(fields)?;
    Ok(Input::File(Task::Grep { pattern, path }))
}

fn search(fields: &mut Fields) -> Result<(String, Option<PathBuf>), Invalid> {
    let pattern = fields.required("pattern", parse::string)?;
    if pattern.is_empty() {
        return Err(fields.wrong("pattern", "must not be empty"));
    }
    if pattern.len() > GREP_PATTERN_BYTES {
        return Err(fields.wrong("pattern", "must have at most 16 KiB"));
    }
    Ok((pattern, fields.optional("path", path)?))
}

fn path(value: Value, at: &str) -> Result<PathBuf, Invalid> {
    let path = names::sent(&parse::string(value, at)?).map_err(|wrong| Invalid::new(at, wrong))?;
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Invalid::new(at, "must be a path: not empty and without NUL"));
    }
    if bytes.len() > PATH_BYTES {
        return Err(Invalid::new(at, "must have at most 4096 bytes, as every path on this system"));
    }
    Ok(path)
}

/// A text for a file: NUL stands in none, and `read` would take the file for a binary one.
fn plain(value: Value, at: &str) -> Result<String, Invalid> {
    let text = parse::string(value, at)?;
    if text.contains('\0') {
        let message = "must hold no NUL character, which no text file holds; write bytes with printf in bash";
        return Err(Invalid::new(at, message));
    }
    Ok(text)
}

fn line(value: Value, at: &str) -> Result<i64, Invalid> {
    value.as_i64().ok_or_else(|| Invalid::new(at, "expected a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistake(tool: Builtin, input: Value) -> String {
        let Value::Object(input) = input else { panic!("an object") };
        read(tool, input).expect_err("a mistake")
    }

    #[test]
    fn each_mistake_names_its_field_and_says_what_to_send() {
        for (tool, input, said) in [
            (Builtin::Bash, json!({}), "`command`: this field is required. Send bash {\"command\": string,"),
            (Builtin::Bash, json!({"command": 1}), "`command`: expected a string, got a number. Send bash {"),
            (Builtin::Bash, json!({"command": "a\0"}), "`command`: must hold no NUL character"),
            (
                Builtin::Bash,
                json!({"command": "a", "cwd": "/"}),
                "`cwd`: unknown field; this takes `command`, `restart` or `timeout_ms`. Send bash {",
            ),
            (
                Builtin::Bash,
                json!({"command": "a", "timeout": 1}),
                "`timeout`: unknown field; did you mean `timeout_ms`? Send bash {",
            ),
            (
                Builtin::Read,
                json!({"path": "a"}),
                "`file_path`: this field is required; `path` was sent, did you mean that? Send read {",
            ),
            (
                Builtin::Bash,
                json!({"command": "a", "timeout_ms": 600_001}),
                "`timeout_ms`: must be a whole number, between 1 and 600000, is 600001. Send bash {",
            ),
            (
                Builtin::Read,
                json!({}),
                "`file_path`: this field is required. Send read {\"file_path\": string",
            ),
            (Builtin::Read, json!({"file_path": ""}), "`file_path`: must be a path"),
            (Builtin::Read, json!({"file_path": "x".repeat(4_097)}), "`file_path`: must have at most 4096"),
            (
                Builtin::Read,
                json!({"file_path": "a", "view_range": [1]}),
                "`view_range`: must have at least 2",
            ),
            (
                Builtin::Read,
                json!({"file_path": "a", "view_range": [0, 4]}),
                "`view_range`: the first line must",
            ),
            (
                Builtin::Read,
                json!({"file_path": "a", "view_range": [5, 4]}),
                "`view_range`: the first line must",
            ),
            (
                Builtin::Read,
                json!({"file_path": "a", "view_range": ["1", 4]}),
                "`view_range.0`: expected a whole",
            ),
            (Builtin::Write, json!({"file_path": "a"}), "`content`: this field is required. Send write {"),
            (
                Builtin::Edit,
                json!({"file_path": "a", "old_string": "", "new_string": "b"}),
                "`old_string`: must not be empty",
            ),
            (
                Builtin::Edit,
                json!({"file_path": "a", "old_string": "b", "new_string": "b"}),
                "`new_string`: is the same as `old_string`",
            ),
            (
                Builtin::Glob,
                json!({"pattern": ["a"]}),
                "`pattern`: expected a string, got an array. Send glob {",
            ),
            (Builtin::Grep, json!({"pattern": ""}), "`pattern`: must not be empty. Send grep {\"pattern\""),
            (Builtin::WebFetch, json!({}), "`web_fetch` is not served here"),
        ] {
            let mistake = mistake(tool, input);
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn what_no_text_and_no_path_holds_is_refused() {
        for (tool, input, said) in [
            (
                Builtin::Write,
                json!({"file_path": "a", "content": "a\0"}),
                "`content`: must hold no NUL character, which no text file holds; write bytes with printf",
            ),
            (
                Builtin::Edit,
                json!({"file_path": "a", "old_string": "a", "new_string": "\0"}),
                "`new_string`: must hold no NUL character",
            ),
            (Builtin::Read, json!({"file_path": "$'a\\x00b'"}), "`file_path`: must be a path: not empty and"),
            (Builtin::Read, json!({"file_path": "$'\\q'"}), "`file_path`: holds an escape that is none"),
        ] {
            let mistake = mistake(tool, input);
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }
}
