//! The quick run: windows of seconds, one subject after the other, several times over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::Outcome;
use crate::load::{self, CREATORS, MeasuredWindow};
use crate::memory;
use crate::subject::{self, MeasuredServer, OwnProcess};
use crate::table::{FigureKind, ReportTable};

const REPEATS: usize = 3;
/// Repeats of the windows with the slow model, and from how many clients on: few show the model alone.
const SLOW_REPEATS: usize = 2;
const SLOW_MANY: usize = 64;
const CLIENTS: [usize; 4] = [1, 16, 64, 256];
/// What the slow model takes.
const SLOW: Duration = Duration::from_millis(200);
const CREATE: Duration = Duration::from_secs(1);
const MIB: f64 = 1024.0 * 1024.0;

/// Measures and prints.
pub(crate) async fn run(heddle: PathBuf, against: Option<PathBuf>, place: &Path) -> Outcome<()> {
    let began = Instant::now();
    let busy = std::fs::read_to_string("/proc/loadavg")?;
    let place = tempfile::tempdir_in(place)?;
    let place = place.path();
    let models = [subject::model(Duration::ZERO, place).await?, subject::model(SLOW, place).await?];
    let binaries: Vec<PathBuf> = std::iter::once(heddle).chain(against).collect();
    let mut names = vec!["heddle".to_owned()];
    names.extend(binaries.get(1).map(|_| "before".to_owned()));
    names.push("ceiling".to_owned());
    let mut table = ReportTable::new(names);
    turns(&mut table, &binaries, place, &models).await?;
    held(&mut table, &binaries, place, &models).await?;
    let cores = std::thread::available_parallelism()?;
    let busy = busy.split_whitespace().next().unwrap_or_default();
    crate::say(&format!(
        "{cores} cores shared by the server, the load client and the model servers; loopback; release build with \
         its defaults (SQLite, WAL, synchronous=FULL).\nMedians, with the least and the most of up to {REPEATS} \
         interleaved repeats; {:.0} s in all. Load average before the run: {busy}; \
         what others take of the cores makes noise of these figures, least of the CPU-ms. Memory is \
         measured with a cache of 1 MiB of sessions at rest, where a server has one.",
        began.elapsed().as_secs_f64()
    ));
    if let Some(against) = binaries.get(1) {
        crate::say(&format!("`before` is {}.", against.display()));
    }
    crate::say(&format!("\n{}", table.markdown()));
    Ok(())
}

/// Creating and turns, one subject beside the other.
async fn turns(
    table: &mut ReportTable,
    binaries: &[PathBuf],
    place: &Path,
    models: &[OwnProcess; 2],
) -> Outcome<()> {
    let mut subjects = Vec::new();
    for (at, binary) in binaries.iter().enumerate() {
        subjects.push(MeasuredServer::heddle(binary, &place.join(format!("turns-{at}")), models, "").await?);
    }
    subjects.push(MeasuredServer::ceiling(&place.join("ceiling"), models).await?);
    for repeat in 0..REPEATS {
        // Whoever comes first in one repeat comes later in the next.
        let order: Vec<usize> = (0..subjects.len()).map(|at| (at + repeat) % subjects.len()).collect();
        for at in &order {
            let rate = load::creates(&subjects[*at], CREATE).await?;
            table.note(&format!("creates/s, {CREATORS} clients"), FigureKind::Rate, 0, *at, rate);
        }
        for (clients, slow) in
            CLIENTS.map(|many| (many, false)).into_iter().chain(CLIENTS.map(|many| (many, true)))
        {
            if slow && (repeat >= SLOW_REPEATS || (repeat > 0 && clients < SLOW_MANY)) {
                continue;
            }
            for at in &order {
                let shown = load::window(&subjects[*at], window_of(clients, slow)).await?;
                let what =
                    format!("{clients} client{}{}", if clients == 1 { "" } else { "s" }, model_of(slow));
                table.note(&format!("turns/s, {what}"), FigureKind::Rate, 0, *at, shown.turns_a_second);
                table.note(&format!("p50 ms, {what}"), FigureKind::Cost, 2, *at, shown.median_ms);
                table.note(&format!("CPU-ms a turn, {what}"), FigureKind::Cost, 3, *at, shown.cpu_ms);
            }
        }
    }
    Ok(())
}

fn window_of(clients: usize, slow: bool) -> MeasuredWindow {
    let (warm, measured) = if slow { (600, 1_600) } else { (250, 1_000) };
    MeasuredWindow {
        clients,
        slow,
        warm: Duration::from_millis(warm),
        measured: Duration::from_millis(measured),
    }
}

fn model_of(slow: bool) -> String {
    if slow { format!(", model of {} ms", SLOW.as_millis()) } else { String::new() }
}

/// Memory, each server by itself on a directory of its own, with a small cache where it has one.
async fn held(
    table: &mut ReportTable,
    binaries: &[PathBuf],
    place: &Path,
    models: &[OwnProcess; 2],
) -> Outcome<()> {
    for (at, binary) in binaries.iter().enumerate() {
        let cache = subject::small_cache(binary).await?;
        let subject =
            MeasuredServer::heddle(binary, &place.join(format!("memory-{at}")), models, &cache).await?;
        let held = memory::held(&subject).await?;
        let mut note = |name: &str, bytes: f64| table.note(name, FigureKind::Cost, 1, at, bytes / MIB);
        note("MiB resident at the start", held.start);
        for (number, bytes) in held.after.iter().enumerate() {
            note(&format!("MiB after load {} of {}", number + 1, memory::LOADS), *bytes);
        }
        note("MiB after rest", held.rest);
        table.note("live sessions after rest", FigureKind::Plain, 0, at, held.live);
    }
    Ok(())
}
