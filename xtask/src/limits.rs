//! `docs/limits.md`: what is bounded, by how much, and for whom. Made from the constants in the source; what
//! is not bounded is written by hand, behind a line that this keeps.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::rust_file;
use crate::tree::Tree;

/// The document, and the line behind which it is written by hand.
pub(crate) const DOCUMENT: &str = "docs/limits.md";
const BY_HAND: &str = "<!-- From here on written by hand. -->";
/// The bounds that a caller can meet, and those of a sandbox.
const CONSTANTS: &str = "crates/protocol/src/limits.rs";
const SANDBOX: &str = "crates/sandbox/src/plan.rs";
/// For whom a bound holds: the line that says so above a group of constants, and its heading.
const SCOPES: [(&str, &str); 11] = [
    ("A session", "A session"),
    ("A turn", "A turn"),
    ("A call", "A call of a tool"),
    ("A resource", "A resource: an agent, an environment, what is set of a session"),
    ("An event", "An event"),
    ("A request", "A request"),
    ("A connection", "A connection"),
    ("A key", "A key"),
    ("An address", "An address"),
    ("A route", "A route: the way to one provider"),
    ("A server", "A server"),
];
/// Words of a doc comment that say for whom a bound holds. They must not contradict the line above.
const WORDS: [(&str, &str); 8] = [
    ("of a session", "A session"),
    ("of a route", "A route"),
    ("of a server", "A server"),
    ("of the whole server", "A server"),
    ("of one key", "A key"),
    ("of one address", "An address"),
    ("of one HTTP/2 connection", "A connection"),
    ("of one connection", "A connection"),
];
const OPENING: &str = "\
# JailLimits

What is bounded, by how much, and for whom. The numbers come from the code: this page is made from
[limits.rs](../crates/protocol/src/limits.rs) and from the sandbox's [plan.rs](../crates/sandbox/src/plan.rs) by
`cargo x limits`, and `cargo x check` fails when it is not up to date. What can be set, and what it is unless it is
set, stands in [heddle.toml](heddle.toml). What is not bounded stands at the end.
";

/// One bound.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    name: String,
    value: u128,
    says: String,
}

/// Writes the document.
pub(crate) fn run(tree: &Tree) -> Result<bool, String> {
    std::fs::write(tree.root.join(DOCUMENT), document(tree)?).map_err(|e| format!("{DOCUMENT}: {e}"))?;
    println!("limits: wrote {DOCUMENT}");
    Ok(true)
}

/// Whether the document is up to date.
pub(crate) fn check(tree: &Tree) -> Result<Vec<String>, String> {
    let same = tree.read(DOCUMENT).ok() == Some(document(tree)?);
    Ok(if same {
        Vec::new()
    } else {
        vec![format!("{DOCUMENT}: is not up to date; `cargo x limits` writes it")]
    })
}

/// The document as it should read.
fn document(tree: &Tree) -> Result<String, String> {
    let groups = constants(&tree.read(CONSTANTS)?).map_err(|e| format!("{CONSTANTS}: {e}"))?;
    let sandbox = fields(&tree.read(SANDBOX)?).map_err(|e| format!("{SANDBOX}: {e}"))?;
    let by_hand = tree.read(DOCUMENT)?;
    let (_, by_hand) = by_hand.split_once(BY_HAND).ok_or_else(|| format!("{DOCUMENT}: no line {BY_HAND}"))?;
    let mut text = OPENING.to_owned();
    for (scope, heading) in SCOPES {
        if let Some(bounds) = groups.get(scope) {
            text.push_str(&table(heading, bounds));
        }
    }
    text.push_str(&table("A sandbox", &sandbox));
    Ok(format!("{text}\n{BY_HAND}{by_hand}"))
}

fn table(heading: &str, bounds: &[Bound]) -> String {
    let row = |bound: &Bound| format!("| {} | {} | `{}` |\n", bound.says, bound.worded(), bound.name);
    let rows: String = bounds.iter().map(row).collect();
    format!("\n## {heading}\n\n| what | limit | in the code |\n|---|---|---|\n{rows}")
}

