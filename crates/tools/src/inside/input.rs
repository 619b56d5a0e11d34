//! Reads the input of a tool. A mistake names its field and says what to send.

use std::path::PathBuf;

use protocol::{
    Object,
    limits::{GREP_PATTERN_BYTES, PATH_BYTES},
    parse::{self, Fields, Invalid},
    tool::Builtin,
};
use sandbox::Layout;
use serde_json::Value;

use super::{bash::Bash, names, text::Text, tool, walk::Stop};
use crate::{
    amount,
    wire::{Low, Outcome},
};

/// A checked input.
pub(super) enum Input {
    Bash(Bash),
    Task(Task),
}

/// What is to be done where no shell is needed; an error is what the model is told.
pub(super) type Task = Box<dyn FnOnce(Means<'_>) -> Result<Outcome, String> + Send>;

/// What it is done with.
pub(super) struct Means<'a> {
    pub(super) layout: &'a Layout,
    pub(super) stop: &'a Stop,
    pub(super) text: Text,
    pub(super) low: Option<Low>,
}

impl Input {
    /// What needs no shell.
    pub(super) fn task(task: impl FnOnce(Means<'_>) -> Result<Outcome, String> + Send + 'static) -> Self {
        Self::Task(Box::new(task))
    }
}

/// Reads the input of `tool`.
///
/// # Errors
/// What the model is told.
pub(super) fn read(tool: Builtin, input: Object) -> Result<Input, String> {
    let name = tool.name();
    let known = tool::of(tool).ok_or_else(|| format!("`{name}` is not served here; do without it"))?;
    let result = Fields::of(Value::Object(input), "").and_then(|mut fields| {
        let read = (known.read)(&mut fields)?;
        fields.finish()?;
        Ok(read)
    });
    result.map_err(|Invalid { path, message, code: _, absent: _ }| {
        let end = if message.ends_with('?') { "" } else { "." };
        format!("`{path}`: {message}{end} Send {name} {}.", (known.usage)())
    })
}

/// Reads what to search for, and where.
pub(super) fn search(fields: &mut Fields) -> Result<(String, Option<PathBuf>), Invalid> {
    let pattern = fields.required("pattern", parse::string)?;
    if pattern.is_empty() {
        return Err(fields.wrong("pattern", "must not be empty"));
    }
    if pattern.len() > GREP_PATTERN_BYTES {
        let most = amount::size(GREP_PATTERN_BYTES as u64);
        return Err(fields.wrong("pattern", format!("must have at most {most}")));
    }
    Ok((pattern, fields.optional("path", path)?))
}

/// Reads a path.
pub(super) fn path(value: Value, at: &str) -> Result<PathBuf, Invalid> {
    let path = names::sent(&parse::string(value, at)?).map_err(|wrong| Invalid::new(at, wrong))?;
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Invalid::new(at, "must be a path: not empty and without NUL"));
    }
    if bytes.len() > PATH_BYTES {
        let message = format!("must have at most {PATH_BYTES} bytes, as every path on this system");
        return Err(Invalid::new(at, message));
    }
    Ok(path)
}

/// Reads a text for a file: NUL stands in none, and `read` would take the file for a binary one.
pub(super) fn plain(value: Value, at: &str) -> Result<String, Invalid> {
    let text = parse::string(value, at)?;
    if text.contains('\0') {
        let message = "must hold no NUL character, which no text file holds; write bytes with printf in bash";
        return Err(Invalid::new(at, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistake(tool: Builtin, input: Value) -> String {
        let Value::Object(input) = input else { panic!("an object") };
        read(tool, input).err().expect("a mistake")
    }

    #[test]
    fn each_mistake_names_its_field_and_says_what_to_send() {
        for (tool, input, said) in [
            (Builtin::Bash, json!({}), "`command`: this field is required. Send bash {\"command\": string,"),
            (Builtin::Bash, json!({"command": 1}), "`command`: expected a string, got a number. Send bash {"),
            (Builtin::Bash, json!({"command": "a\0"}), "`command`: must hold no NUL character"),
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
    fn a_field_that_nobody_takes_is_told_what_is_taken() {
        for (tool, input, said) in [
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
