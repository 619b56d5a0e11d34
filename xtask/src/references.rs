//! What comments and documents point to must be in the repository: Markdown files, numbered sections,
//! decisions, invariants, links.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// The document whose sections are cited by number.
const RULES: &str = "docs/rules.md";
/// The document whose invariants are.
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const DECISIONS: &str = "docs/decisions/";
const MARKDOWN: &str = ".md";

/// How comments of a source are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comments {
    /// `//`
    Slashes,
    /// `#`, and in Python what stands between `"""`.
    Hashes,
    /// All of it is read.
    Prose,
}

/// By the end of a file's name.
const SOURCES: [(&str, Comments); 11] = [
    (".rs", Comments::Slashes),
    (".go", Comments::Slashes),
    (".ts", Comments::Slashes),
    (".jq", Comments::Hashes),
    (".py", Comments::Hashes),
    (".sh", Comments::Hashes),
    (".toml", Comments::Hashes),
    (".yml", Comments::Hashes),
    (".yaml", Comments::Hashes),
    (".ci/run", Comments::Hashes),
    (MARKDOWN, Comments::Prose),
];

/// What there is to point to.
struct Known<'a> {
    has: &'a dyn Fn(&str) -> bool,
    sections: BTreeSet<u32>,
    invariants: BTreeSet<u32>,
    /// As their files are named: `003`.
    decisions: BTreeSet<String>,
}

/// Every reference that leads nowhere, one sentence each.
pub(crate) fn check(tree: &Tree) -> Result<Vec<String>, String> {
    let decisions = tree.files(MARKDOWN)?.into_iter().filter_map(|path| {
        let name = path.strip_prefix(DECISIONS)?;
        Some(name.split_once('-')?.0.to_owned())
    });
    let known = Known {
        has: &|path| tree.has(path),
        sections: sections(&tree.read(RULES)?),
        invariants: invariants(&tree.read(ARCHITECTURE)?),
        decisions: decisions.collect(),
    };
    let mut findings = Vec::new();
    for (ending, comments) in SOURCES {
        for path in tree.files(ending)? {
            findings.extend(file(&path, &tree.read(&path)?, comments, &known));
        }
    }
    Ok(findings)
}

/// The numbers of the sections: `## 4. Input`.
fn sections(rules: &str) -> BTreeSet<u32> {
    rules.lines().filter_map(|line| line.strip_prefix("## ")?.split_once('.')?.0.parse().ok()).collect()
}

/// The numbers of the list below the heading.
fn invariants(architecture: &str) -> BTreeSet<u32> {
    let below = architecture.lines().skip_while(|line| *line != "## Invariants").skip(1);
    let own = below.take_while(|line| !line.starts_with("## "));
    own.filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect()
}

fn file(path: &str, text: &str, comments: Comments, known: &Known<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for (line, said) in said(text, comments) {
        let mut finding = |wrong: String| findings.push(format!("{path}:{line}: {wrong}"));
        let is_there = |path: &str| beside(folder, path).is_some_and(|path| (known.has)(&path));
        for (named, behind) in named(said) {
            if !(known.has)(named) && !is_there(named) {
                finding(format!("there is no {named} in the repository"));
            } else if named == RULES {
                let cited = numbers(behind);
                if cited.is_empty() && comments != Comments::Prose {
                    finding(format!("say which section of {RULES}, on the same line"));
                }
                missing(&cited, &known.sections)
                    .for_each(|number| finding(format!("{RULES} has no section {number}")));
            }
        }
        for behind in words(said, &["decision ", "decisions "]) {
            let number: String = behind.chars().take_while(char::is_ascii_digit).collect();
            if !number.is_empty() && !known.decisions.contains(&number) {
                finding(format!("{DECISIONS} has no decision {number}"));
            }
        }
        for behind in words(said, &["invariant ", "invariants "]) {
            missing(&numbers(behind), &known.invariants)
                .for_each(|number| finding(format!("{ARCHITECTURE} has no invariant {number}")));
        }
        if comments == Comments::Prose {
            for target in links(said) {
                if !is_there(target) {
                    finding(format!("there is no {target}"));
                }
            }
        }
    }
    findings
}