impl Bound {
    /// The value with its unit, which the name says.
    fn worded(&self) -> String {
        let has = |unit: &str| self.name.to_uppercase().split('_').any(|part| part == unit);
        let plain = grouped(self.value);
        match self.value {
            value if has("BYTES") => bytes(value),
            value if has("MS") && value.is_multiple_of(1_000) => seconds(value / 1_000),
            _ if has("MS") => format!("{plain} milliseconds"),
            value if has("S") => seconds(value),
            _ if has("CHARS") => format!("{plain} characters"),
            _ => plain,
        }
    }
}

fn bytes(value: u128) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| value >= *unit && value.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{} bytes", grouped(value)),
        |(unit, word)| format!("{} {word}", grouped(value / unit)),
    )
}

fn seconds(value: u128) -> String {
    match value {
        1 => "1 second".to_owned(),
        value if value > 3_600 && value.is_multiple_of(3_600) => format!("{} hours", value / 3_600),
        value if value > 60 && value.is_multiple_of(60) => format!("{} minutes", value / 60),
        value => format!("{} seconds", grouped(value)),
    }
}

/// A number with commas between its thousands.
fn grouped(value: u128) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The constants of a file, by the scope that the last line of its kind above them names.
fn constants(text: &str) -> Result<BTreeMap<&'static str, Vec<Bound>>, String> {
    let scopes: Vec<(usize, &'static str)> = text
        .lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let said = line.strip_prefix("// ")?;
            SCOPES.iter().find(|(scope, _)| *scope == said).map(|(scope, _)| (at + 1, *scope))
        })
        .collect();
    let mut known = BTreeMap::new();
    let mut groups: BTreeMap<&'static str, Vec<Bound>> = BTreeMap::new();
    let tokens: Vec<TokenTree> = rust_file::tokens(text)?.into_iter().collect();
    let mut comment = Says::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some(length) = comment.note(&tokens, at) {
            at += length;
            continue;
        }
        if let (TokenTree::Ident(word), Some(TokenTree::Ident(name))) = (token, tokens.get(at + 1))
            && word == "const"
        {
            let (name, line) = (name.to_string(), name.span().start().line);
            let scope = scopes.iter().rev().find(|(above, _)| *above < line).map(|(_, scope)| *scope);
            let names: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
            let scope = scope.ok_or_else(|| {
                format!(
                    "line {line}: no line above {name} says for whom it holds: `// {}`",
                    names.join("`, `// ")
                )
            })?;
            let expression = tokens.iter().skip(at).skip_while(|token| !is(token, '=')).skip(1);
            let value = product(expression.take_while(|token| !is(token, ';')), &known).ok_or_else(|| {
                format!("line {line}: the value of {name} is no product of numbers and names")
            })?;
            known.insert(name.clone(), value);
            let says = comment.taken(&name)?;
            let other = WORDS.iter().find(|(words, of)| says.contains(words) && *of != scope);
            if let Some((words, of)) = other {
                return Err(format!(
                    "line {line}: {name} is said to be {words} and stands below `// {scope}`; its place is below `// {of}`"
                ));
            }
            groups.entry(scope).or_default().push(Bound { name, value, says });
            at += 1;
        }
        at += 1;
    }
    Ok(groups)
}

