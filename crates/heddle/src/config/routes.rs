//! The route table: the built-in routes, then what the file adds or replaces.

use std::{collections::BTreeMap, time::Duration};

use protocol::{
    Object, limits,
    routes::{MAX_OUTPUT, Route, RoutePatience, RouteProvider, Routes, SpareMember, WINDOW},
};
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};

use super::{
    environment::BASE_URL,
    file::{FileRoute, FileWire, OmittedMember, spelled},
    route_entry::{RouteEntry, RouteSurroundings},
    shown::listed,
    source::{SettingSource, SettingsLedger},
};

/// The pattern of the route that is there without being named.
const CLAUDE: &str = "claude-*";
const DEMO: &str = "heddle-demo";
const MESSAGES_URL: &str = "https://api.anthropic.com";
/// The variable that holds its provider's key.
pub(crate) const PROVIDER_KEY: &str = "ANTHROPIC_API_KEY";
/// Tokens a `claude-*` model reads and writes at most (docs/rules.md 9), and any other where nothing is said.
const CLAUDE_TOKENS: (u64, u64) = (200_000, 32_000);
const OTHER_TOKENS: (u64, u64) = (WINDOW, MAX_OUTPUT);
/// Headers that a route may add, and characters of each.
const HEADERS: usize = 32;
const HEADER_CHARS: usize = 4_096;
/// Headers that a route may not add beside those that the wires write themselves: they hold a key, or say
/// who asks.
const TAKEN: [&str; 3] = ["cookie", "proxy-authorization", "user-agent"];
/// Of these and those that the wires write: what holds a key.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];
const PLACE: &str = "; a provider's key has a place of its own, `key` or `key_file`";

/// The path in the file of the route for `pattern`.
pub(crate) fn path(pattern: &str) -> String {
    format!("routes.{}", spelled(pattern))
}

/// The route table. Exact names come before patterns, longer patterns before shorter ones, so that the order
/// in the file means nothing.
pub(super) fn settle(
    mut given: BTreeMap<String, FileRoute>,
    around: &RouteSurroundings<'_>,
    ledger: &mut SettingsLedger,
) -> Routes {
    if given.contains_key(DEMO) {
        ledger.mistake_at(&path(DEMO), "this is the built-in script's own name; give the route another");
    }
    given.entry(CLAUDE.to_owned()).or_insert_with(|| FileRoute {
        key: Some(PROVIDER_KEY.into()),
        ..FileRoute::plain(FileWire::Messages)
    });
    let mut routes: Vec<Route> = Vec::from([Route::script(DEMO)]);
    for (pattern, route) in given {
        routes.push(RouteEntry { path: path(&pattern), ledger: &mut *ledger, around }.settle(pattern, route));
    }
    ledger.enter(&path(DEMO), "the built-in script".into(), SettingSource::Default);
    routes.sort_by_key(|route| (route.pattern.ends_with('*'), usize::MAX - route.pattern.len()));
    Routes(routes)
}

