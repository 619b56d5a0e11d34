//! `heddle keys`: makes, lists and revokes API keys in the data directory, beside a running server.

use std::path::PathBuf;

use engine::Clock;
use protocol::id::ApiKeyId;
use store::Store;

use crate::{
    Outcome,
    config::{HOME, SettingsFlags},
    lock, say,
    seal::{self, DATABASE},
    secret,
    terminal::{self, one_line},
};

/// What to do with keys.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFlags {
    /// Where the server keeps everything [default: what its settings' file says, or heddle-data]
    #[arg(long, env = "HEDDLE_DATA", value_name = "DIRECTORY", global = true)]
    data: Option<PathBuf>,
    #[command(flatten)]
    beside: SettingsFlags,
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

pub(crate) async fn run(flags: KeyFlags) -> Outcome {
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
    if lock::is_served(&data) && Store::is_older(&database) {
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
            let (key, secret) = engine::keys::create(&store, HOME, &name, now, secret::entropy()?).await?;
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