/// The fields of `struct JailLimits` with what its `Default` says.
fn fields(text: &str) -> Result<Vec<Bound>, String> {
    let tokens: Vec<TokenTree> = rust_file::tokens(text)?.into_iter().collect();
    let mut known = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        if let (TokenTree::Ident(word), Some(TokenTree::Ident(name))) = (token, tokens.get(at + 1))
            && word == "const"
        {
            let expression = tokens.iter().skip(at).skip_while(|token| !is(token, '=')).skip(1);
            if let Some(value) = product(expression.take_while(|token| !is(token, ';')), &known) {
                known.insert(name.to_string(), value);
            }
        }
    }
    let shape = block(&tokens, &["struct", "JailLimits"]).ok_or("there is no struct JailLimits")?;
    let outer =
        block(&tokens, &["impl", "Default", "for", "JailLimits"]).ok_or("JailLimits has no Default")?;
    let values = innermost(outer).ok_or("the Default of JailLimits is empty")?;
    let values: Vec<TokenTree> = values.stream().into_iter().collect();
    let mut bounds = Vec::new();
    let mut says = Says::default();
    let shape: Vec<TokenTree> = shape.stream().into_iter().collect();
    let mut at = 0;
    while let Some(token) = shape.get(at) {
        if let Some(length) = says.note(&shape, at) {
            at += length;
            continue;
        }
        if let (TokenTree::Ident(name), Some(next)) = (token, shape.get(at + 1))
            && is(next, ':')
        {
            let name = name.to_string();
            let field = values.iter().skip_while(|token| token.to_string() != name).skip(2);
            let value = product(field.take_while(|token| !is(token, ',')), &known)
                .ok_or_else(|| format!("the default of {name} is no product of numbers and names"))?;
            bounds.push(Bound { says: says.taken(&name)?, name, value });
            at += 1;
        }
        at += 1;
    }
    Ok(bounds)
}

/// The doc comment that has been read and belongs to what comes next.
#[derive(Debug, Default)]
struct Says(Vec<String>);

impl Says {
    /// Notes a line of a doc comment; how many tokens the attribute here takes, if one begins here.
    fn note(&mut self, tokens: &[TokenTree], at: usize) -> Option<usize> {
        let (group, length) = rust_file::attribute(tokens, at)?;
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        if length == 2
            && inside.first().is_some_and(|name| name.to_string() == "doc")
            && let Some(line) = inside.get(2).and_then(rust_file::string)
        {
            self.0.push(line.trim().replace("\\\"", "\"").replace("\\'", "'"));
        }
        Some(length)
    }

    /// The whole comment for a table's cell, without where a number was taken from.
    fn taken(&mut self, name: &str) -> Result<String, String> {
        let said =
            std::mem::take(&mut self.0).join(" ").replace('|', "\\|").replace("[`", "`").replace("`]", "`");
        if said.is_empty() {
            return Err(format!("{name} does not say what it bounds"));
        }
        let mut text = String::new();
        for (number, part) in said.split('(').enumerate() {
            let source = part.starts_with("docs/rules.md");
            match (number, part.split_once(')')) {
                (0, _) => text.push_str(part),
                (_, Some((_, rest))) if source => text.push_str(rest),
                _ => {
                    text.push('(');
                    text.push_str(part);
                }
            }
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" .", ".").replace(" ;", ";"))
    }
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// A product of numbers and names that are known.
fn product<'a>(tokens: impl Iterator<Item = &'a TokenTree>, known: &BTreeMap<String, u128>) -> Option<u128> {
    let mut value: Option<u128> = None;
    for (at, token) in tokens.enumerate() {
        if at % 2 == 1 {
            is(token, '*').then_some(())?;
            continue;
        }
        let text = token.to_string();
        let factor = known.get(&text).copied().or_else(|| text.replace('_', "").parse().ok())?;
        value = Some(value.unwrap_or(1).checked_mul(factor)?);
    }
    value
}

/// The braces behind these words.
fn block<'a>(tokens: &'a [TokenTree], words: &[&str]) -> Option<&'a Group> {
    let at = tokens
        .windows(words.len())
        .position(|found| found.iter().zip(words).all(|(token, word)| token.to_string() == *word))?;
    braces(tokens.get(at + words.len()..)?)
}

