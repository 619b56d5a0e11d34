//! The built-in tools as a model sees them: names, descriptions, inputs (rules.md 9; inputs:
//! spec/behaviour.md c.5).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    Object,
    agent::Member,
    limits,
    prompt::{Bounds, ToolSpec, Workplace},
    roster::Errand,
    tool::{Builtin, Toolset},
};
use serde_json::{Value, json};

use crate::session::Cast;

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
             `replace_all` is true. Whether lines end in \\n or \\r\\n does not matter and stays as it is."
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
            "Finds files (no directories) whose path matches a pattern such as `src/**/*.rs`; the newest come first, at most \
             200. `**` goes through directories, `[ab]` is one character of several: for a name like `[id]` write \
             `[[]id]`. A name that is no plain text is shown as $'…', which all tools take as it is."
                .into(),
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

/// The delegation tools that `cast` may use.
pub(crate) fn errands<'a>(cast: &'a Cast<'a>) -> impl Iterator<Item = ToolSpec> + 'a {
    Errand::ALL.into_iter().filter(|errand| cast.may(*errand)).map(|errand| errand_spec(errand, cast))
}

fn errand_spec(errand: Errand, cast: &Cast<'_>) -> ToolSpec {
    let text = |description: &str| json!({"type": "string", "description": description});
    let task =
        text("What it is to do, with all that it needs to know: it sees nothing of your conversation.");
    let (description, properties, required): (String, Value, &[&str]) = match errand {
        Errand::CreateAgent => (
            format!(
                "Starts an agent on a task of its own and returns at once: several work in parallel, in the same \
                 files as you. Its report comes later as a message; end your turn to wait for it. The agents:\n{}",
                roster(cast)
            ),
            json!({"agent": who(cast), "task": task}),
            &["agent", "task"],
        ),
        Errand::Agent => (
            "Starts an agent on a task of its own, as `create_agent` does, and waits for its report, which is the \
             result. Several calls in one answer run in parallel."
                .into(),
            json!({"agent": who(cast), "task": task}),
            &["agent", "task"],
        ),
        Errand::SendToAgent => (
            "Writes to an agent that you have started. One that rests goes to work on it; one that works reads it \
             at its next step. It remembers its earlier tasks."
                .into(),
            json!({
                "thread_id": text("The agent's thread_id."),
                "message": text("What to tell it."),
            }),
            &["thread_id", "message"],
        ),
        Errand::ListAgents => (
            "Lists the agents that you have started: thread_id, agent, status, and how many messages wait for each."
                .into(),
            json!({}),
            &[],
        ),
        Errand::SendToParent => (
            "Tells the agent that started you something before you are done: progress, or a question. You go on. \
             Your last message of a turn is your report, unless you have sent something in that turn."
                .into(),
            json!({"message": text("What to tell it.")}),
            &["message"],
        ),
    };
    ToolSpec { name: errand.name().into(), description, input_schema: schema(properties, required) }
}

fn roster(cast: &Cast<'_>) -> String {
    let line = |member: &Member| {
        let about = member
            .agent
            .definition
            .description
            .as_deref()
            .map(|about| format!(": {about}"))
            .unwrap_or_default();
        format!("- {}{about}", member.agent.definition.name)
    };
    cast.roster.iter().map(line).collect::<Vec<String>>().join("\n")
}

fn who(cast: &Cast<'_>) -> Value {
    let own = cast.roster.iter().any(|member| member.agent.definition.id == cast.own).then_some("self");
    let names: Vec<&str> =
        cast.roster.iter().map(|member| member.agent.definition.name.as_str()).chain(own).collect();
    json!({"type": "string", "enum": names, "description": "Which agent."})
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
    format!("The file: absolute, relative to {}, or below your home as `~/…`.", workplace.workspace)
}

fn bash(workplace: &Workplace) -> String {
    let Workplace { workspace, outputs, jail } = workplace;
    let place = match jail {
        Some(bounds) => jailed(*bounds),
        None => "It runs on the user's own machine without a sandbox: be careful.".into(),
    };
    let (seconds, most_ms) = (limits::COMMAND_MS / 1_000, limits::COMMAND_MS_MAX);
    format!(
        "Runs a command in a bash shell that lives on between your calls: its working directory, variables and functions \
         stay. It begins in {workspace}; put finished files for the user into {outputs}. {place} A command gets \
         {seconds} seconds unless `timeout_ms` says otherwise (at most {most_ms}) and reads no input. To keep a program running, \
         start it in the background with its output in a file. Of output over 100,000 characters you see the beginning \
         and the end, and the path of a file that holds it all. A command that ends its shell (`exit`, `set -e`, `exec`) \
         leaves directory, variables and functions as before it; what runs in the background goes on."
    )
}

fn jailed(bounds: Bounds) -> String {
    let Bounds { processes, files, memory_bytes, memory_whole, file_bytes, disk_bytes } = bounds;
    let (memory, file, disk) = (size(memory_bytes), size(file_bytes), size(disk_bytes));
    let whose = if memory_whole { "for all of them together" } else { "a process" };
    format!(
        "The machine has no network and its system is read-only; you may write below the working directory, your home \
         and /tmp. Limits: {processes} processes, {files} open files a process, {memory} of memory {whose}, {file} a \
         file, {disk} of files."
    )
}

fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

fn bash_input() -> Value {
    json!({
        "command": {"type": "string", "description": "The command. Needed unless `restart` is true."},
        "restart": {"type": "boolean", "description": "Start a fresh shell; the old one and its programs end."},
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": limits::COMMAND_MS_MAX, "description": "Milliseconds until it is stopped."},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_the_limits_that_hold() {
        let own = bash(&Workplace::jail());
        assert!(
            own.contains(
                "Limits: 512 processes, 4096 open files a process, 4 GiB of memory a process, 2 GiB a file, 10 GiB of files."
            ) && own.contains("A command gets 120 seconds unless `timeout_ms` says otherwise (at most 600000)"),
            "{own}"
        );
        let bounds = Bounds {
            processes: 100,
            files: 1_024,
            memory_bytes: 1_536 << 20,
            memory_whole: true,
            file_bytes: 1 << 30,
            disk_bytes: 100 << 20,
        };
        let set = bash(&Workplace { jail: Some(bounds), ..Workplace::jail() });
        let told = "Limits: 100 processes, 1024 open files a process, 1536 MiB of memory for all of them together, 1 GiB \
                    a file, 100 MiB of files.";
        assert!(set.contains(told), "{set}");
        let off = bash(&Workplace { jail: None, ..Workplace::jail() });
        assert!(off.contains("without a sandbox") && !off.contains("Limits:"), "{off}");
    }
}