fn missing<'a>(cited: &'a [u32], known: &'a BTreeSet<u32>) -> impl Iterator<Item = u32> + 'a {
    cited.iter().copied().filter(|number| !known.contains(number))
}

/// The parts of a text's lines that are read, with the numbers of the lines.
fn said(text: &str, comments: Comments) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let sign = match comments {
        Comments::Prose => return lines.collect(),
        Comments::Slashes => "//",
        Comments::Hashes => "#",
    };
    let mut quoted = false;
    let mut found = Vec::new();
    for (at, line) in lines {
        // A docstring opens at the beginning of a line; inside of other texts the quotes are no docstring's.
        let fences = line.matches("\"\"\"").count();
        let opens = comments == Comments::Hashes && !quoted && line.trim_start().starts_with("\"\"\"");
        if quoted || opens {
            found.push((at, line));
            quoted = quoted != (fences % 2 == 1);
        } else if line.trim_start().starts_with(sign) {
            found.push((at, line));
        } else if let Some((_, comment)) = line.split_once(&format!(" {sign} ")) {
            found.push((at, comment));
        }
    }
    found
}

/// The Markdown files that a line names, each with what stands behind it. What belongs to a URL or is a
/// pattern names none, and where a link leads is another question.
fn named(line: &str) -> Vec<(&str, &str)> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || "_./-".contains(letter);
    let mut found = Vec::new();
    for (end, _) in line.match_indices(MARKDOWN) {
        let (before, behind) = line.split_at(end + MARKDOWN.len());
        if behind.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') {
            continue;
        }
        let start = before.rfind(|letter| !part(letter)).map_or(0, |at| {
            at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let name = before.get(start..).unwrap_or_default();
        let front = before.get(..start).unwrap_or_default();
        let is_else = name.contains("//") || ["*", "]("].iter().any(|sign| front.ends_with(sign));
        if !is_else && name != MARKDOWN {
            found.push((name, behind));
        }
    }
    found
}

/// The numbers at the beginning of a text: ` 1`, ` 3, 4`, ` 1, 3 to 6`, ` 2 and 3`.
fn numbers(text: &str) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    let mut rest = text;
    let mut until = false;
    loop {
        let begins = rest.trim_start();
        let digits = begins.len() - begins.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let (digits, behind) = begins.split_at(digits);
        let Ok(number) = digits.parse() else { return found };
        match found.last() {
            Some(first) if until => found.extend(first + 1..=number),
            Some(_) | None => found.push(number),
        }
        until = behind.starts_with(" to ");
        let next = [", ", " and ", " to "].iter().find_map(|between| behind.strip_prefix(between));
        let Some(next) = next else { return found };
        rest = next;
    }
}

/// What stands behind each of these words.
fn words<'a>(line: &'a str, of: &[&str]) -> Vec<&'a str> {
    let lower = line.to_ascii_lowercase();
    let places = of.iter().flat_map(|word| {
        let ends: Vec<usize> = lower.match_indices(word).map(|(at, word)| at + word.len()).collect();
        ends
    });
    places.filter_map(|end| line.get(end..)).collect()
}

