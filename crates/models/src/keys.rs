//! The providers' keys, by the environment variable each came from.

use core::fmt;
use std::collections::BTreeMap;

/// Variable name to secret. Prints nothing of either.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, String>);

impl Keys {
    /// Whether `variable` held a key.
    pub fn has(&self, variable: &str) -> bool {
        self.0.contains_key(variable)
    }

    /// The key that `variable` held, if it held any.
    pub(crate) fn key(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str)
    }
}

/// From pairs of variable and secret; white space around a secret is dropped, and a blank one is none.
impl FromIterator<(String, String)> for Keys {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let trimmed = pairs.into_iter().map(|(variable, secret)| (variable, secret.trim().to_owned()));
        Self(trimmed.filter(|(_, secret)| !secret.is_empty()).collect())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_trimmed_a_blank_one_is_none_and_nothing_is_printed() {
        let pairs = [("A", " secret\n"), ("B", " ")];
        let keys: Keys =
            pairs.map(|(variable, secret)| (variable.to_owned(), secret.to_owned())).into_iter().collect();
        assert_eq!((keys.key("A"), keys.key("B"), keys.key("C")), (Some("secret"), None, None));
        assert_eq!(format!("{keys:?}"), "Keys { .. }");
    }
}
