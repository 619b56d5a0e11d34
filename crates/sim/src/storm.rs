//! A storm: many lives on every core, and what became of them.

use std::fmt::{Debug, Display};
use std::io::{self, Write};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::act::Act;
use crate::coverage::ActCoverage;
use crate::life::{BrokenLife, LivedLife, live};
use crate::size::LifeSize;
use crate::state::{Role, State};
use crate::team::line::TeamLine;

/// Seconds between two lines of progress.
const PROGRESS_S: u64 = 5;
/// Failures after which a storm stops: they are mostly the same one.
const ENOUGH: u64 = 20;
/// One life in this many is lived twice, to compare the logs byte for byte.
const TWICE: u64 = 50;
/// A kind of life.
pub trait LifeKind: Copy + Debug + Send + Sync {
    /// A line of its log.
    type Line: Display + Send;
    /// What it was met with.
    type Table: Table;

    /// A table in which nothing has happened.
    fn table(self) -> Self::Table;

    /// A line as it is told.
    fn told(self, line: &Self::Line) -> String {
        line.to_string()
    }

    /// Lives one life.
    ///
    /// # Errors
    /// The law that it broke.
    fn live(
        self,
        seed: u64,
        table: &mut Self::Table,
    ) -> Result<LivedLife<Self::Line>, Box<BrokenLife<Self::Line>>>;

    /// Lives from which on every cell of the table must be lit.
    fn telling(self) -> u64;
}

/// A table of what happened where.
pub trait Table: Send {
    /// Adds another table's counts.
    fn add(&mut self, other: &Self);
    /// The table as text.
    fn text(&self) -> String;
    /// Each cell that should have been lit and is dark, in words.
    fn unlit(&self) -> Vec<String>;
}

impl LifeKind for LifeSize {
    type Line = TeamLine;
    type Table = ActCoverage;

    fn table(self) -> ActCoverage {
        ActCoverage::new(self)
    }

    /// Of a thread alone nobody asks whose line it is.
    fn told(self, line: &TeamLine) -> String {
        if self.alone() { line.plain.to_string() } else { line.to_string() }
    }

    fn live(self, seed: u64, table: &mut ActCoverage) -> Result<LivedLife, Box<BrokenLife>> {
        live(seed, self, table)
    }

    fn telling(self) -> u64 {
        match self {
            Self::Small | Self::Team => 5_000,
            Self::Wide => 500,
        }
    }
}

impl Table for ActCoverage {
    fn add(&mut self, other: &Self) {
        self.add(other);
    }

    fn text(&self) -> String {
        self.table()
    }

    fn unlit(&self) -> Vec<String> {
        let words = |(role, state, act): &(Role, State, Act)| {
            format!("{} of a {} that is {}", act.name(), role.name(), state.name())
        };
        self.dark().iter().map(words).collect()
    }
}

/// What to live through.
#[derive(Debug, Clone, Copy)]
pub struct Storm<K = LifeSize> {
    /// What each life is; how large.
    pub size: K,
    /// The first life's seed; each life's is one more.
    pub seed: u64,
    /// How many lives.
    pub lives: u64,
}

enum News<K: LifeKind> {
    Lived { facts: u64 },
    Broke { seed: u64, broken: Box<BrokenLife<K::Line>> },
    Done(Box<K::Table>),
}

/// Lives them all, says what happened to `out`, the sum last. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn run<K: LifeKind>(storm: Storm<K>, out: &mut dyn Write) -> io::Result<bool> {
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
fn work<K: LifeKind>(storm: Storm<K>, next: &AtomicU64, stop: &AtomicBool, send: SyncSender<News<K>>) {
    let mut table = storm.size.table();
    while !stop.load(Ordering::Relaxed) {
        let life = next.fetch_add(1, Ordering::Relaxed);
        if life >= storm.lives {
            break;
        }
        let seed = storm.seed.wrapping_add(life);
        let news = match lived(seed, storm.size, life.is_multiple_of(TWICE), &mut table) {
            Ok(lived) => News::Lived { facts: lived.log.len() as u64 },
            Err(broken) => News::Broke { seed, broken },
        };
        if send.send(news).is_err() {
            return;
        }
    }
    // Nobody listens any more: then nobody wants the table either.
    let _gone = send.send(News::Done(Box::new(table)));
}

/// One life; a panic is a broken law too.
fn lived<K: LifeKind>(
    seed: u64,
    kind: K,
    twice: bool,
    table: &mut K::Table,
) -> Result<LivedLife<K::Line>, Box<BrokenLife<K::Line>>> {
    let broken = |why: &str| Box::new(BrokenLife { why: why.into(), log: Vec::new() });
    let mut once = || {
        let life = catch_unwind(AssertUnwindSafe(|| kind.live(seed, table)));
        life.unwrap_or_else(|_| Err(broken("panic: see above")))
    };
    let lived = once()?;
    if twice && once()?.bodies != lived.bodies {
        return Err(broken("same seed: another log"));
    }
    Ok(lived)
}

/// Collects what the cores say, until all are done.
fn listen<K: LifeKind>(
    storm: Storm<K>,
    news: &Receiver<News<K>>,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let clock = stopwatch();
    let mut table = storm.size.table();
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
                    print(seed, storm.size, &broken, failed == 1, out)?;
                }
                stop.store(stop.load(Ordering::Relaxed) || failed >= ENOUGH, Ordering::Relaxed);
            }
            Ok(News::Done(more)) => table.add(&more),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let seconds = clock().as_secs();
        if seconds >= said + PROGRESS_S {
            said = seconds;
            writeln!(out, "{seconds} s: {} of {} lives, {facts} facts", passed + failed, storm.lives)?;
        }
    }
    writeln!(out, "{}", table.text())?;
    let telling = storm.lives >= storm.size.telling() && failed == 0;
    let dark = if telling { table.unlit() } else { Vec::new() };
    for cell in &dark {
        writeln!(out, "dark: {cell}")?;
    }
    let seconds = clock().as_secs_f64();
    writeln!(out, "{} lives from seed {}: {facts} facts in {seconds:.1} s", storm.lives, storm.seed)?;
    let failed = failed + dark.len() as u64;
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

fn print<K: LifeKind>(
    seed: u64,
    kind: K,
    broken: &BrokenLife<K::Line>,
    whole: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "seed {seed} ({kind:?}) after {} facts: {}", broken.log.len(), broken.why)?;
    if whole {
        // What led there stands at the end; `storm --seed` and `team --tell` print all of it.
        for line in broken.log.iter().skip(broken.log.len().saturating_sub(80)) {
            writeln!(out, "{}", kind.told(line))?;
        }
    }
    Ok(())
}

/// Lives one life and prints its whole log. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn tell<K: LifeKind>(seed: u64, kind: K, out: &mut dyn Write) -> io::Result<bool> {
    let told = lived(seed, kind, true, &mut kind.table());
    let (log, why) = match told {
        Ok(lived) => (lived.log, None),
        Err(broken) => (broken.log, Some(broken.why)),
    };
    for line in &log {
        writeln!(out, "{}", kind.told(line))?;
    }
    match &why {
        Some(why) => writeln!(out, "seed {seed} ({kind:?}): {why}")?,
        None => writeln!(out, "seed {seed} ({kind:?}): every law was kept, {} facts", log.len())?,
    }
    Ok(why.is_none())
}

#[expect(clippy::disallowed_methods, reason = "progress of a storm is measured outside any runtime")]
pub(crate) fn stopwatch() -> impl Fn() -> Duration {
    let start = std::time::Instant::now();
    move || start.elapsed()
}
