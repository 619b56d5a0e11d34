//! The settings as they are meant, and how they come of what flags, environment and file say together.

use std::net::SocketAddr;
use std::path::PathBuf;

use engine::ThreadLimits;
use models::{ProviderKeys, ProviderNet, ProviderProxy};
use protocol::{
    WorkspaceId,
    routes::{ProviderKey, Route, Routes},
};
use reqwest::{Certificate, header::HeaderValue};

use super::{
    environment::{self, variable},
    file::FileThreads,
    flags::{FlagWord, SaidFlags, SettingsFlags},
    listen,
    log::{self, LogSettings},
    origins,
    provider_keys::{doubts, is_own, provider_key_in, variables},
    read::{self, ReadSettings},
    route_entry::RouteSurroundings,
    routes,
    sandbox::{self, SandboxSettings},
    shown::{path, text, word},
    source::{ConfigError, SettingMistake, SettingSource, SettingsLedger, ShownSetting},
};
use crate::secret;

/// The one workspace of this server. Every row carries it.
pub(crate) const HOME: WorkspaceId = WorkspaceId::from_bits(1);

/// The settings as they are meant: total, checked.
#[derive(Debug)]
pub(crate) struct HeddleSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) routes: Routes,
    pub(crate) keys: ProviderKeys,
    pub(crate) net: ProviderNet,
    pub(crate) sandbox: SandboxSettings,
    /// How many threads a new session may have, and how deep.
    pub(crate) tree: ThreadLimits,
    /// Bytes that sessions at rest may take in memory.
    pub(crate) cache_bytes: usize,
    pub(crate) log: LogSettings,
    /// Web pages that may call from a browser.
    pub(crate) origins: Vec<HeaderValue>,
    /// The hash of `HEDDLE_API_KEY`: a key named `env`, valid while it is set.
    pub(crate) env_key_hash: Option<[u8; 32]>,
    /// Why a server may not be opened with that key.
    pub(crate) weak_key: Option<String>,
    /// What is odd about the keys in the variables.
    pub(crate) doubts: Vec<String>,
    /// All of these as they are shown, each with its source.
    pub(crate) settings: Vec<ShownSetting>,
}

impl SaidFlags {
    /// What the flags, the environment and the file mean together.
    pub(crate) fn settle(self) -> Result<HeddleSettings, ConfigError> {
        let file = self.with("config", self.flags.config.clone());
        settle(self, read::read(file), &variable)
    }
}

impl SettingsFlags {
    /// The settings of that server, as far as the file and the environment say them; `data` goes before it.
    pub(crate) fn settle(&self, data: Option<PathBuf>) -> Result<HeddleSettings, ConfigError> {
        self.said(data).settle()
    }
}

impl HeddleSettings {
    /// Whether `route` is there without being named in the file.
    pub(crate) fn is_built_in(&self, route: &Route) -> bool {
        let provider = format!("{}.provider", routes::path(&route.pattern));
        let entered = self.settings.iter().find(|setting| setting.name == provider);
        entered.is_none_or(|setting| setting.source == SettingSource::Default)
    }

    /// The variable that should hold the key of `route`, while nobody has set it.
    pub(crate) fn unset_key<'a>(&self, route: &'a Route) -> Option<&'a str> {
        match route.key.as_ref()? {
            ProviderKey::Variable(name) => (!self.keys.has(name)).then_some(name),
            ProviderKey::File(_) => None,
        }
    }
}

