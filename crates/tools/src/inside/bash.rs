//! `bash`: runs a command in the thread's shell.

use std::time::Duration;

use protocol::{
    Object,
    limits::{COMMAND_BYTES, COMMAND_MS, COMMAND_MS_MAX, OUTPUT_CHARS},
    parse::{self, Fields, Invalid},
};
use serde_json::{Value, json};

use super::tool::{Bash, BuiltinTool, CheckedInput, ToolText};
use crate::{amount, workplace::Workplace};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || {
        format!(
            "{{\"command\": string, \"restart\"?: boolean, \"timeout_ms\"?: 1 to {COMMAND_MS_MAX}}}; `command` may be \
             left out with \"restart\": true"
        )
    },
    read: input,
    bound,
};

fn told(workplace: &Workplace) -> ToolText {
    let Workplace { workspace, outputs, .. } = workplace;
    let (rules, seconds, long) = (workplace.rules(), COMMAND_MS / 1_000, amount::number(OUTPUT_CHARS));
    let description = format!(
        "Runs a command in a bash shell that lives on between your calls: its working directory, variables and functions \
         stay. It begins in {workspace}; put finished files for the user into {outputs}. {rules} A command gets \
         {seconds} seconds unless `timeout_ms` says otherwise (at most {COMMAND_MS_MAX}) and reads no input. To keep a \
         program running, start it in the background with its output in a file. Of output over {long} characters you see \
         the beginning and the end, and the path of a file that holds it all. A command that ends its shell (`exit`, \
         `set -e`, `exec`) leaves directory, variables and functions as before it; what runs in the background goes on."
    );
    let properties = json!({
        "command": {"type": "string", "description": "The command. Needed unless `restart` is true."},
        "restart": {"type": "boolean", "description": "Start a fresh shell; the old one and its programs end."},
        "timeout_ms": {
            "type": "integer", "minimum": 1, "maximum": COMMAND_MS_MAX,
            "description": "Milliseconds until it is stopped."
        },
    });
    ToolText { description, properties, required: &[] }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let command = fields.optional("command", parse::string)?;
    let restart = fields.optional("restart", parse::boolean)?.unwrap_or_default();
    let timeout_ms = fields.optional("timeout_ms", parse::whole(1, COMMAND_MS_MAX))?.unwrap_or(COMMAND_MS);
    match &command {
        None if !restart => return Err(fields.wrong("command", "this field is required")),
        Some(command) if command.contains('\0') => {
            return Err(fields.wrong("command", "must hold no NUL character; write '\\0' with printf"));
        }
        Some(command) if command.len() > COMMAND_BYTES => {
            let most = amount::size(COMMAND_BYTES as u64);
            let message =
                format!("must have at most {most}; put the text into a file with `write` and use that");
            return Err(fields.wrong("command", message));
        }
        Some(_) | None => {}
    }
    Ok(CheckedInput::Bash(Bash { command, restart, timeout: Duration::from_millis(timeout_ms) }))
}

fn bound(input: &Object) -> Duration {
    let asked = input.get("timeout_ms").and_then(Value::as_u64).unwrap_or(COMMAND_MS);
    Duration::from_millis(asked.min(COMMAND_MS_MAX))
}
