//! Rules for source files that no lint can see.

use std::collections::BTreeSet;

use crate::rust_file::RustFile;
use crate::tree::Tree;
use crate::{compat, limits, paperwork, references, walkthroughs};

/// Lines of code a file may have without its tests, and with them.
const CODE_MAX: usize = 500;
const WITH_TESTS_MAX: usize = 800;
/// Characters a line may have, string literals not counted.
const LINE_MAX: usize = 110;

/// Macros that never stay, and what to do instead.
const MACROS: [(&str, &str); 3] = [
    ("todo", "write it, or leave the door shut with an error that says so"),
    ("unimplemented", "write it, or leave the door shut with an error that says so"),
    ("dbg", "use tracing, or an assertion in a test"),
];

/// Attributes that never stay, and what to do instead.
const ATTRIBUTES: [(&str, &str); 2] = [
    ("ignore", "a test runs or goes"),
    ("allow", "use #[expect(lint, reason = \"…\")], which complains when it is no longer needed"),
];

/// Everything untidy in the tree, one sentence each. `verbs` are those of `cargo x`.
pub(crate) fn check(tree: &Tree, verbs: &[String]) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in tree.files(".rs")? {
        findings.extend(file(&path, &tree.read(&path)?));
    }
    findings.extend(paperwork::check(tree, verbs)?);
    findings.extend(references::check(tree)?);
    findings.extend(walkthroughs::check(tree)?);
    findings.extend(compat::check(tree)?);
    findings.extend(limits::check(tree)?);
    Ok(findings)
}

/// The rules for one source file.
fn file(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{path}:1: the first line says what the file is for, after //!"));
    }
    match RustFile::read(text) {
        Err(why) => findings.push(format!("{path}: {why}")),
        Ok(read) => {
            findings.extend(length(path, &read));
            findings.extend(wide_lines(path, text, &read));
            findings.extend(banned(path, &read));
        }
    }
    findings
}

/// Budgets in lines of code. A file that holds nothing but tests has only the larger one.
fn length(path: &str, file: &RustFile) -> Option<String> {
    let all = file.code.len();
    let code = if holds_only_tests(path) { 0 } else { file.code.difference(&file.tests).count() };
    if code > CODE_MAX {
        Some(format!("{path}: {code} lines of code; at most {CODE_MAX}, tests not counted"))
    } else if all > WITH_TESTS_MAX {
        Some(format!("{path}: {all} lines of code with tests; at most {WITH_TESTS_MAX}"))
    } else {
        None
    }
}

fn holds_only_tests(path: &str) -> bool {
    let mut parts = path.trim_end_matches(".rs").split('/');
    parts.any(|part| part == "tests" || part.ends_with("_tests"))
}

fn wide_lines(path: &str, text: &str, file: &RustFile) -> Vec<String> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line.chars().count()));
    let bare = numbered.map(|(at, wide)| (at, wide - file.quoted.get(&at).copied().unwrap_or(0).min(wide)));
    bare.filter(|(_, wide)| *wide > LINE_MAX)
        .map(|(at, wide)| {
            format!("{path}:{at}: {wide} characters beside string literals; at most {LINE_MAX}")
        })
        .collect()
}

fn banned(path: &str, file: &RustFile) -> BTreeSet<String> {
    let macros = file.macros.iter().filter_map(|(at, name)| {
        let (_, instead) = MACROS.iter().find(|(banned, _)| banned == name)?;
        Some(format!("{path}:{at}: no {name}!: {instead}"))
    });
    let attributes = file.attributes.iter().filter_map(|(at, name)| {
        let (_, instead) = ATTRIBUTES.iter().find(|(banned, _)| banned == name)?;
        Some(format!("{path}:{at}: no #[{name}]: {instead}"))
    });
    macros.chain(attributes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_file_has_no_findings() {
        let text = format!("//! For.\nfn a() {{}}\n\nconst LONG: &str = \"{}\";\n", "x".repeat(200));
        assert_eq!(file("a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn the_first_line_must_say_what_the_file_is_for() {
        let said = file("a.rs", "use b;\n//! For.\n");
        assert!(said.contains(&"a.rs:1: the first line says what the file is for, after //!".to_owned()));
    }

    #[test]
    fn a_file_over_five_hundred_lines_of_code_is_too_long_and_blanks_and_comments_are_free() {
        let fits = format!("//! For.\n{}", "fn a() {}\n\n// why\n".repeat(500));
        assert_eq!(file("a.rs", &fits), Vec::<String>::new());
        let over = format!("//! For.\n{}", "fn a() {}\n".repeat(501));
        assert_eq!(file("a.rs", &over), ["a.rs: 501 lines of code; at most 500, tests not counted"]);
    }

    #[test]
    fn tests_extend_the_budget_to_eight_hundred() {
        let code = "fn a() {}\n".repeat(500);
        let with = |lines: usize| {
            format!("//! For.\n{code}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn b() {}\n".repeat(lines))
        };
        assert_eq!(file("a.rs", &with(297)), Vec::<String>::new());
        assert_eq!(file("a.rs", &with(298)), ["a.rs: 801 lines of code with tests; at most 800"]);
    }

    #[test]
    fn a_file_of_tests_has_the_larger_budget_alone() {
        let text = format!("//! For.\n{}", "fn a() {}\n".repeat(600));
        assert_eq!(file("crates/x/tests/all.rs", &text), Vec::<String>::new());
        assert_eq!(file("crates/x/src/decide/tests.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn a_wide_line_is_named() {
        let text = format!("//! For.\n// {}\n", "x".repeat(108));
        assert_eq!(file("a.rs", &text), ["a.rs:2: 111 characters beside string literals; at most 110"]);
    }

    #[test]
    fn what_never_stays_is_named_with_what_to_do() {
        let text = "//! For.\n#![allow(dead_code)]\n#[ignore]\nfn a() {\n    dbg!(1);\n    todo!();\n    unimplemented!()\n}\n";
        let said = file("a.rs", text);
        let expect = "use #[expect(lint, reason = \"…\")], which complains when it is no longer needed";
        let write = "write it, or leave the door shut with an error that says so";
        assert_eq!(
            said,
            [
                format!("a.rs:2: no #[allow]: {expect}"),
                "a.rs:3: no #[ignore]: a test runs or goes".to_owned(),
                "a.rs:5: no dbg!: use tracing, or an assertion in a test".to_owned(),
                format!("a.rs:6: no todo!: {write}"),
                format!("a.rs:7: no unimplemented!: {write}"),
            ]
        );
    }
}
