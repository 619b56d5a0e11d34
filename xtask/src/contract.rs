//! The project's copy of the contract: its operations and the types of its events.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::served::Route;
use crate::tree::Tree;

/// Where it is.
pub(crate) const FILE: &str = "clients/contract/contract.json";

/// What the broom needs to know of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contract {
    /// The SDK it was read from, with its version.
    pub(crate) sdk: String,
    /// In the contract's order.
    pub(crate) operations: Vec<Operation>,
    /// The types of events that a session's list and stream may show, in the contract's order.
    pub(crate) events: Vec<String>,
}

/// One operation of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// As the SDK names it, for example `sessions.events.send`.
    pub(crate) name: String,
    pub(crate) http: String,
    pub(crate) path: String,
}

impl Operation {
    /// Its method and path, whatever its parameters are called.
    pub(crate) fn route(&self) -> Route {
        Route::new(&self.http, &self.path)
    }
}

impl Contract {
    /// The repository's own.
    pub(crate) fn read(tree: &Tree) -> Result<Self, String> {
        Self::parse(&tree.read(FILE)?)
    }

    /// What `text` says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("{FILE}: {e}"))?;
        let listed = value.get("operations").and_then(Value::as_array).cloned().unwrap_or_default();
        let operations = listed.iter().map(operation).collect::<Option<Vec<_>>>();
        let operations = operations
            .filter(|operations| !operations.is_empty())
            .ok_or_else(|| format!("{FILE}: operations need operation, http and path"))?;
        let sdk = value.get("sdk").map(|sdk| sdk.as_str().map_or_else(|| sdk.to_string(), str::to_owned));
        let shows = |name: &str, key: &str| {
            let asked = listed.iter().find(|it| it.get("operation").is_some_and(|it| it == name));
            asked.map(|asked| types(&value, asked.get(key))).unwrap_or_default()
        };
        let mut seen = BTreeSet::new();
        let events =
            [shows("sessions.events.list", "item"), shows("sessions.events.stream", "event")].concat();
        let events = events.into_iter().filter(|name| seen.insert(name.clone())).collect();
        Ok(Self { sdk: sdk.unwrap_or_default(), operations, events })
    }
}

fn operation(operation: &Value) -> Option<Operation> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Operation { name: text("operation")?, http: text("http")?, path: text("path")? })
}

/// The `type` of each branch of a union, references followed.
fn types(contract: &Value, union: Option<&Value>) -> Vec<String> {
    let branches = union.and_then(|union| union.get("anyOf")).and_then(Value::as_array);
    let branch = |branch: &Value| {
        let whole = match branch.get("$ref").and_then(Value::as_str) {
            Some(reference) => contract.pointer(reference.trim_start_matches('#'))?,
            None => branch,
        };
        Some(whole.pointer("/properties/type/const")?.as_str()?.to_owned())
    };
    branches.into_iter().flatten().filter_map(branch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_events_are_read_with_references_followed() {
        let text = r##"{"sdk": "anthropic 1", "operations": [
            {"operation": "sessions.events.list", "http": "GET", "path": "/e",
             "item": {"anyOf": [{"$ref": "#/components/schemas/A"}]}},
            {"operation": "sessions.events.stream", "http": "GET", "path": "/s",
             "event": {"anyOf": [{"$ref": "#/components/schemas/A"}, {"properties": {"type": {"const": "b"}}}]}}],
            "components": {"schemas": {"A": {"properties": {"type": {"const": "a"}}}}}}"##;
        let operation = |name: &str, path: &str| Operation {
            name: format!("sessions.events.{name}"),
            http: "GET".into(),
            path: path.into(),
        };
        let expected = Contract {
            sdk: "anthropic 1".into(),
            operations: vec![operation("list", "/e"), operation("stream", "/s")],
            events: vec!["a".into(), "b".into()],
        };
        assert_eq!(Contract::parse(text), Ok(expected));
    }

    #[test]
    fn a_contract_without_operations_is_refused() {
        let said = Err("clients/contract/contract.json: operations need operation, http and path".to_owned());
        assert_eq!(Contract::parse("{}"), said);
        assert_eq!(Contract::parse(r#"{"operations": [{"operation": "a"}]}"#), said);
    }
}
