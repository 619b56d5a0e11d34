//! What people get wrong about where this server is and what it is: the sentence that says what to change.

use axum::http::{HeaderMap, HeaderValue};
use protocol::{near, parse, routes::OWN_KEY};

use crate::{keys, operation::Face, routes::operations};

/// What a Messages API or a chat server has, and this server has not.
const MODEL_PATHS: [&str; 6] =
    ["messages", "complete", "chat/completions", "completions", "responses", "embeddings"];

/// Resources of the API: who asks for one at the root has left out `/v1`.
const RESOURCES: [&str; 7] = ["agents", "environments", "sessions", "models", "files", "skills", "vaults"];

/// How the id of a key begins.
const KEY_ID: &str = "apikey_";

/// What people ask a session or a thread for, and where it is.
const CALLED: [(&str, &str); 2] = [("/stream", "/events/stream"), ("/messages", "/events")];

/// Where the Qoder Cloud Agents API has its paths.
const QODER: &str = "/api/v1/cloud";

/// What a client is told of a path that leads nowhere.
pub(crate) fn path(path: &str) -> String {
    let shown = parse::shown(path);
    if path == "*" {
        return "`*` is the whole server, of which nothing can be asked; GET /openapi.json lists what there is".into();
    }
    let below = |base: &str| path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(rest) = below("/v1/v1") {
        let rest = parse::shown(rest);
        return format!(
            "there is nothing at {shown}: clients put `/v1` in front of their paths themselves; take it off the end of \
             the base URL, and they ask for /v1{rest}"
        );
    }
    if let Some(rest) = below(QODER) {
        let what = if rest.is_empty() { "this" } else { "what is below it" };
        return format!(
            "there is nothing at {shown}: the Qoder Cloud Agents API ({QODER}) is not supported yet; the Claude Managed \
             Agents API says {what} under /v1: take `{QODER}` off the base URL"
        );
    }
    let clean = cleaned(path);
    if clean != path {
        let clean = parse::shown(&clean);
        return format!(
            "there is nothing at {shown}: a path has single slashes, and none at its end; ask for {clean}"
        );
    }
    let bare = below("/v1").map_or(path, |rest| rest).trim_start_matches('/');
    if MODEL_PATHS.iter().any(|known| bare == *known || bare.starts_with(&format!("{known}/"))) {
        return format!(
            "there is nothing at {shown}: this server runs agents and does not pass requests on to models; create an \
             agent and a session (POST /v1/agents, then POST /v1/sessions), or send this to the model's provider"
        );
    }
    let first = bare.split('/').next().unwrap_or_default();
    if below("/v1").is_none() && RESOURCES.contains(&first) {
        return format!("there is nothing at {shown}: the API's paths begin with /v1; ask for /v1{shown}");
    }
    if let Some((before, _)) = path.rsplit_once("/v1/").filter(|(before, _)| !before.is_empty()) {
        let before = parse::shown(before);
        return format!(
            "there is nothing at {shown}: the API's paths begin with /v1; take `{before}` off the base URL, or have the \
             proxy in front take it off"
        );
    }
    if let Some(right) = meant(path) {
        return format!("there is nothing at {shown}; did you mean {}?", parse::shown(&right));
    }
    format!("there is nothing at {shown}; GET /openapi.json lists what there is")
}

/// The path that is meant by one of which a word is misspelt, or wrong as people often have it.
fn meant(path: &str) -> Option<String> {
    let spelt = |path: &str| {
        let sent: Vec<&str> = path.split('/').collect();
        let known = operations().filter(|known| known.is_served() && known.face == Face::Claude);
        let known = known.map(|known| known.path.split('/').collect::<Vec<_>>());
        known.filter_map(|pattern| spelt(&sent, &pattern)).min().map(|(_, right)| right)
    };
    let called = |(said, right): &(&str, &str)| spelt(&format!("{}{right}", path.strip_suffix(said)?));
    CALLED.iter().find_map(called).or_else(|| spelt(path))
}

/// What was `sent`, spelt as in `pattern`, and how many edits that takes; `None`: it is another path.
fn spelt(sent: &[&str], pattern: &[&str]) -> Option<(usize, String)> {
    if sent.len() != pattern.len() {
        return None;
    }
    let (mut edits, mut right) = (0, Vec::new());
    for (sent, known) in sent.iter().zip(pattern) {
        if known.starts_with('{') {
            right.push(*sent);
        } else {
            if sent != known {
                near::nearest(sent, [*known])?;
                edits += near::edits(sent, known);
            }
            right.push(known);
        }
    }
    Some((edits, right.join("/")))
}

/// The path with one slash wherever it has several, and without any at its end.
fn cleaned(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.fold(String::new(), |clean, part| clean + "/" + part)
}

/// What a client is told of a key that does not open, by its shape alone. The key is not in it.
pub(crate) fn key(secret: &str) -> &'static str {
    let begins = |with: &str| secret.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let quote = |letter: char| "\"'`".contains(letter);
    if begins("sk-") {
        "this is a key of a model's provider, and this server has keys of its own: `heddle keys create NAME` makes one; \
         set it as the client's API key, and the provider's key in the server's environment"
    } else if begins("bearer ") {
        "this API key is sent with `Bearer` in front of it, where that is taken for a part of it: send `x-api-key: KEY` \
         or `Authorization: Bearer KEY`"
    } else if secret.starts_with(quote) || secret.ends_with(quote) {
        "this API key is sent in quotes, which are taken for a part of it: leave them off"
    } else if secret.starts_with('$') {
        "this API key is the name of a variable, which nothing has put the value in place of, as in 'single quotes': \
         send the value"
    } else if begins(KEY_ID) {
        "this API key is the id of one: send the secret, which begins with `hdl_` and was shown when the key was made; \
         `heddle keys create NAME` makes another"
    } else if begins(OWN_KEY) && !keys::is_whole(secret) {
        "this API key is not whole, or has a letter that none has: copy all of it, `hdl_` and 43 or 44 letters and \
         digits; `heddle keys create NAME` makes another"
    } else {
        "this API key is unknown or revoked; `heddle keys create NAME` makes one, and `heddle keys list` says which there \
         are, without their secrets, which are shown only once"
    }
}

/// What a client is told that has shown no key.
pub(crate) fn no_key(headers: &HeaderMap) -> &'static str {
    let sent = |name| headers.get(name).filter(|value: &&HeaderValue| !value.is_empty());
    let (own, authorization) = (sent("x-api-key"), sent("authorization"));
    if own.into_iter().chain(authorization).any(|value| value.to_str().is_err()) {
        return "the API key has characters that are not ASCII, such as the `…` of an example: send the whole key that \
                this server showed when it was made";
    }
    let scheme = authorization.and_then(|value| value.to_str().ok()).and_then(|text| text.split(' ').next());
    if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("bearer")) {
        return "no API key: what is sent as `Authorization` does not begin with `Bearer`: send `Authorization: Bearer KEY` \
                or `x-api-key: KEY`";
    }
    "no API key: send it as `x-api-key: KEY` or `Authorization: Bearer KEY`"
}

/// What a client is told, in plain HTTP, that speaks TLS to this server. It will not show it, but who looks
/// at what came sees it, and the server's log says the same.
pub(crate) const TLS: &str = "this server speaks plain HTTP here: write http:// in the base URL, or put a proxy that \
                              speaks TLS in front";

#[cfg(test)]
#[path = "slips_tests.rs"]
mod tests;
