//! `heddle stop`: interrupts one session or all, over the API like anybody else.

use serde_json::json;

use crate::{Outcome, client::Caller, config, say};

/// What to stop, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The session to interrupt.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    session: Option<String>,
    /// Interrupt every session that is running or waits to try again.
    #[arg(long)]
    all: bool,
    /// The server.
    #[arg(long, env = "HEDDLE_URL", default_value = "http://127.0.0.1:7717")]
    url: String,
    /// The key; without it `HEDDLE_API_KEY`, or the key that the first start wrote to `first-key`.
    #[arg(long, env = "HEDDLE_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The data directory, to find `first-key` in.
    #[arg(long, env = "HEDDLE_DATA", default_value = config::DATA)]
    data: std::path::PathBuf,
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let key = match flags.key {
        Some(key) => key,
        None => std::fs::read_to_string(flags.data.join("first-key"))
            .map_err(|_| "no key: give --key, or set HEDDLE_API_KEY")?,
    };
    let caller = Caller::new(&flags.url, key.trim())?;
    let sessions = match flags.session {
        Some(session) => vec![session],
        None => busy(&caller).await?,
    };
    if sessions.is_empty() {
        say("nothing is running\n");
    }
    for session in sessions {
        let events = json!({"events": [{"type": "user.interrupt"}]});
        caller.post(&format!("/v1/sessions/{session}/events"), &events).await?;
        say(&format!("interrupted {session}\n"));
    }
    Ok(())
}

async fn busy(caller: &Caller) -> Result<Vec<String>, crate::client::CallError> {
    let mut sessions = Vec::new();
    let mut page = String::new();
    loop {
        let path = format!("/v1/sessions?limit=100&statuses[]=running&statuses[]=rescheduling{page}");
        let list = caller.get(&path).await?;
        let ids = list["data"].as_array().into_iter().flatten().filter_map(|session| session["id"].as_str());
        sessions.extend(ids.map(str::to_owned));
        let Some(next) = list["next_page"].as_str() else { return Ok(sessions) };
        page = format!("&page={next}");
    }
}
