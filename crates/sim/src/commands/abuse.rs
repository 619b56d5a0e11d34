//! `sim abuse`: agents that do their worst on the real server, one after the other, while a neighbour works.
//!
//! Whatever they do, the session goes on behind it, the neighbour gets its answers, and the server's
//! memory stays where it was.

mod deeds;

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use self::deeds::{DEEDS, Deed};
use super::cuts::{
    caller::{Caller, Hitch},
    house::{Binaries, Process},
};

/// How long one deed and the word behind it may take.
const DEED: Duration = Duration::from_mins(2);
/// How long a turn of the neighbour may take at most, on a machine that is being abused.
const NEIGHBOUR: Duration = Duration::from_secs(20);
/// How much the server's memory may grow over all of it, in KiB.
const GROWTH_KIB: u64 = 96 * 1024;
/// How long one waits before one looks again.
const LOOK: Duration = Duration::from_millis(10);

/// Which deeds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the deeds whose name holds this.
    only: Option<String>,
}

pub(crate) fn run(args: Args, out: &mut dyn Write) -> io::Result<bool> {
    let binaries = Binaries::of_environment()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(abused(&args, &binaries, out))
}

async fn abused(args: &Args, binaries: &Binaries, out: &mut dyn Write) -> io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let model = Process::start(binaries.model_server(), &folder.path().join("model-server.log"))?;
    let command = binaries.heddle(&folder.path().join("data"), model.url());
    let server = Process::start(command, &folder.path().join("heddle.log"))?;
    let house = House::furnished(Caller::new(server.url())?).await.map_err(io::Error::other)?;
    let (quiet, ()) = house.neighbour_until(async { sleep(Duration::from_millis(500)).await }).await?;
    writeln!(out, "a neighbour's slowest turn before: {:.3} s", quiet.as_secs_f64())?;
    let before = resident_kib(server.id())?;
    let (mut passed, mut failed) = (0, 0);
    let wanted = |deed: &&Deed| args.only.as_deref().is_none_or(|only| deed.name.contains(only));
    for deed in DEEDS.iter().filter(wanted) {
        let began = Instant::now();
        let (slowest, wrong) = house.neighbour_until(house.committed(deed)).await?;
        let took = began.elapsed().as_secs_f64();
        let grown = resident_kib(server.id())?.saturating_sub(before);
        let slow = (slowest > NEIGHBOUR).then(|| "the neighbour waited too long".to_owned());
        let fat = (grown > GROWTH_KIB).then(|| "the server's memory has grown".to_owned());
        let wrong: Vec<String> = wrong.into_iter().chain(slow).chain(fat).collect();
        let slowest = slowest.as_secs_f64();
        writeln!(
            out,
            "{:<40} {took:6.2} s, the neighbour's slowest turn {slowest:.3} s, memory {grown:+} KiB",
            deed.name
        )?;
        for said in &wrong {
            writeln!(out, "FAILED  {}: {said}", deed.name)?;
        }
        out.flush()?;
        if wrong.is_empty() { passed += 1 } else { failed += 1 }
    }
    if failed > 0 {
        writeln!(out, "data and logs are in {}", folder.keep().display())?;
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

/// A server under abuse, with an agent and an environment.
struct House {
    caller: Caller,
    agent: Value,
    environment: Value,
}

impl House {
    async fn furnished(caller: Caller) -> Result<Self, Hitch> {
        let tools = json!([{"type": "agent_toolset_20260401"}]);
        let agent = json!({"name": "abuse", "model": "claude-sonnet-4-5", "tools": tools});
        let agent = caller.post("/v1/agents", &agent).await?["id"].clone();
        let environment = caller.post("/v1/environments", &json!({"name": "abuse"})).await?["id"].clone();
        Ok(Self { caller, agent, environment })
    }

    async fn session(&self) -> Result<String, Hitch> {
        let body = json!({"agent": self.agent, "environment_id": self.environment});
        let made = self.caller.post("/v1/sessions", &body).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    /// One turn of these calls, each in an answer of its own; gives their results.
    async fn turn(&self, session: &str, calls: &[(&str, Value)]) -> Result<Vec<Value>, Hitch> {
        let path = format!("/v1/sessions/{session}/events");
        let known = self.caller.all(&path).await?.len();
        let mut steps: Vec<Value> = calls
            .iter()
            .map(|(name, input)| json!({"text": "", "tools": [{"name": name, "input": input}]}))
            .collect();
        steps.push(json!({"text": "done"}));
        let text = format!("script:{}", json!(steps));
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
        self.caller.post(&path, &json!({"events": [message]})).await?;
        while self.caller.get(&format!("/v1/sessions/{session}")).await?["status"] != "idle" {
            sleep(LOOK).await;
        }
        let mut events = self.caller.all(&path).await?.split_off(known);
        events.retain(|event| event["type"] == "agent.tool_result");
        Ok(events)
    }

    /// Commits a deed in a session of its own, then asks it for a sign of life; gives what is wrong.
    async fn committed(&self, deed: &Deed) -> Option<String> {
        let act = async {
            let session = self.session().await?;
            let input = json!({"command": deed.command, "timeout_ms": deed.timeout_ms});
            let alive = json!({"command": "echo alive; echo kept > /workspace/kept; cat /workspace/kept"});
            self.turn(&session, &[("bash", input), ("bash", alive)]).await
        };
        let results = match timeout(DEED, act).await {
            Ok(Ok(results)) => results,
            Ok(Err(hitch)) => return Some(hitch.to_string()),
            Err(_) => return Some("it never ended".to_owned()),
        };
        let [done, alive] = results.as_slice() else { return Some(format!("{} results", results.len())) };
        let said = |result: &Value| result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let (done, alive) = (said(done), said(alive));
        if !deed.answers.iter().any(|answer| done.contains(answer)) {
            return Some(format!("its answer was {}", done.chars().take(300).collect::<String>()));
        }
        (!alive.ends_with("alive\nkept\n")).then(|| format!("the session does not go on: {alive}"))
    }

    /// Lets a neighbour take turns while `deed` goes on; gives its slowest and what the deed gave.
    async fn neighbour_until<T>(&self, deed: impl Future<Output = T>) -> io::Result<(Duration, T)> {
        let session = self.session().await.map_err(io::Error::other)?;
        let mut slowest = Duration::ZERO;
        let turns = async {
            loop {
                let began = Instant::now();
                let read = json!({"file_path": "/etc/passwd"});
                let results = self.turn(&session, &[("read", read)]).await?;
                if results.iter().any(|result| result["is_error"] == true) || results.len() != 1 {
                    return Ok::<_, Hitch>(format!("the neighbour got {results:?}"));
                }
                slowest = slowest.max(began.elapsed());
            }
        };
        let done = tokio::select! {
            done = deed => done,
            broken = turns => return Err(io::Error::other(broken.unwrap_or_else(|hitch| hitch.to_string()))),
        };
        Ok((slowest, done))
    }
}

/// The memory of a process that is really there.
fn resident_kib(process: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS"))
}
