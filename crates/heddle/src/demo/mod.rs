//! `heddle demo`: agents at work before your eyes. It starts a server of its own, talks to it over HTTP
//! like any client, lets a coordinator start two agents that share one sandbox, and kills the server in
//! the middle to show that nothing is lost.

mod child;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::{
    Outcome, Wrong,
    client::ApiClient,
    config,
    follow::{self, FollowedEvent, SessionFollower},
    hands,
    remark::remark,
    secret, tail, terminal,
    tree::ThreadTree,
};
use child::DemoServer;

/// What the agents are told to do: one makes a file, the other waits for it and reads it. The built-in script
/// takes each line for the agent that it names, a language model understands it.
const TASK: &str = "Start both of your agents at once, each with the command that stands after its name as its task, \
and end your turn. When both have reported, say in a sentence what they found.\n\
writer: sleep 1; echo 'woven by two threads' > note.txt; echo 'note.txt is written'\n\
reader: until [ -s note.txt ]; do sleep 0.1; done; cat note.txt";
const LEADS: &str = "You lead two agents, a writer and a reader. You do not run anything yourself.";
const WORKS: &str = "Run the command that you are given with bash, as it is and once, and report its output.";

/// What the demo is about.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoFlags {
    /// The model [default: heddle-demo, or claude-sonnet-5 with ANTHROPIC_API_KEY set]
    #[arg(long, value_name = "ID")]
    model: Option<String>,
}

pub(crate) async fn run(flags: DemoFlags) -> Outcome {
    let jailed = hands::probe(&config::SandboxSettings::default()).await?.0.ok();
    let model = match flags.model {
        // Nothing but the demo's own commands runs without a sandbox.
        _ if !jailed => "heddle-demo".into(),
        Some(model) => model,
        None if config::provider_key().is_some() => "claude-sonnet-5".into(),
        None => "heddle-demo".into(),
    };
    let data = tempfile::tempdir()?;
    remark(&format!("starting a server on a directory of its own; the model is {model}"));
    if let Some(own) = config::own_provider_key() {
        remark(&own);
    }
    if !jailed {
        remark(
            "this host cannot isolate commands (see `heddle doctor`): the built-in script runs its own without",
        );
    }
    let server = DemoServer::start(data.path(), None, secret::passing()?, jailed).await?;
    let caller = server.caller()?;
    let session = begin(&caller, &model).await?;
    remark(&format!("the server is at {}, the session is {session}", server.url));
    let mut show = Show {
        tree: tail::begin(&caller, &session).await?,
        events: SessionFollower::open(&caller.patient(), &session).await?,
        seen: BTreeMap::new(),
        caller,
        session,
    };
    let server = show.work(server, data.path(), jailed).await?;
    show.archive().await?;
    show.compare().await?;
    show.tree.sum(&follow::threads(&show.caller, &show.session).await?);
    server.stop().await
}

/// Makes an environment, the three agents, and a session.
async fn begin(caller: &ApiClient, model: &str) -> Result<String, Wrong> {
    let environment = caller.post("/v1/environments", &json!({"name": "demo"})).await?;
    let tools = json!([{"type": "agent_toolset_20260401"}]);
    let mut members = Vec::new();
    for (name, about) in [("writer", "writes the note"), ("reader", "reads the note")] {
        let agent =
            json!({"name": name, "description": about, "model": model, "system": WORKS, "tools": tools});
        members.push(caller.post("/v1/agents", &agent).await?["id"].clone());
    }
    let roster = json!({"type": "coordinator", "agents": members});
    let agent = json!({"name": "coordinator", "model": model, "system": LEADS, "multiagent": roster});
    let agent = caller.post("/v1/agents", &agent).await?;
    let body = json!({"agent": agent["id"], "environment_id": environment["id"], "title": "demo"});
    let session = caller.post("/v1/sessions", &body).await?;
    Ok(session["id"].as_str().ok_or("a session without an id")?.to_owned())
}

/// The demo on its way.
struct Show {
    caller: ApiClient,
    session: String,
    tree: ThreadTree,
    events: SessionFollower,
    /// Every event that was shown, by thread.
    seen: BTreeMap<String, Vec<String>>,
}

impl Show {
    /// The task, the agents at work, the kill, the reports.
    async fn work(&mut self, mut server: DemoServer, data: &Path, jailed: bool) -> Result<DemoServer, Wrong> {
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": TASK}]});
        let path = format!("/v1/sessions/{}/events", self.session);
        self.caller.post(&path, &json!({"events": [message]})).await?;
        let (mut reports, mut killed) = (0, false);
        loop {
            let event = self.next().await?;
            match event["type"].as_str().unwrap_or_default() {
                "agent.thread_message_received" if self.tree.is_child(&event["from_session_thread_id"]) => {
                    reports += 1;
                    // The coordinator's model is being asked what to make of it.
                    if reports == 2 && !killed {
                        killed = true;
                        server = restart(server, data, jailed).await?;
                    }
                }
                "session.status_idle" => match event["stop_reason"]["type"].as_str() {
                    Some("end_turn") if reports >= 2 => return Ok(server),
                    Some("end_turn") => return Err("the agents were not started, or did not report".into()),
                    stop => return Err(format!("the turn ended with {}", stop.unwrap_or("nothing")).into()),
                },
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Value, Wrong> {
        let told = self.events.next().await?.ok_or("the streams ended before the work did")?;
        terminal::read()?;
        Ok(self.show(told))
    }

    fn show(&mut self, told: FollowedEvent) -> Value {
        self.tree.tell(&told);
        let id = told.event["id"].as_str().unwrap_or_default().to_owned();
        self.seen.entry(told.thread).or_default().push(id);
        told.event
    }

    /// Archives the first child: its thread ends, its files and its place in the lists stay.
    async fn archive(&mut self) -> Outcome {
        let threads = follow::threads(&self.caller, &self.session).await?;
        let child = threads.iter().find(|thread| thread["parent_thread_id"].is_string());
        let child = child.and_then(|child| child["id"].as_str()).ok_or("no child to archive")?;
        remark("the first of the two is archived");
        let path = format!("/v1/sessions/{}/threads/{child}/archive", self.session);
        self.caller.post(&path, &json!({})).await?;
        while self.next().await?["type"] != "session.thread_status_terminated" {}
        Ok(())
    }

    /// Holds what the streams showed against what the log lists.
    async fn compare(&mut self) -> Outcome {
        let mut count = 0;
        for thread in follow::threads(&self.caller, &self.session).await? {
            let id = thread["id"].as_str().unwrap_or_default();
            let path = format!("/v1/sessions/{}/threads/{id}/events?limit=1000", self.session);
            let listed = follow::pages(&self.caller, &path).await?;
            let listed: Vec<&str> = listed.iter().filter_map(|event| event["id"].as_str()).collect();
            let seen = self.seen.get(id).map(Vec::as_slice).unwrap_or_default();
            if listed != seen {
                return Err(format!("of {id} the log lists {listed:?}, the stream showed {seen:?}").into());
            }
            count += listed.len();
        }
        remark(&format!(
            "{count} events in the log, the same {count} seen on the streams: nothing lost, nothing twice"
        ));
        Ok(())
    }
}

async fn restart(mut server: DemoServer, data: &Path, jailed: bool) -> Result<DemoServer, Wrong> {
    remark("kill -9: the server is gone");
    server.kill().await?;
    let server = DemoServer::start(data, Some(server.listen), server.key, jailed).await?;
    remark("the server is back on the same data; the streams go on after the last event you saw");
    Ok(server)
}
