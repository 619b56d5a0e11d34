//! What people get wrong about where this server is and what it is: the sentence that says what to change.

use protocol::parse;

/// What a Messages API or a chat server has, and this server has not.
const MODEL_PATHS: [&str; 6] =
    ["messages", "complete", "chat/completions", "completions", "responses", "embeddings"];

/// Resources of the API: who asks for one at the root has left out `/v1`.
const RESOURCES: [&str; 7] = ["agents", "environments", "sessions", "models", "files", "skills", "vaults"];

/// Where the Qoder Cloud Agents API has its paths.
const QODER: &str = "/api/v1/cloud";

/// What a client is told of a path that leads nowhere.
pub(crate) fn path(path: &str) -> String {
    let shown = parse::shown(path);
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
    if let Some((before, _)) = path.split_once("/v1/").filter(|(before, _)| !before.is_empty()) {
        let before = parse::shown(before);
        return format!(
            "there is nothing at {shown}: the API's paths begin with /v1; take `{before}` off the base URL, or have the \
             proxy in front take it off"
        );
    }
    format!("there is nothing at {shown}; GET /openapi.json lists what there is")
}

/// The path with one slash wherever it has several, and without any at its end.
fn cleaned(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.fold(String::new(), |clean, part| clean + "/" + part)
}

/// What a client is told of a key that does not open. The key is not in it.
pub(crate) fn key(secret: &str) -> &'static str {
    if secret.starts_with("sk-") {
        "this is a key of a model's provider, and this server has keys of its own: `heddle keys create NAME` makes one; \
         set it as the client's API key, and the provider's key in the server's environment"
    } else {
        "this API key is unknown or revoked; `heddle keys list` shows the good ones, `heddle keys create NAME` makes one"
    }
}

/// What a client is told, in plain HTTP, that speaks TLS to this server. It will not show it, but who looks
/// at what came sees it, and the server's log says the same.
pub(crate) const TLS: &str = "this server speaks plain HTTP here: write http:// in the base URL, or put a proxy that \
                              speaks TLS in front";

#[cfg(test)]
#[path = "slips_tests.rs"]
mod tests;
