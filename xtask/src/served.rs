//! What the server does with each operation: read out of docs/openapi.json, which a test of the server holds
//! equal to what it serves.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tree::Tree;

/// The document, as the server's own test keeps it.
const FILE: &str = "docs/openapi.json";

/// A method and a path whose parameters are all written `{}`, so that their names do not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) method: String,
}

impl Route {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        Self { path: parts.collect::<Vec<_>>().join("/"), method: method.to_uppercase() }
    }
}

/// What each operation that is served does, in a sentence without its end.
pub(crate) fn read(tree: &Tree) -> Result<BTreeMap<Route, String>, String> {
    parse(&tree.read(FILE)?)
}

fn parse(text: &str) -> Result<BTreeMap<Route, String>, String> {
    let document: Value = serde_json::from_str(text).map_err(|e| format!("{FILE}: {e}"))?;
    let paths = document.get("paths").and_then(Value::as_object).ok_or(format!("{FILE}: has no paths"))?;
    let mut served = BTreeMap::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            if operation.get("x-heddle-status").is_none() {
                let summary = operation.get("summary").and_then(Value::as_str).unwrap_or_default();
                served.insert(Route::new(method, path), lowered(summary));
            }
        }
    }
    Ok(served)
}

/// The text with a small first letter.
fn lowered(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_has_a_sentence_and_what_is_not_built_has_none() {
        let text = r#"{"paths": {
            "/v1/agents": {"get": {"summary": "The agents, newest first"}, "post": {"x-heddle-status": "not-built"}},
            "/v1/agents/{agent_id}": {"get": {"summary": "One agent"}}}}"#;
        let expected = [("/v1/agents", "the agents, newest first"), ("/v1/agents/{id}", "one agent")];
        let expected = expected.map(|(path, does)| (Route::new("GET", path), does.to_owned()));
        assert_eq!(parse(text), Ok(BTreeMap::from(expected)));
        assert_eq!(parse("{}"), Err("docs/openapi.json: has no paths".to_owned()));
    }
}
