//! The settings that are one of a few words: where agents' commands run, and how the log is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where agents' commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Mode")]
pub(crate) enum SandboxMode {
    /// In a jail of this machine.
    Local,
    /// As the user that the server runs as, with all that it may do.
    Off,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Format")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}
