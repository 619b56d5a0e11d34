//! Where the key of a route's provider is: in a variable of the environment, or in a file.

use std::path::{Path, PathBuf};

use protocol::routes::{OWN_KEY, ProviderKey};

use super::{route_entry::RouteEntry, source::SettingSource};

impl RouteEntry<'_> {
    /// What `key` and `key_file` say together.
    pub(super) fn key(&mut self, variable: Option<String>, file: Option<String>) -> Option<ProviderKey> {
        let variable = variable.map(|name| name.trim().to_owned());
        let shown = match &variable {
            None if file.is_some() => "in key_file".to_owned(),
            None => "none is sent".to_owned(),
            Some(name) if !is_variable(name) => "(wrong)".to_owned(),
            Some(name) if (self.around.is_set)(name) => format!("set ({name})"),
            Some(name) => format!("not set ({name})"),
        };
        self.enter("key", shown);
        if variable.as_deref().is_some_and(|name| !is_variable(name)) {
            self.mistake(
                "key",
                "must be the name of an environment variable that holds the key, such as MY_MODEL_KEY \
                 (capital letters, digits, _), never the key itself; if a key stood here, take it out of the file",
            );
        }
        let said = self.ledger.source(&format!("{}.key", self.path)) != SettingSource::Default;
        if let Some(name) = variable.as_deref().filter(|name| said && (self.around.is_own)(name)) {
            self.mistake(
                "key",
                format!(
                    "the variable {name} holds an API key of a Heddle server (it begins with {OWN_KEY}), which is never \
                     sent to a provider: set it to the provider's own"
                ),
            );
        }
        let wrong = file.as_deref().and_then(|file| wrong_file(file, self.around.shown));
        let shown = match &file {
            None => "none",
            // It may be the key itself.
            Some(_) if wrong.is_some() => "(wrong)",
            Some(file) => file,
        };
        self.enter("key_file", shown.to_owned());
        if let Some(wrong) = wrong {
            self.mistake("key_file", wrong);
        }
        if variable.is_some() && file.is_some() {
            self.mistake("key_file", "stands beside `key`: say in one place where the key is");
        }
        file.map(ProviderKey::File).or_else(|| variable.map(ProviderKey::Variable))
    }
}

/// Capital letters, digits and `_`, and no digit first, as variables are named everywhere; hardly any key is
/// spelled like that.
fn is_variable(name: &str) -> bool {
    let legal = |at: char| at.is_ascii_uppercase() || at.is_ascii_digit() || at == '_';
    !name.is_empty() && name.chars().all(legal) && !name.starts_with(|at: char| at.is_ascii_digit())
}

/// What is wrong with where a key is to be; whether it is there is looked at with each request. `shown` are
/// the trees that agents can read.
fn wrong_file(file: &str, shown: &[PathBuf]) -> Option<String> {
    let is_path = ["/", "./", "../"].iter().any(|begin| file.starts_with(begin));
    if !is_path || file.chars().any(char::is_control) {
        let wrong = "must be the path of a file that holds the key, beginning with `/` or `./`, never the key \
                     itself; if a key stood here, take it out of the file";
        return Some(wrong.to_owned());
    }
    let path = std::path::absolute(file).ok()?;
    let real = path.canonicalize();
    let places = || [Some(path.as_path()), real.as_deref().ok()].into_iter().flatten();
    let lies_in = |tree: &Path| places().any(|place| place.starts_with(tree));
    let mut trees = shown.iter().cloned().chain(sandbox::always_shown());
    let tree = trees.find(|tree| lies_in(tree) || tree.canonicalize().is_ok_and(|tree| lies_in(&tree)));
    let tree = tree.or_else(|| places().find_map(sandbox::shown_by_name))?;
    Some(format!("lies in {}, which agents can read: keep it elsewhere", tree.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_what_every_sandbox_shows_is_refused_and_one_beside_it_is_not() {
        for (file, tree) in [
            ("/usr/local/etc/key", Some("/usr")),
            ("/lib/key", Some("/")),
            ("/etc/ssl/certs/key", Some("/etc/ssl/certs")),
            ("/etc/python3.99/key", Some("/etc/python3.99")),
            ("/etc/ssl/private/key", None),
            ("/etc/heddle/key", None),
            ("/run/secrets/key", None),
        ] {
            let wrong = wrong_file(file, &[]);
            let said = tree.map(|tree| format!("lies in {tree}"));
            assert_eq!(wrong.is_some(), said.is_some(), "{file}: {wrong:?}");
            assert!(wrong.unwrap_or_default().starts_with(&said.unwrap_or_default()), "{file}");
        }
    }
}
