//! The storm of the real engine: sessions side by side on a faulty memory disk, with clients, readers and
//! tools, power cuts and a clock that stands still, judged from the log, from what clients and readers were
//! told, and from what the tools counted.

mod client;
mod fake_model;
mod fake_tools;
mod life;
mod place;
mod previews;
mod reader;
mod run_record;
mod session_log;
mod verdicts;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::life::BrokenLife;
use crate::line::LogLine;
use crate::storm::stopwatch;

/// Seconds between two lines of progress.
const PROGRESS_S: u64 = 5;
/// Failures after which a storm stops: they are mostly the same one.
const ENOUGH: u64 = 20;
/// One life in this many is lived twice, to compare the logs byte for byte.
const TWICE: u64 = 10;
/// Lives from which on every mishap must have come.
const TELLING: u64 = 200;
/// Every mishap that is counted.
const MISHAPS: [&str; 32] = [
    "answer lost",
    "burst",
    "conflict",
    "delta",
    "disk fails",
    "disk stalls",
    "end",
    "fault told",
    "follow",
    "found again",
    "gave up",
    client::LASTING,
    "model failure",
    "open in doubt",
    "other answer",
    "power cut",
    "refusal",
    "resume",
    "sent again",
    "silence",
    "slow reader",
    "stop",
    "stopping told",
    "stream ended",
    "tool begun",
    "tool begun again",
    "tool cut",
    "tool unknown",
    "tool waits",
    "verdict",
    "workshop ended",
    "workshop removed",
];

/// What to live through.
#[derive(Debug, Clone, Copy)]
pub struct EngineStorm {
    /// The first life's seed; each life's is one more.
    pub seed: u64,
    /// How many lives.
    pub lives: u64,
}

struct Lived {
    facts: u64,
    commits: u64,
    counts: BTreeMap<&'static str, u64>,
}

enum News {
    Lived(Lived),
    Broke { seed: u64, broken: Box<BrokenLife<LogLine>> },
}

/// Lives them all, says what happened to `out`, the sum last. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn run(storm: EngineStorm, out: &mut dyn Write) -> io::Result<bool> {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let (send, news) = sync_channel(1_024);
        for _ in 0..cores {
            let send = send.clone();
            scope.spawn(|| work(storm, &next, &stop, send));
        }
        drop(send);
        let ended = listen(storm, &news, &stop, out);
        stop.store(true, Ordering::Relaxed);
        ended
    })
}

/// One core's share: the next seed that nobody has taken, until there is none.
fn work(storm: EngineStorm, next: &AtomicU64, stop: &AtomicBool, send: SyncSender<News>) {
    while !stop.load(Ordering::Relaxed) {
        let life = next.fetch_add(1, Ordering::Relaxed);
        if life >= storm.lives {
            return;
        }
        let seed = storm.seed.wrapping_add(life);
        let news = match lived(seed, life.is_multiple_of(TWICE)) {
            Ok(lived) => News::Lived(lived),
            Err(broken) => News::Broke { seed, broken },
        };
        if send.send(news).is_err() {
            return;
        }
    }
}

/// One life; a panic is a broken law too.
fn lived(seed: u64, twice: bool) -> Result<Lived, Box<BrokenLife<LogLine>>> {
    let broken = |why: &str| Box::new(BrokenLife { why: why.into(), log: Vec::new() });
    let once = || {
        let life = catch_unwind(AssertUnwindSafe(|| life::live(seed)));
        life.unwrap_or_else(|_| Err(broken("panic: see above")))
    };
    let book = once()?;
    let bodies = book.bodies();
    if twice && once()?.bodies() != bodies {
        return Err(broken("same seed: other logs"));
    }
    let facts =
        book.sessions().iter().filter_map(|one| book.tale(*one, |tale| tale.lines.len() as u64)).sum();
    Ok(Lived { facts, commits: bodies.len() as u64, counts: book.counts() })
}

/// Collects what the cores say, until all are done.
fn listen(
    storm: EngineStorm,
    news: &Receiver<News>,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let clock = stopwatch();
    let mut sum = Lived { facts: 0, commits: 0, counts: BTreeMap::new() };
    let (mut passed, mut failed, mut said) = (0_u64, 0_u64, 0);
    loop {
        match news.recv_timeout(Duration::from_secs(PROGRESS_S)) {
            Ok(News::Lived(lived)) => {
                passed += 1;
                sum.facts += lived.facts;
                sum.commits += lived.commits;
                for (mishap, count) in lived.counts {
                    *sum.counts.entry(mishap).or_default() += count;
                }
            }
            Ok(News::Broke { seed, broken }) => {
                failed += 1;
                if failed <= ENOUGH {
                    print(seed, &broken, failed == 1, out)?;
                }
                stop.store(stop.load(Ordering::Relaxed) || failed >= ENOUGH, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let seconds = clock().as_secs();
        if seconds >= said + PROGRESS_S {
            said = seconds;
            writeln!(out, "{seconds} s: {} of {} lives, {} facts", passed + failed, storm.lives, sum.facts)?;
        }
    }
    for mishap in MISHAPS {
        writeln!(out, "{mishap:<16} {:>8}", sum.counts.get(mishap).copied().unwrap_or(0))?;
    }
    let telling = storm.lives >= TELLING && failed == 0;
    let dark = MISHAPS.iter().filter(|mishap| telling && !sum.counts.contains_key(*mishap));
    let dark: Vec<_> = dark.collect();
    for mishap in &dark {
        writeln!(out, "dark: {mishap} never came")?;
    }
    let (facts, commits, seconds) = (sum.facts, sum.commits, clock().as_secs_f64());
    let EngineStorm { lives, seed } = storm;
    writeln!(out, "{lives} lives from seed {seed}: {facts} facts in {commits} commits in {seconds:.1} s")?;
    let failed = failed + dark.len() as u64;
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

fn print(seed: u64, broken: &BrokenLife<LogLine>, whole: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "seed {seed} (engine): {}", broken.why)?;
    if whole {
        for line in broken.log.iter().skip(broken.log.len().saturating_sub(80)) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
