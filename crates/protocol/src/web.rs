//! What limits the web tools: domains, sources of URLs, a place to search from (docs/rules.md 16).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    builtin::BuiltinName,
    limits,
    parse::{self, Fields, Invalid},
    schema::Tagged,
};

/// Names that no public host ends in.
pub const PRIVATE: [&str; 5] = ["local", "internal", "localdomain", "invalid", "localhost"];

/// What limits one web tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WebToolLimits {
    /// `web_fetch`.
    Fetch {
        /// Which hosts.
        #[serde(flatten)]
        domains: AllowedDomains,
        /// Tokens of text that one call may bring, at least 1; null: the tool's own bound.
        max_content_tokens: Option<u64>,
        /// Whose URLs; null: everybody's.
        url_sources: Option<UrlSources>,
    },
    /// `web_search`.
    Search {
        /// Which hosts.
        #[serde(flatten)]
        domains: AllowedDomains,
        /// Where to search from; null: anywhere.
        user_location: Option<UserLocation>,
    },
}

/// The hosts that a tool may reach, or those that it may not; never both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AllowedDomains {
    /// These and their subdomains alone: 1 to 64 as they were sent; null: all.
    pub allowed_domains: Option<Vec<String>>,
    /// Neither these nor their subdomains: 1 to 64 as they were sent; null: none.
    pub blocked_domains: Option<Vec<String>>,
}

/// Whose URLs may be fetched. Null is every source of the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UrlSources {
    /// Results of the agent's custom tools.
    pub client_tool_results: Option<UrlSource>,
    /// Results of the web tools.
    pub server_tool_results: Option<UrlSource>,
    /// What people wrote: all or none.
    pub user_input: Option<UrlSource>,
}

/// One source of URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UrlSource {
    /// All of it.
    All,
    /// Nothing of it.
    None,
    /// These tools' results alone.
    Only {
        /// 1 to 128 different tools.
        tools: Vec<ToolReference>,
    },
    /// All but these tools' results.
    Except {
        /// 1 to 128 different tools.
        tools: Vec<ToolReference>,
    },
}

/// A tool by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "tool_reference")]
#[schemars(rename = "ToolReference", transform = Tagged("tool_reference"))]
pub struct ToolReference {
    /// The tool's name.
    pub name: String,
}

/// Where a search is made from, roughly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "approximate")]
#[schemars(rename = "UserLocation", transform = Tagged("approximate"))]
pub struct UserLocation {
    /// The city.
    pub city: Option<String>,
    /// Two capital letters of ISO 3166-1.
    pub country: Option<String>,
    /// The region or state.
    pub region: Option<String>,
    /// The time zone, as `Europe/Berlin`.
    pub timezone: Option<String>,
}

impl BuiltinName {
    /// The limits of a web tool that has none.
    pub const fn unlimited(self) -> Option<WebToolLimits> {
        match self {
            Self::Bash | Self::Edit | Self::Read | Self::Write | Self::Glob | Self::Grep => None,
            Self::WebFetch => Some(WebToolLimits::FETCH),
            Self::WebSearch => Some(WebToolLimits::SEARCH),
        }
    }
}

impl WebToolLimits {
    /// `web_fetch` without limits.
    pub const FETCH: Self =
        Self::Fetch { domains: AllowedDomains::NONE, max_content_tokens: None, url_sources: None };
    /// `web_search` without limits.
    pub const SEARCH: Self = Self::Search { domains: AllowedDomains::NONE, user_location: None };

    /// Which hosts it may reach.
    pub const fn domains(&self) -> &AllowedDomains {
        match self {
            Self::Fetch { domains, .. } | Self::Search { domains, .. } => domains,
        }
    }

    /// What limits `tool`, as an answer shows it.
    pub(crate) fn shown(tool: BuiltinName, generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        let Some(web) = tool.unlimited() else { return Vec::new() };
        let mut shown = Vec::from(["allowed_domains", "blocked_domains"].map(|name| {
            let domains = generator.subschema_for::<Option<Vec<String>>>();
            (name, domains)
        }));
        match web {
            Self::Fetch { .. } => shown.extend([
                ("max_content_tokens", generator.subschema_for::<Option<u64>>()),
                ("url_sources", generator.subschema_for::<Option<UrlSources>>()),
            ]),
            Self::Search { .. } => {
                shown.push(("user_location", generator.subschema_for::<Option<UserLocation>>()));
            }
        }
        shown
    }

