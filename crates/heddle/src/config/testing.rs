//! Settings for tests: of a command line and the text of a file.

use std::path::Path;

use clap::Parser;

use super::{
    flags::SaidFlags,
    read,
    settled::{HeddleSettings, settle},
    source::ConfigError,
};

/// A command line of settings alone.
#[derive(Parser)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) said: SaidFlags,
}

/// What these flags and this file mean where no variable is set.
pub(super) fn settled(flags: &[&str], text: &str) -> Result<HeddleSettings, ConfigError> {
    let said = Line::parse_from([&["heddle"], flags].concat()).said;
    settle(said, read::parse(Path::new("heddle.toml"), text), &|_| None)
}

/// A setting as it is shown, with its source.
pub(super) fn told(settled: &HeddleSettings, name: &str) -> String {
    let setting = settled.settings.iter().find(|setting| setting.name == name).expect("a setting");
    format!("{} ({})", setting.value, setting.source)
}
