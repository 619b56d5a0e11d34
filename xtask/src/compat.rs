//! `docs/compatibility.md`: what Heddle does for each operation and event of the contract, and which test
//! shows it. Made from the contract, docs/openapi.json, the endpoints' tests and what the guests were seen to
//! do.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::contract::{Contract, Operation};
use crate::served::{self, Route};
use crate::tree::Tree;

/// The document.
pub(crate) const DOCUMENT: &str = "docs/compatibility.md";
/// Which scenarios were seen to show what; the guests' run keeps it true.
const SHOWN: &str = "clients/python/shows.json";
/// Where every event's type has its sentence.
const EVENTS: &str = "crates/protocol/src/event.rs";
/// Where every endpoint has its file.
const ENDPOINTS: &str = "crates/server/src/routes/";
/// What a stream shows and a log never holds.
const PREVIEWS: [(&str, &str); 2] = [
    ("event_start", "A message or a thought begins to come; on streams that ask for it"),
    ("event_delta", "The next piece of its text; on streams that ask for it"),
];
/// Tests named in one row, of each kind.
const NAMED: usize = 2;
/// The resources that a server of sessions cannot do without: no row of them may be open.
const CORE: [&str; 4] = ["agents", "environments", "sessions", "models"];
/// What belongs to a core resource by its path and to a later release by its meaning.
const LATER: [&str; 2] = ["environments.work.", "sessions.resources."];

/// What the guests were seen to do: scenarios by operation and by type of event.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    operations: BTreeMap<String, Vec<String>>,
    events: BTreeMap<String, Vec<String>>,
}

/// What the sources and the guests say together.
#[derive(Debug, Default)]
struct Facts {
    /// What each operation that is served does.
    served: BTreeMap<Route, String>,
    /// The tests in the endpoint's own file.
    tests: BTreeMap<Route, Vec<String>>,
    sentences: BTreeMap<String, String>,
    shown: Shown,
}

/// The document as it should read, and the open rows of the core.
pub(crate) fn document(tree: &Tree) -> Result<(String, Vec<String>), String> {
    let (contract, facts) = (Contract::read(tree)?, Facts::read(tree)?);
    Ok((written(&contract, &facts), open(&contract, &facts)))
}

/// What is untrue of the document: that it is not what the sources make of it, or an open row of the core.
pub(crate) fn check(tree: &Tree) -> Result<Vec<String>, String> {
    let (text, mut findings) = document(tree)?;
    if tree.read(DOCUMENT).ok().as_deref() != Some(text.as_str()) {
        findings.push(format!("{DOCUMENT}: is not up to date; `cargo x conform` writes it"));
    }
    Ok(findings)
}

impl Facts {
    fn read(tree: &Tree) -> Result<Self, String> {
        let mut facts = Self { served: served::read(tree)?, ..Self::default() };
        for path in tree.files(".rs")?.iter().filter(|path| path.starts_with(ENDPOINTS)) {
            let text = tree.read(path)?;
            if let Some(route) = opening(&text) {
                let beside = tree.read(&path.replace(".rs", "_tests.rs")).unwrap_or_default();
                facts.tests.insert(route, [tests(&text), tests(&beside)].concat());
            }
        }
        facts.sentences = sentences(&tree.read(EVENTS)?);
        facts.shown = serde_json::from_str(&tree.read(SHOWN)?).map_err(|e| format!("{SHOWN}: {e}"))?;
        Ok(facts)
    }

    fn serves(&self, operation: &Operation) -> bool {
        self.served.contains_key(&operation.route())
    }
}

/// The route of a file that begins ``//! `METHOD PATH`: …``.
fn opening(text: &str) -> Option<Route> {
    let (route, _) = text.lines().next()?.strip_prefix("//! `")?.split_once("`: ")?;
    let (method, path) = route.split_once(' ')?;
    Some(Route::new(method, path.split('[').next().unwrap_or(path)))
}

/// The names of the functions marked as tests, in order.
fn tests(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| std::mem::take(&mut marked)) {
            found.extend(name.split('(').next().map(str::to_owned));
        }
    }
    found
}

/// The sentence above each event's name.
fn sentences(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut above = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('"').and_then(|line| line.split('"').next()) {
            found.insert(name.to_owned(), above.trim_end_matches('.').to_owned());
        }
        above = line.strip_prefix("/// ").unwrap_or_default();
    }
    found
}

/// The rows of the core that are open.
fn open(contract: &Contract, facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for operation in contract.operations.iter().filter(|operation| is_core(operation)) {
        let name = &operation.name;
        if !facts.serves(operation) {
            findings.push(format!("{name}: of the core, and not served"));
        } else if !facts.shown.operations.contains_key(name) {
            findings.push(format!("{name}: of the core, and no guest shows it"));
        }
    }
    findings
}

fn is_core(operation: &Operation) -> bool {
    let first = operation.name.split('.').next().unwrap_or_default();
    CORE.contains(&first) && !LATER.iter().any(|later| operation.name.starts_with(later))
}