    /// The custom tools whose results it may, or may not, take URLs from: the list's name and the list.
    pub(crate) fn named(&self) -> &[ToolReference] {
        match self {
            Self::Fetch { url_sources: Some(sources), .. } => {
                sources.client_tool_results.as_ref().map_or(&[], UrlSource::tools)
            }
            Self::Fetch { url_sources: None, .. } | Self::Search { .. } => &[],
        }
    }

    /// Reads the limits of `web_fetch` out of its config.
    pub(crate) fn fetch(fields: &mut Fields) -> Result<Self, Invalid> {
        Ok(Self::Fetch {
            domains: AllowedDomains::read(fields, Path::Refused)?,
            max_content_tokens: fields.optional("max_content_tokens", parse::whole(1, i64::MAX as u64))?,
            url_sources: fields.optional("url_sources", url_sources)?,
        })
    }

    /// Reads the limits of `web_search` out of its config.
    pub(crate) fn search(fields: &mut Fields) -> Result<Self, Invalid> {
        Ok(Self::Search {
            domains: AllowedDomains::read(fields, Path::Taken)?,
            user_location: fields.optional("user_location", user_location)?,
        })
    }
}

impl UrlSource {
    fn tools(&self) -> &[ToolReference] {
        match self {
            Self::All | Self::None => &[],
            Self::Only { tools } | Self::Except { tools } => tools,
        }
    }
}

/// Whether a domain may have a path behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Taken,
    Refused,
}

impl AllowedDomains {
    /// No limits.
    pub const NONE: Self = Self { allowed_domains: None, blocked_domains: None };

    fn read(fields: &mut Fields, path: Path) -> Result<Self, Invalid> {
        let list = |value: Value, at: &str| domains(value, at, path);
        let allowed_domains = fields.optional("allowed_domains", list)?;
        let blocked_domains = fields.optional("blocked_domains", list)?;
        if allowed_domains.is_some() && blocked_domains.is_some() {
            let message = "Only one of allowed_domains or blocked_domains may be set.";
            return Err(Invalid::new(fields.path(), message));
        }
        Ok(Self { allowed_domains, blocked_domains })
    }
}

fn domains(value: Value, path: &str, suffix: Path) -> Result<Vec<String>, Invalid> {
    if value.as_array().is_some_and(Vec::is_empty) {
        let message = "Empty list of domains is ambiguous. Provide at least one domain or null.";
        return Err(Invalid::new(path, message));
    }
    let read = |value: Value, path: &str| domain(value, path, suffix);
    let domains = parse::list(1, limits::DOMAINS, read)(value, path)?;
    let known: Vec<String> = domains.iter().map(|domain| plain(domain)).collect();
    for (index, domain) in known.iter().enumerate() {
        if known.iter().take(index).any(|earlier| earlier == domain) {
            return Err(Invalid::new(format!("{path}.{index}"), "this domain is already in the list"));
        }
    }
    Ok(domains)
}

/// A domain as it is compared: hosts have no case, and a `/` at the end says nothing.
fn plain(domain: &str) -> String {
    let domain = domain.strip_suffix('/').unwrap_or(domain);
    match domain.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.to_ascii_lowercase()),
        None => domain.to_ascii_lowercase(),
    }
}

fn domain(value: Value, path: &str, suffix: Path) -> Result<String, Invalid> {
    let domain = parse::text(1, limits::DOMAIN_CHARS)(value, path)?;
    match wrong_with(domain.strip_suffix('/').unwrap_or(&domain), suffix) {
        None => Ok(domain),
        Some(wrong) => Err(Invalid::new(path, format!("`{}` {wrong}", parse::shown(&domain)))),
    }
}

fn wrong_with(domain: &str, suffix: Path) -> Option<&'static str> {
    let (host, path) = domain.split_once('/').map_or((domain, ""), |(host, path)| (host, path));
    if domain.contains("://") {
        return Some("has a scheme; leave it out");
    }
    if host.contains('@') {
        return Some("has credentials; leave them out");
    }
    if host.contains(':') {
        return Some("has a port or is an IP address; name a host alone");
    }
    if host.contains('*') {
        return Some("has a wildcard; a domain covers its subdomains already");
    }
    if !path.is_empty() && suffix == Path::Refused {
        return Some("has a path; name a host alone");
    }
    if path.contains(|letter: char| !letter.is_ascii_graphic() || "?#$,|^!".contains(letter)) {
        return Some("has a path with letters that are not allowed there");
    }
    if !is_host(host) {
        return Some("is not a host name of ASCII letters, digits, `-` and dots");
    }
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("is an IP address; name a host");
    }
    if !host.contains('.') || PRIVATE.contains(&&*last) {
        return Some("is not a public host name like docs.example.com");
    }
    None
}

