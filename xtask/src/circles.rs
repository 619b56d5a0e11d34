//! Finds files of one crate that need each other in a circle; roots of crates and tests are left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cargo_metadata::Package;
use proc_macro2::{Delimiter, TokenTree};

use crate::rust_file::{RustFile, string, tokens};
use crate::tree::Tree;

/// A module by the names that lead to it from the crate's root, which has none.
type Module = Vec<String>;

/// What a file says of others.
#[derive(Debug, Default)]
struct Said {
    /// Paths as they are written, a `use` with all its branches.
    paths: Vec<Vec<String>>,
    /// What a `use` or a `#[path]` makes of a name here: the name, and the path behind it.
    names: BTreeMap<String, Vec<String>>,
    /// Modules that are declared under `#[cfg(test)]`.
    tests: BTreeSet<String>,
}

/// One sentence for each circle in the package; `sources` are the Rust files of the whole tree.
pub(crate) fn check(tree: &Tree, sources: &[String], package: &Package) -> Result<Vec<String>, String> {
    let Some(folder) = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(&tree.root).ok())
    else {
        return Ok(Vec::new());
    };
    let src = format!("{folder}/src/");
    let mut files = BTreeMap::new();
    for path in sources.iter().filter(|path| path.starts_with(&src)) {
        files.insert(path.clone(), tree.read(path)?);
    }
    circles(&src, &files)
}

/// The circles among files by their paths, each as `a.rs (name) → b.rs (name) → a.rs`.
fn circles(src: &str, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut said = BTreeMap::new();
    for (path, text) in files {
        let read = read(text).map_err(|e| format!("{path}: {e}"))?;
        said.insert(module(path.strip_prefix(src).unwrap_or(path)), (path.as_str(), read));
    }
    let tests: BTreeSet<Module> =
        said.iter().flat_map(|(at, (_, said))| said.tests.iter().map(|name| below(at, name))).collect();
    said.retain(|at, _| !tests.iter().any(|test| at.starts_with(test)));
    let needs: BTreeMap<&Module, BTreeMap<&Module, String>> = said
        .iter()
        .filter(|(at, _)| !at.is_empty())
        .map(|(at, (_, here))| (at, needs(&said, at, here)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for at in needs.keys() {
        let Some(way) = back(&needs, at) else { continue };
        if way.iter().any(|(module, _)| seen.contains(module)) {
            continue;
        }
        let file = |at: &Module| said.get(at).map_or("", |(path, _)| path);
        let steps: Vec<String> = way.iter().map(|(at, name)| format!("{} ({name})", file(at))).collect();
        findings.push(format!(
            "{} → {}: a circle; what ties it stands in the wrong file",
            steps.join(" → "),
            file(at)
        ));
        seen.extend(way.into_iter().map(|(module, _)| module));
    }
    Ok(findings)
}

/// The modules that a file needs, each with the first name it takes from there.
fn needs<'a>(
    said: &'a BTreeMap<Module, (&str, Said)>,
    at: &Module,
    here: &Said,
) -> BTreeMap<&'a Module, String> {
    let mut found = BTreeMap::new();
    for path in &here.paths {
        // A module that is only brought in is needed for what is then taken from it.
        let Some((to, Some(name))) = resolve(said, at, path, 0) else { continue };
        if to != at && !to.is_empty() {
            found.entry(to).or_insert(name);
        }
    }
    found
}

/// Where what a path means is defined, as far as names are passed on, and its name if it is no module; none
/// for another crate's.
fn resolve<'a>(
    said: &'a BTreeMap<Module, (&str, Said)>,
    at: &Module,
    path: &[String],
    depth: usize,
) -> Option<(&'a Module, Option<String>)> {
    let mut to = at.clone();
    let mut rest = path;
    let mut outside = true;
    while let Some(word @ ("crate" | "super" | "self")) = rest.first().map(String::as_str) {
        match word {
            "crate" => to.clear(),
            "super" => drop(to.pop()),
            _ => {}
        }
        outside = false;
        rest = rest.get(1..)?;
    }
    while let Some(next) = rest.first().filter(|next| said.contains_key(&below(&to, next))) {
        to = below(&to, next);
        outside = false;
        rest = rest.get(1..)?;
    }
    let (module, (_, here)) = said.get_key_value(&to)?;
    let name = rest.first();
    let found = || (!outside).then(|| (module, name.cloned()));
    let passed = name.and_then(|name| here.names.get(name)).filter(|_| depth < 8);
    match (passed, rest) {
        (Some(before), [_, after @ ..]) if !(module == at && after.is_empty()) => {
            let path: Vec<String> = before.iter().chain(after).cloned().collect();
            resolve(said, module, &path, depth + 1).or_else(found)
        }
        _ => found(),
    }
}

