//! What people get wrong about where things are: what a path that leads nowhere was meant to be.

use protocol::{near, parse};

use crate::{error::ApiProblem, operation::Face, routes::operations};

/// What a Messages API or a chat server has, and this server has not.
const MODEL_PATHS: [&str; 6] =
    ["messages", "complete", "chat/completions", "completions", "responses", "embeddings"];

/// Resources of the API: who asks for one at the root has left out `/v1`.
const RESOURCES: [&str; 7] = ["agents", "environments", "sessions", "models", "files", "skills", "vaults"];

/// What people ask a session or a thread for, and where it is.
const CALLED: [(&str, &str); 2] = [("/stream", "/events/stream"), ("/messages", "/events")];

/// Where the Qoder Cloud Agents API has its paths.
const QODER: &str = "/api/v1/cloud";

/// No such path, and what is meant by it.
pub(crate) fn unknown(path: &str) -> ApiProblem {
    ApiProblem::missing(told(path))
}

/// What a client is told of a path that leads nowhere.
fn told(path: &str) -> String {
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