/// Whether it is labels of letters, digits, `-` and `_` with dots between them.
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let legal = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        (1..=63).contains(&label.len()) && legal && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label)
}

fn url_sources(value: Value, path: &str) -> Result<UrlSources, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let custom = |value: Value, path: &str| source(value, path, None);
    let web = |value: Value, path: &str| source(value, path, Some(&["web_search", "web_fetch"]));
    let sources = UrlSources {
        client_tool_results: fields.optional("client_tool_results", custom)?,
        server_tool_results: fields.optional("server_tool_results", web)?,
        user_input: fields.optional("user_input", all_or_none)?,
    };
    fields.finish()?;
    let all = [&sources.client_tool_results, &sources.server_tool_results, &sources.user_input];
    if all.iter().all(|source| **source == Some(UrlSource::None)) {
        return Err(Invalid::new(path, "must leave at least one source; turn the tool off instead"));
    }
    Ok(sources)
}

fn all_or_none(value: Value, path: &str) -> Result<UrlSource, Invalid> {
    let (tag, at) = match value {
        Value::String(_) => (value, path.to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let mut fields = Fields::of(value, path)?;
            let (tag, at) = (fields.tag(&["all", "none"])?, fields.at("type"));
            fields.finish()?;
            (Value::String(tag), at)
        }
    };
    Ok(match parse::one_of(&["all", "none"])(tag, &at)? {
        "all" => UrlSource::All,
        _ => UrlSource::None,
    })
}

fn source(value: Value, path: &str, known: Option<&[&str]>) -> Result<UrlSource, Invalid> {
    let tags = ["all", "none", "only", "except"];
    let tag = value.get("type").and_then(Value::as_str).unwrap_or_default();
    if !value.is_object() || ["all", "none"].contains(&tag) {
        return all_or_none(value, path);
    }
    let mut fields = Fields::of(value, path)?;
    let tag = fields.tag(&tags)?;
    if !tags.contains(&tag.as_str()) {
        return Err(fields.unknown_tag(&tag, &tags));
    }
    let only = tag == "only";
    let read = |value: Value, path: &str| reference(value, path, known);
    let at = fields.at("tools");
    let tools = fields.required("tools", parse::list(1, limits::URL_SOURCE_TOOLS, read))?;
    fields.finish()?;
    for (index, tool) in tools.iter().enumerate() {
        if tools.iter().take(index).any(|earlier| earlier == tool) {
            return Err(Invalid::new(format!("{at}.{index}.name"), "this tool is already in the list"));
        }
    }
    Ok(if only { UrlSource::Only { tools } } else { UrlSource::Except { tools } })
}

fn reference(value: Value, path: &str, known: Option<&[&str]>) -> Result<ToolReference, Invalid> {
    let mut fields = Fields::of(value, path)?;
    fields.tagged("tool_reference")?;
    let name = fields.required("name", parse::text(1, limits::TOOL_NAME_CHARS))?;
    if let Some(known) = known.filter(|known| !known.contains(&name.as_str())) {
        return Err(fields.wrong("name", format!("`{name}` is not one of {}", parse::listed(known))));
    }
    fields.finish()?;
    Ok(ToolReference { name })
}

fn user_location(value: Value, path: &str) -> Result<UserLocation, Invalid> {
    let mut fields = Fields::of(value, path)?;
    fields.tagged("approximate")?;
    let place = || parse::text(1, limits::PLACE_CHARS);
    let location = UserLocation {
        city: fields.optional("city", place())?,
        country: fields.optional("country", country)?,
        region: fields.optional("region", place())?,
        timezone: fields.optional("timezone", timezone)?,
    };
    fields.finish()?;
    Ok(location)
}

fn country(value: Value, path: &str) -> Result<String, Invalid> {
    let country = parse::string(value, path)?;
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(country)
    } else {
        Err(Invalid::new(path, "must be two capital letters, like DE"))
    }
}

