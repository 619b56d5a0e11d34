//! The settings: what was said (flags, environment, file) and what is meant, as two types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::Tree;
use models::{Keys, Net, Proxy};
use protocol::{
    WorkspaceId,
    routes::{MAX_OUTPUT, Provider, Route, Routes, WINDOW},
};
use serde::Deserialize;

/// The one workspace of this server. Every row carries it.
pub(crate) const HOME: WorkspaceId = WorkspaceId::from_bits(1);
/// The database's file in the data directory.
pub(crate) const DATABASE: &str = "heddle.db";
/// Where everything is kept, if nothing else is said.
pub(crate) const DATA: &str = "heddle-data";
/// The user that agents run as when the server is root, and how long files are kept (rules.md 10).
const NOBODY: u32 = 65_534;
const KEEP_DAYS: u32 = 30;
/// The most that a server may be set to: threads of a session, levels below the primary.
const THREADS: u32 = 1_000;
const DEPTH: u32 = 5;
const MESSAGES_URL: &str = "https://api.anthropic.com";
const MESSAGES_KEY: &str = "ANTHROPIC_API_KEY";
/// Tokens a `claude-*` model reads and writes at most (rules.md 9), and any other where nothing is said.
const CLAUDE: (u64, u64) = (200_000, 32_000);
const OTHER: (u64, u64) = (WINDOW, MAX_OUTPUT);

/// What the command line and the environment say.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Flags {
    /// Where to listen; port 0 takes a free one. [default: 127.0.0.1:7717]
    #[arg(long, env = "HEDDLE_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where everything is kept. [default: ./heddle-data]
    #[arg(long, env = "HEDDLE_DATA", value_name = "DIRECTORY")]
    pub(crate) data: Option<PathBuf>,
    /// The settings' file. [default: heddle.toml, if it is there]
    #[arg(long, env = "HEDDLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where agents' commands run: in a jail of this machine, or with nothing between them and you.
    /// [default: local]
    #[arg(long, env = "HEDDLE_SANDBOX", value_name = "MODE")]
    pub(crate) sandbox: Option<Mode>,
}

/// Where agents' commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// In a jail of this machine.
    Local,
    /// As the user that the server runs as, with all that it may do.
    Off,
}

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    extra_ca: Option<PathBuf>,
    sandbox: FileSandbox,
    threads: FileThreads,
    routes: BTreeMap<String, FileRoute>,
}

const KEYS: &[&str] = &["listen", "data", "extra_ca", "sandbox", "threads", "routes"];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileThreads {
    max: Option<u32>,
    max_depth: Option<u32>,
}

const THREADS_KEYS: &[&str] = &["max", "max_depth"];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileSandbox {
    mode: Option<Mode>,
    readonly: Vec<PathBuf>,
    user: Option<u32>,
    keep_days: Option<u32>,
}

const SANDBOX_KEYS: &[&str] = &["mode", "readonly", "user", "keep_days"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRoute {
    provider: Provider,
    base_url: Option<String>,
    key: Option<String>,
    window: Option<u64>,
    max_output: Option<u64>,
}

const ROUTE_KEYS: &[&str] = &["provider", "base_url", "key", "window", "max_output"];

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
    /// `HEDDLE_API_KEY`: a key named `env`, valid while it is set.
    pub(crate) env_key: Option<String>,
}

/// How agents' commands are kept from the host (rules.md 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) mode: Mode,
    /// Further trees that they see, read-only.
    pub(crate) readonly: Vec<PathBuf>,
    /// The user that they run as when the server is root.
    pub(crate) user: u32,
    /// Days after which the files of a session that does not use them are removed.
    pub(crate) keep_days: u32,
}

/// A setting that is wrong: where, and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("{}:{line}: {message}", file.display())]
    Wrong { file: PathBuf, line: usize, message: String },
    #[error("[sandbox] {key}: {message}")]
    Sandbox { key: &'static str, message: String },
    #[error("[threads] {key}: {message}")]
    Threads { key: &'static str, message: String },
}

/// Reads one environment variable; blank counts as unset.
#[expect(clippy::disallowed_methods, reason = "settings are read here and nowhere else")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Flags {
    /// What the flags, the environment and the file mean together.
    pub(crate) fn settle(self) -> Result<Settled, ConfigError> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None if Path::new("heddle.toml").exists() => read(Path::new("heddle.toml"))?,
            None => File::default(),
        };
        settle(self, file, &variable)
    }
}

