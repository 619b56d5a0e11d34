//! The settings: what was said (flags, environment, file) and what is meant, as two types, with where each
//! setting was said.

pub(crate) mod environment;
mod file;
mod flags;
mod listen;
mod origins;
mod read;
mod route_key;
pub(crate) mod routes;
mod sample;
mod source;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::Tree;
use models::{Keys, Net, Proxy};
use protocol::{
    WorkspaceId, near,
    routes::{Key, OWN_KEY, Route, Routes},
};
use reqwest::{Certificate, header::HeaderValue};
use sandbox::Wanted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

pub(crate) use self::{
    environment::variable,
    flags::{Beside, Said, Word},
    routes::PROVIDER_KEY,
    sample::sample,
    source::{Mistake, Setting, Source},
};
use self::{
    file::{FileSandbox, FileThreads, Uids},
    read::Read,
    source::Ledger,
};
use crate::{log::OURS, seal, secret};

/// The one workspace of this server. Every row carries it.
pub(crate) const HOME: WorkspaceId = WorkspaceId::from_bits(1);
/// Where everything is kept, if nothing else is said.
pub(crate) const DATA: &str = "heddle-data";
/// How the provider's keys begin that no server of ours makes.
const ANTHROPIC: &str = "sk-ant-";
/// The levels that a log's filter knows.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Where agents' commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// In a jail of this machine.
    Local,
    /// As the user that the server runs as, with all that it may do.
    Off,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The settings as they are meant: total, checked.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) routes: Routes,
    pub(crate) keys: Keys,
    pub(crate) net: Net,
    pub(crate) sandbox: Sandbox,
    /// How many threads a new session may have, and how deep.
    pub(crate) tree: Tree,
    /// Bytes that sessions at rest may take in memory.
    pub(crate) cache_bytes: usize,
    pub(crate) log: Log,
    /// Web pages that may call from a browser.
    pub(crate) origins: Vec<HeaderValue>,
    /// The hash of `HEDDLE_API_KEY`: a key named `env`, valid while it is set.
    pub(crate) env_key_hash: Option<[u8; 32]>,
    /// Why a server may not be opened with that key.
    pub(crate) weak_key: Option<String>,
    /// What is odd about the keys in the variables.
    pub(crate) doubts: Vec<String>,
    /// All of these as they are shown, each with its source.
    pub(crate) settings: Vec<Setting>,
}

/// How agents' commands are kept from the host (docs/rules.md 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) mode: Mode,
    /// Further trees that they see, read-only.
    pub(crate) readonly: Vec<PathBuf>,
    /// Which users they run as.
    pub(crate) users: Wanted,
    /// How many at once.
    pub(crate) jails: usize,
    /// Days after which the files of a session that does not use them are removed.
    pub(crate) keep_days: u32,
    /// What one session may use, and what is kept free for everybody.
    pub(crate) limits: sandbox::Limits,
}

/// What it is when nothing is said.
impl Default for Sandbox {
    fn default() -> Self {
        let file = FileSandbox::default();
        Self {
            mode: file.mode,
            readonly: file.readonly,
            users: Wanted::DEFAULT,
            jails: file.jails,
            keep_days: file.keep_days,
            limits: sandbox::Limits::default(),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: Format,
    /// A filter that [`EnvFilter`] can read.
    pub(crate) filter: String,
}

/// Settings that are wrong: all of them, where, and what would be right. One line each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(_0))]
pub(crate) struct ConfigError(Vec<Mistake>);

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Said {
    /// What the flags, the environment and the file mean together.
    pub(crate) fn settle(self) -> Result<Settled, ConfigError> {
        let file = self.with("config", self.flags.config.clone());
        settle(self, read::read(file), &variable)
    }
}

impl Settled {
    /// Whether `route` is there without being named in the file.
    pub(crate) fn is_built_in(&self, route: &Route) -> bool {
        let provider = format!("{}.provider", routes::path(&route.pattern));
        let entered = self.settings.iter().find(|setting| setting.name == provider);
        entered.is_none_or(|setting| setting.source == Source::Default)
    }

    /// The variable that should hold the key of `route`, while nobody has set it.
    pub(crate) fn unset_key<'a>(&self, route: &'a Route) -> Option<&'a str> {
        match route.key.as_ref()? {
            Key::Variable(name) => (!self.keys.has(name)).then_some(name),
            Key::File(_) => None,
        }
    }
}