pub(super) fn settle(
    said: SaidFlags,
    read: ReadSettings,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<HeddleSettings, ConfigError> {
    let ReadSettings { file, lines, mistakes, legible } = read;
    let flags = said.flags.clone();
    let found = lines.file.clone();
    let mut ledger = SettingsLedger::new(lines, legible);
    let which = |file: &PathBuf| if file.as_os_str().is_empty() { "none".to_owned() } else { path(file) };
    ledger.take("config", said.with("config", flags.config.clone()), found, which);
    let listen = listen::settle(said.with("listen", flags.listen.clone()), file.listen, &mut ledger);
    let data = ledger.take("data", said.with("data", flags.data.clone()), file.data, path);
    let extra_ca_pem = extra_ca(file.extra_ca, &mut ledger);
    let mode = one_of("sandbox.mode", said.with("sandbox", flags.sandbox.clone()), &mut ledger);
    let sandbox = sandbox::settle(mode, file.sandbox, &data, &mut ledger);
    let tree = tree(&file.threads, &mut ledger);
    let cache_bytes = ledger.take("cache.bytes", None, file.cache.bytes, text);
    let format = one_of("log.format", said.with("log_format", flags.log_format.clone()), &mut ledger);
    let log = log::settle(format, said.with("log", flags.log.clone()), file.log, &mut ledger);
    let origins = origins::settle(file.cors.origins, &mut ledger);
    let around = RouteSurroundings {
        base: variable(environment::BASE_URL),
        is_set: &|name| provider_key_in(name, variable).is_some(),
        is_own: &|name| said.serves && variable(name).is_some_and(|key| is_own(&key)),
        shown: &sandbox.readonly,
    };
    let routes = routes::settle(file.routes, &around, &mut ledger);
    let names = variables(&routes);
    let keys = names.filter_map(|name| Some((name.to_owned(), provider_key_in(name, variable)?))).collect();
    let env_key = variable(environment::API_KEY);
    let (state, source) = match &env_key {
        Some(_) => ("set", SettingSource::Variable(environment::API_KEY.into())),
        None => ("not set", SettingSource::Default),
    };
    ledger.enter(environment::API_KEY, state.into(), source);
    let weak_key = env_key.as_deref().and_then(|key| secret::unfit(key.trim()));
    let doubts = doubts(&routes, env_key.as_deref(), variable);
    let settings = ledger.close(mistakes).map_err(|mut mistakes| {
        let source = SettingSource::Variable(environment::API_KEY.into());
        let weak = weak_key.clone().filter(|_| said.serves);
        mistakes.extend(weak.map(|message| SettingMistake { source, message }));
        ConfigError(mistakes)
    })?;
    Ok(HeddleSettings {
        listen,
        data,
        routes,
        keys,
        sandbox,
        tree,
        cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
        log,
        origins,
        net: ProviderNet { extra_ca_pem, proxy: ProviderProxy::Environment },
        env_key_hash: env_key.as_deref().map(|key| engine::keys::hash(key.trim())),
        weak_key: weak_key.map(|weak| format!("{} {weak}", environment::API_KEY)),
        doubts,
        settings,
    })
}

/// The word that a flag or a variable says for `name`, if it is one of those that there are.
fn one_of<T: clap::ValueEnum>(
    name: &str,
    said: Option<(FlagWord<T>, SettingSource)>,
    ledger: &mut SettingsLedger,
) -> Option<(T, SettingSource)> {
    match said? {
        (FlagWord::Known(value), source) => Some((value, source)),
        (FlagWord::Unknown(text), source) => {
            let known: Vec<String> = T::value_variants().iter().map(|known| word(known)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            ledger.mistake_of(source, name, read::unknown("value", &text, &known));
            None
        }
    }
}

fn extra_ca(file: Option<PathBuf>, ledger: &mut SettingsLedger) -> Option<Vec<u8>> {
    let show = |file: &Option<PathBuf>| file.as_ref().map_or_else(|| "none".to_owned(), path);
    let file = ledger.take("extra_ca", None, file, show)?;
    let pem = std::fs::read(&file).map_err(|wrong| format!("cannot read {}: {wrong}", file.display()));
    let read = pem.and_then(|pem| match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        Ok(_) | Err(_) => Err(format!("{} holds no certificate in PEM form", file.display())),
    });
    read.map_err(|wrong| ledger.mistake("extra_ca", wrong)).ok()
}

fn tree(file: &FileThreads, ledger: &mut SettingsLedger) -> ThreadLimits {
    ThreadLimits {
        max_threads: ledger.take("threads.max", None, file.max, text),
        max_depth: ledger.take("threads.max_depth", None, file.max_depth, text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        file,
        testing::{settled, told},
    };
    use super::*;
    use std::path::Path;

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults_and_each_says_so() {
        let file = "listen = \"127.0.0.1:1\"\ndata = \"there\"\n[threads]\nmax = 3\n";
        let settled = settled(&["--listen", "127.0.0.1:2"], file).expect("legal");
        assert_eq!((settled.listen.port(), &settled.data), (2, &PathBuf::from("there")));
        assert_eq!(settled.tree, ThreadLimits { max_threads: 3, max_depth: 1 });
        assert_eq!(settled.cache_bytes, 64 << 20);
        assert_eq!(
            ["listen", "data", "threads.max", "threads.max_depth"].map(|name| told(&settled, name)),
            ["127.0.0.1:2 (--listen)", "there (heddle.toml:2)", "3 (heddle.toml:4)", "1 (default)"]
        );
    }

    #[test]
    fn every_key_that_the_file_may_hold_is_told_with_its_source() {
        let settled = settled(&[], "[routes.m]\nprovider = \"messages\"\n").expect("legal");
        let mut missing = Vec::new();
        let mut open = vec![(String::new(), file::schema().to_value())];
        while let Some((path, schema)) = open.pop() {
            let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            match schema["properties"].as_object() {
                Some(keys) => open.extend(keys.iter().map(|(key, schema)| (inner(key), schema.clone()))),
                None if path == "routes" => open.push((inner("m"), schema["additionalProperties"].clone())),
                None if settled.settings.iter().any(|setting| setting.name == path) => {}
                None => missing.push(path),
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn the_settings_in_the_readme_can_be_put_together_as_they_stand() {
        let readme = include_str!("../../../../README.md");
        let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let file: String = blocks.collect();
        let settled = settled(&[], &file).expect("legal");
        for set in ["[sandbox]", "[threads]", "[routes."] {
            assert!(file.contains(set), "{set}");
        }
        assert!(settled.routes.route("slow-1").is_some_and(|route| route.concurrency == 2));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_was_said() {
        for (flags, text, said) in [
            (
                &[][..],
                "[sandbox]\nreadonly = [\"relative\"]\n",
                "heddle.toml:2: sandbox.readonly: relative must be",
            ),
            (
                &[],
                "[sandbox]\nreadonly = [\"/is/not/there\"]\n",
                "heddle.toml:2: sandbox.readonly: /is/not/there",
            ),
            (
                &[],
                "[sandbox]\njails = 20\nuids = \"2000000000:10\"\n",
                "heddle.toml:3: sandbox.uids: 2000000000:10 are fewer users than `jails`, each of which is to be one \
                 of its own: say 2000000000:20 or more, or lower `jails` to 10",
            ),
            (&[], "extra_ca = \"/is/not/there\"\n", "heddle.toml:1: extra_ca: cannot read /is/not/there: "),
            (
                &[],
                "[log]\nfilter = \"debgu\"\n",
                "heddle.toml:2: log.filter: `debgu` is no level; did you mean `debug`?",
            ),
            (&[], "extra_ca = \"/dev/null\"\n", "heddle.toml:1: extra_ca: /dev/null holds no certificate"),
            (
                &["--log", "loud"],
                "",
                "--log: log.filter: `loud` is neither a level nor a part of Heddle; levels are off, error, warn, info, \
                 debug, trace, and parts engine, heddle, ",
            ),
            (
                &["--log", "info,server="],
                "",
                "--log: log.filter: `server=` says no level: write `server=debug`",
            ),
            (
                &["--log", "info,sever=debug"],
                "",
                "--log: log.filter: `sever` is no part of Heddle; did you mean `server`?",
            ),
            (&["--log", "info,a=b=c"], "", "--log: log.filter: error parsing level filter: "),
            (&[], "[cors]\norigins = [\"*\"]\n", "heddle.toml:2: cors.origins: "),
        ] {
            let wrong = settled(flags, text).expect_err("a mistake").to_string();
            assert!(wrong.starts_with(said), "{wrong}");
        }
    }

    #[test]
    fn the_key_of_the_environment_is_kept_as_a_hash_and_shown_as_set() {
        let read = read::parse(Path::new("heddle.toml"), "");
        let variable = |name: &str| (name == "HEDDLE_API_KEY").then(|| " sesame\n".to_owned());
        let settled = settle(SaidFlags::default(), read, &variable).expect("legal");
        assert_eq!(settled.env_key_hash, Some(engine::keys::hash("sesame")));
        assert_eq!(told(&settled, "HEDDLE_API_KEY"), "set (HEDDLE_API_KEY)");
        assert!(!format!("{settled:?}").contains("sesame"));
    }
}
