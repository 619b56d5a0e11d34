//! The providers' keys, by the place each comes from: an environment variable, or a file that is read at each
//! request.

use core::{fmt, time::Duration};
use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use protocol::{limits::KEY_FILE_BYTES, routes::OWN_KEY};
use tokio::{task::spawn_blocking, time::timeout};

/// How long a file system may take to give a key.
const WAIT: Duration = Duration::from_secs(5);

/// Variable name to secret. Prints nothing of either.
#[derive(Clone, Default)]
pub struct ProviderKeys(BTreeMap<String, String>);

impl ProviderKeys {
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
impl FromIterator<(String, String)> for ProviderKeys {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let trimmed = pairs.into_iter().map(|(variable, secret)| (variable, secret.trim().to_owned()));
        Self(trimmed.filter(|(_, secret)| !secret.is_empty()).collect())
    }
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Whether the file at `path` holds a key now.
///
/// # Errors
/// Why not, to be read behind the path: nothing of what the file holds.
pub fn has_key(path: &str) -> Result<(), String> {
    read(path).map(drop)
}

/// The key in the file at `path`, as it is now.
pub(crate) async fn in_file(path: &str) -> Result<String, String> {
    let path = path.to_owned();
    match timeout(WAIT, spawn_blocking(move || read(&path))).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err("could not be read".to_owned()),
        Err(_) => Err(format!("could not be read within {} seconds", WAIT.as_secs())),
    }
}

/// White space around a key is dropped, and the mark with which some editors begin a text.
fn read(path: &str) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Not opened before it is known to be a file: a pipe would wait for a writer.
    if !Path::new(path).metadata().map_err(unreadable)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > KEY_FILE_BYTES {
        return Err(format!("holds more than {KEY_FILE_BYTES} bytes, which is no key"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "holds what is no text in UTF-8")?;
    let key = text.trim_start_matches('\u{feff}').trim();
    if key.is_empty() {
        return Err("holds no key".to_owned());
    }
    if key.chars().any(char::is_control) {
        return Err("holds more than one line, or what no key holds".to_owned());
    }
    if key.starts_with(OWN_KEY) {
        return Err("holds an API key of a Heddle server, which is never sent to a provider".to_owned());
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_trimmed_a_blank_one_is_none_and_nothing_is_printed() {
        let pairs = [("A", " secret\n"), ("B", " ")];
        let keys: ProviderKeys =
            pairs.map(|(variable, secret)| (variable.to_owned(), secret.to_owned())).into_iter().collect();
        assert_eq!((keys.key("A"), keys.key("B"), keys.key("C")), (Some("secret"), None, None));
        assert_eq!(format!("{keys:?}"), "Keys { .. }");
    }
}
