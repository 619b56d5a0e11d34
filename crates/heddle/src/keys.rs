//! `heddle keys`: makes, lists and revokes API keys in the data directory, beside a running server.

use std::path::PathBuf;

use engine::Clock;
use protocol::id::ApiKeyId;
use store::Store;

use crate::{
    Outcome,
    config::{Beside, DATABASE, HOME},
    say, seal,
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
    /// Revokes a key: from the next request on it opens nothing.
    Revoke {
        /// The key's id, as `list` shows it.
        id: String,
    },
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let data = flags.beside.settle(flags.data)?.data;
    seal::make(&data)?;
    let store = Store::sqlite(&data.join(DATABASE))?;
    let now = Clock::wall().now();
    match flags.verb {
        Verb::Create { name } => {
            let (key, secret) = server::keys::create(&store, HOME, &name, now, entropy()?).await?;
            say(&format!("{} {name}\n{}\n", key.id, secret.expose()));
        }
        Verb::List => {
            for key in server::keys::list(&store, HOME).await? {
                let state = key.revoked_at.map_or_else(|| "live".to_owned(), |at| format!("revoked {at}"));
                say(&format!("{}  {}  {state}  {}\n", key.id, key.created_at, key.name));
            }
        }
        Verb::Revoke { id } => {
            let id: ApiKeyId = id.parse()?;
            let key = server::keys::revoke(&store, HOME, id, now).await?;
            let key = key.ok_or_else(|| format!("there is no key {id}; `heddle keys list` shows them"))?;
            say(&format!("revoked {} {}\n", key.id, key.name));
        }
    }
    Ok(())
}

/// Entropy for a key, from the operating system.
#[expect(clippy::disallowed_methods, reason = "a key's secret is made of the system's own entropy")]
pub(crate) fn entropy() -> Result<server::keys::Entropy, String> {
    let mut entropy = [0; 48];
    getrandom::fill(&mut entropy).map_err(|wrong| format!("no entropy: {wrong}"))?;
    Ok(entropy)
}
