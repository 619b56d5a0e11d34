//! The contract's own renewal, what a newer SDK would change of it, and the document that holds the server
//! against it.

use std::path::Path;

use serde_json::Value;

use crate::compat;
use crate::contract;
use crate::difference;
use crate::python::{self, NoPython};
use crate::tree::Tree;

/// What the contract is read with, and from.
const PINS: &str = "clients/contract/requirements.txt";
/// The package that holds the official SDK.
const SDK: &str = "anthropic";

/// Writes the document; with `refresh` the contract first.
pub(crate) fn run(tree: &Tree, refresh: bool) -> Result<bool, String> {
    if refresh && !renew(tree)? {
        return Ok(false);
    }
    if !describe(tree)? {
        return Ok(false);
    }
    let (text, open) = compat::document(tree)?;
    std::fs::write(tree.root.join(compat::DOCUMENT), &text)
        .map_err(|e| format!("{}: {e}", compat::DOCUMENT))?;
    println!("conform: wrote {}", compat::DOCUMENT);
    Ok(crate::report("conform", &open))
}

/// Lets the server's own test write docs/openapi.json.
fn describe(tree: &Tree) -> Result<bool, String> {
    let mut test = tree.command("cargo");
    test.args(["test", "--workspace", "--quiet", "--lib", "openapi::tests::the_document_in_docs"]);
    let status = test.env("UPDATE_OPENAPI", "1").status();
    status.map(|status| status.success()).map_err(|e| format!("cargo test: {e}"))
}

/// Reads the official SDK again, in the version that the requirements pin.
fn renew(tree: &Tree) -> Result<bool, String> {
    let python = python::interpreter(tree, "contract", PINS).map_err(why)?;
    extract(tree, &python, contract::FILE)
}

/// Says how the contract of the newest official SDK differs from the repository's; changes nothing.
pub(crate) fn newest(tree: &Tree) -> Result<bool, String> {
    let pins = tree.read(PINS)?;
    // What reads the SDK stays as it is, so that only the SDK can make a difference.
    let others = pins.lines().filter(|pin| !pin.starts_with(SDK)).map(|pin| format!("{pin}\n"));
    let folder = tree.target.join("newest");
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    // An environment that is there already would pass for the newest where no index can be asked.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let requirements = folder.join("requirements.txt");
    let text = format!("{SDK}\n{}", others.collect::<String>());
    std::fs::write(&requirements, text).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let python = python::unpinned(tree, "newest", &requirements).map_err(|no| {
        format!(
            "the newest {SDK} cannot be had: {}; this verb needs the package index that pip asks",
            why(no)
        )
    })?;
    let made = folder.join("contract.json");
    if !extract(tree, &python, &made.to_string_lossy())? {
        return Ok(false);
    }
    let read = |text: String| serde_json::from_str::<Value>(&text).map_err(|e| format!("a contract: {e}"));
    let pinned = read(tree.read(contract::FILE)?)?;
    let newest = read(std::fs::read_to_string(&made).map_err(|e| format!("{}: {e}", made.display()))?)?;
    let sdk = |contract: &Value| contract.get("sdk").and_then(Value::as_str).unwrap_or("?").to_owned();
    println!("conform: {} is pinned, {} is the newest", sdk(&pinned), sdk(&newest));
    let lines = difference::between(&pinned, &newest);
    for line in &lines {
        println!("{line}");
    }
    match lines.len() {
        0 => println!("conform: nothing changed"),
        many => println!("conform: {many} differences; a new pin in {PINS} and `--refresh` take them over"),
    }
    Ok(true)
}

/// Writes the contract of the SDK that this interpreter has.
fn extract(tree: &Tree, python: &Path, into: &str) -> Result<bool, String> {
    let mut extract = tree.command(python);
    let status = extract.args(["clients/contract/extract.py", into]).status();
    status.map(|status| status.success()).map_err(|e| format!("extract.py: {e}"))
}

fn why(no: NoPython) -> String {
    match no {
        NoPython::Missing(why) | NoPython::Broken(why) => why,
    }
}
