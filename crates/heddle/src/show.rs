//! `heddle show`: a session or one of its threads, or what its model was sent last.

use serde_json::Value;

use crate::{
    Outcome,
    client::ServerAddress,
    follow::{self, FollowedEvent},
    say, tail,
};

/// What to show, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowFlags {
    /// The session.
    session: String,
    /// One of its threads [default: the primary]
    thread: Option<String>,
    /// Print the body of the last request to the thread's model, exactly as it was sent.
    #[arg(long)]
    prompt: bool,
    #[command(flatten)]
    place: ServerAddress,
}

pub(crate) async fn run(flags: ShowFlags) -> Outcome {
    let caller = flags.place.caller()?;
    let session = &flags.session;
    let threads = follow::threads(&caller, session).await?;
    let primary = || threads.first().and_then(|thread| thread["id"].as_str()).map(str::to_owned);
    let thread = flags.thread.or_else(primary).ok_or("a session without a thread")?;
    if flags.prompt {
        let body: Value = caller.get(&format!("/heddle/sessions/{session}/threads/{thread}/prompt")).await?;
        say(&format!("{}\n", serde_json::to_string_pretty(&body)?));
        return Ok(());
    }
    let mut tree = tail::begin(&caller, session).await?;
    for event in
        follow::pages(&caller, &format!("/v1/sessions/{session}/threads/{thread}/events?limit=1000")).await?
    {
        tree.tell(&FollowedEvent { thread: thread.clone(), event });
    }
    let own: Vec<Value> = threads.into_iter().filter(|known| known["id"] == thread.as_str()).collect();
    tree.sum(&own);
    Ok(())
}
