//! What limits the web tools, as a toolset's config takes it (`protocol::web` reads it).

use protocol::{limits, tool::BuiltinName, web::PRIVATE};
use serde_json::{Value, json};

use super::shape::{
    ShapeField, either, like, list, null, object, one_of, optional, required, tagged, text, whole,
};

/// Two labels or more.
const HOST: &str =
    r"([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
/// What may stand behind a host: of one that is fetched nothing but slashes, of one that is searched a path
/// of ASCII letters that are seen, without `! # $ , ? ^ |`.
const SLASHES: &str = "/{0,2}";
const PATH: &str = r#"(/["%-+\-->@-\]_-{}~]*)?"#;

/// The fields that limit `tool`, in each way in which they may stand together: hosts that may be reached, or
/// hosts that may not. What is no web tool has one way, without any.
pub(super) fn of(tool: BuiltinName) -> Vec<Vec<ShapeField>> {
    let (behind, more): (&str, fn() -> Vec<ShapeField>) = match tool {
        BuiltinName::Bash
        | BuiltinName::Edit
        | BuiltinName::Read
        | BuiltinName::Write
        | BuiltinName::Glob
        | BuiltinName::Grep => {
            return vec![Vec::new()];
        }
        BuiltinName::WebFetch => (SLASHES, fetch),
        BuiltinName::WebSearch => (PATH, search),
    };
    let hosts = || list(1, limits::DOMAINS, host(behind));
    let ways = [("allowed_domains", "blocked_domains"), ("blocked_domains", "allowed_domains")];
    ways.map(|(given, not)| {
        [optional(given, hosts()), optional(not, null())].into_iter().chain(more()).collect()
    })
    .into()
}

fn fetch() -> Vec<ShapeField> {
    let tokens = optional("max_content_tokens", whole(1, i64::MAX as u64));
    vec![tokens, optional("url_sources", url_sources())]
}

fn search() -> Vec<ShapeField> {
    vec![optional("user_location", user_location())]
}

/// A public host, with `behind` behind it.
fn host(behind: &str) -> Value {
    let mut host = like(text(1, limits::DOMAIN_CHARS), &format!("^{HOST}{behind}$"), &["docs.example.com"]);
    let private: Vec<String> = PRIVATE.iter().map(|name| in_any_case(name)).collect();
    let last = format!(r"\.([0-9]+|{})(/|$)", private.join("|"));
    host["not"] = json!({"anyOf": [{"pattern": format!("^[^/]*{last}")}, {"pattern": "://"}]});
    host
}

/// A pattern of `word` in capitals, small letters or both.
fn in_any_case(word: &str) -> String {
    word.chars().flat_map(|letter| ['[', letter.to_ascii_uppercase(), letter, ']']).collect()
}

fn url_sources() -> Value {
    let custom = text(1, limits::TOOL_NAME_CHARS);
    object([
        optional("client_tool_results", source(&custom)),
        optional("server_tool_results", source(&one_of(&["web_search", "web_fetch"]))),
        optional("user_input", either(all_or_none())),
    ])
}

/// All or none of a source, or only some tools' results, or all but theirs.
fn source(name: &Value) -> Value {
    let some = |tag: &str| {
        let tool = tagged("tool_reference", [required("name", name.clone())]);
        tagged(tag, [required("tools", list(1, limits::URL_SOURCE_TOOLS, tool))])
    };
    either(all_or_none().into_iter().chain([some("only"), some("except")]))
}

fn all_or_none() -> [Value; 3] {
    [one_of(&["all", "none"]), tagged("all", []), tagged("none", [])]
}

fn user_location() -> Value {
    let part = "[A-Za-z0-9_+-]+";
    let zone = like(text(1, limits::PLACE_CHARS), &format!("^{part}(/{part})*$"), &["Europe/Berlin"]);
    tagged(
        "approximate",
        [
            optional("city", text(1, limits::PLACE_CHARS)),
            optional("country", like(text(2, 2), "^[A-Z]{2}$", &["DE"])),
            optional("region", text(1, limits::PLACE_CHARS)),
            optional("timezone", zone),
        ],
    )
}
