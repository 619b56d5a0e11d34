//! The contract's own renewal, and the document that holds the server against it.

use crate::compat;
use crate::contract;
use crate::python::{self, NoPython};
use crate::tree::Tree;

/// Writes the document; with `refresh` the contract first.
pub(crate) fn run(tree: &Tree, refresh: bool) -> Result<bool, String> {
    if refresh && !renew(tree)? {
        return Ok(false);
    }
    let (text, open) = compat::document(tree)?;
    std::fs::write(tree.root.join(compat::DOCUMENT), &text)
        .map_err(|e| format!("{}: {e}", compat::DOCUMENT))?;
    println!("conform: wrote {}", compat::DOCUMENT);
    Ok(crate::report("conform", &open))
}

/// Reads the official SDK again, in the version that the requirements pin.
fn renew(tree: &Tree) -> Result<bool, String> {
    let python = match python::interpreter(tree, "contract", "clients/contract/requirements.txt") {
        Ok(python) => python,
        Err(NoPython::Missing(why) | NoPython::Broken(why)) => return Err(why),
    };
    let mut extract = tree.command(python);
    let status = extract.args(["clients/contract/extract.py", contract::FILE]).status();
    status.map(|status| status.success()).map_err(|e| format!("extract.py: {e}"))
}