/// The shortest way from a module to itself, each step with the name that it takes.
fn back<'a>(
    needs: &BTreeMap<&'a Module, BTreeMap<&'a Module, String>>,
    start: &'a Module,
) -> Option<Vec<(&'a Module, String)>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for to in needs.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if *to == start {
                let next = way.iter().skip(1).chain([&start]);
                let name =
                    |from, to| needs.get(from).and_then(|names| names.get(to)).cloned().unwrap_or_default();
                return Some(way.iter().zip(next).map(|(from, to)| (*from, name(from, to))).collect());
            }
            if seen.insert(*to) {
                queue.push_back(way.iter().copied().chain([*to]).collect());
            }
        }
    }
    None
}

/// The module of a file below `src`.
fn module(path: &str) -> Module {
    let mut names: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    names.pop_if(|last| last == "mod" || last == "lib" || last == "main");
    names
}

fn below(at: &Module, name: &str) -> Module {
    at.iter().cloned().chain([name.to_owned()]).collect()
}

/// What the text of a file says of others.
fn read(text: &str) -> Result<Said, String> {
    let mut said = Said::default();
    walk(&tokens(text)?.into_iter().collect::<Vec<_>>(), &RustFile::read(text)?.tests, 0, &mut said);
    Ok(said)
}

/// Collects paths; `inner` says how many modules with braces stand around these tokens.
fn walk(tokens: &[TokenTree], tests: &BTreeSet<usize>, inner: usize, said: &mut Said) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let tested = tests.contains(&token.span().start().line);
        let after = tokens.get(at + 1);
        at += 1;
        match (token, after) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "mod" => {
                at += 1;
                if let Some(TokenTree::Group(body)) = tokens.get(at) {
                    if !tested {
                        walk(&body.stream().into_iter().collect::<Vec<_>>(), tests, inner + 1, said);
                    }
                    at += 1;
                } else if tested {
                    said.tests.insert(name.to_string());
                } else if let Some(path) = tokens.get(..at - 2).and_then(place) {
                    said.names.entry(name.to_string()).or_insert(path);
                }
            }
            _ if tested => {}
            (TokenTree::Ident(word), Some(next)) if word == "use" && !is('<')(next) => {
                let end = tokens.iter().skip(at).position(is(';')).map_or(tokens.len(), |length| at + length);
                branches(tokens.get(at..end).unwrap_or_default(), &[], inner, said);
                at = end;
            }
            // `pub(in crate::a)` takes nothing from there.
            (TokenTree::Ident(word), Some(TokenTree::Group(_))) if word == "pub" => at += 1,
            (TokenTree::Ident(_), _) if at < 3 || !colons(tokens, at - 3) => {
                let (path, length) = plain(tokens.get(at - 1..).unwrap_or_default());
                if path.len() > 1 {
                    said.paths.extend(outside(path, inner));
                }
                at += length - 1;
            }
            (TokenTree::Group(group), _) => {
                walk(&group.stream().into_iter().collect::<Vec<_>>(), tests, inner, said);
            }
            (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_), _) => {}
        }
    }
}

/// The branches of one `use`, below what stands before them.
fn branches(tokens: &[TokenTree], before: &[String], inner: usize, said: &mut Said) {
    for branch in tokens.split(is(',')).filter(|branch| !branch.is_empty()) {
        let (more, length) = plain(branch);
        let mut path: Vec<String> = before.iter().cloned().chain(more).collect();
        path.pop_if(|last| last == "self" && !before.is_empty());
        match (branch.get(length), branch.get(length + 2)) {
            (Some(TokenTree::Punct(_)), Some(TokenTree::Group(group)))
                if group.delimiter() == Delimiter::Brace =>
            {
                branches(&group.stream().into_iter().collect::<Vec<_>>(), &path, inner, said);
            }
            (renamed, _) => {
                let Some(path) = outside(path, inner) else { continue };
                let name = match (renamed, branch.get(length + 1)) {
                    (Some(TokenTree::Ident(_)), Some(TokenTree::Ident(name))) => Some(name.to_string()),
                    _ => path.last().cloned(),
                };
                said.names.extend(name.map(|name| (name, path.clone())));
                said.paths.push(path);
            }
        }
    }
}

