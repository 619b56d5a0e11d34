//! Compares the dependency table of ARCHITECTURE.md with what cargo resolved; asks for circles in each crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};

use crate::circles;
use crate::rust_file::RustFile;
use crate::table::{self, Row};
use crate::tree::Tree;

/// What is wrong between the table and the crates, one sentence each.
pub(crate) fn check(tree: &Tree) -> Result<Vec<String>, String> {
    let rows = table::read(&tree.read("ARCHITECTURE.md")?)?;
    let metadata = tree.metadata()?;
    let mut findings = compare(&rows, &metadata);
    let sources = tree.files(".rs")?;
    for package in ours(&metadata).values() {
        findings.extend(circles::check(tree, &sources, package)?);
    }
    for row in rows.iter().filter(|row| row.pure()) {
        let Some(package) = ours(&metadata).get(row.name.as_str()).copied() else { continue };
        findings.extend(no_std(row, package, &|path| std::fs::read_to_string(path).unwrap_or_default()));
        let folder = package.manifest_path.parent().map(|folder| folder.as_std_path().to_owned());
        for path in &sources {
            if folder.as_ref().is_some_and(|folder| tree.root.join(path).starts_with(folder.join("src"))) {
                findings.extend(brought_back(row, path, &tree.read(path)?));
            }
        }
    }
    Ok(findings)
}

/// The edges: every row against its crate, every crate against its row.
fn compare(rows: &[Row], metadata: &Metadata) -> Vec<String> {
    let ours = ours(metadata);
    let graph = Graph::new(metadata);
    let mut findings = Vec::new();
    for name in ours.keys().filter(|name| !rows.iter().any(|row| row.name == **name)) {
        findings.push(format!("{name} has no row in the dependency table of ARCHITECTURE.md"));
    }
    for row in rows {
        match ours.get(row.name.as_str()) {
            None => findings.push(format!("{}: there is no crate {}", at(row), row.name)),
            Some(package) => {
                findings.extend(edges(row, package, &ours));
                findings.extend(forbidden(row, package, &graph));
            }
        }
    }
    findings
}

/// Edges among our own crates, in both directions of the comparison.
fn edges(row: &Row, package: &Package, ours: &BTreeMap<&str, &Package>) -> Vec<String> {
    let real: BTreeSet<&str> = normal(package).filter(|name| ours.contains_key(name)).collect();
    let mut findings = Vec::new();
    for to in real.iter().filter(|to| !row.may.contains_key(**to)) {
        findings.push(format!("{}: {} → {to} is not in the table", at(row), row.name));
    }
    for (to, not_yet) in &row.may {
        match (real.contains(to.as_str()), *not_yet) {
            (false, false) => findings.push(format!(
                "{}: {} → {to} is in the table and not in {}/Cargo.toml; remove it or mark it (not yet)",
                at(row),
                row.name,
                row.name
            )),
            (true, true) => {
                findings.push(format!("{}: {} → {to} exists now; remove its (not yet)", at(row), row.name));
            }
            (true, false) | (false, true) => {}
        }
    }
    findings
}

/// Names a crate must never see: direct dependencies, and for a pure crate all that stands below it.
fn forbidden(row: &Row, package: &Package, graph: &Graph<'_>) -> Vec<String> {
    let direct: BTreeSet<&str> = normal(package).collect();
    let paths = if row.pure() { graph.below(&package.id) } else { BTreeMap::new() };
    let mut findings = Vec::new();
    for name in &row.never {
        if direct.contains(name.as_str()) {
            findings.push(format!("{}: {} → {name} is forbidden", at(row), row.name));
        } else if let Some(path) = paths.get(name.as_str()) {
            findings.push(format!("{}: {} is forbidden anywhere below {}", at(row), path, row.name));
        }
    }
    findings
}

/// What `no_std` asks beyond edges: the attribute, and dependencies that leave std off.
fn no_std(row: &Row, package: &Package, read: &dyn Fn(&Path) -> String) -> Vec<String> {
    let mut findings = Vec::new();
    let root = package.targets.iter().find(|target| target.is_lib());
    let declared = root.is_some_and(|target| {
        read(target.src_path.as_std_path()).lines().any(|line| line.trim() == "#![no_std]")
    });
    if !declared {
        findings.push(format!("{}: {} must say #![no_std] in its lib.rs", at(row), row.name));
    }
    for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
        if dependency.path.is_some() {
            continue;
        }
        if dependency.uses_default_features || dependency.features.iter().any(|feature| feature == "std") {
            findings.push(format!(
                "{}: {} → {} must have default-features = false and no std feature in the root Cargo.toml",
                at(row),
                row.name,
                dependency.name
            ));
        }
    }
    findings
}

