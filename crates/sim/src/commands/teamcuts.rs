//! `sim teamcuts N`: the real server, killed N times while coordinators and their children work; then the
//! lists of each session and of all its threads are judged.
//!
//! Every child is made once and reports once, to its coordinator and to that one's model; no command runs
//! twice; who was archived stays so; and everything comes to rest (docs/rules.md 2 and 3).

mod mail;
mod scribe;
mod settled;
mod tally;
mod verdict;
mod worker;

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use engine::Clock;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sim::dice::Dice;
use tokio::time::{sleep, timeout};

use self::{
    tally::Tally,
    worker::{Team, Worker},
};
use super::{
    cuts::{
        caller::{Caller, Hitch},
        house::{Binaries, Process},
    },
    toolcuts::{ledger, started},
};

/// Sessions side by side.
const WORKERS: u64 = 6;
/// The shortest and the longest time under load before a kill, in milliseconds.
const LOAD_MS: (u64, u64) = (60, 900);
/// How long all sessions may take to settle at the end.
const SETTLE: Duration = Duration::from_mins(1);
/// How many complaints are printed.
const SHOWN: usize = 40;

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
    writeln!(out, "team cuts: {rounds} kills while coordinators and children work, seed {seed}")?;
    let mut wrong = Vec::new();
    let mut tally = Tally::default();
    if let Err(error) = played(&args, binaries, folder.path(), &mut tally, &mut wrong).await {
        wrong.push(format!("the team cuts ended: {error}"));
    }
    writeln!(out, "{tally}")?;
    if !tally.is_telling() {
        wrong.push("too little happened to tell anything".to_owned());
    }
    for said in wrong.iter().take(SHOWN) {
        writeln!(out, "FAILED  {said}")?;
    }
    if !wrong.is_empty() {
        let kept = folder.keep();
        writeln!(
            out,
            "run again: sim teamcuts {rounds} --seed {seed}; data and logs are in {}",
            kept.display()
        )?;
    }
    writeln!(out, "{} passed, {} failed", tally.commands.sessions, wrong.len())?;
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
    let mut team = None;
    let mut kills = Vec::new();
    for _round in 1..=args.rounds {
        let (server, caller) = started(binaries, folder, &model).await?;
        let team = match &team {
            Some(team) => team,
            None => team.insert(furnished(&caller).await.map_err(io::Error::other)?),
        };
        let load = Duration::from_millis(LOAD_MS.0 + dice.below(LOAD_MS.1 - LOAD_MS.0));
        let working = workers.iter_mut().map(|worker| worker.work(&caller, team));
        let kill = async {
            sleep(load).await;
            server.kill()
        };
        let (killed, refused) = futures_util::join!(kill, join_all(working));
        killed?;
        kills.push(Clock::wall().now().to_string());
        wrong.extend(refused.into_iter().flatten());
    }
    let (server, caller) = started(binaries, folder, &model).await?;
    let model = Caller::new(model.url())?;
    let data = folder.join("data");
    workers.retain(|worker| worker.session.is_some());
    let settling = workers.iter_mut().map(|worker| timeout(SETTLE, worker.settle(&caller)));
    let settled = join_all(settling).await;
    for (worker, settled) in workers.iter_mut().zip(settled) {
        let shown = match settled {
            Ok(Ok(())) => timeout(SETTLE, worker.shown(&caller, &model)).await,
            Ok(Err(hitch)) => Ok(Err(hitch)),
            Err(late) => Err(late),
        };
        match shown {
            Ok(Ok(shown)) => wrong.extend(verdict::judged(worker, &shown, &kills, &data, tally)),
            Ok(Err(hitch)) => wrong.push(format!("worker {} does not settle: {hitch}", worker.place)),
            Err(_) => wrong.push(format!("{:?} of worker {} does not settle", worker.session, worker.place)),
        }
    }
    let referee = model.get("/referee").await.map_err(io::Error::other)?;
    if referee["breaches"] != json!([]) || referee["requests"] == json!(0) {
        wrong.push(format!("the model's referee says {referee}"));
    }
    server.kill()?;
    wrong.extend(ledger::left_behind(&data).await);
    Ok(())
}

/// The coordinator, its two members, one of which asks before a command, and the environment.
async fn furnished(caller: &Caller) -> Result<Team, Hitch> {
    let id = |made: Value| made["id"].as_str().unwrap_or_default().to_owned();
    let agent = |name: &str, policy: &str| {
        let config = json!({"name": "bash", "permission_policy": {"type": policy}});
        let tools = json!([
            {"type": "agent_toolset_20260401", "configs": [config]},
            {"type": "custom", "name": "look_up", "description": "Looks a word up.",
                "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}},
        ]);
        json!({"name": name, "model": "claude-sonnet-4-5", "tools": tools})
    };
    let bold = id(caller.post("/v1/agents", &agent("bold", "always_allow")).await?);
    let shy = id(caller.post("/v1/agents", &agent("shy", "always_ask")).await?);
    let mut lead = agent("lead", "always_allow");
    lead["multiagent"] = json!({"type": "coordinator", "agents": [bold, shy, {"type": "self"}]});
    Ok(Team {
        lead: id(caller.post("/v1/agents", &lead).await?),
        environment: id(caller.post("/v1/environments", &json!({"name": "team"})).await?),
    })
}
