//! `sim cuts N`: the real server, killed N times at random moments under load; then the logs are judged.
//!
//! `HEDDLE_BIN` and `MODEL_SERVER_BIN` name the binaries. What the server said yes to must be there once,
//! every session must settle, and what the streams showed must be what the lists hold.

pub(crate) mod caller;
pub(crate) mod house;
mod life;
mod script;
pub(crate) mod verdict;

use std::{
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::json;
use sim::dice::Dice;
use tokio::time::{Instant, sleep, timeout};

use self::{
    caller::{Caller, Hitch},
    house::{Binaries, Process},
    life::{Ground, Life},
};

/// Sessions side by side.
const LIVES: u64 = 12;
/// The shortest and the longest time under load before a kill, in milliseconds.
const LOAD_MS: (u64, u64) = (100, 1_800);
/// How long a session may take to settle.
const SETTLE: Duration = Duration::from_secs(30);
/// How many complaints are printed.
const SHOWN: usize = 40;
/// How long the server may take to give its first answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How many kills, with which dice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the server is killed.
    #[arg(default_value_t = 20)]
    rounds: u64,
    /// The dice of the moments and the load.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: Args, out: &mut dyn Write) -> io::Result<bool> {
    let binaries = Binaries::of_environment()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cut(args, &binaries, out))
}

async fn cut(args: Args, binaries: &Binaries, out: &mut dyn Write) -> io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let cuts = Cuts { args, binaries, folder: folder.path() };
    let mut wrong = Vec::new();
    let passed = match cuts.played(&mut wrong, out).await {
        Ok(passed) => passed,
        Err(error) => {
            wrong.push(format!("the power cuts ended: {error}"));
            0
        }
    };
    for said in wrong.iter().take(SHOWN) {
        writeln!(out, "FAILED  {said}")?;
    }
    if !wrong.is_empty() {
        let Args { rounds, seed } = cuts.args;
        let kept = folder.keep();
        writeln!(out, "run again: sim cuts {rounds} --seed {seed}; data and logs are in {}", kept.display())?;
    }
    writeln!(out, "{passed} passed, {} failed", wrong.len())?;
    Ok(wrong.is_empty())
}

/// One run of power cuts.
struct Cuts<'a> {
    args: Args,
    binaries: &'a Binaries,
    /// Where the server's data and every log are.
    folder: &'a Path,
}

impl Cuts<'_> {
    /// Plays every round and judges; gives how many sessions passed.
    async fn played(&self, wrong: &mut Vec<String>, out: &mut dyn Write) -> io::Result<usize> {
        let Args { rounds, seed } = self.args;
        let mut model = Process::start(self.binaries.model_server(), &self.folder.join("model-server.log"))?;
        writeln!(out, "power cuts: {rounds} kills under load, seed {seed}")?;
        let mut dice = Dice::new(seed);
        let mut lives: Vec<Life> = (0..LIVES).map(|place| Life::new(place, dice.bits())).collect();
        let mut ground = None;
        for round in 1..=rounds {
            let began = Instant::now();
            let (server, caller) = self.started(&model).await?;
            let first = began.elapsed().as_secs_f64();
            let ground = match &ground {
                Some(ground) => ground,
                None => ground.insert(furnished(&caller).await?),
            };
            let load = Duration::from_millis(LOAD_MS.0 + dice.below(LOAD_MS.1 - LOAD_MS.0));
            under_load(&caller, ground, &mut lives, server, load).await?;
            let (load, kept) = (load.as_secs_f64(), lives.iter().map(Life::acknowledged).sum::<usize>());
            write!(
                out,
                "round {round:>2}: first answer after {first:.3} s, killed after {load:.3} s of load, "
            )?;
            writeln!(out, "{kept} events acknowledged so far")?;
            out.flush()?;
        }
        let (_server, caller) = self.started(&model).await?;
        let passed = judged(&caller, &mut lives, wrong).await;
        let sessions = caller.paged("/v1/sessions", 100).await.map_err(io::Error::other)?;
        wrong.extend(verdict::titles(&sessions));
        if let Some(ended) = model.ended()? {
            return Err(io::Error::other(format!("the model server ended by itself with {ended}")));
        }
        let referee = Caller::new(model.url())?.get("/referee").await.map_err(io::Error::other)?;
        writeln!(out, "{} model requests", referee["requests"])?;
        if referee["breaches"] != json!([]) || referee["requests"] == json!(0) {
            wrong.push(format!("the model's referee says {referee}"));
        }
        Ok(passed)
    }

    /// Starts the server on the same data and waits for its first answer.
    async fn started(&self, model: &Process) -> io::Result<(Process, Caller)> {
        let command = self.binaries.heddle(&self.folder.join("data"), model.url());
        let server = Process::start(command, &self.folder.join("heddle.log"))?;
        let caller = Caller::new(server.url())?;
        let first = timeout(ANSWER, caller.get("/v1/sessions?limit=1")).await;
        first.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok((server, caller))
    }
}

/// The agent that every session uses.
async fn furnished(caller: &Caller) -> io::Result<Ground> {
    let agent = json!({"name": "cut", "model": "claude-sonnet-4-5", "tools": [{
        "type": "custom", "name": "look_up", "description": "Looks a word up.",
        "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}}]});
    let agent = caller.post("/v1/agents", &agent).await.map_err(io::Error::other)?;
    Ok(Ground { agent: agent["id"].as_str().unwrap_or_default().to_owned() })
}

/// Lets every life go on until the server is killed.
async fn under_load(
    caller: &Caller,
    ground: &Ground,
    lives: &mut [Life],
    server: Process,
    load: Duration,
) -> io::Result<()> {
    let killed = AtomicBool::new(false);
    let kill = async {
        sleep(load).await;
        killed.store(true, Ordering::SeqCst);
        server.kill()
    };
    let living = lives.iter_mut().map(|life| async {
        let hitch = life.live(caller, ground).await;
        if !killed.load(Ordering::SeqCst) {
            life.wrong.push(format!("before the kill: {hitch}"));
        } else if let Hitch::Refused { .. } = hitch {
            life.wrong.push(format!("the last answer: {hitch}"));
        }
    });
    let (killed, _) = futures_util::join!(kill, futures_util::future::join_all(living));
    killed
}

/// Lets every session settle and judges it; gives how many passed.
async fn judged(caller: &Caller, lives: &mut [Life], wrong: &mut Vec<String>) -> usize {
    let mut passed = 0;
    for life in lives {
        wrong.append(&mut life.wrong);
        for (session, dossier) in life.sessions() {
            let settled = timeout(SETTLE, dossier.settle(caller, &session)).await;
            let mut said = match settled {
                Ok(Ok(())) => Vec::new(),
                Ok(Err(hitch)) => vec![format!("does not settle: {hitch}")],
                Err(_) => vec![format!("does not settle within {} s", SETTLE.as_secs())],
            };
            match caller.all(&format!("/v1/sessions/{session}/events")).await {
                Ok(events) => said.extend(verdict::of(dossier, &events)),
                Err(hitch) => said.push(format!("cannot be listed: {hitch}")),
            }
            passed += usize::from(said.is_empty());
            wrong.extend(said.into_iter().map(|said| format!("{session}: {said}")));
        }
    }
    passed
}
