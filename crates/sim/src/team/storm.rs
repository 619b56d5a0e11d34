//! A storm of threads: many lives on every core, and what became of them.

use std::io::{self, Write};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::cover::Cover;
use super::life::{Broken, Lived, live};
use crate::storm::stopwatch;

/// Seconds between two lines of progress.
const PROGRESS_S: u64 = 5;
/// Failures after which a storm stops: they are mostly the same one.
const ENOUGH: u64 = 20;
/// One life in this many is lived twice, to compare the logs byte for byte.
const TWICE: u64 = 50;
/// Lives from which on every cell of the table must be lit.
const TELLING: u64 = 5_000;

/// What to live through.
#[derive(Debug, Clone, Copy)]
pub struct TeamStorm {
    /// The first life's seed; each life's is one more.
    pub seed: u64,
    /// How many lives.
    pub lives: u64,
}

enum News {
    Lived { facts: u64 },
    Broke { seed: u64, broken: Box<Broken> },
    Done(Box<Cover>),
}

/// Lives them all, says what happened to `out`, the sum last. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn run(storm: TeamStorm, out: &mut dyn Write) -> io::Result<bool> {
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
fn work(storm: TeamStorm, next: &AtomicU64, stop: &AtomicBool, send: SyncSender<News>) {
    let mut cover = Cover::new();
    while !stop.load(Ordering::Relaxed) {
        let life = next.fetch_add(1, Ordering::Relaxed);
        if life >= storm.lives {
            break;
        }
        let seed = storm.seed.wrapping_add(life);
        let news = match lived(seed, life.is_multiple_of(TWICE), &mut cover) {
            Ok(lived) => News::Lived { facts: lived.log.len() as u64 },
            Err(broken) => News::Broke { seed, broken },
        };
        if send.send(news).is_err() {
            return;
        }
    }
    // Nobody listens any more: then nobody wants the table either.
    let _gone = send.send(News::Done(Box::new(cover)));
}

/// One life; a panic is a broken law too.
fn lived(seed: u64, twice: bool, cover: &mut Cover) -> Result<Lived, Box<Broken>> {
    let broken = |why: &str| Box::new(Broken { why: why.into(), log: Vec::new() });
    let mut once = || {
        let life = catch_unwind(AssertUnwindSafe(|| live(seed, cover)));
        life.unwrap_or_else(|_| Err(broken("panic: see above")))
    };
    let lived = once()?;
    if twice && once()?.bodies != lived.bodies {
        return Err(broken("same seed: another log"));
    }
    Ok(lived)
}

/// Collects what the cores say, until all are done.
fn listen(
    storm: TeamStorm,
    news: &Receiver<News>,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let clock = stopwatch();
    let mut cover = Cover::new();
    let (mut passed, mut failed, mut facts, mut said) = (0_u64, 0_u64, 0_u64, 0);
    loop {
        match news.recv_timeout(Duration::from_secs(PROGRESS_S)) {
            Ok(News::Lived { facts: more }) => {
                passed += 1;
                facts += more;
            }
            Ok(News::Broke { seed, broken }) => {
                failed += 1;
                if failed <= ENOUGH {
                    print(seed, &broken, failed == 1, out)?;
                }
                stop.store(stop.load(Ordering::Relaxed) || failed >= ENOUGH, Ordering::Relaxed);
            }
            Ok(News::Done(more)) => cover.add(&more),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let seconds = clock().as_secs();
        if seconds >= said + PROGRESS_S {
            said = seconds;
            writeln!(out, "{seconds} s: {} of {} lives, {facts} facts", passed + failed, storm.lives)?;
        }
    }
    writeln!(out, "{}", cover.table())?;
    let telling = storm.lives >= TELLING && failed == 0;
    let dark = if telling { cover.dark() } else { Vec::new() };
    for (role, state, act) in &dark {
        writeln!(out, "dark: {} of a {} that is {}", act.name(), role.name(), state.name())?;
    }
    let seconds = clock().as_secs_f64();
    writeln!(out, "{} lives from seed {}: {facts} facts in {seconds:.1} s", storm.lives, storm.seed)?;
    let failed = failed + dark.len() as u64;
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

fn print(seed: u64, broken: &Broken, whole: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "seed {seed} (Team) after {} facts: {}", broken.log.len(), broken.why)?;
    if whole {
        // What led there stands at the end; `team --tell` prints all of it.
        for line in broken.log.iter().skip(broken.log.len().saturating_sub(60)) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Lives one life and prints its whole log. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn tell(seed: u64, out: &mut dyn Write) -> io::Result<bool> {
    let (log, why) = match lived(seed, true, &mut Cover::new()) {
        Ok(lived) => (lived.log, None),
        Err(broken) => (broken.log, Some(broken.why)),
    };
    for line in &log {
        writeln!(out, "{line}")?;
    }
    match &why {
        Some(why) => writeln!(out, "seed {seed} (Team): {why}")?,
        None => writeln!(out, "seed {seed} (Team): every law was kept, {} facts", log.len())?,
    }
    Ok(why.is_none())
}
