//! Reads the server's operations out of its source: the lists it keeps as data, `("GET", "/v1/…", "…")`.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};

use crate::rust_file;

/// The constant that lists what the server does. Other lists of this shape are what it refuses by name.
const SERVED: &str = "OPERATIONS";

/// A method and a path whose parameters are all written `{}`, so that their names do not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) method: String,
}

impl Route {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        Self { path: parts.collect::<Vec<_>>().join("/"), method: method.to_uppercase() }
    }
}

/// What the server does with a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// It knows the operation and says that it is not supported yet.
    Refused,
    Served,
}

/// The routes in a set of source files.
pub(crate) fn read<'a>(
    sources: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<Route, Answer>, String> {
    let mut routes = BTreeMap::new();
    for source in sources {
        find_lists(rust_file::tokens(source)?, &mut routes);
    }
    Ok(routes)
}

/// `const NAME: … = …;` at any depth of modules.
fn find_lists(stream: TokenStream, found: &mut BTreeMap<Route, Answer>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "const" => {
                let answer = if name == SERVED { Answer::Served } else { Answer::Refused };
                let ends = |token: &&TokenTree| !matches!(token, TokenTree::Punct(p) if p.as_char() == ';');
                for part in tokens.iter().skip(at + 2).take_while(ends) {
                    find_rows(part, answer, found);
                }
            }
            (TokenTree::Group(group), _) => find_lists(group.stream(), found),
            (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_), _) => {}
        }
    }
}

/// Tuples at any depth that begin with a method and a path.
fn find_rows(token: &TokenTree, answer: Answer, found: &mut BTreeMap<Route, Answer>) {
    let TokenTree::Group(group) = token else { return };
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let method = inside.first().and_then(rust_file::string);
    let path = inside.get(2).and_then(rust_file::string);
    if let (Some(method), Some(path)) = (method, path)
        && matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE")
        && path.starts_with('/')
    {
        let known = found.entry(Route::new(&method, &path)).or_insert(answer);
        *known = answer.max(*known);
    }
    for token in &inside {
        find_rows(token, answer, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_from_the_lists_and_what_is_served_wins() {
        let served = "pub const OPERATIONS: &[(&str, &str, &str)] = &[\n    (\"GET\", \"/v1/agents/{agent_id}\", \
                      \"agents.retrieve\"),\n    (\"POST\", \"/v1/agents\", \"agents.create\"),\n];\n\
                      const OTHER: (&str, &str) = (\"a\", \"/b\");";
        let refused = "mod later {\n    pub(crate) const UNBUILT: &[(&str, &str)] = &[(\"GET\", \"/v1/vaults\"), \
                       (\"POST\", \"/v1/agents\")];\n}\nfn a() { b(\"GET\", \"/v1/c\") }";
        let expected = BTreeMap::from([
            (Route::new("GET", "/v1/agents/{id}"), Answer::Served),
            (Route::new("POST", "/v1/agents"), Answer::Served),
            (Route::new("GET", "/v1/vaults"), Answer::Refused),
        ]);
        assert_eq!(read([served, refused]), Ok(expected.clone()));
        assert_eq!(read([refused, served]), Ok(expected));
    }
}
