//! Takes calls from the socket, hands each to who runs it, and answers.

use std::io::{self, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::limits::SEARCH_S;
use sandbox::{InsideJail, JailLayout};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT},
    flag,
};

use super::{
    ambient::{self, locked},
    answer::bad,
    builtins,
    calls::{UnansweredCall, UnansweredCalls},
    frames,
    host::StartedProcesses,
    processes::ProcessOwner,
    scales::{JailScales, WatchQuestion},
    seats::{BashCall, ThreadShells},
    stop::SearchStop,
    sweep::DiskSweep,
    text::CollectedText,
    tool::{CheckedInput, ToolMeans, ToolTask},
};
use crate::wire::{LowDisk, ToJail, ToolOutcome};

/// Calls of the tools that need no shell, at once. They are made before anything runs here that could use up
/// the processes.
const WORKERS: usize = 8;
/// Calls that wait for one of these.
const WAITING: usize = 256;
/// How long a search may take; then it answers with what it has.
const SEARCH: Duration = Duration::from_secs(SEARCH_S);

/// Serves the tools until the socket closes. `heddle jail` runs it after `sandbox::enter`, in the process
/// that every orphan of the jail is given to. What was started here does not outlive it.
///
/// # Errors
/// The exit code is a failure if the jail had no room for its first threads, or if a frame was none.
#[must_use]
pub fn serve(inside: InsideJail) -> ExitCode {
    let processes = Arc::new(StartedProcesses::new(inside.isolation));
    let result = listen(inside, &processes);
    processes.end(ProcessOwner::All);
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One call of a tool that needs no shell.
struct Job {
    open: UnansweredCall,
    event: String,
    task: ToolTask,
    low: Option<LowDisk>,
}

/// A server that was started in the background of a script, or by nohup, ignores these, and so would every
/// program here: they would not notice an interrupt. What is caught is not inherited.
fn catch() -> io::Result<()> {
    for signal in [SIGINT, SIGQUIT, SIGHUP] {
        flag::register(signal, Arc::default())?;
    }
    Ok(())
}

fn listen(inside: InsideJail, processes: &Arc<StartedProcesses>) -> io::Result<()> {
    let InsideJail { socket, layout, limits, isolation } = inside;
    catch()?;
    let calls = Arc::new(UnansweredCalls::new(socket.try_clone()?));
    let seats = Arc::new(ThreadShells::new(Arc::clone(&calls), layout.clone(), Arc::clone(processes)));
    let reaps = Arc::clone(&seats);
    ambient::start("reaper", move || reaps.reap())?;
    let sweep = Arc::new(DiskSweep::new(&layout, &limits));
    let (sweeper, sweeps, told) = (Arc::clone(&sweep), Arc::clone(&seats), Arc::clone(&calls));
    ambient::start("sweep", move || sweeper.run(&sweeps, &told))?;
    let (layouts, seated, told) = (layout.clone(), Arc::clone(&seats), Arc::clone(&calls));
    let scales = JailScales { layout: layouts, isolation, sweep, seats: seated, calls: told };
    let (questions, asked) = sync_channel(WAITING);
    ambient::start("scales", move || scales.run(&asked))?;
    let jobs = workers(&calls, &layout)?;
    let mut from = BufReader::new(socket);
    while let Some(word) = frames::read(&mut from)? {
        match word {
            ToJail::Leave { thread } => seats.leave(&thread),
            ToJail::Cancel { call } => {
                calls.cancel(call);
                seats.ring();
            }
            // The server asks one thing at a time, and again if nobody answers.
            ToJail::Weigh { ask, within_ms } => {
                questions.try_send(WatchQuestion::Weigh { ask, within_ms }).ok();
            }
            ToJail::CutBack { ask, room } => {
                questions.try_send(WatchQuestion::CutBack { ask, room }).ok();
            }
            ToJail::Run { call, thread, event, tool, input, shell_lost, low } => {
                let open = calls.open(call);
                let answered = match builtins::read_input(tool, input) {
                    Err(mistake) => Some(mistake),
                    _ if !plain(&event) => Some("the call has no name of its own; send it again".to_owned()),
                    Ok(CheckedInput::Bash(bash)) => {
                        seats.run(&thread, shell_lost, BashCall { open: open.clone(), event, bash, low });
                        None
                    }
                    Ok(CheckedInput::Task(task)) => {
                        let sent = jobs.try_send(Job { open: open.clone(), event, task, low });
                        let full = |_| {
                            "too many calls at once; wait for some answers, then send it again".to_owned()
                        };
                        sent.err().map(full)
                    }
                };
                if let Some(why) = answered {
                    calls.done(&open, bad(why));
                }
            }
        }
    }
    Ok(())
}

/// Whether it can be the name of a file.
fn plain(event: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&event.len()) && event.bytes().all(legal)
}

fn workers(calls: &Arc<UnansweredCalls>, layout: &JailLayout) -> io::Result<SyncSender<Job>> {
    let (jobs, takes) = sync_channel(WAITING);
    let takes = Arc::new(Mutex::new(takes));
    for _ in 0..WORKERS {
        let (calls, layout, takes) = (Arc::clone(calls), layout.clone(), Arc::clone(&takes));
        ambient::start("worker", move || work(&calls, &layout, &takes))?;
    }
    Ok(jobs)
}

fn work(calls: &UnansweredCalls, layout: &JailLayout, takes: &Mutex<Receiver<Job>>) {
    // Behind those who answer the server.
    rustix::process::setpriority_process(None, 10).ok();
    loop {
        let taken = locked(takes).recv();
        let Ok(Job { open, event, task, low }) = taken else { return };
        let run = || {
            if open.cancelled() {
                bad("cancelled before it began")
            } else {
                run(layout, &open, &event, task, low)
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let failed = |_| bad("this tool failed inside; try another way, for instance with bash");
        calls.done(&open, outcome.unwrap_or_else(failed));
    }
}

fn run(
    layout: &JailLayout,
    open: &UnansweredCall,
    event: &str,
    task: ToolTask,
    low: Option<LowDisk>,
) -> ToolOutcome {
    let stop = SearchStop::new(open.clone(), ambient::now() + SEARCH);
    let text = CollectedText::new(&layout.results, event, low.is_some());
    task(ToolMeans { layout, stop: &stop, text, low }).unwrap_or_else(bad)
}
