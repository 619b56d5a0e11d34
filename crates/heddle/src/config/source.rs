//! Where a setting comes from, and the ledger in which each is entered on the way from what was said to what
//! is meant.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a setting was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingSource {
    /// This flag of the command line.
    Flag(String),
    /// This environment variable.
    Variable(String),
    /// This line of the settings' file.
    Line { file: PathBuf, line: usize },
    /// The settings' file as a whole, which nobody named.
    File(PathBuf),
    /// Nowhere.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as a person is shown it: no secret is in its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownSetting {
    /// Its path in the file, or the variable that holds it.
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: SettingSource,
}

/// A setting that is wrong: where it was said, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingMistake {
    pub(crate) source: SettingSource,
    pub(crate) message: String,
}

impl SettingMistake {
    /// In which order mistakes are told: those of the file as they stand there, then the others.
    fn place(&self) -> (u8, usize) {
        match &self.source {
            SettingSource::File(_) => (0, 0),
            SettingSource::Line { line, .. } => (1, *line),
            SettingSource::Variable(_) => (2, 0),
            SettingSource::Flag(_) => (3, 0),
            SettingSource::Default => (4, 0),
        }
    }
}

impl fmt::Display for SettingMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)
    }
}

/// Settings that are wrong: all of them, where, and what would be right. One line each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(_0))]
pub(crate) struct ConfigError(pub(super) Vec<SettingMistake>);

fn lines(mistakes: &[SettingMistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The lines of the settings' file, by the path of the key that stands there.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingLines {
    pub(super) file: PathBuf,
    pub(super) of: BTreeMap<String, usize>,
}

impl SettingLines {
    fn source(&self, path: &str) -> Option<SettingSource> {
        self.of.get(path).map(|line| SettingSource::Line { file: self.file.clone(), line: *line })
    }
}

/// Every setting that was asked for so far, and every mistake that was found.
#[derive(Debug)]
pub(super) struct SettingsLedger {
    lines: SettingLines,
    /// Whether all that the file says could be read.
    legible: bool,
    settings: Vec<ShownSetting>,
    mistakes: Vec<SettingMistake>,
}

impl SettingsLedger {
    pub(super) fn new(lines: SettingLines, legible: bool) -> Self {
        Self { lines, legible, settings: Vec::new(), mistakes: Vec::new() }
    }

    /// Enters the setting at `path`: what a flag or a variable said, else what the file says, which knows the
    /// default.
    pub(super) fn take<T>(
        &mut self,
        path: &str,
        said: Option<(T, SettingSource)>,
        file: T,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let (value, source) = said.unwrap_or_else(|| (file, self.source(path)));
        self.enter(path, show(&value), source);
        value
    }

    /// Enters what is decided already.
    pub(super) fn enter(&mut self, name: &str, value: String, source: SettingSource) {
        self.settings.push(ShownSetting { name: name.to_owned(), value, source });
    }

    /// Where the file says what is at `path`.
    pub(super) fn source(&self, path: &str) -> SettingSource {
        self.lines.source(path).unwrap_or(SettingSource::Default)
    }

    /// Notes that the setting `name`, entered before, is wrong.
    pub(super) fn mistake(&mut self, name: &str, message: impl fmt::Display) {
        let entered = self.settings.iter().rev().find(|setting| setting.name == name);
        let source = entered.map_or_else(|| self.source(name), |setting| setting.source.clone());
        self.mistakes.push(SettingMistake { source, message: format!("{name}: {message}") });
    }

    /// Notes that something is wrong with the route or table at `path`.
    pub(super) fn mistake_at(&mut self, path: &str, message: impl fmt::Display) {
        let source = self.source(path);
        self.mistakes.push(SettingMistake { source, message: format!("{path}: {message}") });
    }

    /// Notes that what `source` says of the setting `name` is wrong.
    pub(super) fn mistake_of(&mut self, source: SettingSource, name: &str, message: impl fmt::Display) {
        self.mistakes.push(SettingMistake { source, message: format!("{name}: {message}") });
    }

    /// What was entered, if nothing is wrong, and else every mistake; `found` are those of the file's text.
    pub(super) fn close(self, found: Vec<SettingMistake>) -> Result<Vec<ShownSetting>, Vec<SettingMistake>> {
        let mut mistakes = found;
        // What seems to be missing in a file that could not be read whole may well stand there.
        let sure =
            |mistake: &SettingMistake| self.legible || !matches!(mistake.source, SettingSource::Line { .. });
        mistakes.extend(self.mistakes.into_iter().filter(sure));
        mistakes.sort_by_key(SettingMistake::place);
        if mistakes.is_empty() { Ok(self.settings) } else { Err(mistakes) }
    }
}
