//! Rules for the lockfile and the documents: packages and commands that they name must exist.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::rust_file;
use crate::tree::Tree;

/// Packages the lockfile may hold.
const PACKAGES_MAX: usize = 400;
/// Documents whose commands are checked. They must be there.
const DOCUMENTS: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "docs/compatibility.md",
    "docs/limits.md",
    NEW_RESOURCE,
    "docs/proxies.md",
    "docs/rules.md",
];

/// The document that shows what a resource costs, as a diff.
const NEW_RESOURCE: &str = "docs/new-resource.md";

/// Everything untrue in the paperwork, one sentence each.
pub(crate) fn check(tree: &Tree, verbs: &[String]) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    findings.extend(lockfile(&tree.read("Cargo.lock")?)?);
    findings.extend(dependencies(&tree.read("Cargo.toml")?, &tree.read("docs/dependencies.md")?)?);
    let mut heddle = BTreeSet::new();
    for path in tree.files(".rs")?.iter().filter(|path| path.starts_with("crates/heddle/src/")) {
        heddle.extend(subcommands(&tree.read(path)?).unwrap_or_default());
    }
    for document in DOCUMENTS {
        match tree.read(document) {
            Err(why) => findings.push(why),
            Ok(text) => findings.extend(commands(document, &text, verbs, &heddle)),
        }
    }
    findings.extend(diff(tree)?);
    Ok(findings)
}

/// What is shown as a diff of this repository must apply to it.
fn diff(tree: &Tree) -> Result<Option<String>, String> {
    let text = tree.read(NEW_RESOURCE)?;
    let Some(diff) = text.split("```diff\n").nth(1).and_then(|rest| rest.split("```").next()) else {
        return Ok(Some(format!("{NEW_RESOURCE} shows no diff")));
    };
    let mut git = tree.command("git");
    let mut git = git
        .args(["apply", "--check"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("git apply: {e}"))?;
    // It is read to its end before anything is said of it.
    git.stdin
        .take()
        .map(|mut stdin| stdin.write_all(diff.as_bytes()))
        .transpose()
        .map_err(|e| format!("git apply: {e}"))?;
    let told = git.wait_with_output().map_err(|e| format!("git apply: {e}"))?;
    let why = String::from_utf8_lossy(&told.stderr).trim().replace('\n', "; ");
    Ok((!told.status.success()).then(|| format!("{NEW_RESOURCE}: its diff does not apply: {why}")))
}

fn lockfile(lock: &str) -> Result<Option<String>, String> {
    let lock: toml::Table = lock.parse().map_err(|e| format!("Cargo.lock: {e}"))?;
    let count = lock.get("package").and_then(toml::Value::as_array).map_or(0, Vec::len);
    Ok((count > PACKAGES_MAX).then(|| format!("Cargo.lock: {count} packages; at most {PACKAGES_MAX}")))
}

/// Every outside dependency has its sentence, `` - `name`: … ``, and no sentence is left over.
fn dependencies(manifest: &str, document: &str) -> Result<Vec<String>, String> {
    let manifest: toml::Table = manifest.parse().map_err(|e| format!("Cargo.toml: {e}"))?;
    let table = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let listed: BTreeSet<&str> = table
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let told: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "))
        .filter(|(_, sentence)| !sentence.trim().is_empty())
        .map(|(name, _)| name)
        .collect();
    let missing = listed.difference(&told).map(|name| format!("docs/dependencies.md: no line for {name}"));
    let left = told
        .difference(&listed)
        .map(|name| format!("docs/dependencies.md: {name} is no dependency of the workspace"));
    Ok(missing.chain(left).collect())
}

/// Commands in fenced blocks and code spans must name verbs that exist.
fn commands(document: &str, text: &str, verbs: &[String], heddle: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, command) in code(text) {
        let words: Vec<&str> = command.trim_start_matches("$ ").split_whitespace().collect();
        let (tool, verb, known) = match words.as_slice() {
            ["cargo", "x", verb, ..] => ("cargo x", *verb, verbs.iter().any(|known| known == verb)),
            ["cargo", "run", rest @ ..] if !rest.iter().any(|word| matches!(*word, "-p" | "--package")) => {
                let Some(at) = rest.iter().position(|word| *word == "--") else { continue };
                let Some(verb) = rest.get(at + 1) else { continue };
                ("heddle", *verb, heddle.contains(*verb))
            }
            [program, verb, ..] if program.rsplit('/').next() == Some("heddle") => {
                ("heddle", *verb, heddle.contains(*verb))
            }
            _ => continue,
        };
        if !known && verb.starts_with(|first: char| first.is_ascii_lowercase()) {
            findings.push(format!("{document}:{line}: {tool} has no verb {verb}"));
        }
    }
    findings
}

