//! `sim toolcuts N`: the real server, killed N times while agents run commands; then a file in each
//! workspace is held against the log.
//!
//! Every bash call appends a number of its own to the file `counter`. No number may stand there twice: a
//! call that does more than read is never run again (docs/rules.md 2). One whose result says it ended well
//! stands there once.

pub(crate) mod ledger;
mod worker;

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use sim::dice::Dice;
use tokio::time::{sleep, timeout};

use self::{
    ledger::Tally,
    worker::{Bench, Worker},
};
use super::cuts::{
    caller::Caller,
    house::{Binaries, Process},
};

/// Sessions side by side; every other one asks before each command.
const WORKERS: u64 = 6;
/// The shortest and the longest time under load before a kill, in milliseconds.
const LOAD_MS: (u64, u64) = (60, 900);
/// How long all sessions may take to settle at the end.
const SETTLE: Duration = Duration::from_mins(1);
/// How long the server may take to give its first answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How many kills, with which dice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the server is killed.
    #[arg(default_value_t = 40)]
    rounds: u64,
    /// The dice of the moments and the work.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: Args, out: &mut dyn Write) -> io::Result<bool> {
    let binaries = Binaries::of_environment()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cut(args, &binaries, out))
}

async fn cut(args: Args, binaries: &Binaries, out: &mut dyn Write) -> io::Result<bool> {
    let Args { rounds, seed } = args;
    let folder = tempfile::tempdir()?;
    writeln!(out, "tool cuts: {rounds} kills while commands run, seed {seed}")?;
    let mut wrong = Vec::new();
    let mut tally = Tally::default();
    if let Err(error) = played(&args, binaries, folder.path(), &mut tally, &mut wrong).await {
        wrong.push(format!("the tool cuts ended: {error}"));
    }
    writeln!(out, "{tally}")?;
    if !tally.is_telling() {
        wrong.push("too little happened to tell anything".to_owned());
    }
    for said in &wrong {
        writeln!(out, "FAILED  {said}")?;
    }
    if !wrong.is_empty() {
        let kept = folder.keep();
        writeln!(
            out,
            "run again: sim toolcuts {rounds} --seed {seed}; data and logs are in {}",
            kept.display()
        )?;
    }
    writeln!(out, "{} passed, {} failed", tally.sessions, wrong.len())?;
    Ok(wrong.is_empty())
}

async fn played(
    args: &Args,
    binaries: &Binaries,
    folder: &Path,
    tally: &mut Tally,
    wrong: &mut Vec<String>,
) -> io::Result<()> {
    let mut dice = Dice::new(args.seed);
    let model = Process::start(binaries.model_server(), &folder.join("model-server.log"))?;
    let mut workers: Vec<Worker> = (0..WORKERS).map(|place| Worker::new(place, dice.bits())).collect();
    let mut bench = None;
    for _round in 1..=args.rounds {
        let (server, caller) = started(binaries, folder, &model).await?;
        let bench = match &bench {
            Some(bench) => bench,
            None => bench.insert(furnished(&caller).await.map_err(io::Error::other)?),
        };
        let load = Duration::from_millis(LOAD_MS.0 + dice.below(LOAD_MS.1 - LOAD_MS.0));
        let working = workers.iter_mut().map(|worker| worker.work(&caller, bench));
        let kill = async {
            sleep(load).await;
            server.kill()
        };
        let (killed, refused) = futures_util::join!(kill, futures_util::future::join_all(working));
        killed?;
        wrong.extend(refused.into_iter().flatten());
    }
    let (server, caller) = started(binaries, folder, &model).await?;
    let data = folder.join("data");
    for worker in workers.iter_mut().filter(|worker| worker.session.is_some()) {
        let settled = timeout(SETTLE, worker.settle(&caller)).await;
        match settled {
            Ok(Ok(events)) => wrong.extend(ledger::judged(worker, &events, &data, tally)),
            Ok(Err(hitch)) => wrong.push(format!("worker {} does not settle: {hitch}", worker.place)),
            Err(_) => wrong.push(format!("worker {} does not settle in time", worker.place)),
        }
    }
    let referee = Caller::new(model.url())?.get("/referee").await.map_err(io::Error::other)?;
    if referee["breaches"] != json!([]) || referee["requests"] == json!(0) {
        wrong.push(format!("the model's referee says {referee}"));
    }
    server.kill()?;
    wrong.extend(ledger::left_behind(&data).await);
    Ok(())
}

/// Starts the server on the same data and waits for its first answer.
pub(crate) async fn started(
    binaries: &Binaries,
    folder: &Path,
    model: &Process,
) -> io::Result<(Process, Caller)> {
    let command = binaries.heddle(&folder.join("data"), model.url());
    let server = Process::start(command, &folder.join("heddle.log"))?;
    let caller = Caller::new(server.url())?;
    let first = timeout(ANSWER, caller.get("/v1/sessions?limit=1")).await;
    first.map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok((server, caller))
}

/// The two agents, one of which asks, and the environment.
async fn furnished(caller: &Caller) -> Result<Bench, super::cuts::caller::Hitch> {
    let id = |made: Value| made["id"].as_str().unwrap_or_default().to_owned();
    let agent = |name: &str, policy: &str| {
        let config = json!({"name": "bash", "permission_policy": {"type": policy}});
        let tools = json!([{"type": "agent_toolset_20260401", "configs": [config]}]);
        json!({"name": name, "model": "claude-sonnet-4-5", "tools": tools})
    };
    Ok(Bench {
        bold: id(caller.post("/v1/agents", &agent("bold", "always_allow")).await?),
        shy: id(caller.post("/v1/agents", &agent("shy", "always_ask")).await?),
        environment: id(caller.post("/v1/environments", &json!({"name": "bench"})).await?),
    })
}