impl RouteEntry<'_> {
    fn settle(mut self, pattern: String, route: FileRoute) -> Route {
        if let Some(wrong) = wrong_pattern(&pattern) {
            self.ledger.mistake_at(&self.path, wrong);
        }
        let provider = RouteProvider::from(route.provider);
        self.enter("provider", provider.name().to_owned());
        let base_url = self.base_url(route.provider, route.base_url);
        let key = self.key(route.key, route.key_file);
        let (window, max_output) = if pattern.starts_with("claude-") { CLAUDE_TOKENS } else { OTHER_TOKENS };
        let window_known = route.window.is_some() || pattern.starts_with("claude-");
        let window = route.window.unwrap_or(window);
        self.enter("window", window.to_string());
        // A small window makes the default smaller; what was said stays as it was said.
        let output = route.max_output.unwrap_or(max_output.min(window));
        self.enter("max_output", output.to_string());
        if output > window {
            self.mistake("max_output", format!("must not be more than window, which is {window}"));
        }
        let concurrency = route.concurrency.map_or(limits::REQUESTS_PER_ROUTE, |given| given as usize);
        self.enter("concurrency", concurrency.to_string());
        let attempts = route.attempts.unwrap_or(limits::ATTEMPTS);
        self.enter("attempts", attempts.to_string());
        let patience = self.patience(route.connect, route.first_byte, route.silence);
        let headers = self.headers(route.headers);
        let body = self.body(provider, route.body);
        let leave_out = self.leave_out(provider, route.leave_out);
        Route {
            pattern,
            provider,
            base_url,
            key,
            headers,
            body,
            leave_out,
            window,
            window_known,
            max_output: output,
            concurrency,
            patience,
            attempts,
        }
    }

    fn patience(
        &mut self,
        connect: Option<u64>,
        first_byte: Option<u64>,
        silence: Option<u64>,
    ) -> RoutePatience {
        let mut seconds = |key: &str, given: Option<u64>, usual: Duration| {
            let meant = given.map_or(usual, Duration::from_secs);
            self.enter(key, meant.as_secs().to_string());
            meant
        };
        let connect = seconds("connect", connect, RoutePatience::DEFAULT.connect);
        let silence = seconds("silence", silence, RoutePatience::DEFAULT.silence);
        let first_byte = seconds("first_byte", first_byte, silence);
        RoutePatience { connect, first_byte, silence }
    }

    fn base_url(&mut self, wire: FileWire, given: Option<String>) -> String {
        let base = self.around.base.as_deref();
        let path = format!("{}.base_url", self.path);
        let (url, source) = match (given, wire, base) {
            (Some(url), _, _) => (url, self.ledger.source(&path)),
            (None, FileWire::ChatCompletions, _) => {
                let message = "`base_url` is missing: a chat-completions provider has no default address";
                self.ledger.mistake_at(&self.path, message);
                return String::new();
            }
            (None, FileWire::Messages, Some(base)) => {
                (base.to_owned(), SettingSource::Variable(BASE_URL.into()))
            }
            (None, FileWire::Messages, None) => (MESSAGES_URL.to_owned(), SettingSource::Default),
        };
        let url = url.trim().trim_end_matches('/').to_owned();
        let twice = (wire == FileWire::Messages && url.ends_with("/v1"))
            .then_some("must end before `/v1`: each request adds `/v1/messages` to it");
        let wrong = wrong_url(&url).or(twice);
        // What is wrong may hold a password.
        let shown = if wrong.is_some() { "(wrong)".to_owned() } else { url.clone() };
        self.ledger.enter(&path, shown, source);
        if let Some(wrong) = wrong {
            self.ledger.mistake(&path, wrong);
        }
        url
    }

    fn body(&mut self, provider: RouteProvider, given: Object) -> Object {
        self.enter("body", listed(given.keys().cloned()));
        let bytes = serde_json::to_vec(&given).map_or(0, |text| text.len());
        if bytes > limits::ROUTE_BODY_BYTES {
            self.mistake(
                "body",
                format!("must be at most {} bytes, and is {bytes}", limits::ROUTE_BODY_BYTES),
            );
        }
        for (name, why) in given.keys().filter_map(|name| Some((name, models::why_ours(provider, name)?))) {
            let path = format!("{}.body.{}", self.path, spelled(name));
            self.ledger.mistake_at(&path, format!("is written by Heddle itself: {why}"));
        }
        given
    }

    fn leave_out(&mut self, provider: RouteProvider, given: Vec<OmittedMember>) -> Vec<SpareMember> {
        let given: Vec<SpareMember> = given.into_iter().map(SpareMember::from).collect();
        self.enter("leave_out", listed(given.iter().map(|spare| spare.name().to_owned())));
        if let Some(foreign) = given.iter().find(|spare| !spare.is_of(provider)) {
            let known =
                SpareMember::ALL.into_iter().filter(|spare| spare.is_of(provider)).map(SpareMember::name);
            let (wire, known) = (provider.name(), known.collect::<Vec<_>>().join(", "));
            let message = format!("the wire {wire} has no `{}` to leave out, only {known}", foreign.name());
            self.mistake("leave_out", message);
        }
        if given.contains(&SpareMember::MaxTokens) && given.contains(&SpareMember::MaxCompletionTokens) {
            let message = "names `max_tokens` and `max_completion_tokens`, and an answer would have no bound: name \
                           the one that the provider does not take";
            self.mistake("leave_out", message);
        }
        given
    }

    fn headers(&mut self, given: BTreeMap<String, String>) -> Vec<(String, String)> {
        self.enter("headers", listed(given.keys().cloned()));
        if given.len() > HEADERS {
            self.mistake("headers", format!("must be at most {HEADERS}, and are {}", given.len()));
        }
        for (name, value) in &given {
            if let Some(wrong) = wrong_header(name, value) {
                self.ledger.mistake_at(&format!("{}.headers.{}", self.path, spelled(name)), wrong);
            }
        }
        given.into_iter().collect()
    }
}