fn braces(tokens: &[TokenTree]) -> Option<&Group> {
    tokens.iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

/// The braces inside which there are no others.
fn innermost(group: &Group) -> Option<Group> {
    let mut found = group.clone();
    loop {
        let stream: TokenStream = found.stream();
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        match braces(&tokens) {
            Some(deeper) => found = deeper.clone(),
            None => return (!tokens.is_empty()).then_some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str, value: u128, says: &str) -> Bound {
        Bound { name: name.to_owned(), value, says: says.to_owned() }
    }

    #[test]
    fn constants_are_grouped_by_the_line_above_them_and_may_name_earlier_ones() {
        let text = "//! L.\n\n// A session\n\n/// Bytes that wait (docs/rules.md 4); of one\n/// session's \"queue\".\n\
                    pub const A_BYTES: usize = 2 * 1024 * 1024;\n\n// A server\n\n/// Twice (or so) that.\n\
                    pub const B_BYTES: usize = 2 * A_BYTES;\n// A session\n/// Events.\nconst C: u32 = 1_000;\n";
        let first = bound("A_BYTES", 2 << 20, "Bytes that wait; of one session's \"queue\".");
        let wanted = BTreeMap::from([
            ("A session", vec![first, bound("C", 1_000, "Events.")]),
            ("A server", vec![bound("B_BYTES", 4 << 20, "Twice (or so) that.")]),
        ]);
        assert_eq!(constants(text), Ok(wanted));
    }

    #[test]
    fn a_constant_of_nobody_or_without_words_or_of_another_form_is_refused() {
        let said = constants("/// A.\npub const A: u8 = 1;\n").unwrap_err();
        assert!(
            said.starts_with("line 2: no line above A says for whom it holds: `// A session`, "),
            "{said}"
        );
        let said = constants("// A thing\n/// A.\npub const A: u8 = 1;\n").unwrap_err();
        assert!(said.starts_with("line 3: no line above A"), "{said}");
        let silent = constants("// A key\npub const A: u8 = 1;\n").unwrap_err();
        assert_eq!(silent, "A does not say what it bounds");
        let astray = constants("// A server\n/// Bytes, of one key.\npub const A: u8 = 1;\n").unwrap_err();
        let wanted = "line 3: A is said to be of one key and stands below `// A server`; its place is below `// A key`";
        assert_eq!(astray, wanted);
        let form = constants("// A key\n/// A.\npub const A: u8 = 1 + 1;\n").unwrap_err();
        assert_eq!(form, "line 3: the value of A is no product of numbers and names");
    }

    #[test]
    fn a_sandboxes_limits_are_its_fields_with_their_defaults() {
        let text = "/// Other.\npub struct Plan { pub a: u8 }\n/// What.\npub struct JailLimits {\n    /// Processes.\n    \
                    pub processes: u64,\n    /// Memory.\n    pub data_bytes: u64,\n}\nconst MIB: u64 = 1024 * 1024;\n\
                    const GIB: u64 = 1024 * MIB;\nimpl Default for JailLimits {\n    fn default() -> Self {\n        \
                    Self { data_bytes: 4 * GIB, processes: 512 }\n    }\n}\n";
        let wanted = [bound("processes", 512, "Processes."), bound("data_bytes", 4 << 30, "Memory.")];
        assert_eq!(fields(text), Ok(wanted.to_vec()));
    }

    #[test]
    fn units_are_words() {
        let worded = |name: &str, value| bound(name, value, "").worded();
        let said = [
            worded("A_BYTES", 1 << 30),
            worded("data_bytes", 512 << 20),
            worded("A_BYTES_PER_KEY", 64 << 10),
            worded("A_BYTES", 1_500),
            worded("A_S", 60),
            worded("A_S_MAX", 600),
            worded("A_S", 24 * 3_600),
            worded("A_MS", 500),
            worded("A_MS_MAX", 30_000),
            worded("A_CHARS", 100_000),
            worded("TOOLS", 8_192),
        ];
        let wanted = [
            "1 GiB",
            "512 MiB",
            "64 KiB",
            "1,500 bytes",
            "60 seconds",
            "10 minutes",
            "24 hours",
            "500 milliseconds",
            "30 seconds",
            "100,000 characters",
            "8,192",
        ];
        assert_eq!(said, wanted);
    }
}
