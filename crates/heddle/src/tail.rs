//! `heddle tail`: a session's threads and what they do, as it happens.

use crate::{
    Outcome, Wrong,
    client::{ApiClient, ServerAddress, there},
    follow::{self, SessionFollower},
    remark::remark,
    terminal,
    tree::ThreadTree,
};

/// What to follow, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct TailFlags {
    /// The session.
    session: String,
    /// Show what there is and end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    place: ServerAddress,
}

pub(crate) async fn run(flags: TailFlags) -> Outcome {
    let TailFlags { session, once, place } = flags;
    let caller = place.caller()?;
    let mut tree = begin(&caller, &session).await?;
    // Where there was a server, one that is away is waited for.
    let caller = if once { caller } else { caller.patient() };
    tokio::select! {
        told = follow(&caller, &session, once, &mut tree) => told,
        unread = terminal::unread() => Err(unread.into()),
    }
}

async fn follow(caller: &ApiClient, session: &str, once: bool, tree: &mut ThreadTree) -> Outcome {
    let mut events = SessionFollower::open(caller, session).await?;
    if once {
        while let Some(told) = events.known() {
            tree.tell(&told);
            terminal::read()?;
        }
    } else {
        while let Some(told) = events.next().await? {
            tree.tell(&told);
            terminal::read()?;
        }
    }
    match there(follow::threads(caller, session).await)? {
        Some(threads) => tree.sum(&threads),
        None => remark("the session is deleted, and with it what there was to sum up"),
    }
    Ok(())
}

/// The tree of a session, as it is.
pub(crate) async fn begin(caller: &ApiClient, session: &str) -> Result<ThreadTree, Wrong> {
    let state = caller.get(&format!("/v1/sessions/{session}")).await?;
    let began =
        state["created_at"].as_str().and_then(|at| at.parse().ok()).ok_or("a session without a time")?;
    // One that was there a moment ago is waited for.
    Ok(ThreadTree::new(began, &follow::threads(&caller.patient(), session).await?))
}