fn settle(said: Said, read: Read, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settled, ConfigError> {
    let Read { file, lines, mistakes, legible } = read;
    let flags = said.flags.clone();
    let found = lines.file.clone();
    let mut ledger = Ledger::new(lines, legible);
    let which = |file: &PathBuf| if file.as_os_str().is_empty() { "none".to_owned() } else { path(file) };
    ledger.take("config", said.with("config", flags.config.clone()), found, which);
    let listen = listen(said.with("listen", flags.listen.clone()), file.listen, &mut ledger);
    let data = ledger.take("data", said.with("data", flags.data.clone()), file.data, path);
    let extra_ca_pem = extra_ca(file.extra_ca, &mut ledger);
    let mode = one_of("sandbox.mode", said.with("sandbox", flags.sandbox.clone()), &mut ledger);
    let sandbox = sandbox(mode, file.sandbox, &data, &mut ledger);
    let tree = tree(&file.threads, &mut ledger);
    let cache_bytes = ledger.take("cache.bytes", None, file.cache.bytes, text);
    let format = one_of("log.format", said.with("log_format", flags.log_format.clone()), &mut ledger);
    let log = Log {
        format: ledger.take("log.format", format, file.log.format, word),
        filter: filter(said.with("log", flags.log.clone()), file.log.filter.0, &mut ledger),
    };
    let origins = origins::settle(file.cors.origins, &mut ledger);
    let around = routes::Around {
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
        Some(_) => ("set", Source::Variable(environment::API_KEY.into())),
        None => ("not set", Source::Default),
    };
    ledger.enter(environment::API_KEY, state.into(), source);
    let weak_key = env_key.as_deref().and_then(|key| secret::unfit(key.trim()));
    let own = variables(&routes).filter(|name| variable(name).is_some_and(|key| is_own(&key))).map(own);
    let foreign = env_key.as_deref().filter(|key| key.trim().starts_with(ANTHROPIC)).map(|_| foreign());
    let doubts = own.chain(foreign).collect();
    let settings = ledger.close(mistakes).map_err(|mut mistakes| {
        let source = Source::Variable(environment::API_KEY.into());
        let weak = weak_key.clone().filter(|_| said.serves);
        mistakes.extend(weak.map(|message| Mistake { source, message }));
        ConfigError(mistakes)
    })?;
    Ok(Settled {
        listen,
        data,
        routes,
        keys,
        sandbox,
        tree,
        cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
        log,
        origins,
        net: Net { extra_ca_pem, proxy: Proxy::Environment },
        env_key_hash: env_key.as_deref().map(|key| engine::keys::hash(key.trim())),
        weak_key: weak_key.map(|weak| format!("{} {weak}", environment::API_KEY)),
        doubts,
        settings,
    })
}

/// The key of the provider that is there without being named, unless it is one of ours.
pub(crate) fn provider_key() -> Option<String> {
    provider_key_in(PROVIDER_KEY, &variable)
}

/// What is to be said if that variable holds one of ours.
pub(crate) fn own_provider_key() -> Option<String> {
    variable(PROVIDER_KEY).filter(|key| is_own(key)).map(|_| own(PROVIDER_KEY))
}

fn provider_key_in(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    variable(name).filter(|key| !is_own(key))
}

/// Whether it opens a server such as this one: who uses the SDKs has that in the variable of the provider.
fn is_own(key: &str) -> bool {
    key.trim().starts_with(OWN_KEY)
}

fn own(name: &str) -> String {
    format!(
        "{name} holds an API key of a Heddle server (it begins with {OWN_KEY}), which is never sent to a provider: it \
         counts as not set"
    )
}

fn foreign() -> String {
    format!(
        "{} begins like a key of Anthropic's ({ANTHROPIC}): it opens this server to whoever has it, and is not what \
         models are asked with, which is {PROVIDER_KEY}",
        environment::API_KEY
    )
}

/// The variables that hold the providers' keys.
pub(crate) fn variables(routes: &Routes) -> impl Iterator<Item = &str> {
    routes.0.iter().filter_map(|route| match route.key.as_ref()? {
        Key::Variable(name) => Some(name.as_str()),
        Key::File(_) => None,
    })
}

fn listen(said: Option<(String, Source)>, file: String, ledger: &mut Ledger) -> SocketAddr {
    let text = ledger.take("listen", said, file, String::clone);
    listen::address(text.trim()).unwrap_or_else(|wrong| {
        ledger.mistake("listen", wrong);
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

/// The word that a flag or a variable says for `name`, if it is one of those that there are.
fn one_of<T: clap::ValueEnum>(
    name: &str,
    said: Option<(Word<T>, Source)>,
    ledger: &mut Ledger,
) -> Option<(T, Source)> {
    match said? {
        (Word::Known(value), source) => Some((value, source)),
        (Word::Unknown(text), source) => {
            let known: Vec<String> = T::value_variants().iter().map(|known| word(known)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            ledger.mistake_of(source, name, read::unknown("value", &text, &known));
            None
        }
    }
}

fn extra_ca(file: Option<PathBuf>, ledger: &mut Ledger) -> Option<Vec<u8>> {
    let show = |file: &Option<PathBuf>| file.as_ref().map_or_else(|| "none".to_owned(), path);
    let file = ledger.take("extra_ca", None, file, show)?;
    let pem = std::fs::read(&file).map_err(|wrong| format!("cannot read {}: {wrong}", file.display()));
    let read = pem.and_then(|pem| match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        Ok(_) | Err(_) => Err(format!("{} holds no certificate in PEM form", file.display())),
    });
    read.map_err(|wrong| ledger.mistake("extra_ca", wrong)).ok()
}

fn sandbox(mode: Option<(Mode, Source)>, file: FileSandbox, data: &Path, ledger: &mut Ledger) -> Sandbox {
    let trees = |trees: &Vec<PathBuf>| listed(trees.iter().map(path));
    let sandbox = Sandbox {
        mode: ledger.take("sandbox.mode", mode, file.mode, word),
        readonly: ledger.take("sandbox.readonly", None, file.readonly, trees),
        users: users(file.uids, file.user, ledger),
        jails: ledger.take("sandbox.jails", None, file.jails, text),
        keep_days: ledger.take("sandbox.keep_days", None, file.keep_days, text),
        limits: sandbox::Limits {
            data_bytes: bytes(ledger.take("sandbox.memory_mib", None, file.memory_mib, text)),
            memory_free_bytes: bytes(ledger.take(
                "sandbox.memory_free_mib",
                None,
                file.memory_free_mib,
                text,
            )),
            disk_bytes: bytes(ledger.take("sandbox.disk_mib", None, file.disk_mib, text)),
            free_bytes: bytes(ledger.take("sandbox.disk_free_mib", None, file.disk_free_mib, text)),
            ..sandbox::Limits::default()
        },
    };
    if !sandbox.readonly.is_empty() {
        let kept = seal::places(data);
        for wrong in sandbox.readonly.iter().filter_map(|tree| sandbox::never_shown(tree, &kept)) {
            ledger.mistake("sandbox.readonly", wrong);
        }
    }
    if let Some(message) = misfit(&sandbox) {
        ledger.mistake("sandbox.uids", message);
    }
    sandbox
}

/// Why sandboxes cannot run as the range of users that was said.
fn misfit(sandbox: &Sandbox) -> Option<String> {
    let Wanted::Range { first, count } = sandbox.users else { return None };
    let jails = sandbox.jails;
    if usize::try_from(count).is_ok_and(|count| count < jails) {
        return Some(format!(
            "{first}:{count} are fewer users than `jails`, each of which is to be one of its own: say {first}:{jails} or \
             more, or lower `jails` to {count}"
        ));
    }
    // Nobody but root takes them.
    let known = rustix::process::geteuid().is_root().then(|| sandbox::taken_by_others(first, count))??;
    let free = known.free;
    Some(format!("{first}:{count} holds {}: say another range, as {free}:{count}", known.whose))
}

fn users(uids: Uids, user: Option<u32>, ledger: &mut Ledger) -> Wanted {
    let Uids(uids) = ledger.take("sandbox.uids", None, uids, |Uids(text)| text.clone());
    let user = ledger
        .take("sandbox.user", None, user, |user| user.map_or_else(|| "none".into(), |user| text(&user)));
    if let Some(user) = user {
        return Wanted::One(user);
    }
    if uids == "own" {
        return Wanted::Own;
    }
    let range = uids.split_once(':').and_then(|(first, count)| {
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        // The last number is nobody's.
        let legal = first > 0 && count > 0 && first.checked_add(count).is_some();
        legal.then_some(Wanted::Range { first, count })
    });
    range.unwrap_or_else(|| {
        let message =
            format!("{uids} must be the first user and how many, as 2000000000:4096, without root; or own");
        ledger.mistake("sandbox.uids", message);
        Wanted::DEFAULT
    })
}

fn bytes(mib: u64) -> u64 {
    mib << 20
}

fn tree(file: &FileThreads, ledger: &mut Ledger) -> Tree {
    Tree {
        max_threads: ledger.take("threads.max", None, file.max, text),
        max_depth: ledger.take("threads.max_depth", None, file.max_depth, text),
    }
}

fn filter(said: Option<(String, Source)>, file: String, ledger: &mut Ledger) -> String {
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

fn text<T: fmt::Display>(value: &T) -> String {
    value.to_string()
}

fn path(path: &impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

fn word<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn listed(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser;

    /// A command line of settings alone.
    #[derive(Parser)]
    pub(crate) struct Line {
        #[command(flatten)]
        pub(crate) said: Said,
    }

    fn settled(flags: &[&str], text: &str) -> Result<Settled, ConfigError> {
        let said = Line::parse_from([&["heddle"], flags].concat()).said;
        settle(said, read::parse(Path::new("heddle.toml"), text), &|_| None)
    }

    fn told(settled: &Settled, name: &str) -> String {
        let setting = settled.settings.iter().find(|setting| setting.name == name).expect("a setting");
        format!("{} ({})", setting.value, setting.source)
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults_and_each_says_so() {
        let file = "listen = \"127.0.0.1:1\"\ndata = \"there\"\n[threads]\nmax = 3\n";
        let settled = settled(&["--listen", "127.0.0.1:2"], file).expect("legal");
        assert_eq!((settled.listen.port(), &settled.data), (2, &PathBuf::from("there")));
        assert_eq!(settled.tree, Tree { max_threads: 3, max_depth: 1 });
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
    fn a_sandbox_is_local_unless_it_is_said_to_be_off() {
        let plain = Sandbox {
            mode: Mode::Local,
            readonly: Vec::new(),
            users: Wanted::DEFAULT,
            jails: 64,
            keep_days: 30,
            limits: sandbox::Limits::default(),
        };
        assert_eq!(settled(&[], "").expect("legal").sandbox, plain);
        let off = settled(&["--sandbox=off"], "[sandbox]\nmode = \"local\"\n").expect("legal");
        assert_eq!(off.sandbox, Sandbox { mode: Mode::Off, ..plain });
        assert_eq!(told(&off, "sandbox.mode"), "off (--sandbox)");
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

    #[test]
    fn a_range_with_somebody_in_it_is_refused_by_name_where_the_server_is_root() {
        let made = settled(&[], "[sandbox]\nuids = \"1:65000\"\n");
        if rustix::process::geteuid().is_root() {
            let wrong = made.expect_err("a mistake").to_string();
            assert!(wrong.starts_with("heddle.toml:2: sandbox.uids: 1:65000 holds user "), "{wrong}");
            assert!(wrong.contains("/etc/passwd): say another range, as 2000000000:65000"), "{wrong}");
        } else {
            made.expect("nobody takes them");
        }
    }

    #[test]
    fn the_key_of_the_environment_is_kept_as_a_hash_and_shown_as_set() {
        let read = read::parse(Path::new("heddle.toml"), "");
        let variable = |name: &str| (name == "HEDDLE_API_KEY").then(|| " sesame\n".to_owned());
        let settled = settle(Said::default(), read, &variable).expect("legal");
        assert_eq!(settled.env_key_hash, Some(engine::keys::hash("sesame")));
        assert_eq!(told(&settled, "HEDDLE_API_KEY"), "set (HEDDLE_API_KEY)");
        assert!(!format!("{settled:?}").contains("sesame"));
    }
}