fn wrong_pattern(pattern: &str) -> Option<&'static str> {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    let legal = |at: char| !at.is_whitespace() && !at.is_control();
    if pattern.is_empty() || !name.chars().all(legal) {
        Some("must be a model's id, without spaces")
    } else if name.contains('*') {
        Some("must be a model's id or the beginning of one with a single `*` at its end")
    } else {
        None
    }
}

fn wrong_url(url: &str) -> Option<&'static str> {
    let Ok(parsed) = Url::parse(url) else { return Some(WEB) };
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        Some(WEB)
    } else if !parsed.username().is_empty() || parsed.password().is_some() {
        Some("must hold no user and no password; name the variable with the key in `key`")
    } else if parsed.query().is_some() || parsed.fragment().is_some() {
        Some("must end before `?` and `#`: paths are added to it")
    } else {
        None
    }
}

const WEB: &str = "must be an http or https address such as http://127.0.0.1:8000";

fn wrong_header(name: &str, value: &str) -> Option<String> {
    let Ok(header) = HeaderName::try_from(name) else { return Some("is no name of a header".into()) };
    if models::is_ours(header.as_str()) || TAKEN.contains(&header.as_str()) {
        let place = if CREDENTIALS.contains(&header.as_str()) { PLACE } else { "" };
        return Some(format!("is written by Heddle itself{place}"));
    }
    if value.starts_with('$') {
        let message = "is sent as it stands and cannot name a variable; a secret belongs into `key`";
        return Some(message.into());
    }
    if value.chars().count() > HEADER_CHARS || HeaderValue::try_from(value).is_err() {
        return Some(format!("must be at most {HEADER_CHARS} characters that a header can hold"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{
        flags::SaidFlags,
        read,
        settled::{HeddleSettings, settle},
        source::ConfigError,
    };
    use std::path::Path;

    fn settled(text: &str, variables: &[(&str, &str)]) -> Result<HeddleSettings, ConfigError> {
        let read = read::parse(Path::new("heddle.toml"), text);
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        settle(SaidFlags::default(), read, &variable)
    }

    #[test]
    fn exact_routes_go_before_patterns_and_long_patterns_before_short_ones() {
        let file = "[routes.\"*\"]\nprovider = \"messages\"\nbase_url = \"http://a/\"\n\
                    [routes.\"claude-x\"]\nprovider = \"chat-completions\"\nbase_url = \"http://b\"\n\
                    max_output = 5\n";
        let settled = settled(file, &[("HEDDLE_ANTHROPIC_BASE_URL", "http://proxy/")]).expect("legal");
        let routes = settled.routes.0.iter();
        let table: Vec<_> =
            routes.map(|route| (route.pattern.as_str(), route.base_url.as_str(), route.max_output)).collect();
        assert_eq!(
            table,
            [
                ("heddle-demo", "", 8_192),
                ("claude-x", "http://b", 5),
                ("claude-*", "http://proxy", 32_000),
                ("*", "http://a", 8_192)
            ]
        );
    }

    #[test]
    fn a_route_says_what_it_is_and_keeps_its_headers() {
        let file = "[routes.m]\nprovider = \"chat-completions\"\nbase_url = \"http://a\"\nkey = \"K\"\n\
                    window = 4096\nheaders = { x-team = \"weavers\" }\nconcurrency = 7\n";
        let settled = settled(file, &[("K", "sesame")]).expect("legal");
        let route = settled.routes.route("m").expect("a route");
        assert_eq!(
            route,
            &super::Route {
                pattern: "m".into(),
                provider: super::RouteProvider::ChatCompletions,
                base_url: "http://a".into(),
                key: Some(protocol::routes::ProviderKey::Variable("K".into())),
                headers: vec![("x-team".into(), "weavers".into())],
                body: super::Object::new(),
                leave_out: Vec::new(),
                window: 4_096,
                window_known: true,
                max_output: 4_096,
                concurrency: 7,
                patience: super::RoutePatience::DEFAULT,
                attempts: 8,
            }
        );
        let told: Vec<String> = settled
            .settings
            .iter()
            .filter(|setting| setting.name.starts_with("routes.m."))
            .map(|setting| format!("{}: {} ({})", setting.name, setting.value, setting.source))
            .collect();
        assert_eq!(
            told,
            [
                "routes.m.provider: chat-completions (heddle.toml:2)",
                "routes.m.base_url: http://a (heddle.toml:3)",
                "routes.m.key: set (K) (heddle.toml:4)",
                "routes.m.key_file: none (default)",
                "routes.m.window: 4096 (heddle.toml:5)",
                "routes.m.max_output: 4096 (default)",
                "routes.m.concurrency: 7 (heddle.toml:7)",
                "routes.m.attempts: 8 (default)",
                "routes.m.connect: 10 (default)",
                "routes.m.silence: 120 (default)",
                "routes.m.first_byte: 120 (default)",
                "routes.m.headers: x-team (heddle.toml:6)",
                "routes.m.body: none (default)",
                "routes.m.leave_out: none (default)",
            ]
        );
    }

    #[test]
    fn what_a_route_says_of_its_provider_is_meant_and_told_with_its_line() {
        let file = "[routes.m]\nprovider = \"chat-completions\"\nbase_url = \"http://a\"\nwindow = 128000\n\
                    key_file = \"/run/secrets/größe\"\r\nattempts = 100\nconnect = 600\nsilence = 86400\n\
                    leave_out = [\"stream_options\", \"max_tokens\"]\n\
                    [routes.m.body]\ntemperature = 0.2\ntop_k = 40\nuser = \"ü\"\nstop = [\"\\r\\n\"]\n\
                    chat_template_kwargs = { enable_thinking = false, a = { b = [1.5, -1] } }\n";
        let settled = settled(file, &[]).expect("legal");
        let route = settled.routes.route("m").expect("a route");
        let body = serde_json::json!({"temperature": 0.2, "top_k": 40, "user": "ü", "stop": ["\r\n"],
            "chat_template_kwargs": {"enable_thinking": false, "a": {"b": [1.5, -1]}}});
        let seconds = super::Duration::from_secs;
        assert_eq!(
            route,
            &super::Route {
                provider: super::RouteProvider::ChatCompletions,
                base_url: "http://a".into(),
                key: Some(protocol::routes::ProviderKey::File("/run/secrets/größe".into())),
                body: body.as_object().cloned().expect("an object"),
                leave_out: vec![super::SpareMember::StreamOptions, super::SpareMember::MaxTokens],
                window_known: true,
                patience: super::RoutePatience {
                    connect: seconds(600),
                    // What is not said is the same as `silence`.
                    first_byte: seconds(86_400),
                    silence: seconds(86_400),
                },
                attempts: 100,
                ..super::Route::script("m")
            }
        );
        let mut told = Vec::new();
        for name in ["key", "key_file", "attempts", "connect", "silence", "first_byte", "body", "leave_out"] {
            let name = format!("routes.m.{name}");
            let setting = settled.settings.iter().find(|setting| setting.name == name).expect("a setting");
            told.push(format!("{} ({})", setting.value, setting.source));
        }
        assert_eq!(
            told,
            [
                "in key_file (default)",
                "/run/secrets/größe (heddle.toml:5)",
                "100 (heddle.toml:6)",
                "600 (heddle.toml:7)",
                "86400 (heddle.toml:8)",
                "86400 (default)",
                "chat_template_kwargs, stop, temperature, top_k, user (heddle.toml:10)",
                "stream_options, max_tokens (heddle.toml:9)",
            ]
        );
    }

    #[test]
    fn a_window_that_was_said_is_known_whatever_its_number_is() {
        let known = |rest: &str, model: &str| {
            let file = format!("[routes.m]\nprovider = \"messages\"\n{rest}");
            settled(&file, &[]).expect("legal").routes.route(model).expect("a route").window_known
        };
        assert!(known("window = 128000\n", "m"));
        assert!(!known("", "m"));
        assert!(known("", "claude-x"), "what those models read is known");
    }

    #[test]
    fn a_key_file_that_agents_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("a real path");
        std::fs::create_dir(real.join("tools")).expect("made");
        std::os::unix::fs::symlink(real.join("tools"), real.join("link")).expect("a link");
        let tools = real.join("tools");
        let refused = |file: &std::path::Path| {
            let text = format!(
                "[sandbox]\nreadonly = [{tools:?}]\n[routes.m]\nprovider = \"messages\"\nkey_file = {file:?}\n"
            );
            settled(&text, &[]).err().map(|wrong| wrong.to_string())
        };
        let lies =
            format!("heddle.toml:5: routes.m.key_file: lies in {}, which agents can read", tools.display());
        for file in [tools.join("key"), real.join("link/key")] {
            std::fs::write(&file, "sesame").expect("written");
            let wrong = refused(&file).expect("a mistake");
            assert!(wrong.starts_with(&lies), "{wrong}");
        }
        assert_eq!(refused(&real.join("key")), None);
    }

    #[test]
    fn a_key_in_the_wrong_place_and_members_that_are_not_the_routes_are_refused() {
        let route = |rest: &str| format!("[routes.m]\nprovider = \"messages\"\n{rest}\n");
        for (text, said) in [
            (route("key_file = \"sk-secret\""), "3: routes.m.key_file: must be the path of a file"),
            (route("key_file = \"\""), "3: routes.m.key_file: must be the path of a file"),
            (route("key_file = \"/a\\u0000b\""), "3: routes.m.key_file: must be the path of a file"),
            (route("key = \"K\"\nkey_file = \"/k\""), "4: routes.m.key_file: stands beside `key`"),
            (
                route("body = { max_tokens = 1 }"),
                "3: routes.m.body.max_tokens: is written by Heddle itself: set `max_output`",
            ),
            (
                route("[routes.m.body]\ntop_p = 1\nmessages = []"),
                "5: routes.m.body.messages: is written by Heddle itself: it is the conversation",
            ),
            (
                route(&format!("body = {{ user = \"{}\" }}", "ä".repeat(9_000))),
                "3: routes.m.body: must be at most 16384 bytes, and is 18011",
            ),
            (
                route("leave_out = [\"stream_options\"]"),
                "3: routes.m.leave_out: the wire messages has no `stream_options` to leave out, only cache_control",
            ),
            (
                "[routes.m]\nprovider = \"chat-completions\"\nbase_url = \"http://a\"\n\
                 leave_out = [\"max_completion_tokens\", \"max_tokens\"]\n"
                    .to_owned(),
                "4: routes.m.leave_out: names `max_tokens` and `max_completion_tokens`, and an answer would have no",
            ),
        ] {
            let wrong = settled(&text, &[]).expect_err("a mistake").to_string();
            assert!(wrong.starts_with(&format!("heddle.toml:{said}")), "{wrong} in {text}");
            assert!(!wrong.contains("-secret"), "{wrong}");
        }
    }

    #[test]
    fn what_a_route_cannot_mean_is_refused_at_its_line_and_no_secret_is_repeated() {
        let route = |rest: &str| format!("[routes.m]\nprovider = \"messages\"\n{rest}\n");
        for (text, said) in [
            (route("key = \"sk-secret\""), "3: routes.m.key: must be the name of an environment variable"),
            (route("key = \"hf_secret\""), "3: routes.m.key: must be the name of an environment variable"),
            (route("base_url = \"ftp://a\""), "3: routes.m.base_url: must be an http or https address"),
            (route("base_url = \"a\""), "3: routes.m.base_url: must be an http or https address"),
            (route("base_url = \"http://a/v1/\""), "3: routes.m.base_url: must end before `/v1`"),
            (
                route("base_url = \"http://u:secret@a\""),
                "3: routes.m.base_url: must hold no user and no password",
            ),
            (route("base_url = \"http://a/?k=secret\""), "3: routes.m.base_url: must end before `?` and `#`"),
            (
                route("headers = { \"X-Api-Key\" = \"secret\" }"),
                "3: routes.m.headers.X-Api-Key: is written by Heddle itself; a provider's key has a place of its own, \
                 `key` or `key_file`",
            ),
            (
                route("headers = { anthropic-version = \"1\" }"),
                "3: routes.m.headers.anthropic-version: is written by Heddle itself",
            ),
            (route("headers = { a = \"$SECRET\" }"), "3: routes.m.headers.a: is sent as it stands"),
            (route("headers = { a = \"x\\ny\" }"), "3: routes.m.headers.a: must be at most 4096 characters"),
            (route("headers = { \"a b\" = \"x\" }"), "3: routes.m.headers.\"a b\": is no name of a header"),
            (route("window = 10\nmax_output = 11"), "4: routes.m.max_output: must not be more than window"),
            (
                "[routes.m]\nprovider = \"chat-completions\"\n".to_owned(),
                "1: routes.m: `base_url` is missing: a chat-completions provider",
            ),
            (
                "[routes.\"a*b\"]\nprovider = \"messages\"\n".to_owned(),
                "1: routes.\"a*b\": must be a model's id or the beginning of one",
            ),
            (
                "[routes.\"a b\"]\nprovider = \"messages\"\n".to_owned(),
                "1: routes.\"a b\": must be a model's id",
            ),
            ("[routes.\"\"]\nprovider = \"messages\"\n".to_owned(), "1: routes.\"\": must be a model's id"),
            (
                "[routes.heddle-demo]\nprovider = \"messages\"\n".to_owned(),
                "1: routes.heddle-demo: this is the",
            ),
        ] {
            let wrong = settled(&text, &[]).expect_err("a mistake").to_string();
            assert!(wrong.starts_with(&format!("heddle.toml:{said}")), "{wrong} in {text}");
            assert!(!wrong.to_lowercase().contains("secret@") && !wrong.contains("-secret"), "{wrong}");
        }
        let base = [("HEDDLE_ANTHROPIC_BASE_URL", "nowhere")];
        let wrong = settled("", &base).expect_err("a mistake").to_string();
        assert!(
            wrong.starts_with("HEDDLE_ANTHROPIC_BASE_URL: routes.\"claude-*\".base_url: must be"),
            "{wrong}"
        );
    }
}