fn timezone(value: Value, path: &str) -> Result<String, Invalid> {
    let zone = parse::text(1, limits::PLACE_CHARS)(value, path)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
    if zone.split('/').all(|part| !part.is_empty() && part.bytes().all(legal)) {
        Ok(zone)
    } else {
        Err(Invalid::new(path, "must be a time zone's name, like Europe/Berlin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{toolset::ToolConfig, toolset::Toolset};
    use alloc::{string::ToString, vec};
    use serde_json::json;

    fn read(config: Value) -> Result<Option<WebToolLimits>, Invalid> {
        let fields = Fields::of(json!({"configs": [config]}), "tools.0")?;
        let configs = Toolset::read(fields)?.configs;
        Ok(configs.into_iter().next().and_then(|config| config.web))
    }

    fn fetch(list: &str, domains: &Value) -> Result<Option<WebToolLimits>, Invalid> {
        read(json!({"name": "web_fetch", list: domains}))
    }

    #[test]
    fn hosts_are_taken_as_they_are_sent() {
        let sent = json!(["docs.example.com", "EXAMPLE.org/", "xn--bcher-kva.example", "a-1.b.co"]);
        for list in ["allowed_domains", "blocked_domains"] {
            let Some(WebToolLimits::Fetch { domains, .. }) = fetch(list, &sent).expect("legal") else {
                panic!("no limits")
            };
            let domains = serde_json::to_value(domains).expect("writes");
            assert_eq!(domains[list], sent);
        }
        assert_eq!(fetch("allowed_domains", &Value::Null), Ok(Some(WebToolLimits::FETCH)));
        let most: Vec<_> = (0..64).map(|n| format!("h{n}.example")).collect();
        assert!(fetch("allowed_domains", &json!(most)).is_ok());
    }

    #[test]
    fn what_is_no_public_host_is_refused_by_its_place() {
        for domain in [
            "https://a.example",
            "a.example:80",
            "*.a.example",
            "1.2.3.4",
            "[::1]",
            "user@a.example",
            "a example.com",
            "com",
            "localhost",
            "a.localhost",
            "printer.local",
            "db.internal",
            "x.localdomain",
            "x.invalid",
            "bücher.example",
            "a..example",
            ".example.com",
            "example.com.",
            "-a.example",
            "a.example/x",
            "",
            "/",
            &format!("{}.example", "a".repeat(64)),
            &format!("{}example", "a.".repeat(125)),
        ] {
            let wrong = fetch("blocked_domains", &json!(["a.example", domain])).expect_err(domain);
            assert_eq!(wrong.path, "tools.0.configs.0.blocked_domains.1", "{domain}");
        }
    }

    #[test]
    fn lists_say_one_thing_and_say_it_once() {
        let wrong = |config: Value| {
            let wrong = read(config).expect_err("a mistake");
            wrong.to_string()
        };
        let domains = |list: &str, domains: Value| wrong(json!({"name": "web_fetch", list: domains}));
        let both =
            json!({"name": "web_search", "allowed_domains": ["a.example"], "blocked_domains": ["b.example"]});
        assert_eq!(
            wrong(both),
            "tools.0.configs.0: Only one of allowed_domains or blocked_domains may be set."
        );
        assert_eq!(
            domains("allowed_domains", json!([])),
            "tools.0.configs.0.allowed_domains: Empty list of domains is ambiguous. \
             Provide at least one domain or null."
        );
        for twice in ["a.example", "A.Example", "a.example/"] {
            assert_eq!(
                domains("allowed_domains", json!(["a.example", twice])),
                "tools.0.configs.0.allowed_domains.1: this domain is already in the list"
            );
        }
        let many: Vec<_> = (0..65).map(|n| format!("h{n}.example")).collect();
        assert_eq!(
            domains("allowed_domains", json!(many)),
            "tools.0.configs.0.allowed_domains: must have at most 64 elements, has 65"
        );
    }

    #[test]
    fn a_search_may_be_narrowed_to_a_path() {
        let search = |domain: &str| read(json!({"name": "web_search", "allowed_domains": [domain]}));
        for domain in ["a.example/docs", "a.example/docs/v2/", "a.example/~me/(x)"] {
            assert!(search(domain).is_ok(), "{domain}");
        }
        for letter in " ?#$,|^!é".chars() {
            let wrong = search(&format!("a.example/x{letter}y")).expect_err("a bad letter");
            assert_eq!(wrong.path, "tools.0.configs.0.allowed_domains.0", "{letter}");
        }
        let twice =
            json!({"name": "web_search", "allowed_domains": ["a.example/X", "a.example/x", "A.example/X"]});
        assert_eq!(
            read(twice).map_err(|wrong| wrong.path),
            Err("tools.0.configs.0.allowed_domains.2".into())
        );
    }

    #[test]
    fn sources_of_urls_are_written_as_objects() {
        let only = json!({"type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]});
        for (sent, written) in [
            (json!({}), json!([null, null, null])),
            (json!({"user_input": "none"}), json!([null, null, {"type": "none"}])),
            (
                json!({
                    "client_tool_results": {"type": "none"}, "server_tool_results": only, "user_input": null,
                }),
                json!([{"type": "none"}, only, null]),
            ),
            (json!({"server_tool_results": "all"}), json!([null, {"type": "all"}, null])),
        ] {
            let read = read(json!({"name": "web_fetch", "url_sources": sent})).expect("legal");
            let read = serde_json::to_value(read).expect("writes")["url_sources"].clone();
            let seen = [&read["client_tool_results"], &read["server_tool_results"], &read["user_input"]];
            assert_eq!(json!(seen), written);
        }
    }

    #[test]
    fn a_source_without_a_type_is_told_those_that_there_are() {
        let sent = json!({"name": "web_fetch", "url_sources": {"client_tool_results": {"tools": []}}});
        let wrong = read(sent).expect_err("no type");
        assert_eq!(wrong.message, "this field is required: `all`, `none`, `only` or `except`");
        let sent = json!({"name": "web_fetch", "url_sources": {"user_input": {}}});
        assert_eq!(read(sent).expect_err("no type").message, "this field is required: `all` or `none`");
    }

    #[test]
    fn each_mistake_names_its_field() {
        let named = |name: &str| json!({"type": "tool_reference", "name": name});
        let none =
            json!({"client_tool_results": "none", "server_tool_results": "none", "user_input": "none"});
        for (sent, path) in [
            (json!({"url_sources": none}), "url_sources"),
            (json!({"url_sources": {"more": 1}}), "url_sources.more"),
            (json!({"url_sources": {"user_input": "some"}}), "url_sources.user_input"),
            (json!({"url_sources": {"user_input": {"type": "only"}}}), "url_sources.user_input.type"),
            (
                json!({"url_sources": {"server_tool_results": {"type": "x"}}}),
                "url_sources.server_tool_results.type",
            ),
            (json!({"url_sources": {"server_tool_results": 7}}), "url_sources.server_tool_results"),
            (
                json!({"url_sources": {"server_tool_results": {"type": "only", "tools": [named("bash")]}}}),
                "url_sources.server_tool_results.tools.0.name",
            ),
            (
                json!({"url_sources": {"server_tool_results": {"type": "except", "tools": []}}}),
                "url_sources.server_tool_results.tools",
            ),
            (
                json!({"url_sources": {"client_tool_results": {
                    "type": "only", "tools": [named("a"), named("a")],
                }}}),
                "url_sources.client_tool_results.tools.1.name",
            ),
            (json!({"max_content_tokens": 0}), "max_content_tokens"),
            (json!({"user_location": null}), "user_location"),
        ] {
            let mut config = json!({"name": "web_fetch"});
            config.as_object_mut().expect("an object").extend(sent.as_object().cloned().expect("an object"));
            let wrong = read(config).expect_err(path);
            assert_eq!(wrong.path, format!("tools.0.configs.0.{path}"));
        }
        for (sent, path) in [
            (json!({"type": "exact"}), "type"),
            (json!({"type": "approximate", "country": "de"}), "country"),
            (json!({"type": "approximate", "country": "DEU"}), "country"),
            (json!({"type": "approximate", "timezone": "Europe//Berlin"}), "timezone"),
            (json!({"type": "approximate", "city": ""}), "city"),
            (json!({"type": "approximate", "planet": "Earth"}), "planet"),
        ] {
            let wrong = read(json!({"name": "web_search", "user_location": sent})).expect_err(path);
            assert_eq!(wrong.path, format!("tools.0.configs.0.user_location.{path}"));
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let sent = vec![
            json!({"name": "web_fetch", "allowed_domains": ["a.example"], "max_content_tokens": 9,
            "url_sources": {"client_tool_results": {"type": "except", "tools": [
                {"type": "tool_reference", "name": "t"},
            ]}}}),
            json!({"name": "web_search", "blocked_domains": ["a.example"], "user_location":
                {"type": "approximate", "city": "Bonn", "country": "DE", "timezone": "Europe/Berlin"}}),
            json!({"name": "web_fetch"}),
            json!({"name": "bash"}),
        ];
        for config in sent {
            let fields = Fields::of(json!({"configs": [config]}), "tools.0").expect("an object");
            let config = Toolset::read(fields).expect("legal").configs.remove(0);
            let written = serde_json::to_string(&config).expect("writes");
            assert_eq!(serde_json::from_str::<ToolConfig>(&written).expect("reads"), config, "{written}");
            let again = Fields::of(json!({"configs": [config]}), "tools.0").expect("an object");
            assert_eq!(Toolset::read(again).expect("legal").configs, vec![config]);
        }
    }
}
