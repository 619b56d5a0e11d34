//! Python for the guests and the contract: a virtual environment under `target`, with pinned packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tree::Tree;

/// Why there is no interpreter with its packages.
#[derive(Debug)]
pub(crate) enum NoPython {
    /// The machine has no python3 that can make a virtual environment.
    Missing(String),
    /// It has, and making it or installing went wrong.
    Broken(String),
}

/// The machine's own interpreter, for programs that need its standard library alone.
pub(crate) fn bare() -> Result<PathBuf, String> {
    let python = PathBuf::from("python3");
    let found = Command::new(&python).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        Ok(python)
    } else {
        Err("python3 is not installed".to_owned())
    }
}

/// The interpreter of `target/<name>/venv`, made if need be, with what the requirements file pins. While the
/// pins stay as they are nothing is installed again.
pub(crate) fn interpreter(tree: &Tree, name: &str, requirements: &str) -> Result<PathBuf, NoPython> {
    let pins = tree.read(requirements).map_err(NoPython::Broken)?;
    let (python, note) = (python_of(tree, name), tree.target.join(name).join("installed.txt"));
    if python.exists() && std::fs::read_to_string(&note).is_ok_and(|installed| installed == pins) {
        return Ok(python);
    }
    let python = installed(tree, name, Path::new(requirements), &[])?;
    std::fs::write(&note, pins).map_err(|why| NoPython::Broken(format!("{}: {why}", note.display())))?;
    Ok(python)
}

/// The same for a file that does not pin everything, with little patience for an index that is not there.
pub(crate) fn unpinned(tree: &Tree, name: &str, requirements: &Path) -> Result<PathBuf, NoPython> {
    installed(tree, name, requirements, &["--retries", "0", "--timeout", "15"])
}

fn python_of(tree: &Tree, name: &str) -> PathBuf {
    tree.target.join(name).join("venv").join("bin").join("python")
}

fn installed(tree: &Tree, name: &str, requirements: &Path, how: &[&str]) -> Result<PathBuf, NoPython> {
    let able = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !able.is_ok_and(|status| status.success()) {
        return Err(NoPython::Missing("python3 with its venv module is not installed".to_owned()));
    }
    let python = python_of(tree, name);
    if !python.exists() {
        must(tree.command("python3").args(["-m", "venv"]).arg(tree.target.join(name).join("venv")))?;
    }
    must(
        tree.command(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"])
            .args(how)
            .arg("--requirement")
            .arg(requirements),
    )?;
    Ok(python)
}

fn must(command: &mut Command) -> Result<(), NoPython> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(NoPython::Broken(format!("{program}: {status}"))),
        Err(why) => Err(NoPython::Broken(format!("{program}: {why}"))),
    }
}
