//! `heddle stop`: interrupts one session or all, over the API like anybody else.

use serde_json::json;

use crate::{
    Outcome,
    client::{ApiClient, CallError, ServerAddress},
    follow, say,
};

/// What to stop, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct StopFlags {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: ServerAddress,
}

/// One of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The session to interrupt.
    session: Option<String>,
    /// Interrupt every session that is running or waits to try again.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(flags: StopFlags) -> Outcome {
    let caller = flags.place.caller()?;
    let sessions = match flags.which.session {
        Some(session) => {
            if let Some(why) = rests(&caller, &session).await? {
                say(&format!("{session} {why}: nothing to interrupt\n"));
                return Ok(());
            }
            vec![session]
        }
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

/// Why an interrupt would change nothing; `None`: it would. An idle session may wait for somebody's word on a
/// call, and that is ended by it.
async fn rests(caller: &ApiClient, session: &str) -> Result<Option<&'static str>, CallError> {
    let state = caller.get(&format!("/v1/sessions/{session}")).await?;
    match state["status"].as_str() {
        Some("terminated") => return Ok(Some("has ended")),
        Some("idle") => {}
        Some(_) | None => return Ok(None),
    }
    let last = format!("/v1/sessions/{session}/events?order=desc&limit=1&types[]=session.status_idle");
    let last = caller.get(&last).await?;
    let waits = last.pointer("/data/0/stop_reason/type").is_some_and(|stop| stop == "requires_action");
    Ok((!waits).then_some("is idle"))
}

async fn busy(caller: &ApiClient) -> Result<Vec<String>, CallError> {
    let path = "/v1/sessions?limit=100&statuses[]=running&statuses[]=rescheduling";
    let sessions = follow::pages(caller, path).await?;
    Ok(sessions.iter().filter_map(|session| session["id"].as_str()).map(str::to_owned).collect())
}