/// The path that begins here, and how many tokens it takes.
fn plain(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        if !colons(tokens, at) || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// The module that the attributes before a declaration name by its file (`#[path = "…"]`).
fn place(before: &[TokenTree]) -> Option<Module> {
    let attributes = before.iter().rev().take_while(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Bracket,
        TokenTree::Punct(punct) => punct.as_char() == '#',
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    });
    attributes.into_iter().find_map(|token| {
        let TokenTree::Group(group) = token else { return None };
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        match inside.as_slice() {
            [TokenTree::Ident(word), TokenTree::Punct(_), file] if word == "path" => {
                string(file).map(|file| module(&file))
            }
            _ => None,
        }
    })
}

/// The path as the file itself would write it: without the steps out of modules with braces; none if it stays
/// inside.
fn outside(mut path: Vec<String>, inner: usize) -> Option<Vec<String>> {
    if inner == 0 || path.first()? == "crate" {
        return Some(path);
    }
    let steps = path.iter().take(inner).take_while(|word| *word == "super").count();
    path.drain(..steps);
    (steps == inner).then_some(path)
}

/// Whether `::` stands here.
fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = is(':');
    tokens.get(at).is_some_and(&colon) && tokens.get(at + 1).is_some_and(&colon)
}

fn is(sign: char) -> impl Fn(&TokenTree) -> bool {
    move |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| (format!("c/src/{path}"), (*text).to_owned())).collect();
        circles("c/src/", &files).unwrap()
    }

    fn circle(steps: &str) -> String {
        format!("{steps}: a circle; what ties it stands in the wrong file")
    }

    #[test]
    fn files_that_need_each_other_are_named_with_what_they_take() {
        let found = found(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            ("a.rs", "use crate::b::{self, Read as _,}; pub struct A;"),
            ("b.rs", "fn f() -> impl Fn() + use<> { super::c::c() }"),
            ("c.rs", "use std::fmt; impl From<crate::a::A> for C {}"),
        ]);
        assert_eq!(found, [circle("c/src/a.rs (Read) → c/src/b.rs (c) → c/src/c.rs (A) → c/src/a.rs")]);
    }

    #[test]
    fn a_folder_and_what_stands_in_it_make_a_circle_by_what_is_defined_and_not_by_what_is_passed_on() {
        let child = ("a/b.rs", "use super::Word;");
        let defined = ("a/mod.rs", "mod b; pub enum Word {} fn f() { b::g(); }");
        let passed = ("a/mod.rs", "mod b; mod word; pub use word::Word; fn f() { b::g(); }");
        assert_eq!(
            found(&[child, defined]),
            [circle("c/src/a/mod.rs (g) → c/src/a/b.rs (Word) → c/src/a/mod.rs")]
        );
        assert_eq!(found(&[child, passed, ("a/word.rs", "pub enum Word {}")]), Vec::<String>::new());
    }

    #[test]
    fn what_the_root_passes_on_is_what_it_was_in_its_file() {
        let root = ("lib.rs", "mod a; mod b; pub use a::A; use b::made;");
        let found = found(&[root, ("a.rs", "use crate::made;"), ("b.rs", "pub fn made(a: crate::A) {}")]);
        assert_eq!(found, [circle("c/src/a.rs (made) → c/src/b.rs (A) → c/src/a.rs")]);
    }

    #[test]
    fn a_module_with_a_path_is_the_file_that_the_path_names() {
        let found = found(&[
            (
                "lib.rs",
                "#[cfg(unix)]\n#[path = \"linux/mod.rs\"]\nmod host; #[path = \"other.rs\"] mod host; mod a;",
            ),
            ("a.rs", "use crate::host::b::made;"),
            ("linux/mod.rs", "pub mod b;"),
            ("linux/b.rs", "use crate::a::A;"),
            ("other.rs", "pub mod b {}"),
        ]);
        assert_eq!(found, [circle("c/src/a.rs (made) → c/src/linux/b.rs (A) → c/src/a.rs")]);
    }

    #[test]
    fn tests_roots_and_other_crates_tie_nothing() {
        let found = found(&[
            ("main.rs", "mod a; mod b; #[cfg(test)] mod kit; struct Root;"),
            (
                "a.rs",
                "use crate::Root; use b::c; fn f() { ::b::g(); x::b::h(); } #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::{deep::D,}; #[cfg(test)] use crate::kit;"),
            ("a/deep.rs", "pub(in crate::b) struct D; use super::super::kit::{E,};"),
            ("kit.rs", "use crate::b; use crate::a;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_a_module_with_braces_takes_its_file_takes() {
        let found = found(&[
            ("a.rs", "mod inner { use super::super::b::B; use super::c; mod deep { use super::b::X; } }"),
            ("b.rs", "use crate::a;\nfn f() { a::made() }"),
        ]);
        assert_eq!(found, [circle("c/src/a.rs (B) → c/src/b.rs (made) → c/src/a.rs")]);
    }
}
