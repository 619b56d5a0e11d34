//! The names that docs/walkthroughs.md leads through must stand in the files that it names.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;

use crate::rust_file::{RustFile, tokens};
use crate::tree::Tree;

const WALKTHROUGHS: &str = "docs/walkthroughs.md";

/// Steps that lead nowhere, one sentence each.
pub(crate) fn check(tree: &Tree) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for (line, name, path) in steps(&tree.read(WALKTHROUGHS)?) {
        // A file that is gone is a finding of the references.
        let Ok(text) = tree.read(&path) else { continue };
        let defined = defined(&text).map_err(|e| format!("{path}: {e}"))?;
        if !defined.contains(&name) {
            findings.push(format!("{WALKTHROUGHS}:{line}: there is no `{name}` in {path}"));
        }
    }
    Ok(findings)
}

/// Every "`name` in `path.rs`", which a line may break, with the line where the path stands.
fn steps(text: &str) -> Vec<(usize, String, String)> {
    let spans: Vec<(usize, &str)> = text.match_indices('`').collect();
    let mut found = Vec::new();
    for window in spans.windows(4) {
        let [(a, _), (b, _), (c, _), (d, _)] = *window else { continue };
        let (name, between, path) = (text.get(a + 1..b), text.get(b + 1..c), text.get(c + 1..d));
        let (Some(name), Some(between), Some(path)) = (name, between, path) else { continue };
        if between.trim() == "in" && path.strip_suffix(".rs").is_some() {
            let line = text.get(..c).unwrap_or_default().lines().count();
            found.push((line, name.to_owned(), path.to_owned()));
        }
    }
    found
}

/// What a file defines outside of its tests: functions and types by their names, `Type::function` for each
/// type that has an `impl` here, and `Enum::Variant`.
fn defined(text: &str) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    let tests = RustFile::read(text)?.tests;
    walk(&tokens(text)?.into_iter().collect::<Vec<_>>(), "", &tests, &mut names);
    Ok(names)
}

fn walk(tokens: &[TokenTree], of: &str, tests: &BTreeSet<usize>, names: &mut BTreeSet<String>) {
    let mut of = of.to_owned();
    let mut is_enum = false;
    for (at, token) in tokens.iter().enumerate() {
        if tests.contains(&token.span().start().line) {
            continue;
        }
        match (token, tokens.get(at + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)))
                if ["fn", "struct", "enum", "trait", "const", "type"]
                    .contains(&word.to_string().as_str()) =>
            {
                names.insert(name.to_string());
                match word.to_string().as_str() {
                    "fn" => drop(names.insert(format!("{of}::{name}"))),
                    "const" => {}
                    _ => (of, is_enum) = (name.to_string(), word == "enum"),
                }
            }
            // `impl A`, `impl B for A`, and with parameters: the last name before the braces is A.
            (TokenTree::Ident(word), _)
                if word == "impl" && is_item(at.checked_sub(1).and_then(|at| tokens.get(at))) =>
            {
                let head =
                    tokens.iter().skip(at + 1).take_while(|token| !matches!(token, TokenTree::Group(_)));
                let mut depth = 0;
                for token in head {
                    match token {
                        TokenTree::Punct(sign) if sign.as_char() == '<' => depth += 1,
                        TokenTree::Punct(sign) if sign.as_char() == '>' => depth -= 1,
                        TokenTree::Ident(name) if depth == 0 && name != "for" => of = name.to_string(),
                        TokenTree::Ident(_)
                        | TokenTree::Punct(_)
                        | TokenTree::Literal(_)
                        | TokenTree::Group(_) => {}
                    }
                }
            }
            (TokenTree::Group(group), _) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                if std::mem::take(&mut is_enum) {
                    let variants = inside.iter().filter(|token| matches!(token, TokenTree::Ident(_)));
                    names.extend(variants.map(|name| format!("{of}::{name}")));
                } else {
                    walk(&inside, &of, tests, names);
                }
            }
            (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_), _) => {}
        }
    }
}

/// Whether what stands behind this token is an item of its own, and no part of a type.
fn is_item(before: Option<&TokenTree>) -> bool {
    !matches!(before, Some(TokenTree::Punct(sign)) if sign.as_char() != ';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_name_and_its_file_also_over_the_end_of_a_line() {
        let text =
            "# W\n\n1. `serve` in `a.rs`, then `A::go` in\n   `b/c.rs`; `x` in `y` and `z`, in `d.rs`.\n";
        assert_eq!(steps(text), [(3, "serve".into(), "a.rs".into()), (4, "A::go".into(), "b/c.rs".into())]);
    }

    #[test]
    fn what_is_defined_is_known_by_its_name_and_by_its_types() {
        let text = "pub enum Want { Ask { id: u8 }, Run }\nimpl<T> Engine<T> { const fn start() -> impl Fn() {} fn go() {} }\n\
                    impl From<A> for Feed { fn next() {} }\nfn free() { called(); }\n\
                    #[cfg(test)]\nmod tests { fn tested() {} }\n";
        let names = defined(text).unwrap();
        let has = |name: &str| names.contains(name);
        assert!(
            ["Want", "Want::Ask", "Want::Run", "Engine::start", "Engine::go", "start"].into_iter().all(has)
        );
        assert!(["Feed::next", "free"].into_iter().all(has));
        assert!(!["called", "tested", "A::next", "Engine::next", "Want::id"].into_iter().any(has));
    }
}