fn settle(
    flags: Flags,
    file: File,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Settled, ConfigError> {
    let base = variable("HEDDLE_ANTHROPIC_BASE_URL").unwrap_or_else(|| MESSAGES_URL.into());
    let routes = routes(file.routes, &base);
    let names = routes.0.iter().filter_map(|route| route.key_variable.clone());
    let keys = names.filter_map(|name| variable(&name).map(|key| (name, key))).collect();
    let extra_ca_pem = match file.extra_ca {
        None => None,
        Some(path) => Some(std::fs::read(&path).map_err(|wrong| unreadable(&path, &wrong))?),
    };
    Ok(Settled {
        listen: flags.listen.or(file.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7717))),
        data: flags.data.or(file.data).unwrap_or_else(|| DATA.into()),
        routes,
        keys,
        sandbox: sandbox(flags.sandbox, file.sandbox)?,
        tree: tree(&file.threads)?,
        net: Net { extra_ca_pem, proxy: Proxy::Environment },
        env_key: variable("HEDDLE_API_KEY"),
    })
}

fn tree(file: &FileThreads) -> Result<Tree, ConfigError> {
    let plain = Tree::default();
    let tree = Tree {
        max_threads: file.max.unwrap_or(plain.max_threads),
        max_depth: file.max_depth.unwrap_or(plain.max_depth),
    };
    for (key, set, most) in [("max", tree.max_threads, THREADS), ("max_depth", tree.max_depth, DEPTH)] {
        if !(1..=most).contains(&set) {
            return Err(ConfigError::Threads { key, message: format!("must be 1 to {most}") });
        }
    }
    Ok(tree)
}

fn sandbox(flag: Option<Mode>, file: FileSandbox) -> Result<Sandbox, ConfigError> {
    let wrong = |key, message: String| Err(ConfigError::Sandbox { key, message });
    for tree in &file.readonly {
        if !tree.is_absolute() || !tree.exists() {
            return wrong("readonly", format!("{} must be an absolute path that exists", tree.display()));
        }
    }
    if file.user == Some(0) {
        return wrong("user", "agents must not run as root; name another user's number".into());
    }
    if file.keep_days == Some(0) {
        return wrong("keep_days", "must be at least 1".into());
    }
    Ok(Sandbox {
        mode: flag.or(file.mode).unwrap_or(Mode::Local),
        readonly: file.readonly,
        user: file.user.unwrap_or(NOBODY),
        keep_days: file.keep_days.unwrap_or(KEEP_DAYS),
    })
}

/// The route table: the built-in routes, then what the file adds or replaces. Exact names come before
/// patterns, longer patterns before shorter ones, so that the order in the file means nothing.
fn routes(given: BTreeMap<String, FileRoute>, base: &str) -> Routes {
    let claude = Route {
        pattern: "claude-*".into(),
        provider: Provider::Messages,
        base_url: base.trim_end_matches('/').into(),
        key_variable: Some(MESSAGES_KEY.into()),
        headers: Vec::new(),
        window: CLAUDE.0,
        max_output: CLAUDE.1,
    };
    let demo = Route::script("heddle-demo");
    let mut table: BTreeMap<String, Route> =
        [claude, demo].into_iter().map(|route| (route.pattern.clone(), route)).collect();
    for (pattern, route) in given {
        let (window, max_output) = if pattern.starts_with("claude-") { CLAUDE } else { OTHER };
        let route = Route {
            pattern: pattern.clone(),
            provider: route.provider,
            base_url: route.base_url.unwrap_or_else(|| base.into()).trim_end_matches('/').into(),
            key_variable: route.key,
            headers: Vec::new(),
            window: route.window.unwrap_or(window),
            max_output: route.max_output.unwrap_or(max_output),
        };
        table.insert(pattern, route);
    }
    let mut routes: Vec<Route> = table.into_values().collect();
    routes.sort_by_key(|route| (route.pattern.ends_with('*'), usize::MAX - route.pattern.len()));
    Routes(routes)
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|wrong| unreadable(path, &wrong))?;
    parse(path, &text)
}

fn unreadable(path: &Path, wrong: &std::io::Error) -> ConfigError {
    ConfigError::Unreadable { file: path.into(), reason: wrong.to_string() }
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|wrong| {
        let at = wrong.span().map_or(0, |span| span.start).min(text.len());
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let mut message = wrong.message().trim().to_owned();
        if let Some(key) = unknown_key(&message) {
            let lists = [KEYS, SANDBOX_KEYS, THREADS_KEYS, ROUTE_KEYS];
            let meant = |list: &&[&str]| list.iter().all(|known| message.contains(&format!("`{known}`")));
            let known = lists.into_iter().find(meant).unwrap_or(KEYS);
            message = match nearest(key, known) {
                Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
                None => format!("unknown key `{key}`; known are {}", known.join(", ")),
            };
        }
        ConfigError::Wrong { file: path.into(), line, message }
    })
}

