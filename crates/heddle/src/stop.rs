//! `heddle stop`: interrupts one session or all, over the API like anybody else.

use serde_json::json;

use crate::{
    Outcome,
    client::{CallError, Caller, Place},
    follow, say,
};

/// What to stop, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The session to interrupt.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    session: Option<String>,
    /// Interrupt every session that is running or waits to try again.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let caller = flags.place.caller()?;
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

async fn busy(caller: &Caller) -> Result<Vec<String>, CallError> {
    let path = "/v1/sessions?limit=100&statuses[]=running&statuses[]=rescheduling";
    let sessions = follow::pages(caller, path).await?;
    Ok(sessions.iter().filter_map(|session| session["id"].as_str()).map(str::to_owned).collect())
}
