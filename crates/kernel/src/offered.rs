//! The built-in tools as a model sees them: names, descriptions, inputs (rules.md 9; inputs:
//! spec/behaviour.md c.5).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    Object,
    prompt::{ToolSpec, Workplace},
    tool::{Builtin, Toolset},
};
use serde_json::{Value, json};

/// What `toolset` offers, in the order of its tools.
pub(crate) fn specs(toolset: &Toolset, workplace: &Workplace) -> Vec<ToolSpec> {
    let offered = Builtin::ALL.into_iter().filter(|tool| tool.served() && toolset.of(*tool).enabled);
    offered.filter_map(|tool| spec(tool, workplace)).collect()
}

fn spec(tool: Builtin, workplace: &Workplace) -> Option<ToolSpec> {
    let (description, properties, required): (String, Value, &[&str]) = match tool {
        Builtin::Bash => (bash(workplace), bash_input(), &[]),
        Builtin::Read => (
            "Reads a file: text as it is, an image (png, jpg, gif, webp) or a PDF as something you can see. Text over \
             256 KiB needs `view_range`."
                .into(),
            json!({
                "file_path": {"type": "string", "description": path(workplace)},
                "view_range": {
                    "type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2,
                    "description": "First and last line to read, counted from 1; a last line of 0 or less means the end."
                },
            }),
            &["file_path"],
        ),
        Builtin::Write => (
            "Writes a whole file, making its directories where they are missing and replacing what is there. To change a \
             part of a file use `edit`."
                .into(),
            json!({
                "file_path": {"type": "string", "description": path(workplace)},
                "content": {"type": "string", "description": "All that the file is to hold."},
            }),
            &["file_path", "content"],
        ),
        Builtin::Edit => (
            "Replaces text in a file. `old_string` must stand in the file exactly once, to the space, unless \
             `replace_all` is true."
                .into(),
            json!({
                "file_path": {"type": "string", "description": path(workplace)},
                "old_string": {"type": "string", "description": "The text to replace, word for word."},
                "new_string": {"type": "string", "description": "What to put there."},
                "replace_all": {"type": "boolean", "description": "Replace it everywhere. Default: false."},
            }),
            &["file_path", "old_string", "new_string"],
        ),
        Builtin::Glob => (
            "Finds files whose path matches a pattern such as `src/**/*.rs`; the newest come first, at most 200.".into(),
            json!({
                "pattern": {"type": "string", "description": "The pattern, relative to `path`."},
                "path": {"type": "string", "description": format!("The directory to search. Default: {}.", workplace.workspace)},
            }),
            &["pattern"],
        ),
        Builtin::Grep => (
            "Finds lines that match a regular expression (Rust syntax, as ripgrep), in the files below a path. Files that \
             .gitignore names and binary files are left out."
                .into(),
            json!({
                "pattern": {"type": "string", "description": "The regular expression."},
                "path": {
                    "type": "string",
                    "description": format!("The file or directory to search. Default: {}.", workplace.workspace)
                },
            }),
            &["pattern"],
        ),
        Builtin::WebFetch | Builtin::WebSearch => return None,
    };
    Some(ToolSpec { name: tool.name().into(), description, input_schema: schema(properties, required) })
}

fn schema(properties: Value, required: &[&str]) -> Object {
    let mut schema = Object::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties);
    schema.insert("required".into(), required.into());
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn path(workplace: &Workplace) -> String {
    format!("The file: absolute, or relative to {}.", workplace.workspace)
}

fn bash(workplace: &Workplace) -> String {
    let Workplace { workspace, outputs, jailed } = workplace;
    let place = if *jailed {
        "The machine has no network and its system is read-only; you may write below the working directory, your home \
         and /tmp. Limits: 512 processes, 4 GiB of memory a process, 2 GiB a file, 10 GiB of files."
    } else {
        "It runs on the user's own machine without a sandbox: be careful."
    };
    format!(
        "Runs a command in a bash shell that lives on between your calls: its working directory, variables and functions \
         stay. It begins in {workspace}; put finished files for the user into {outputs}. {place} A command gets 120 \
         seconds unless `timeout_ms` says otherwise (at most 600,000) and reads no input. To keep a program running, \
         start it in the background with its output in a file. Of output over 100,000 characters you see the beginning \
         and the end, and the path of a file that holds it all."
    )
}

fn bash_input() -> Value {
    json!({
        "command": {"type": "string", "description": "The command. Needed unless `restart` is true."},
        "restart": {"type": "boolean", "description": "Start a fresh shell; the old one and its programs end."},
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 600_000, "description": "Milliseconds until it is stopped."},
    })
}
