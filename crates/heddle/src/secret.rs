//! The secrets of API keys: how one is made, which is fit to open a server, and the file for the first.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use protocol::limits::{KEY_CHARS_MIN, KEY_KINDS_MIN};

/// Entropy for a key, from the operating system.
#[expect(clippy::disallowed_methods, reason = "a key's secret is made of the system's own entropy")]
pub(crate) fn entropy() -> Result<engine::keys::KeyEntropy, String> {
    let mut entropy = [0; 48];
    getrandom::fill(&mut entropy).map_err(|wrong| format!("no entropy: {wrong}"))?;
    Ok(entropy)
}

/// A secret that nobody keeps: for a server that lives no longer than whoever asks it.
pub(crate) fn passing() -> Result<String, String> {
    Ok(entropy()?.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// What is wrong with a key that somebody thought of, if a server may not be opened with it: what to say
/// behind its name.
pub(crate) fn unfit(key: &str) -> Option<String> {
    let unsendable = |why| format!("{why}: `openssl rand -hex 32` makes a good one");
    self::unsendable(key).map(unsendable).or_else(|| weak(key))
}

/// Why a key never comes from a client, if it does not.
pub(crate) fn unsendable(key: &str) -> Option<String> {
    let is = match key.chars().find(|char| !matches!(char, ' '..='~'))? {
        '\n' | '\r' => "an end of a line",
        char if char.is_control() => "a control character",
        _ => "a character that is not of ASCII",
    };
    Some(format!("holds {is}, which no client can send in a header"))
}

/// What to say of one that is easy to guess.
fn weak(key: &str) -> Option<String> {
    let chars = key.chars().count();
    let kinds = key.chars().collect::<std::collections::BTreeSet<char>>().len();
    let is = match () {
        () if chars < KEY_CHARS_MIN => format!("has {chars} characters and needs {KEY_CHARS_MIN}"),
        () if kinds < KEY_KINDS_MIN => {
            format!("is made of {kinds} different characters and needs {KEY_KINDS_MIN}")
        }
        () => return None,
    };
    Some(format!(
        "is easy to guess: it {is}, for whoever guesses it does with this server what you can; \
         `openssl rand -hex 32` makes a good one, and without the variable the first start makes one"
    ))
}

/// Writes a secret to a file that only its owner can read; after a crash it holds all of it, or is not there.
pub(crate) fn write(path: &Path, secret: &str) -> io::Result<()> {
    let unfinished = path.with_added_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(wrong) if wrong.kind() != ErrorKind::NotFound => return Err(wrong),
        Ok(()) | Err(_) => {}
    }
    let written = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished);
    let written = written.and_then(|mut file| {
        file.write_all(secret.as_bytes())?;
        file.sync_all()
    });
    if let Err(wrong) = written.and_then(|()| std::fs::rename(&unfinished, path)) {
        // The first error says more than a failure to tidy up after it.
        std::fs::remove_file(&unfinished).unwrap_or_default();
        return Err(wrong);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_that_is_easy_to_guess_is_told_from_one_that_is_not() {
        for (key, part) in [
            ("s", Some("it has 1 characters and needs 16")),
            ("open-sesame-1234", None),
            ("open-sesame-123", Some("it has 15 characters")),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", Some("it is made of 1 different characters and needs 6")),
            ("guest-key-of-the-test-run", None),
        ] {
            let said = weak(key);
            assert_eq!(said.is_some(), part.is_some(), "{key}");
            assert!(said.is_none_or(|said| said.contains(part.unwrap_or_default())), "{key}");
        }
        assert_eq!(unfit(&passing().expect("entropy")), None);
    }

    #[test]
    fn a_key_that_no_client_can_send_is_unfit() {
        for (key, is) in [
            ("open-sesame\nand-more-1", "an end of a line"),
            ("open-sesame\u{7f}and-more", "a control character"),
            ("offne-dich-sesam-\u{f6}", "a character that is not of ASCII"),
            ("open-sesame-\u{fffd}-and", "a character that is not of ASCII"),
        ] {
            let said = unfit(key).expect("unfit");
            assert!(said.starts_with(&format!("holds {is}, which no client can send")), "{said}");
        }
        assert_eq!(unfit("open sesame, and more"), None);
    }

    #[test]
    fn a_secret_is_its_owners_alone_and_whole() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("first-key");
        std::fs::write(parent.path().join("first-key.new"), "half a sec").expect("what a crash left");
        for secret in ["one", "two"] {
            write(&path, secret).expect("written");
            let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode, std::fs::read_to_string(&path).expect("text").as_str()), (0o600, secret));
        }
        assert_eq!(std::fs::read_dir(parent.path()).expect("a list").count(), 1);
    }
}