/// The path that `name` is from `folder` on; `None` when it leads out of the repository.
fn beside(folder: &str, name: &str) -> Option<String> {
    let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

/// Where a line's links lead that stay in the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap_or_default());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 5] =
        ["README.md", "docs/rules.md", "docs/limits.md", "ARCHITECTURE.md", "clients/a/README.md"];

    fn found(path: &str, text: &str, comments: Comments) -> Vec<String> {
        let known = Known {
            has: &|path| FILES.contains(&path),
            sections: sections("# R\n\n## 1. Status\n## 2. Stop\n### 9. No\n## 3. Reports\n## Words\n"),
            invariants: invariants("1. No.\n## Invariants\n\n1. A.\n2. B\n   b.\n\n## Else\n3. C.\n"),
            decisions: BTreeSet::from(["003".to_owned()]),
        };
        file(path, text, comments, &known)
    }

    fn rust(comment: &str) -> Vec<String> {
        found(
            "crates/x/src/a.rs",
            &format!("{}! A.\nfn a() {{}}\n    {}/ {comment}\n", "//", "//"),
            Comments::Slashes,
        )
    }

    #[test]
    fn what_is_there_is_no_finding() {
        let fine = [
            "As docs/rules.md 1 says (docs/rules.md 1, 2 to 3; README.md), and docs/rules.md 2 and 3.",
            "`docs/limits.md` is made from this; see decision 003 and invariant 2 of ARCHITECTURE.md.",
            "https://example.org/docs/none.md, *.md, a.mdx and the decision of 7 people.",
        ];
        for comment in fine {
            assert_eq!(rust(comment), Vec::<String>::new());
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        for name in ["rules.md", "spec/behaviour.md", "docs/none.md"] {
            let said = rust(&format!("Because ({name} 4)."));
            assert_eq!(said, [format!("crates/x/src/a.rs:3: there is no {name} in the repository")]);
        }
    }

    #[test]
    fn a_section_that_is_not_there_is_named_and_one_must_be() {
        let at = "crates/x/src/a.rs:3:";
        assert_eq!(rust("(docs/rules.md 1, 9)"), [format!("{at} docs/rules.md has no section 9")]);
        assert_eq!(rust("(docs/rules.md 2 to 4)"), [format!("{at} docs/rules.md has no section 4")]);
        let none = format!("{at} say which section of docs/rules.md, on the same line");
        assert_eq!(rust("As docs/rules.md says."), [none.as_str()]);
        let said =
            found("README.md", "See [the rules](docs/rules.md): `docs/rules.md 9`.\n", Comments::Prose);
        assert_eq!(said, ["README.md:1: docs/rules.md has no section 9"]);
    }

    #[test]
    fn a_decision_or_an_invariant_that_is_not_there_is_named() {
        let at = "crates/x/src/a.rs:3:";
        assert_eq!(rust("(design decision 7)"), [format!("{at} docs/decisions/ has no decision 7")]);
        assert_eq!(rust("By invariants 1 and 3."), [format!("{at} ARCHITECTURE.md has no invariant 3")]);
    }

    #[test]
    fn code_and_its_texts_are_not_read_and_comments_behind_code_are() {
        let text =
            format!("{}! A.\nlet a = \"rules.md 4\"; {} rules.md 4\nlet b = \"none.md\";\n", "//", "//");
        let said = found("a.rs", &text, Comments::Slashes);
        assert_eq!(said, ["a.rs:2: there is no rules.md in the repository"]);
    }

    #[test]
    fn comments_and_docstrings_of_other_languages_are_read() {
        let text = "\"\"\"For ../README.md.\n\nAnd none.md.\"\"\"\nA = \"no.md\"\n# not.md\n";
        let said = found("clients/a/b/c.py", text, Comments::Hashes);
        assert_eq!(
            said,
            [
                "clients/a/b/c.py:3: there is no none.md in the repository",
                "clients/a/b/c.py:5: there is no not.md in the repository"
            ]
        );
    }

    #[test]
    fn links_lead_from_their_document() {
        let text = "[a](limits.md) [b](../README.md#part) [c](https://example.org/) [d](#here)\n\
                    [e](../docs) [f](../../out) [g](decisions/none)\n";
        let said = found("docs/rules.md", text, Comments::Prose);
        assert_eq!(
            said,
            [
                "docs/rules.md:2: there is no ../docs",
                "docs/rules.md:2: there is no ../../out",
                "docs/rules.md:2: there is no decisions/none"
            ]
        );
    }
}
