//! Reads one Rust source file as tokens: which lines are code, which are tests, what stands where.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, Group, LineColumn, Span, TokenStream, TokenTree};

/// What the rules need to know of a source file. Lines count from 1.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RustFile {
    /// Lines with at least one token that is not a comment.
    pub(crate) code: BTreeSet<usize>,
    /// Lines of items under `#[cfg(test)]`.
    pub(crate) tests: BTreeSet<usize>,
    /// How many characters of a line belong to string literals.
    pub(crate) quoted: BTreeMap<usize, usize>,
    /// Macros called, by line.
    pub(crate) macros: Vec<(usize, String)>,
    /// Attributes by line, `cfg_attr` opened up to what it would add.
    pub(crate) attributes: Vec<(usize, String)>,
}

impl RustFile {
    /// Reads the text of a file; an error says where it stops being Rust.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        file.walk(tokens(text)?, text);
        Ok(file)
    }

    fn walk(&mut self, stream: TokenStream, text: &str) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let Some((group, length)) = attribute(&tokens, at) {
                self.note_attribute(group, token.span(), tokens.get(at + length..).unwrap_or_default(), text);
                at += length;
                continue;
            }
            match token {
                TokenTree::Group(group) => {
                    self.mark(group.span_open());
                    self.mark(group.span_close());
                    self.walk(group.stream(), text);
                }
                TokenTree::Ident(name) => {
                    self.mark(name.span());
                    if is_macro(&tokens, at) {
                        self.macros.push((name.span().start().line, name.to_string()));
                    }
                }
                TokenTree::Punct(punct) => self.mark(punct.span()),
                TokenTree::Literal(literal) => {
                    self.mark(literal.span());
                    if literal.to_string().trim_start_matches(['b', 'c', 'r', '#']).starts_with('"') {
                        self.note_string(literal.span(), text);
                    }
                }
            }
            at += 1;
        }
    }

    /// Notes an attribute and, under `cfg(test)`, the lines of the item after it. A doc comment is none.
    fn note_attribute(&mut self, group: &Group, start: Span, after: &[TokenTree], text: &str) {
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        let Some(TokenTree::Ident(name)) = inside.first() else { return };
        if name == "doc" {
            return;
        }
        let line = start.start().line;
        self.mark(start);
        self.mark(group.span());
        self.attributes.push((line, name.to_string()));
        if name == "cfg_attr" {
            let added = words(group.stream()).into_iter().filter(|word| word == "allow" || word == "ignore");
            self.attributes.extend(added.map(|word| (line, word)));
        }
        if group.stream().to_string().replace(' ', "") == "cfg(test)"
            && let Some(end) = after.iter().find_map(item_end)
        {
            self.tests.extend(line..=end.line);
        }
        self.walk(group.stream(), text);
    }

    fn mark(&mut self, span: Span) {
        self.code.extend(span.start().line..=span.end().line);
    }

    fn note_string(&mut self, span: Span, text: &str) {
        let (start, end) = (span.start(), span.end());
        for (line, content) in text.lines().enumerate().map(|(at, content)| (at + 1, content)) {
            if (start.line..=end.line).contains(&line) {
                let from = if line == start.line { start.column } else { 0 };
                let to = if line == end.line { end.column } else { content.chars().count() };
                *self.quoted.entry(line).or_default() += to.saturating_sub(from);
            }
        }
    }
}

/// The text as tokens.
pub(crate) fn tokens(text: &str) -> Result<TokenStream, String> {
    TokenStream::from_str(text).map_err(|e| {
        let LineColumn { line, column } = e.span().start();
        format!("line {line}, column {column}: this is not Rust")
    })
}

/// The value of a plain string literal.
pub(crate) fn string(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    Some(literal.to_string().strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// An attribute that begins here: its bracket and how many tokens it takes.
pub(crate) fn attribute(tokens: &[TokenTree], at: usize) -> Option<(&Group, usize)> {
    let is = |at: usize, sign: char| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    if !is(at, '#') {
        return None;
    }
    let length = if is(at + 1, '!') { 3 } else { 2 };
    match tokens.get(at + length - 1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some((group, length)),
        _ => None,
    }
}

/// Whether the name here calls a macro: `name!(…)`.
fn is_macro(tokens: &[TokenTree], at: usize) -> bool {
    matches!(
        (tokens.get(at + 1), tokens.get(at + 2)),
        (Some(TokenTree::Punct(punct)), Some(TokenTree::Group(_))) if punct.as_char() == '!'
    )
}

/// Where an item ends, if this token ends it: its braces or its semicolon.
fn item_end(token: &TokenTree) -> Option<LineColumn> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.span().end()),
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(punct.span().end()),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => None,
    }
}

/// All names in a stream, at any depth.
fn words(stream: TokenStream) -> Vec<String> {
    stream
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => words(group.stream()),
            TokenTree::Ident(name) => vec![name.to_string()],
            TokenTree::Punct(_) | TokenTree::Literal(_) => Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_are_not_code_and_test_items_are_tests() {
        let text = "//! For.\n\n/// Doc.\nfn a() { // why\n    /* block\n    */ b()\n}\n\n#[cfg(test)]\nmod tests {\n\n    fn c() {}\n}\nfn d() {}\n";
        let file = RustFile::read(text).unwrap();
        assert_eq!(file.code, BTreeSet::from([4, 6, 7, 9, 10, 12, 13, 14]));
        assert_eq!(file.tests, BTreeSet::from([9, 10, 11, 12, 13]));
    }

    #[test]
    fn strings_are_measured_line_by_line_and_hide_what_they_quote() {
        let file =
            RustFile::read("const A: &str = \"todo!()\";\nconst B: &str = r#\"one\ntwo\"#;\n").unwrap();
        assert_eq!(file.quoted, BTreeMap::from([(1, 9), (2, 6), (3, 5)]));
        assert_eq!(file.macros, []);
    }

    #[test]
    fn macros_and_attributes_are_found_at_any_depth() {
        let text = "#![allow(x)]\nmod a {\n    #[cfg_attr(test, allow(y))]\n    fn b() { if c != (d) { vec![todo!()] } }\n}\n";
        let file = RustFile::read(text).unwrap();
        assert_eq!(file.macros, [(4, "vec".to_owned()), (4, "todo".to_owned())]);
        let names: Vec<(usize, &str)> =
            file.attributes.iter().map(|(at, name)| (*at, name.as_str())).collect();
        assert_eq!(names, [(1, "allow"), (3, "cfg_attr"), (3, "allow")]);
    }

    #[test]
    fn what_is_not_rust_says_where() {
        assert_eq!(RustFile::read("fn a() {\n  )\n}"), Err("line 2, column 2: this is not Rust".to_owned()));
    }
}
