//! Runs steps one after another or in two lanes, streams what they print, and sums what they say.

use std::io::{self, BufRead as _, BufReader, PipeReader};
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::output::{Output, Tell};
use crate::tally::{Tally, Told};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Well(Tally),
    /// With what was counted before it went wrong, and why.
    Badly(Tally, String),
    /// It could not run here, and need not.
    Skipped(String),
}

/// What a step may run beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Nothing: it uses the machine up, or measures what is the machine's.
    Alone,
    /// The steps of the other lane that stand right before or behind it.
    First,
    Second,
}

/// One step of `cargo x test`.
pub(crate) struct Step<'a> {
    pub(crate) name: &'static str,
    /// What it is, in a few words for its heading.
    pub(crate) about: &'static str,
    /// Minutes it may take on two cores; more is a warning.
    pub(crate) budget: Option<u32>,
    /// Whether nothing after it can run if it fails.
    pub(crate) needed: bool,
    pub(crate) lane: Lane,
    pub(crate) run: Run<'a>,
}

/// Runs a step; its lines go where it is told.
pub(crate) type Run<'a> = Box<dyn Fn(&Tell<'_>) -> Ended + Sync + 'a>;

/// What all steps came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) tally: Tally,
    /// The table of steps, minutes and budgets, line by line.
    pub(crate) table: Vec<String>,
}

/// Tells the time since some moment.
pub(crate) type Clock<'a> = dyn Fn() -> Duration + Sync + 'a;

