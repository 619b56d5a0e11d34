//! `heddle demo`: a whole turn before your eyes. It starts a server of its own, talks to it over HTTP
//! like any client, and kills it in the middle to show that nothing is lost.

mod child;
mod screen;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    Outcome,
    client::{Caller, Stream},
    config, hands,
};
use child::Server;
use screen::Screen;

/// Most bytes of the file that the tool gives to the model.
const FILE_BYTES: usize = 256 * 1024;

/// Pieces of the last answer that are seen before the server is killed.
const WORDS: u32 = 3;

/// What the demo is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The file that the agent is asked about; your client reads it, the server never does.
    #[arg(default_value = "README.md")]
    file: PathBuf,
    /// The model. [default: heddle-demo, or claude-sonnet-5 with ANTHROPIC_API_KEY set]
    #[arg(long)]
    model: Option<String>,
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let text = read(&flags.file)?;
    let model = flags.model.unwrap_or_else(|| {
        let has_key = config::variable("ANTHROPIC_API_KEY").is_some();
        if has_key { "claude-sonnet-5".into() } else { "heddle-demo".into() }
    });
    let data = tempfile::tempdir()?;
    let mut screen = Screen::new();
    screen.tell(&format!("starting a server; the model is {model}"));
    let jailed = hands::probe().await?.ok();
    if !jailed {
        screen.tell(
            "this host cannot isolate commands (see `heddle doctor`); the demo goes on, for it runs none",
        );
    }
    let server = Server::start(data.path(), None, jailed).await?;
    screen.tell(&format!("server is up at {}", server.url));
    let mut show =
        Show { caller: server.caller()?, server, jailed, screen, seen: Vec::new(), file: flags.file, text };
    let session = show.begin(&model).await?;
    show.turn(&session, data.path()).await?;
    show.compare(&session).await?;
    show.server.stop().await
}

fn read(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file)
        .map_err(|wrong| format!("cannot read {}: {wrong}; name a file: heddle demo FILE", file.display()))?;
    let bytes = bytes.get(..FILE_BYTES).unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The demo on its way.
struct Show {
    server: Server,
    jailed: bool,
    caller: Caller,
    screen: Screen,
    /// Every processed event the stream has shown, by id.
    seen: Vec<String>,
    file: PathBuf,
    text: String,
}

impl Show {
    /// Makes an environment, an agent with one tool of ours, and a session.
    async fn begin(&mut self, model: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let environment = self.caller.post("/v1/environments", &json!({"name": "demo"})).await?;
        let agent = json!({
            "name": "reader",
            "model": model,
            "system": "You answer questions about files. Read the file with your tool, then answer in two sentences.",
            "tools": [{
                "type": "custom",
                "name": "read_file",
                "description": "Reads a text file on the user's machine and returns its text.",
                "input_schema": {
                    "type": "object",
                    "properties": {"path": {"type": "string", "description": "The file's path"}},
                    "required": ["path"],
                },
            }],
        });
        let agent = self.caller.post("/v1/agents", &agent).await?;
        let body = json!({"agent": agent["id"], "environment_id": environment["id"], "title": "demo"});
        let session = self.caller.post("/v1/sessions", &body).await?;
        let session = session["id"].as_str().ok_or("a session without an id")?.to_owned();
        self.screen.tell(&format!("agent {} on session {session}", agent["id"].as_str().unwrap_or("?")));
        Ok(session)
    }

    /// One turn: the question, the tool, the kill, the answer.
    async fn turn(&mut self, session: &str, data: &Path) -> Outcome {
        let path = format!("/v1/sessions/{session}/events/stream?event_deltas[]=agent.message");
        let mut stream = self.caller.stream(&path, None).await?;
        let question = format!("What is {} about? Read it first.", self.file.display());
        self.screen.tell(&format!("you ask: {question}"));
        self.send(session, json!({"type": "user.message", "content": [{"type": "text", "text": question}]}))
            .await?;
        let mut answered = false;
        let mut words = 0;
        let mut killed = false;
        loop {
            let Some(event) = stream.next().await? else {
                return Err("the stream ended before the turn did".into());
            };
            self.show(&event);
            match event["type"].as_str().unwrap_or_default() {
                "agent.custom_tool_use" => {
                    self.send(session, self.tool(&event)).await?;
                    answered = true;
                }
                // The model is in the middle of its last answer: the worst moment there is.
                "event_delta" if answered && !killed => {
                    words += 1;
                    if words == WORDS {
                        killed = true;
                        stream = self.kill(&path, data).await?;
                    }
                }
                "session.status_idle" => match event["stop_reason"]["type"].as_str() {
                    Some("requires_action") => {}
                    Some("end_turn") => {
                        if !killed {
                            self.screen.tell("the answer came too fast to be cut; the server is killed now");
                            drop(self.kill(&path, data).await?);
                        }
                        return Ok(());
                    }
                    stop => return Err(format!("the turn ended with {}", stop.unwrap_or("nothing")).into()),
                },
                _ => {}
            }
        }
    }

    async fn kill(
        &mut self,
        path: &str,
        data: &Path,
    ) -> Result<Stream, Box<dyn std::error::Error + Send + Sync>> {
        self.screen.tell("kill -9: the server is gone");
        self.server.kill().await?;
        self.server = Server::start(data, Some(self.server.listen), self.jailed).await?;
        self.caller = self.server.caller()?;
        self.screen
            .tell("the server is back on the same data; the stream goes on after the last event you saw");
        let last = self.seen.last().map(String::as_str);
        Ok(self.caller.stream(path, last).await?)
    }

    /// What the client's own tool gives. It reads the one file that was named, whatever the model asks for.
    fn tool(&self, event: &Value) -> Value {
        let asked = event["input"]["path"].as_str().unwrap_or_default();
        let named = Path::new(asked).file_name() == self.file.file_name();
        let text = if named { self.text.clone() } else { format!("there is no file {asked} here") };
        json!({
            "type": "user.custom_tool_result",
            "custom_tool_use_id": event["id"],
            "content": [{"type": "text", "text": text}],
            "is_error": !named,
        })
    }

    async fn send(&self, session: &str, event: Value) -> Outcome {
        self.caller.post(&format!("/v1/sessions/{session}/events"), &json!({"events": [event]})).await?;
        Ok(())
    }

    fn show(&mut self, event: &Value) {
        if event["processed_at"].is_string()
            && let Some(id) = event["id"].as_str()
        {
            self.seen.push(id.to_owned());
        }
        self.screen.event(event);
    }

    /// Holds what the stream showed against what the log lists.
    async fn compare(&mut self, session: &str) -> Outcome {
        let list = self.caller.get(&format!("/v1/sessions/{session}/events?limit=1000")).await?;
        let listed: Vec<&str> =
            list["data"].as_array().into_iter().flatten().filter_map(|event| event["id"].as_str()).collect();
        if listed != self.seen {
            return Err(format!("the log lists {listed:?}, the stream showed {:?}", self.seen).into());
        }
        let count = listed.len();
        self.screen
            .tell(&format!("{count} events in the log, the same {count} seen on the stream: nothing lost"));
        Ok(())
    }
}
