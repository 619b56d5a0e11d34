//! What the command line and its environment variables say, and which of the two said it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{
    Arg, ArgMatches, Args as _, Command, ValueEnum,
    builder::{PossibleValue, TypedValueParser},
    parser::ValueSource,
};

use super::{
    choice::{LogFormat, SandboxMode},
    source::SettingSource,
};

/// The settings of a server that a command line can hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(crate) struct ServerFlags {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7717]
    #[arg(long, env = "HEDDLE_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where everything is kept [default: heddle-data]
    #[arg(long, env = "HEDDLE_DATA", value_name = "DIRECTORY")]
    pub(crate) data: Option<PathBuf>,
    /// The settings' file; `heddle config` prints a sample [default: heddle.toml, if it is there]
    #[arg(long, env = "HEDDLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where agents' commands run [default: local]
    #[arg(long, env = "HEDDLE_SANDBOX", value_name = "MODE", value_parser = Words::<SandboxMode>(PhantomData))]
    pub(crate) sandbox: Option<FlagWord<SandboxMode>>,
    /// What is logged: a level, or a list such as `info,server=debug` [default: info]
    #[arg(long, env = "HEDDLE_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How the log is written [default: text]
    #[arg(long, env = "HEDDLE_LOG_FORMAT", value_name = "FORMAT", value_parser = Words::<LogFormat>(PhantomData))]
    pub(crate) log_format: Option<FlagWord<LogFormat>>,
}

/// One of a few words, or what was said in place of one: it is told with all other mistakes, and not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FlagWord<T> {
    Known(T),
    Unknown(String),
}

/// Reads such a word.
#[derive(Debug, Clone)]
struct Words<T>(PhantomData<T>);

impl<T: ValueEnum + Send + Sync + 'static> TypedValueParser for Words<T> {
    type Value = FlagWord<T>;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, value: &OsStr) -> Result<FlagWord<T>, clap::Error> {
        let text = value.to_string_lossy();
        Ok(T::from_str(&text, false).map_or_else(|_| FlagWord::Unknown(text.into_owned()), FlagWord::Known))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(T::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

/// [`ServerFlags`], and where each of them was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaidFlags {
    pub(crate) flags: ServerFlags,
    from: BTreeMap<String, SettingSource>,
    /// Whether these are a server's own settings, and not those of a server beside which something is done.
    pub(super) serves: bool,
}

impl SaidFlags {
    /// `value`, the value of the argument `name`, with where it was said.
    pub(super) fn with<T>(&self, name: &str, value: Option<T>) -> Option<(T, SettingSource)> {
        value.map(|value| (value, self.from.get(name).cloned().unwrap_or(SettingSource::Default)))
    }
}

/// Which settings' file, for the verbs that work beside a server.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SettingsFlags {
    /// The settings' file of the server [default: heddle.toml, if it is there]
    #[arg(long, env = "HEDDLE_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl SettingsFlags {
    /// What is said of that server beside its file, which `data` goes before.
    pub(super) fn said(&self, data: Option<PathBuf>) -> SaidFlags {
        let named = |names: &str| SettingSource::Flag(names.to_owned());
        let from = [("config", "--config or HEDDLE_CONFIG"), ("data", "--data or HEDDLE_DATA")];
        let from = from.map(|(id, names)| (id.to_owned(), named(names))).into();
        let flags = ServerFlags { config: self.config.clone(), data, ..ServerFlags::default() };
        SaidFlags { flags, from, serves: false }
    }
}

impl clap::FromArgMatches for SaidFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = ServerFlags::from_arg_matches(matches)?;
        let mut said = Self { flags, from: BTreeMap::new(), serves: true };
        said.learn(matches);
        Ok(said)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.flags.update_from_arg_matches(matches)?;
        self.learn(matches);
        Ok(())
    }
}

impl clap::Args for SaidFlags {
    fn augment_args(command: Command) -> Command {
        ServerFlags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ServerFlags::augment_args_for_update(command)
    }
}

impl SaidFlags {
    fn learn(&mut self, matches: &ArgMatches) {
        for argument in ServerFlags::augment_args(Command::new("flags")).get_arguments() {
            let id = argument.get_id().as_str();
            let variable = || argument.get_env().unwrap_or_default().to_string_lossy().into_owned();
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => {
                    SettingSource::Flag(format!("--{}", argument.get_long().unwrap_or(id)))
                }
                Some(ValueSource::EnvVariable) => SettingSource::Variable(variable()),
                // What clap may say one day, or a default that clap itself would know.
                Some(_) | None => continue,
            };
            self.from.insert(id.to_owned(), source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Line;
    use super::*;
    use clap::Parser as _;

    #[test]
    fn a_flag_is_told_from_silence() {
        let said = Line::parse_from(["heddle", "--sandbox", "off", "--log-format=json"]).said;
        let from = [("log_format", "--log-format"), ("sandbox", "--sandbox")];
        let from = from.map(|(id, flag)| (id.to_owned(), SettingSource::Flag(flag.into())));
        assert_eq!(said.from, BTreeMap::from(from));
        let (sandbox, format) =
            (Some(FlagWord::Known(SandboxMode::Off)), Some(FlagWord::Known(LogFormat::Json)));
        assert_eq!((said.flags.sandbox, said.flags.log_format), (sandbox, format));
    }
}
