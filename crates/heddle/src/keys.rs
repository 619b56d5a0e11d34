//! `heddle keys`: makes, lists and revokes API keys in the data directory, beside a running server.

use std::path::PathBuf;

use engine::Clock;
use protocol::{
    id::ApiKeyId,
    limits::{KEY_CHARS_MIN, KEY_KINDS_MIN},
};
use store::Store;

use crate::{
    Outcome,
    config::{Beside, DATABASE, HOME},
    say, seal,
    terminal::{self, one_line},
};

/// What to do with keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Where the server keeps everything [default: what its settings' file says, or heddle-data]
    #[arg(long, env = "HEDDLE_DATA", value_name = "DIRECTORY", global = true)]
    data: Option<PathBuf>,
    #[command(flatten)]
    beside: Beside,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Makes a key and shows its secret once.
    Create {
        /// What it is for.
        #[arg(default_value = "unnamed")]
        name: String,
    },
    /// Lists the keys, newest first; never their secrets.
    List,
    /// Revokes a key: it opens nothing any more, and its streams end within a second.
    Revoke {
        /// The key's id, as `list` shows it.
        id: String,
    },
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let data = flags.beside.settle(flags.data)?.data;
    seal::find(&data)?;
    let open = seal::make(&data)?;
    if !open.is_empty() {
        terminal::complain(&format!(
            "other users of this machine could use {}; no longer\n",
            seal::told(&open)
        ));
    }
    let database = data.join(DATABASE);
    if seal::is_served(&data) && Store::is_older(&database) {
        let message = format!(
            "an older heddle serves {}, and this one would change its database under it: stop it first, or use its \
             own `heddle keys`",
            data.display()
        );
        return Err(message.into());
    }
    let store = Store::sqlite(&database)?;
    let now = Clock::wall().now();
    match flags.verb {
        Verb::Create { name } => {
            let (key, secret) = engine::keys::create(&store, HOME, &name, now, entropy()?).await?;
            say(&format!("{} {name}\n{}\n", key.id, secret.expose()));
        }
        Verb::List => {
            for key in engine::keys::list(&store, HOME).await? {
                let state = key.revoked_at.map_or_else(|| "live".to_owned(), |at| format!("revoked {at}"));
                say(&format!("{}  {}  {state}  {}\n", key.id, key.created_at, one_line(&key.name)));
            }
        }
        Verb::Revoke { id } => {
            let id: ApiKeyId = id
                .parse()
                .map_err(|wrong| format!("`{id}` is no key's id ({wrong}); `heddle keys list` shows them"))?;
            let key = engine::keys::revoke(&store, HOME, id, now).await?;
            let key = key.ok_or_else(|| format!("there is no key {id}; `heddle keys list` shows them"))?;
            let before = key.revoked_at.filter(|at| *at != now);
            say(&match before {
                Some(at) => format!("{} {} was revoked already, at {at}\n", key.id, one_line(&key.name)),
                None => format!("revoked {} {}\n", key.id, one_line(&key.name)),
            });
        }
    }
    Ok(())
}

/// Entropy for a key, from the operating system.
#[expect(clippy::disallowed_methods, reason = "a key's secret is made of the system's own entropy")]
pub(crate) fn entropy() -> Result<engine::keys::Entropy, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