fn written(contract: &Contract, facts: &Facts) -> String {
    let served = contract.operations.iter().filter(|operation| facts.serves(operation)).count();
    let events = contract.events.iter().filter(|name| facts.shown.events.contains_key(*name)).count();
    let mut text = format!(
        "<!-- Written by `cargo x conform`; edits are lost. -->\n\
         # Compatibility\n\n\
         The Claude Managed Agents API as {} describes it: {served} of its {} operations are served, {events} of its {} types of \
         events are sent. What is not built answers 501 `not_supported_error` with `x-should-retry: false`; a \
         field that is not built is refused with a 400 that names it. Where Heddle knowingly differs: \
         [divergences.md](divergences.md).\n\n\
         *door*: a test of the endpoint's own, in its file under `{ENDPOINTS}`. *guest*: a scenario of \
         `clients/python/scenarios`, the official SDK against the real binary; each run of the guests checks \
         that it still does what this table says.\n",
        contract.sdk,
        contract.operations.len(),
        contract.events.len(),
    );
    let mut group = "";
    for operation in &contract.operations {
        let first = operation.name.split('.').next().unwrap_or_default();
        if first != group {
            group = first;
            let title = group.replace('_', " ");
            text.extend([
                "\n## ",
                &title,
                "\n\n| operation | | what Heddle does | shown by |\n|---|---|---|---|\n",
            ]);
        }
        text.push_str(&operation_row(operation, facts));
    }
    text.push_str("\n## Events\n\n| type | | what it says | shown by |\n|---|---|---|---|\n");
    for name in &contract.events {
        text.push_str(&event_row(name, facts));
    }
    text
}

fn operation_row(operation: &Operation, facts: &Facts) -> String {
    let Operation { name, http, path } = operation;
    if !facts.serves(operation) {
        return format!("| `{name}`<br>`{http} {path}` | no | 501 | |\n");
    }
    let does = facts.served.get(&operation.route()).map(String::as_str).unwrap_or_default();
    let door = facts.tests.get(&operation.route()).map(|tests| named("door", tests)).unwrap_or_default();
    let guest = facts.shown.operations.get(name).map(|names| named("guest", names)).unwrap_or_default();
    format!("| `{name}`<br>`{http} {path}` | yes | {does} | {} |\n", joined([door, guest]))
}

fn event_row(name: &str, facts: &Facts) -> String {
    let preview = PREVIEWS.iter().find(|(preview, _)| *preview == name).map(|(_, says)| *says);
    let says = facts.sentences.get(name).map(String::as_str).or(preview).unwrap_or_default();
    match facts.shown.events.get(name) {
        Some(names) => format!("| `{name}` | yes | {says} | {} |\n", named("guest", names)),
        None => format!("| `{name}` | no | {says} | |\n"),
    }
}

fn named(kind: &str, tests: &[String]) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let names: Vec<String> = tests.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    format!("{kind}: {}", names.join(", "))
}

fn joined<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, http: &str, path: &str) -> Operation {
        Operation { name: name.into(), http: http.into(), path: path.into() }
    }

    fn facts() -> Facts {
        let file = "//! `GET /v1/agents/{agent_id}[?version=N]`: one agent.\n#[cfg(test)]\nmod tests {\n    \
                    #[tokio::test]\n    async fn it_is_found() { fn inner() {} }\n    fn not_one() {}\n    \
                    #[test]\n    fn it_is_not() {}\n}\n";
        let route = opening(file).unwrap();
        let shown =
            r#"{"operations": {"agents.retrieve": ["a", "b", "c"]}, "events": {"user.message": ["d"]}}"#;
        Facts {
            served: BTreeMap::from([(route.clone(), "one agent".to_owned())]),
            tests: BTreeMap::from([(route, tests(file))]),
            sentences: sentences("    /// A person speaks.\n    \"user.message\" UserMessage {\n"),
            shown: serde_json::from_str(shown).unwrap(),
        }
    }

    fn contract() -> Contract {
        Contract {
            sdk: "anthropic 1".into(),
            operations: vec![
                operation("agents.retrieve", "GET", "/v1/agents/{id}"),
                operation("agents.create", "POST", "/v1/agents"),
                operation("vaults.list", "GET", "/v1/vaults"),
                operation("sessions.resources.list", "GET", "/v1/sessions/{id}/resources"),
            ],
            events: vec!["user.message".into(), "workflow_run.created".into()],
        }
    }

    #[test]
    fn each_row_says_what_is_done_and_which_tests_show_it() {
        let text = written(&contract(), &facts());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        let expected = [
            "| `agents.retrieve`<br>`GET /v1/agents/{id}` | yes | one agent | door: `it_is_found`, `it_is_not`; \
             guest: `a`, `b` |",
            "| `agents.create`<br>`POST /v1/agents` | no | 501 | |",
            "| `vaults.list`<br>`GET /v1/vaults` | no | 501 | |",
            "| `sessions.resources.list`<br>`GET /v1/sessions/{id}/resources` | no | 501 | |",
            "| `user.message` | yes | A person speaks | guest: `d` |",
            "| `workflow_run.created` | no |  | |",
        ];
        assert_eq!(rows, expected);
        assert!(text.contains("1 of its 4 operations are served, 1 of its 2 types"), "{text}");
    }

    #[test]
    fn an_open_row_of_the_core_is_found_and_one_of_a_later_release_is_not() {
        assert_eq!(open(&contract(), &facts()), ["agents.create: of the core, and not served"]);
        let mut unseen = facts();
        unseen.shown.operations.clear();
        unseen.served.insert(Route::new("POST", "/v1/agents"), String::new());
        let said = ["agents.retrieve", "agents.create"]
            .map(|name| format!("{name}: of the core, and no guest shows it"));
        assert_eq!(open(&contract(), &unseen), said);
    }
}
