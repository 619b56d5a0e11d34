//! What a built-in tool is: what models are told of it, and what its input asks to be done.

use std::time::Duration;

use protocol::{
    Object, limits,
    parse::{Fields, Invalid},
};
use sandbox::JailLayout;
use serde_json::Value;

use super::{stop::SearchStop, text::CollectedText};
use crate::{
    wire::{LowDisk, ToolOutcome},
    workplace::Workplace,
};

/// A built-in tool.
pub(crate) struct BuiltinTool {
    /// What a model is told of it.
    pub(super) told: fn(&Workplace) -> ToolText,
    /// How its input looks, for a model that has sent another.
    pub(super) usage: fn() -> String,
    /// Reads its input.
    pub(super) read: fn(&mut Fields) -> Result<CheckedInput, Invalid>,
    /// How long it may take with an input that nobody has read yet.
    pub(crate) bound: fn(&Object) -> Duration,
}

/// What a model is told of a tool, beside its name.
pub(super) struct ToolText {
    /// What it does and when to use it.
    pub(super) description: String,
    /// Of its input: the fields, as JSON Schema describes them.
    pub(super) properties: Value,
    /// Those of them that must be there.
    pub(super) required: &'static [&'static str],
}

/// How long a tool may take that runs no command.
pub(crate) const BOUND: Duration = Duration::from_secs(limits::TOOL_S);

/// A checked input.
pub(super) enum CheckedInput {
    Bash(Bash),
    Task(ToolTask),
}

/// For the shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bash {
    /// Absent only with `restart`.
    pub(super) command: Option<String>,
    pub(super) restart: bool,
    pub(super) timeout: Duration,
}

/// What is to be done where no shell is needed; an error is what the model is told.
pub(super) type ToolTask = Box<dyn FnOnce(ToolMeans<'_>) -> Result<ToolOutcome, String> + Send>;

/// What it is done with.
pub(super) struct ToolMeans<'a> {
    pub(super) layout: &'a JailLayout,
    pub(super) stop: &'a SearchStop,
    pub(super) text: CollectedText,
    pub(super) low: Option<LowDisk>,
}

impl CheckedInput {
    /// What needs no shell.
    pub(super) fn task(
        task: impl FnOnce(ToolMeans<'_>) -> Result<ToolOutcome, String> + Send + 'static,
    ) -> Self {
        Self::Task(Box::new(task))
    }
}
