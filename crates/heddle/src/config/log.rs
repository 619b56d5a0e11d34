//! `[log]`: what is logged, and how.

use protocol::near;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    choice::LogFormat,
    file::FileLog,
    shown::word,
    source::{SettingSource, SettingsLedger},
};

/// The parts that are ours, by the names that their lines carry.
pub(crate) const OURS: [&str; 9] =
    ["engine", "heddle", "kernel", "models", "protocol", "sandbox", "server", "store", "tools"];
/// The levels that a log's filter knows.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) format: LogFormat,
    /// A filter that [`EnvFilter`] can read.
    pub(crate) filter: String,
}

/// What the file says, unless a flag or a variable says something else.
pub(super) fn settle(
    format: Option<(LogFormat, SettingSource)>,
    said: Option<(String, SettingSource)>,
    file: FileLog,
    ledger: &mut SettingsLedger,
) -> LogSettings {
    LogSettings {
        format: ledger.take("log.format", format, file.format, word),
        filter: filter(said, file.filter.0, ledger),
    }
}

fn filter(said: Option<(String, SettingSource)>, file: String, ledger: &mut SettingsLedger) -> String {
    let said = said.filter(|(filter, _)| !filter.trim().is_empty());
    let filter = ledger.take("log.filter", said, file, String::clone);
    // What is for one span alone may hold commas, and is for the library to judge.
    let words = filter.split(',').map(str::trim).filter(|word| !word.is_empty() && !filter.contains('['));
    for wrong in words.filter_map(wrong_word) {
        ledger.mistake("log.filter", wrong);
    }
    if let Err(wrong) = EnvFilter::try_new(&filter) {
        ledger.mistake("log.filter", format!("{wrong}; write a level or a list such as info,server=debug"));
    }
    filter
}

/// What is wrong with one word of a log's filter. To the library any single word is the name of a part, so a
/// slip would silence everything.
fn wrong_word(word: &str) -> Option<String> {
    let is_part = |name: &str| OURS.contains(&name.split("::").next().unwrap_or(name));
    // A library may have any name but one that is hardly to be told from a part's.
    let meant = |name: &str| OURS.into_iter().find(|part| near::edits(name, part) == 1);
    match word.split_once('=') {
        Some((_, "")) => Some(format!("`{word}` says no level: write `{word}debug`")),
        Some((name, _)) if !is_part(name) => {
            meant(name).map(|part| format!("`{name}` is no part of Heddle; did you mean `{part}`?"))
        }
        None if !is_part(word) && word.parse::<LevelFilter>().is_err() => {
            Some(match near::nearest(word, LEVELS) {
                Some(near) => format!("`{word}` is no level; did you mean `{near}`?"),
                None => format!(
                    "`{word}` is neither a level nor a part of Heddle; levels are {}, and parts {}; a library is named \
                 with its level, as in hyper=debug",
                    LEVELS.join(", "),
                    OURS.join(", ")
                ),
            })
        }
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::settled;

    #[test]
    fn a_filter_of_levels_parts_and_libraries_is_as_it_was_said() {
        for filter in [
            "",
            "info,",
            "WARN",
            "server",
            "server::answer=debug,hyper=trace",
            "debug,h2=3",
            "info,server[request]",
        ] {
            settled(&["--log", filter], "").expect("legal");
        }
    }
}
