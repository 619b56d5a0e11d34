//! Who calls: a key in `x-api-key` or `Authorization: Bearer`, looked up at every request.

use axum::http::{HeaderMap, header};
use protocol::{WorkspaceId, error::ErrorKind};
use subtle::ConstantTimeEq;

use crate::{AppState, error::ApiProblem, keys, slips};

/// The hash of a key that opens this server; it names the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallerKey(pub(crate) [u8; 32]);

/// Finds out who calls. Nothing is remembered, so that a revoked key is shut out at once.
///
/// # Errors
/// 401 without a key or with a bad one; of `anthropic-workspace-id`, 400 for what is none and 404 for
/// another's.
pub(crate) async fn caller(door: &AppState, headers: &HeaderMap) -> Result<CallerKey, ApiProblem> {
    let bad = |message: &str| ApiProblem::new(ErrorKind::Authentication, message);
    let secret = secret(headers).ok_or_else(|| bad(slips::key::missing(headers)))?;
    let hash = keys::hash(secret);
    let from_environment = door.settings.env_key_hash.is_some_and(|known| bool::from(known.ct_eq(&hash)));
    let workspace = door.settings.workspace;
    if !from_environment && keys::find(door.engine.store(), workspace, &hash).await?.is_none() {
        return Err(bad(slips::key::wrong(secret)));
    }
    same_workspace(workspace, headers)?;
    Ok(CallerKey(hash))
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = || {
        let (scheme, secret) = text(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
    };
    let given = |secret: &&str| !secret.is_empty();
    text("x-api-key").filter(given).or_else(|| bearer().filter(given))
}

/// `anthropic-workspace-id` may be left out; if it is sent, it must match.
fn same_workspace(workspace: WorkspaceId, headers: &HeaderMap) -> Result<(), ApiProblem> {
    let Some(asked) = headers.get("anthropic-workspace-id") else { return Ok(()) };
    let (kind, wrong) = match asked.to_str().unwrap_or_default().trim().parse::<WorkspaceId>() {
        Ok(asked) if asked == workspace => return Ok(()),
        Ok(asked) => (ErrorKind::NotFound, format!("there is no workspace {asked} here")),
        Err(wrong) if wrong.is_foreign() => (ErrorKind::NotFound, wrong.to_string()),
        Err(wrong) => (ErrorKind::InvalidRequest, wrong.to_string()),
    };
    let message = format!(
        "anthropic-workspace-id: {wrong}; this key belongs to {workspace}: send that, or leave it out"
    );
    Err(ApiProblem::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_first_that_says_anything() {
        for (api_key, authorization, found) in [
            (Some("a"), Some("Bearer b"), Some("a")),
            (Some(" a "), None, Some("a")),
            (Some(""), Some("Bearer b"), Some("b")),
            (None, Some("bEARER   b "), Some("b")),
            (Some(" "), Some("Bearer "), None),
            (None, Some("Basic b"), None),
            (None, Some("Bearer"), None),
            (None, Some("b"), None),
            (None, None, None),
        ] {
            let given = [("x-api-key", api_key), ("authorization", authorization)];
            let mut headers = HeaderMap::new();
            for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                headers.insert(name, value.parse().expect("a header"));
            }
            assert_eq!(secret(&headers), found, "{given:?}");
        }
    }
}