/// A file of a pure crate that takes std in again, its tests excepted.
fn brought_back(row: &Row, path: &str, text: &str) -> Vec<String> {
    let tests = RustFile::read(text).map(|file| file.tests).unwrap_or_default();
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(at, line)| line.contains("extern crate std") && !tests.contains(at))
        .map(|(at, _)| format!("{}: {path}:{at} brings std back into {}", self::at(row), row.name))
        .collect()
}

/// Where the rule stands.
fn at(row: &Row) -> String {
    format!("ARCHITECTURE.md:{}", row.line)
}

/// The crates of the workspace by name.
fn ours(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata.workspace_packages().into_iter().map(|package| (package.name.as_str(), package)).collect()
}

/// The names a package lists under `[dependencies]`, whatever the platform.
fn normal(package: &Package) -> impl Iterator<Item = &str> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str())
}

/// The resolved graph of normal dependencies.
struct Graph<'a> {
    names: BTreeMap<&'a PackageId, &'a str>,
    edges: BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        let names = metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let edges = nodes.map(|node| {
            let normal = node
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            (&node.id, normal.map(|dep| &dep.pkg).collect())
        });
        Self { names, edges: edges.collect() }
    }

    /// Every package below this one by name, with the shortest path to it written as `a → b → c`.
    fn below(&self, from: &'a PackageId) -> BTreeMap<&'a str, String> {
        let mut paths = BTreeMap::new();
        let start = self.names.get(from).copied().unwrap_or_default().to_owned();
        let mut queue = VecDeque::from([(from, start)]);
        let mut seen = BTreeSet::from([from]);
        while let Some((id, path)) = queue.pop_front() {
            for to in self.edges.get(id).into_iter().flatten() {
                if seen.insert(to) {
                    let name = self.names.get(to).copied().unwrap_or_default();
                    let path = format!("{path} → {name}");
                    paths.entry(name).or_insert_with(|| path.clone());
                    queue.push_back((to, path));
                }
            }
        }
        paths
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Metadata of a workspace: each crate with its dependencies; a name that starts with `+` is a crate of
    /// ours, `-` an external one, a trailing `!` on a dependency leaves its default features on.
    fn metadata(crates: &[(&str, &[&str])]) -> Metadata {
        let bare = |name: &str| name.trim_matches(['+', '-', '!']).to_owned();
        let is_ours = |name: &str| crates.iter().any(|(c, _)| c.starts_with('+') && bare(c) == bare(name));
        let package = |(name, deps): &(&str, &[&str])| {
            let dependencies: Vec<Value> = deps
                .iter()
                .map(|dep| {
                    json!({"name": bare(dep), "req": "*", "kind": null, "optional": false, "features": [],
                           "uses_default_features": dep.ends_with('!'), "target": null,
                           "path": is_ours(dep).then(|| format!("/h/{}", bare(dep)))})
                })
                .collect();
            let lib = json!({"name": bare(name), "kind": ["lib"], "crate_types": ["lib"],
                             "src_path": format!("/h/{}/src/lib.rs", bare(name))});
            json!({"name": bare(name), "version": "0.1.0", "id": bare(name), "dependencies": dependencies,
                   "targets": [lib], "features": {}, "manifest_path": format!("/h/{}/Cargo.toml", bare(name))})
        };
        let node = |(name, deps): &(&str, &[&str])| {
            let to: Vec<Value> = deps
                .iter()
                .map(|dep| {
                    json!({"name": bare(dep), "pkg": bare(dep), "dep_kinds": [{"kind": null, "target": null}]})
                })
                .collect();
            json!({"id": bare(name), "deps": to, "dependencies": [], "features": []})
        };
        let members: Vec<String> =
            crates.iter().filter(|(name, _)| name.starts_with('+')).map(|(name, _)| bare(name)).collect();
        let whole = json!({
            "packages": crates.iter().map(package).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": {"nodes": crates.iter().map(node).collect::<Vec<_>>(), "root": null},
            "workspace_root": "/h", "target_directory": "/h/target", "version": 1, "metadata": null,
        });
        serde_json::from_value(whole).unwrap()
    }

    fn rows(lines: &str) -> Vec<Row> {
        table::read(&format!("| crate | may depend on (ours) | must never see |\n|---|---|---|\n{lines}"))
            .unwrap()
    }

    #[test]
    fn a_house_as_its_table_says_is_clean() {
        let rows = rows(
            "| protocol | – | std, rand |\n| kernel | protocol | std, tokio |\n| tools | kernel (not yet) | axum |\n",
        );
        let house = metadata(&[
            ("+protocol", &["serde"]),
            ("+kernel", &["protocol", "serde"]),
            ("+tools", &["tokio"]),
            ("-serde", &[]),
            ("-tokio", &[]),
        ]);
        assert_eq!(compare(&rows, &house), Vec::<String>::new());
    }

    #[test]
    fn an_edge_that_is_not_listed_is_named_with_its_line() {
        let rows = rows("| store | – | – |\n| kernel | – | – |\n");
        let house = metadata(&[("+store", &["kernel"]), ("+kernel", &[])]);
        assert_eq!(compare(&rows, &house), ["ARCHITECTURE.md:3: store → kernel is not in the table"]);
    }

    #[test]
    fn a_listed_edge_that_is_missing_must_be_marked_and_a_mark_must_be_true() {
        let missing = compare(
            &rows("| store | – | – |\n| tools | store | – |\n"),
            &metadata(&[("+store", &[]), ("+tools", &[])]),
        );
        let said = "ARCHITECTURE.md:4: tools → store is in the table and not in tools/Cargo.toml; \
                    remove it or mark it (not yet)";
        assert_eq!(missing, [said]);
        let stale = compare(
            &rows("| store | – | – |\n| tools | store (not yet) | – |\n"),
            &metadata(&[("+store", &[]), ("+tools", &["store"])]),
        );
        assert_eq!(stale, ["ARCHITECTURE.md:4: tools → store exists now; remove its (not yet)"]);
    }

    #[test]
    fn a_forbidden_direct_dependency_is_named() {
        let house = metadata(&[("+engine", &["axum"]), ("-axum", &[])]);
        let said = compare(&rows("| engine | – | axum, rusqlite |\n"), &house);
        assert_eq!(said, ["ARCHITECTURE.md:3: engine → axum is forbidden"]);
    }

    #[test]
    fn below_a_pure_crate_a_forbidden_name_is_found_at_any_depth_and_elsewhere_not() {
        let house = metadata(&[
            ("+kernel", &["digest"]),
            ("+engine", &["digest"]),
            ("-digest", &["rand_core"]),
            ("-rand_core", &[]),
        ]);
        let said = compare(&rows("| kernel | – | std, rand_core |\n| engine | – | rand_core |\n"), &house);
        let path = "ARCHITECTURE.md:3: kernel → digest → rand_core is forbidden anywhere below kernel";
        assert_eq!(said, [path]);
    }

    #[test]
    fn rows_and_crates_must_match_one_to_one() {
        let said = compare(&rows("| ghost | – | – |\n"), &metadata(&[("+store", &[])]));
        assert_eq!(
            said,
            [
                "store has no row in the dependency table of ARCHITECTURE.md",
                "ARCHITECTURE.md:3: there is no crate ghost"
            ]
        );
    }

    #[test]
    fn a_pure_crate_must_say_no_std_and_take_its_dependencies_without_default_features() {
        let rows = rows("| kernel | – | std |\n");
        let house = metadata(&[("+kernel", &["serde!", "sha2"]), ("-serde", &[]), ("-sha2", &[])]);
        let row = rows.first().unwrap();
        let kernel = ours(&house)["kernel"];
        let said = no_std(row, kernel, &|_| "//! The law.\n// #![no_std]\n".to_owned());
        let features = "ARCHITECTURE.md:3: kernel → serde must have default-features = false \
                        and no std feature in the root Cargo.toml";
        assert_eq!(said, ["ARCHITECTURE.md:3: kernel must say #![no_std] in its lib.rs", features]);
        let said = no_std(row, kernel, &|_| "//! The law.\n#![no_std]\n".to_owned());
        assert_eq!(said, [features]);
    }
    #[test]
    fn a_pure_crate_may_take_std_back_in_its_tests_alone() {
        let rows = rows("| kernel | – | std |\n");
        let row = rows.first().unwrap();
        let tests =
            "//! T.\n#[cfg(test)]\nextern crate std;\n#[cfg(test)]\nmod tests {\n    extern crate std;\n}\n";
        assert_eq!(brought_back(row, "crates/kernel/src/lib.rs", tests), Vec::<String>::new());
        let said = brought_back(row, "crates/kernel/src/lib.rs", "//! T.\nextern crate std;\n");
        assert_eq!(said, ["ARCHITECTURE.md:3: crates/kernel/src/lib.rs:2 brings std back into kernel"]);
    }
}
