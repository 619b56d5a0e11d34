//! The operations of the contract beside the server's routes, and the contract's own renewal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::python::{self, NoPython};
use crate::routes::{self, Answer, Route};
use crate::tree::Tree;

/// The project's copy of the contract.
const CONTRACT: &str = "clients/contract/contract.json";

/// One operation of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Operation {
    /// As the SDK names it, for example `sessions.events.send`.
    name: String,
    http: String,
    path: String,
}

/// Prints the table; with `refresh` writes the contract anew first.
pub(crate) fn run(tree: &Tree, refresh: bool) -> Result<bool, String> {
    if refresh && !renew(tree)? {
        return Ok(false);
    }
    let operations = operations(&tree.read(CONTRACT)?)?;
    let mut sources = Vec::new();
    for path in tree.files(".rs")?.iter().filter(|path| path.starts_with("crates/server/src/")) {
        sources.push(tree.read(path)?);
    }
    let routes = routes::read(sources.iter().map(String::as_str))?;
    println!("{}", table(&operations, &routes).join("\n"));
    Ok(true)
}

/// Reads the official SDK again, in the version that the requirements pin.
fn renew(tree: &Tree) -> Result<bool, String> {
    let python = match python::interpreter(tree, "contract", "clients/contract/requirements.txt") {
        Ok(python) => python,
        Err(NoPython::Missing(why) | NoPython::Broken(why)) => return Err(why),
    };
    let mut extract = tree.command(python);
    let status = extract.args(["clients/contract/extract.py", CONTRACT]).status();
    status.map(|status| status.success()).map_err(|e| format!("extract.py: {e}"))
}

fn operations(contract: &str) -> Result<Vec<Operation>, String> {
    let contract: Value = serde_json::from_str(contract).map_err(|e| format!("{CONTRACT}: {e}"))?;
    let listed = contract.get("operations").and_then(Value::as_array);
    let text = |operation: &Value, key: &str| operation.get(key).and_then(Value::as_str).map(str::to_owned);
    listed
        .into_iter()
        .flatten()
        .map(|operation| {
            Some(Operation {
                name: text(operation, "operation")?,
                http: text(operation, "http")?,
                path: text(operation, "path")?,
            })
        })
        .collect::<Option<Vec<_>>>()
        .filter(|operations| !operations.is_empty())
        .ok_or_else(|| format!("{CONTRACT}: operations need operation, http and path"))
}

/// The operations in the contract's order, each with what the server does; then routes nobody asks for.
fn table(operations: &[Operation], routes: &BTreeMap<Route, Answer>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut asked = BTreeSet::new();
    let (mut served, mut refused) = (0, 0);
    for operation in operations {
        let route = Route::new(&operation.http, &operation.path);
        let mark = match routes.get(&route) {
            Some(Answer::Served) => {
                served += 1;
                "yes"
            }
            Some(Answer::Refused) => {
                refused += 1;
                "not yet"
            }
            None => "unknown",
        };
        lines.push(format!("{mark:<9}{:<40}{:<7}{}", operation.name, operation.http, operation.path));
        asked.insert(route);
    }
    for route in routes.keys().filter(|route| !asked.contains(route)) {
        lines.push(format!("{:<9}{:<40}{:<7}{}", "own", "(not in the contract)", route.method, route.path));
    }
    let unknown = operations.len() - served - refused;
    lines.push(format!("{served} served, {refused} refused by name, {unknown} unknown to the server"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_marked_by_method_and_path_and_own_routes_follow() {
        let contract = r#"{"sdk": "x", "operations": [
            {"operation": "agents.create", "http": "POST", "path": "/v1/agents"},
            {"operation": "agents.retrieve", "http": "GET", "path": "/v1/agents/{agent_id}"},
            {"operation": "vaults.list", "http": "GET", "path": "/v1/vaults"}]}"#;
        let routes = BTreeMap::from([
            (Route::new("GET", "/v1/agents/{id}"), Answer::Served),
            (Route::new("GET", "/v1/vaults"), Answer::Refused),
            (Route::new("GET", "/healthz"), Answer::Served),
        ]);
        let said = table(&operations(contract).unwrap(), &routes);
        let expected = [
            "unknown  agents.create                           POST   /v1/agents",
            "yes      agents.retrieve                         GET    /v1/agents/{agent_id}",
            "not yet  vaults.list                             GET    /v1/vaults",
            "own      (not in the contract)                   GET    /healthz",
            "1 served, 1 refused by name, 1 unknown to the server",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_contract_without_operations_is_refused() {
        let said = Err("clients/contract/contract.json: operations need operation, http and path".to_owned());
        assert_eq!(operations("{}"), said);
        assert_eq!(operations(r#"{"operations": [{"operation": "a"}]}"#), said);
    }
}