/// Runs the steps in order, those of two lanes beside each other; `tell` takes each line for the reader.
pub(crate) fn all(steps: &[Step<'_>], clock: &Clock<'_>, tell: &Tell<'_>) -> Sum {
    let mut tally = Tally::default();
    let mut table = vec![format!("{:<12}{:>8}{:>8}  counted", "step", "minutes", "budget")];
    let mut broken: Option<&str> = None;
    for stage in steps.chunk_by(|one, next| one.lane != Lane::Alone && next.lane != Lane::Alone) {
        if let Some(before) = broken {
            table.extend(stage.iter().map(|step| not_run(step, before)));
            continue;
        }
        for (step, ended) in stage.iter().zip(abreast(stage, clock, tell)) {
            let Some((ended, minutes)) = ended else {
                table.push(not_run(step, broken.unwrap_or_default()));
                continue;
            };
            let (counted, said) = judge(&ended);
            tally = tally.plus(counted);
            let budget = step.budget.map_or("–".to_owned(), |budget| budget.to_string());
            table.push(format!("{:<12}{minutes:>8.1}{budget:>8}  {said}", step.name));
            if let Some(budget) = step.budget.filter(|budget| minutes > f64::from(*budget)) {
                table.push(format!("warning: {} took {minutes:.1} of its {budget} minutes", step.name));
            }
            if step.needed && matches!(ended, Ended::Badly(..)) {
                broken = Some(step.name);
            }
        }
    }
    Sum { tally, table }
}

fn not_run(step: &Step<'_>, before: &str) -> String {
    format!("{:<12}{:>8}{:>8}  not run: {before} failed", step.name, "–", "–")
}

/// Runs the steps of either lane one after the other, and both lanes at once; gives how each step ended, and
/// after how many minutes. Nothing for those behind a needed one that failed.
fn abreast(stage: &[Step<'_>], clock: &Clock<'_>, tell: &Tell<'_>) -> Vec<Option<(Ended, f64)>> {
    let output = Output::new(tell);
    let lane = |second: bool| {
        let mut broken = false;
        let mut ended = Vec::new();
        for (at, step) in stage.iter().enumerate().filter(|(_, step)| (step.lane == Lane::Second) == second) {
            let told = (!broken).then(|| one(step, clock, &output, at));
            broken |= step.needed && matches!(told, Some((Ended::Badly(..), _)));
            ended.push((at, told));
        }
        ended
    };
    let mut ended = thread::scope(|scope| {
        let second = scope.spawn(|| lane(true));
        let mut ended = lane(false);
        ended.extend(second.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended
    });
    ended.sort_by_key(|(at, _)| *at);
    ended.into_iter().map(|(_, told)| told).collect()
}

/// Runs one step under its heading.
fn one(step: &Step<'_>, clock: &Clock<'_>, output: &Output<'_>, at: usize) -> (Ended, f64) {
    let tell = |line: &str| output.line(at, line);
    tell(&format!("\n== {}: {}", step.name, step.about));
    let start = clock();
    let ended = (step.run)(&tell);
    let minutes = clock().saturating_sub(start).as_secs_f64() / 60.0;
    tell(&format!("== {} took {minutes:.1} minutes: {}", step.name, judge(&ended).1));
    output.end(at);
    (ended, minutes)
}

/// What a step adds to the sum. One that went wrong without a failed test is itself a failure.
fn judge(ended: &Ended) -> (Tally, String) {
    match ended {
        Ended::Well(Tally { passed: 0, failed: 0 }) => (Tally::default(), "ok".to_owned()),
        Ended::Well(tally) => (*tally, tally.to_string()),
        Ended::Badly(tally, why) => {
            let tally = Tally { passed: tally.passed, failed: tally.failed.max(1) };
            (tally, format!("{tally} ({why})"))
        }
        Ended::Skipped(why) => (Tally::default(), format!("skipped: {why}")),
    }
}

/// Runs a program to its end, passing on what it prints; a line of counts is named after its step. What it
/// names as failed stands in the reason, which the table repeats: the end of a long log is what is read.
pub(crate) fn stream(step: &str, command: &mut Command, told: Told, tell: &dyn Fn(&str)) -> Ended {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut tally = Tally::default();
    let (lines, mut child) = match spawned(command) {
        Ok(started) => started,
        Err(why) => return Ended::Badly(tally, format!("{program}: {why}")),
    };
    let mut counted = false;
    let mut named = String::new();
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    loop {
        line.clear();
        if !lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        let read = told.read(text);
        if let Some(more) = read {
            tally = tally.plus(more);
            counted = true;
        }
        if let Some(name) = told.failed(text) {
            named.push_str("\n    FAILED  ");
            named.push_str(name);
        }
        match read {
            Some(more) if told == Told::Plainly => tell(&format!("{step}: {more}")),
            Some(_) | None => tell(text),
        }
    }
    match child.wait() {
        Err(why) => Ended::Badly(tally, format!("{program}: {why}")),
        Ok(status) if !status.success() => Ended::Badly(tally, format!("{program}: {status}{named}")),
        Ok(_) if told != Told::Nowhere && !counted => {
            Ended::Badly(tally, format!("{program} never said what passed"))
        }
        Ok(_) => Ended::Well(tally),
    }
}

/// Starts a program; gives what it prints, its errors among it.
fn spawned(command: &mut Command) -> io::Result<(PipeReader, Child)> {
    let (lines, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stderr(writer.try_clone()?).stdout(writer);
    let child = command.spawn();
    // The command would keep the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((lines, child?))
}

/// Runs several things as one step: counts add up, the first that went wrong is the reason.
pub(crate) fn in_turn<'a>(parts: impl IntoIterator<Item = Box<dyn FnOnce() -> Ended + 'a>>) -> Ended {
    let mut sum = Tally::default();
    let mut wrong = None;
    for part in parts {
        match part() {
            Ended::Well(tally) => sum = sum.plus(tally),
            Ended::Badly(tally, why) => {
                sum = sum.plus(tally);
                wrong = wrong.or(Some(why));
            }
            Ended::Skipped(why) => return Ended::Skipped(why),
        }
    }
    wrong.map_or(Ended::Well(sum), |why| Ended::Badly(sum, why))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    fn step<'a>(
        name: &'static str,
        budget: Option<u32>,
        needed: bool,
        run: impl Fn() -> Ended + Sync + 'a,
    ) -> Step<'a> {
        Step { name, about: "about", budget, needed, lane: Lane::Alone, run: Box::new(move |_| run()) }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn counts(passed: u64, failed: u64) -> Tally {
        Tally { passed, failed }
    }

    #[test]
    fn counts_of_all_steps_add_up_and_a_step_that_breaks_is_a_failure() {
        let steps = [
            step("units", None, false, || Ended::Well(counts(5, 0))),
            step("storms", None, false, || Ended::Badly(counts(7, 0), "sim: exit 1".to_owned())),
            step("guests", None, false, || Ended::Badly(counts(1, 2), "python: exit 1".to_owned())),
            step("cuts", None, false, || Ended::Skipped("no python3".to_owned())),
        ];
        let sum = all(&steps, &|| Duration::ZERO, &|_| {});
        assert_eq!(sum.tally, counts(13, 3));
        let table = [
            "step         minutes  budget  counted",
            "units            0.0       –  5 passed, 0 failed",
            "storms           0.0       –  7 passed, 1 failed (sim: exit 1)",
            "guests           0.0       –  1 passed, 2 failed (python: exit 1)",
            "cuts             0.0       –  skipped: no python3",
        ];
        assert_eq!(sum.table, table);
    }

    #[test]
    fn a_step_over_its_budget_is_a_warning_and_no_failure() {
        let minutes = AtomicU64::new(0);
        let steps = [step("build", Some(15), true, || {
            minutes.store(16, Ordering::Relaxed);
            Ended::Well(counts(0, 0))
        })];
        let told = Mutex::new(Vec::new());
        let sum = all(&steps, &|| Duration::from_mins(minutes.load(Ordering::Relaxed)), &|line| {
            told.lock().unwrap().push(line.to_owned());
        });
        assert_eq!(sum.tally, counts(0, 0));
        let warning = "warning: build took 16.0 of its 15 minutes".to_owned();
        assert_eq!(sum.table.last(), Some(&warning));
        assert_eq!(told.into_inner().unwrap(), ["\n== build: about", "== build took 16.0 minutes: ok"]);
    }

    #[test]
    fn nothing_runs_after_a_needed_step_that_failed() {
        let steps = [
            step("build", None, true, || Ended::Badly(counts(0, 0), "cargo: exit 101".to_owned())),
            step("units", None, false, || Ended::Well(counts(9, 0))),
        ];
        let sum = all(&steps, &|| Duration::ZERO, &|_| {});
        assert_eq!(sum.tally, counts(0, 1));
        let units = "units              –       –  not run: build failed".to_owned();
        assert_eq!(sum.table.last(), Some(&units));
    }

    #[test]
    fn lanes_run_at_once_each_in_order_and_what_fails_in_either_is_in_the_sum() {
        let (here, met) = (Mutex::new(0), Condvar::new());
        let meets = |ended: Ended| {
            let (here, met) = (&here, &met);
            move || {
                let mut count = here.lock().unwrap();
                *count += 1;
                met.notify_all();
                let both =
                    met.wait_timeout_while(count, Duration::from_secs(10), |count| *count < 2).unwrap();
                assert!(!both.1.timed_out(), "the other lane did not come");
                ended.clone()
            }
        };
        let within = |lane, step| Step { lane, ..step };
        let steps = [
            within(Lane::First, step("check", None, false, meets(Ended::Well(counts(1, 0))))),
            within(
                Lane::First,
                step("build", None, true, || Ended::Badly(counts(0, 0), "exit 101".to_owned())),
            ),
            within(
                Lane::Second,
                step("install", None, false, meets(Ended::Badly(counts(2, 1), "npm".to_owned()))),
            ),
            within(Lane::First, step("units", None, false, || Ended::Well(counts(9, 0)))),
            within(Lane::Second, step("guests", None, false, || Ended::Well(counts(4, 0)))),
            step("attacks", None, false, || Ended::Well(counts(5, 0))),
        ];
        let told = Mutex::new(Vec::new());
        let sum = all(&steps, &|| Duration::ZERO, &|line| told.lock().unwrap().push(line.to_owned()));
        assert_eq!(sum.tally, counts(7, 2));
        let table = [
            "step         minutes  budget  counted",
            "check            0.0       –  1 passed, 0 failed",
            "build            0.0       –  0 passed, 1 failed (exit 101)",
            "install          0.0       –  2 passed, 1 failed (npm)",
            "units              –       –  not run: build failed",
            "guests           0.0       –  4 passed, 0 failed",
            "attacks            –       –  not run: build failed",
        ];
        assert_eq!(sum.table, table);
        let heads = ["check", "build", "install", "guests"].map(|name| format!("\n== {name}: about"));
        let told = told.into_inner().unwrap();
        let mut found: Vec<&String> = told.iter().filter(|line| line.starts_with('\n')).collect();
        found.sort();
        let mut heads: Vec<&String> = heads.iter().collect();
        heads.sort();
        assert_eq!(found, heads);
        // Each step's lines stand in one piece.
        assert!(
            told.chunks(2).all(|piece| piece[1].starts_with(piece[0].trim().trim_end_matches(": about")))
        );
    }

    #[test]
    fn a_program_is_streamed_and_its_counts_are_named_after_the_step() {
        let told = Mutex::new(Vec::new());
        let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
        let script = "echo hello; echo why >&2; echo 3 passed, 1 failed; exit 1";
        let ended = stream("storms", &mut shell(script), Told::Plainly, &tell);
        assert_eq!(ended, Ended::Badly(counts(3, 1), "sh: exit status: 1".to_owned()));
        assert_eq!(told.into_inner().unwrap(), ["hello", "why", "storms: 3 passed, 1 failed"]);
    }

    #[test]
    fn what_a_program_names_as_failed_stands_in_the_reason() {
        let script = "echo 'FAILED  one: no'; echo 1 passed, 2 failed; echo 'FAILED  two'; exit 1";
        let ended = stream("attacks", &mut shell(script), Told::Plainly, &|_| {});
        let why = "sh: exit status: 1\n    FAILED  one: no\n    FAILED  two";
        assert_eq!(ended, Ended::Badly(counts(1, 2), why.to_owned()));
    }

    #[test]
    fn a_program_that_never_counts_or_cannot_start_is_a_failure() {
        let silent = stream("guests", &mut shell("true"), Told::Plainly, &|_| {});
        assert_eq!(silent, Ended::Badly(counts(0, 0), "sh never said what passed".to_owned()));
        let missing = stream("guests", &mut Command::new("./no-such-program"), Told::Nowhere, &|_| {});
        assert!(matches!(missing, Ended::Badly(_, why) if why.starts_with("./no-such-program: ")));
        assert_eq!(stream("check", &mut shell("true"), Told::Nowhere, &|_| {}), Ended::Well(counts(0, 0)));
    }

    #[test]
    fn parts_of_a_step_add_up_and_go_on_after_a_failure() {
        let ended = in_turn([
            Box::new(|| Ended::Badly(counts(1, 1), "first".to_owned())) as Box<dyn FnOnce() -> Ended>,
            Box::new(|| Ended::Well(counts(2, 0))),
        ]);
        assert_eq!(ended, Ended::Badly(counts(3, 1), "first".to_owned()));
    }
}