fn unknown_key(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// The known key that is fewest edits away, if it is near at all.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(key, known), *known)).min()?;
    (near.0 <= 1 + key.len() / 3).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        parse(Path::new("heddle.toml"), text).expect_err("a mistake").to_string()
    }

    #[test]
    fn a_mistake_names_the_file_the_line_and_the_nearest_key() {
        assert_eq!(
            mistake("listen = \"127.0.0.1:1\"\ndate = \"x\"\n"),
            "heddle.toml:2: unknown key `date`; did you mean `data`?"
        );
        assert_eq!(
            mistake("[routes.\"m-*\"]\nprovider = \"messages\"\nbase_uri = \"x\"\n"),
            "heddle.toml:3: unknown key `base_uri`; did you mean `base_url`?"
        );
        assert_eq!(
            mistake("[sandbox]\nmod = \"off\"\n"),
            "heddle.toml:2: unknown key `mod`; did you mean `mode`?"
        );
        assert!(mistake("listen = 3\n").starts_with("heddle.toml:1: "));
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults() {
        let file = "listen = \"127.0.0.1:1\"\ndata = \"there\"\n";
        let file = parse(Path::new("heddle.toml"), file).expect("legal");
        let flags = Flags { listen: Some(SocketAddr::from(([127, 0, 0, 1], 2))), ..Flags::default() };
        let settled = settle(flags, file, &|_| None).expect("legal");
        assert_eq!((settled.listen.port(), settled.data), (2, PathBuf::from("there")));
    }

    #[test]
    fn a_sandbox_is_local_unless_it_is_said_to_be_off_and_never_runs_as_root() {
        let read = |text: &str, flags: Flags| {
            let file = parse(Path::new("heddle.toml"), text).expect("legal");
            settle(flags, file, &|_| None).map(|settled| settled.sandbox)
        };
        let plain = Sandbox { mode: Mode::Local, readonly: Vec::new(), user: NOBODY, keep_days: 30 };
        assert_eq!(read("", Flags::default()), Ok(plain.clone()));
        let off = Flags { sandbox: Some(Mode::Off), ..Flags::default() };
        assert_eq!(read("[sandbox]\nmode = \"local\"\n", off), Ok(Sandbox { mode: Mode::Off, ..plain }));
        for (text, key) in [
            ("user = 0", "user"),
            ("keep_days = 0", "keep_days"),
            ("readonly = [\"relative\"]", "readonly"),
            ("readonly = [\"/is/not/there\"]", "readonly"),
        ] {
            let wrong = read(&format!("[sandbox]\n{text}\n"), Flags::default()).expect_err("a mistake");
            assert!(wrong.to_string().starts_with(&format!("[sandbox] {key}: ")), "{wrong}");
        }
    }

    #[test]
    fn threads_are_the_apis_25_and_one_deep_unless_it_is_said_otherwise() {
        let read = |text: &str| {
            let file = parse(Path::new("heddle.toml"), text).expect("legal");
            settle(Flags::default(), file, &|_| None).map(|settled| settled.tree)
        };
        assert_eq!(read(""), Ok(Tree { max_threads: 25, max_depth: 1 }));
        assert_eq!(read("[threads]\nmax = 3\nmax_depth = 2\n"), Ok(Tree { max_threads: 3, max_depth: 2 }));
        for (text, key) in [("max = 0", "max"), ("max = 1001", "max"), ("max_depth = 6", "max_depth")] {
            let wrong = read(&format!("[threads]\n{text}\n")).expect_err("a mistake");
            assert!(wrong.to_string().starts_with(&format!("[threads] {key}: ")), "{wrong}");
        }
    }

    #[test]
    fn exact_routes_go_before_patterns_and_long_patterns_before_short_ones() {
        let file = "[routes.\"*\"]\nprovider = \"messages\"\nbase_url = \"http://a/\"\n\
                    [routes.\"claude-x\"]\nprovider = \"messages\"\nbase_url = \"http://b\"\nmax_output = 5\n";
        let file = parse(Path::new("heddle.toml"), file).expect("legal");
        let base = |name: &str| (name == "HEDDLE_ANTHROPIC_BASE_URL").then(|| "http://proxy/".to_owned());
        let routes = settle(Flags::default(), file, &base).expect("legal").routes;
        let table: Vec<_> =
            routes.0.iter().map(|route| (route.pattern.as_str(), route.base_url.as_str())).collect();
        assert_eq!(
            table,
            [("heddle-demo", ""), ("claude-x", "http://b"), ("claude-*", "http://proxy"), ("*", "http://a")]
        );
    }
}