/// Lines of fenced blocks and inline code spans, with their line numbers.
fn code(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((at + 1, line.trim()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (at + 1, span.trim())));
        }
    }
    found
}

/// The verbs that a file's `#[derive(Subcommand)]` enums give to a command line.
fn subcommands(text: &str) -> Result<Vec<String>, String> {
    let tokens: Vec<TokenTree> = rust_file::tokens(text)?.into_iter().collect();
    let mut found = Vec::new();
    let mut derived = false;
    for (at, token) in tokens.iter().enumerate() {
        if let Some((group, _)) = rust_file::attribute(&tokens, at) {
            let attribute = group.stream().to_string();
            derived |= attribute.starts_with("derive") && attribute.contains("Subcommand");
        }
        if let TokenTree::Group(group) = token
            && group.delimiter() == Delimiter::Brace
        {
            if derived {
                found.extend(variants(group.stream()));
            }
            derived = false;
        }
    }
    Ok(found)
}

/// The variants of an enum's body, as clap spells them.
fn variants(body: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let mut found = Vec::new();
    let mut first = true;
    for token in &tokens {
        match token {
            TokenTree::Ident(name) if first => {
                found.push(kebab(&name.to_string()));
                first = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => first = true,
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Group(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

/// `KeepDays` as `keep-days`.
fn kebab(name: &str) -> String {
    let mut spelled = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_ascii_uppercase() {
            spelled.push('-');
        }
        spelled.push(letter.to_ascii_lowercase());
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_over_its_budget_is_named() {
        let lock = |count: usize| "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n".repeat(count);
        assert_eq!(lockfile(&lock(400)), Ok(None));
        assert_eq!(lockfile(&lock(401)), Ok(Some("Cargo.lock: 401 packages; at most 400".to_owned())));
    }

    #[test]
    fn every_outside_dependency_has_a_sentence_and_no_sentence_is_left_over() {
        let manifest = "[workspace.dependencies]\nkernel = { path = \"crates/kernel\" }\nserde = \"1\"\n\
                        axum = { version = \"0.8\" }\ntokio = \"1\"\n";
        let document = "# Dependencies\n\n- `axum`: routes requests.\n- `serde`:  \n- `rand`: rolls dice.\n- `tokio` runs\n";
        let said = dependencies(manifest, document).unwrap();
        assert_eq!(
            said,
            [
                "docs/dependencies.md: no line for serde",
                "docs/dependencies.md: no line for tokio",
                "docs/dependencies.md: rand is no dependency of the workspace"
            ]
        );
    }

    #[test]
    fn commands_of_a_document_must_exist() {
        let text = "Run `cargo x tets` and `heddle keys create`, or heddle itself.\n```sh\n$ cargo x test\n\
                    cargo run --release -- dmeo\n./target/release/heddle serve --listen x\nheddle --help\n\
                    cargo run -p sim -- small\n```\n";
        let verbs = ["test".to_owned()];
        let heddle = BTreeSet::from(["keys".to_owned(), "demo".to_owned()]);
        assert_eq!(
            commands("README.md", text, &verbs, &heddle),
            [
                "README.md:1: cargo x has no verb tets",
                "README.md:4: heddle has no verb dmeo",
                "README.md:5: heddle has no verb serve"
            ]
        );
    }

    #[test]
    fn verbs_are_read_from_the_subcommand_enums() {
        let text = "#[derive(Debug)]\nenum Other { A }\n/// Verbs.\n#[derive(Debug, Subcommand)]\nenum Verb {\n    \
                    /// Serves.\n    Serve(Serve),\n    #[command(hide = true)]\n    KeepDays { days: u32, all: bool },\n}\n\
                    struct S { b: u8 }\n";
        assert_eq!(subcommands(text), Ok(vec!["serve".to_owned(), "keep-days".to_owned()]));
    }
}
