//! One run of power cuts, the same for every kind: start, load, kill, and again; then all is judged.

use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dice::Dice;
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::caller::CutsCaller;
use crate::hitch::CallHitch;
use crate::kind::{Client, CutsEvidence, CutsJudge};
use crate::process::ServerProcess;
use crate::servers::{BinaryPaths, ServerPair};
use crate::session::CalledSession;

/// Numbers that a client may use.
const NUMBERS: u64 = 1_000_000;
/// How long a session may take to settle at the end.
const SETTLE: Duration = Duration::from_mins(1);
/// How many complaints are printed.
const SHOWN: usize = 40;

/// How many kills, with which dice.
#[derive(Debug, clap::Args)]
pub(crate) struct CutsArgs {
    /// How often the server is killed (without it the kind decides)
    kills: Option<u64>,
    /// The dice of the moments and the work
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the kind of this judge and prints how it went; gives whether all was well.
pub(crate) fn run<J: CutsJudge>(args: CutsArgs, out: &mut dyn Write) -> io::Result<bool> {
    let binaries = BinaryPaths::of_environment()?;
    let folder = tempfile::tempdir()?;
    let kills = args.kills.unwrap_or(J::Client::KILLS);
    let mut run = Run { kills, seed: args.seed, judge: J::default(), passed: 0, wrong: Vec::new() };
    writeln!(out, "{} cuts: {kills} kills while {}, seed {}", J::Client::NAME, J::Client::WHILE, args.seed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Err(error) = runtime.block_on(run.play(binaries, &folder, out)) {
        run.wrong.push(format!("the cuts ended: {error}"));
    }
    run.close(folder, out)
}

/// A run, and what it has come to so far.
struct Run<J> {
    kills: u64,
    seed: u64,
    judge: J,
    /// Sessions with nothing wrong.
    passed: usize,
    wrong: Vec<String>,
}

impl<J: CutsJudge> Run<J> {
    async fn play(&mut self, binaries: BinaryPaths, folder: &TempDir, out: &mut dyn Write) -> io::Result<()> {
        let mut servers = ServerPair::start(binaries, folder.path())?;
        let mut evidence = CutsEvidence { data: servers.data().to_owned(), kills: Vec::new() };
        let mut dice = Dice::new(self.seed);
        let mut clients: Vec<J::Client> = (0..J::Client::CLIENTS)
            .map(|place| J::Client::new(place, Dice::new(dice.bits()), place * NUMBERS))
            .collect();
        let mut ground = None;
        for kill in 1..=self.kills {
            let began = Instant::now();
            let (server, caller) = servers.heddle().await?;
            let first = began.elapsed().as_secs_f64();
            let ground = match &ground {
                Some(ground) => ground,
                None => ground.insert(J::Client::prepare(&caller).await.map_err(io::Error::other)?),
            };
            let (shortest, longest) = J::Client::LOAD_MS;
            let load = Duration::from_millis(shortest + dice.below(longest - shortest));
            let hitches = under_load(&caller, ground, &mut clients, server, load).await?;
            evidence.kills.push(now());
            self.wrong.extend(hitches);
            let kept: usize = clients.iter().map(Client::acknowledged).sum();
            write!(out, "kill {kill:>2}: first answer after {first:.3} s, ")?;
            writeln!(out, "{:.3} s of load, {kept} messages acknowledged so far", load.as_secs_f64())?;
            out.flush()?;
        }
        let (server, caller) = servers.heddle().await?;
        self.settle(&mut clients, &caller, &servers.model()?, &evidence).await;
        let listed = caller.paged("/v1/sessions", 100).await.map_err(io::Error::other)?;
        self.wrong.extend(self.judge.sessions(&listed));
        server.kill()?;
        self.wrong.extend(servers.left_behind().await);
        match servers.referee().await? {
            Ok(requests) => writeln!(out, "{requests} model requests")?,
            Err(said) => self.wrong.push(said),
        }
        Ok(())
    }

    /// Lets the sessions of all clients come to rest and judges each.
    async fn settle(
        &mut self,
        clients: &mut [J::Client],
        caller: &CutsCaller,
        model: &CutsCaller,
        evidence: &CutsEvidence,
    ) {
        let settling = clients.iter_mut().map(|client| async move {
            let mut settled = Vec::new();
            for id in client.sessions() {
                let session = CalledSession { caller, id };
                let shown = timeout(SETTLE, client.settle(&session, model)).await;
                settled.push((session.id, shown));
            }
            settled
        });
        for (session, shown) in join_all(settling).await.into_iter().flatten() {
            let said = match shown {
                Ok(Ok(shown)) => self.judge.session(&session, &shown, evidence),
                Ok(Err(hitch)) => vec![format!("does not settle: {hitch}")],
                Err(_) => vec![format!("does not settle within {} s", SETTLE.as_secs())],
            };
            self.passed += usize::from(said.is_empty());
            self.wrong.extend(said.into_iter().map(|said| format!("{session}: {said}")));
        }
    }

    /// Says what was counted and what is wrong; the last line has the sum.
    fn close(mut self, folder: TempDir, out: &mut dyn Write) -> io::Result<bool> {
        writeln!(out, "{}", self.judge)?;
        if !self.judge.is_telling() {
            self.wrong.push("too little happened to tell anything".to_owned());
        }
        for said in self.wrong.iter().take(SHOWN) {
            writeln!(out, "FAILED  {said}")?;
        }
        if !self.wrong.is_empty() {
            let (name, Self { kills, seed, .. }) = (J::Client::NAME, &self);
            let kept = folder.keep();
            let kept = kept.display();
            writeln!(out, "run again: cuts {name} {kills} --seed {seed}; data and logs are in {kept}")?;
        }
        writeln!(out, "{} passed, {} failed", self.passed, self.wrong.len())?;
        Ok(self.wrong.is_empty())
    }
}

/// Lets every client work until the server is killed; gives what hindered them before, and what was refused.
async fn under_load<C: Client>(
    caller: &CutsCaller,
    ground: &C::Ground,
    clients: &mut [C],
    server: ServerProcess,
    load: Duration,
) -> io::Result<Vec<String>> {
    let killed = Cell::new(false);
    let kill = async {
        sleep(load).await;
        killed.set(true);
        server.kill()
    };
    let working = clients.iter_mut().enumerate().map(|(place, client)| {
        let killed = &killed;
        async move {
            let hitch = loop {
                if let Err(hitch) = client.turn(caller, ground).await {
                    break hitch;
                }
            };
            match (killed.get(), hitch) {
                (false, hitch) => Some(format!("client {place}, before the kill: {hitch}")),
                (true, hitch @ CallHitch::Refused { .. }) => {
                    Some(format!("client {place}, at the kill: {hitch}"))
                }
                (true, CallHitch::Cut(_)) => None,
            }
        }
    });
    let (ended, hitches) = futures_util::join!(kill, join_all(working));
    ended.map(|()| hitches.into_iter().flatten().collect())
}

/// The time by the wall clock, as the API spells it.
#[expect(
    clippy::disallowed_methods,
    reason = "when a kill was is compared with the times that the API shows"
)]
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map(|moment| format!("{moment:.6}")).unwrap_or_default()
}
