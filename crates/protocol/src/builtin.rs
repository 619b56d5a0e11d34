//! The built-in tools by name (docs/rules.md 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The built-in tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Builtin")]
pub enum BuiltinName {
    /// Runs a command.
    Bash,
    /// Changes a file in place.
    Edit,
    /// Reads a file.
    Read,
    /// Writes a file.
    Write,
    /// Finds files by name.
    Glob,
    /// Finds lines by pattern.
    Grep,
    /// Fetches a page.
    WebFetch,
    /// Searches the web.
    WebSearch,
}

impl BuiltinName {
    /// Every built-in tool.
    pub const ALL: [Self; 8] = [
        Self::Bash,
        Self::Edit,
        Self::Read,
        Self::Write,
        Self::Glob,
        Self::Grep,
        Self::WebFetch,
        Self::WebSearch,
    ];
    /// Every built-in tool's name, in the same order.
    pub const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut place = 0;
        while place < names.len() {
            names[place] = Self::ALL[place].name();
            place += 1;
        }
        names
    };

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Edit => "edit",
            Self::Read => "read",
            Self::Write => "write",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::WebFetch => "web_fetch",
            Self::WebSearch => "web_search",
        }
    }

    /// The tool of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Whether Heddle can run it. One that it cannot is accepted and shown, but not offered to the model
    /// (docs/rules.md 11).
    pub const fn served(self) -> bool {
        match self {
            Self::Bash | Self::Edit | Self::Read | Self::Write | Self::Glob | Self::Grep => true,
            Self::WebFetch | Self::WebSearch => false,
        }
    }
}
