//! The shells of all threads: each thread has a seat, where its bash calls wait their turn.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use protocol::limits::COMMAND_MS_MAX;
use sandbox::JailLayout;
use signal_hook::consts::SIGKILL;

use super::{
    ambient::{self, locked},
    answer::{bad, good},
    calls::{UnansweredCall, UnansweredCalls},
    host::{StartedProcesses, WakeBell},
    processes::ProcessOwner,
    reaper::{ChildReaper, ProcessEnd},
    shell::{BashShell, CommandEnd},
    text::CollectedText,
    tool::Bash,
};
use crate::wire::{FromJail, LowDisk, ToolOutcome};

/// Shells that live at once. One more ends the one that was idle for longest.
const SHELLS: usize = 64;
/// Threads that ever ran a command in one jail's life.
const SEATS: usize = 10_000;
/// Calls of one thread that wait.
const WAITING: usize = 32;
/// How bash says that its command was ended by SIGKILL.
const KILLED: i32 = 128 + SIGKILL;
/// What the first answer of a new shell begins with when there was one before (docs/rules.md 10).
const RESTARTED: &str = "[shell restarted: working directory and variables are gone]";

/// One call of bash.
#[derive(Debug)]
pub(super) struct BashCall {
    pub(super) open: UnansweredCall,
    pub(super) event: String,
    pub(super) bash: Bash,
    /// Whether the server's disk is nearly full, so that nothing may grow.
    pub(super) low: Option<LowDisk>,
}

/// The seats, and what shells need.
#[derive(Debug)]
pub(super) struct ThreadShells {
    seats: Mutex<Table>,
    living: Mutex<usize>,
    lives: Condvar,
    reaper: Arc<ChildReaper>,
    calls: Arc<UnansweredCalls>,
    layout: JailLayout,
    processes: Arc<StartedProcesses>,
    /// Held while everything is being killed, until it is known what to say of it.
    verdict: Mutex<()>,
}

#[derive(Debug, Default)]
struct Table {
    of: BTreeMap<String, Arc<Mutex<ThreadShell>>>,
    turn: u64,
}

/// One thread's.
#[derive(Debug, Default)]
struct ThreadShell {
    waiting: VecDeque<BashCall>,
    /// Rings for the one who works here; there is one as long as there is a shell or a call.
    wake: Option<Arc<WakeBell>>,
    busy: bool,
    /// When it was last called: tells who has been idle for longest.
    used: u64,
    /// Whether a shell was here that is gone, and nobody has been told.
    lost: bool,
    /// Why its shell is being killed from outside.
    killed: Option<String>,
    /// Whether its shell has to make room.
    leave: bool,
    /// Whether its thread is over.
    over: bool,
}

impl ThreadShells {
    /// No shells yet.
    pub(super) fn new(
        calls: Arc<UnansweredCalls>,
        layout: JailLayout,
        processes: Arc<StartedProcesses>,
    ) -> Self {
        Self {
            seats: Mutex::default(),
            living: Mutex::new(0),
            lives: Condvar::new(),
            reaper: Arc::default(),
            calls,
            layout,
            processes,
            verdict: Mutex::default(),
        }
    }

    /// Takes the statuses of children, for ever.
    pub(super) fn reap(&self) {
        self.reaper.run();
    }

    /// Waits until a shell lives; true if one did when it was asked.
    pub(super) fn wait_for_one(&self) -> bool {
        let mut living = locked(&self.living);
        let lived = *living > 0;
        while *living == 0 {
            living = self.lives.wait(living).unwrap_or_else(PoisonError::into_inner);
        }
        lived
    }

    /// Kills every process; commands under way are answered with `why`, and what there is to say `then`, once
    /// they are gone.
    pub(super) fn kill(&self, why: &str, then: impl FnOnce() -> String) {
        // Whose shell was killed waits for this before it says why.
        let _said = locked(&self.verdict);
        let mut seats: Vec<_> = locked(&self.seats).of.values().cloned().collect();
        seats.retain(|seat| {
            let mut seat = locked(seat);
            if seat.wake.is_some() {
                seat.killed = Some(why.to_owned());
            }
            seat.wake.is_some()
        });
        self.processes.end(ProcessOwner::All);
        // So that no shell that is dead looks alive to the next call.
        self.reaper.take();
        let more = then();
        for seat in seats {
            if let Some(why) = &mut locked(&seat).killed {
                why.push_str(&more);
            }
        }
    }

    /// Why the shell of this seat was killed from outside, if it was.
    fn killed(&self, seat: &Mutex<ThreadShell>) -> Option<String> {
        let _said = locked(&self.verdict);
        locked(seat).killed.take()
    }

    /// Everyone looks whether a call of theirs was cancelled.
    pub(super) fn ring(&self) {
        let seats: Vec<_> = locked(&self.seats).of.values().cloned().collect();
        for seat in seats {
            if let Some(wake) = &locked(&seat).wake {
                wake.ring();
            }
        }
    }

    /// A thread is over: its shell ends as soon as it is idle, and its seat is free.
    pub(super) fn leave(&self, thread: &str) {
        let Some(seat) = locked(&self.seats).of.remove(thread) else { return };
        let mut seat = locked(&seat);
        seat.over = true;
        if let Some(wake) = &seat.wake {
            wake.ring();
        }
    }

    /// Puts a call into its thread's line; it is answered when it is over.
    pub(super) fn run(self: &Arc<Self>, thread: &str, shell_lost: bool, call: BashCall) {
        let seat = {
            let mut table = locked(&self.seats);
            if !table.of.contains_key(thread) && table.of.len() >= SEATS {
                let why =
                    "too many threads have used bash in this session; let one that exists run the command";
                return self.calls.done(&call.open, bad(why));
            }
            table.turn += 1;
            let turn = table.turn;
            let seat = table.of.entry(thread.to_owned()).or_insert_with(|| {
                Arc::new(Mutex::new(ThreadShell { lost: shell_lost, ..ThreadShell::default() }))
            });
            let seat = Arc::clone(seat);
            locked(&seat).used = turn;
            make_room(&table, &seat);
            seat
        };
        let mut taken = locked(&seat);
        if taken.waiting.len() >= WAITING {
            drop(taken);
            return self
                .calls
                .done(&call.open, bad("too many commands of this thread wait; wait for their answers"));
        }
        let open = call.open.clone();
        taken.waiting.push_back(call);
        if let Some(wake) = &taken.wake {
            wake.ring();
            return;
        }
        if let Err(error) = self.begin(&seat, &mut taken) {
            taken.waiting.clear();
            taken.wake = None;
            drop(taken);
            self.calls.done(&open, bad(no_shell(&error)));
        }
    }

    fn begin(self: &Arc<Self>, seat: &Arc<Mutex<ThreadShell>>, taken: &mut ThreadShell) -> io::Result<()> {
        let wake = Arc::new(WakeBell::new()?);
        taken.wake = Some(Arc::clone(&wake));
        let (all, seat) = (Arc::clone(self), Arc::clone(seat));
        ambient::start("shell", move || Worker { all, seat, wake, shell: None }.work())
    }
}

/// When too many shells live, the one that was idle for longest leaves. If all are busy there is one more for
/// a while; the number of processes bounds that.
fn make_room(table: &Table, but: &Arc<Mutex<ThreadShell>>) {
    let mut living = 0;
    let mut oldest: Option<(u64, &Arc<Mutex<ThreadShell>>)> = None;
    for seat in table.of.values().filter(|seat| !Arc::ptr_eq(seat, but)) {
        let taken = locked(seat);
        living += usize::from(taken.wake.is_some() && !taken.leave);
        let idle = taken.wake.is_some() && !taken.busy && !taken.leave && taken.waiting.is_empty();
        if idle && oldest.is_none_or(|(used, _)| taken.used < used) {
            oldest = Some((taken.used, seat));
        }
    }
    if living >= SHELLS
        && let Some((_, seat)) = oldest
    {
        let mut taken = locked(seat);
        taken.leave = true;
        if let Some(wake) = &taken.wake {
            wake.ring();
        }
    }
}

fn no_shell(error: &io::Error) -> String {
    format!(
        "bash could not be started: {error}. If there are too many processes, end some with the bash of another \
         thread or send \"restart\": true, then try again."
    )
}

fn how(ended: ProcessEnd) -> String {
    match ended {
        ProcessEnd::Exit(status) => format!("with status {status}"),
        ProcessEnd::Signal(signal) => format!("by signal {signal}"),
    }
}

/// The one who works at a seat, on a thread of its own.
#[derive(Debug)]
struct Worker {
    all: Arc<ThreadShells>,
    seat: Arc<Mutex<ThreadShell>>,
    wake: Arc<WakeBell>,
    shell: Option<BashShell>,
}

/// What a worker finds to do.
#[derive(Debug)]
enum Work {
    Call(BashCall),
    Wait,
    Leave,
}

impl Worker {
    fn work(mut self) {
        loop {
            match self.next() {
                Work::Call(call) => {
                    let open = call.open.clone();
                    let outcome = self.answer(call);
                    self.all.calls.done(&open, outcome);
                }
                Work::Wait => {
                    if let Some(shell) = &mut self.shell {
                        shell.rest();
                    }
                    if let Some(ended) = self.shell.as_ref().and_then(BashShell::ended) {
                        self.end(|_| {});
                        self.lost(ended);
                    }
                }
                Work::Leave => self.end(|_| {}),
            }
            let mut seat = locked(&self.seat);
            seat.busy = false;
            if self.shell.is_none() && seat.waiting.is_empty() {
                (seat.leave, seat.wake) = (false, None);
                return;
            }
        }
    }

    fn next(&self) -> Work {
        let mut seat = locked(&self.seat);
        if let Some(call) = seat.waiting.pop_front() {
            (seat.busy, seat.leave) = (true, false);
            return Work::Call(call);
        }
        if seat.leave || seat.over { Work::Leave } else { Work::Wait }
    }

    fn answer(&mut self, call: BashCall) -> ToolOutcome {
        if call.open.cancelled() {
            return bad("cancelled before it began");
        }
        let mut text = CollectedText::new(&self.all.layout.results, &call.event, call.low.is_some());
        if call.bash.restart {
            self.end(|_| {});
            locked(&self.seat).lost = true;
        }
        let Some(command) = call.bash.command else {
            locked(&self.seat).lost = false;
            return good(RESTARTED);
        };
        // A shell that ended since the last look is none.
        if self.shell.as_ref().is_some_and(|shell| shell.ended().is_some()) {
            self.end(|_| {});
        }
        let restarted = self.shell.is_none() && locked(&self.seat).lost;
        let killed = if self.shell.is_none() { self.all.killed(&self.seat) } else { None };
        let mut shell = match self.take() {
            Ok(shell) => shell,
            Err(error) => return bad(no_shell(&error)),
        };
        if restarted {
            locked(&self.seat).lost = false;
            let why = killed.map(|why| why + "\n").unwrap_or_default();
            text.add(format!("{RESTARTED}\n{why}").as_bytes());
        }
        if let Some(low) = call.low {
            text.add(low.told().as_bytes());
        }
        let later = shell.later();
        if !later.is_empty() {
            text.add(b"[from background processes since the last command:]\n");
            text.add(&later);
            text.add(b"\n[from this command:]\n");
        }
        let until = ambient::now() + call.bash.timeout;
        let end = shell.run(&command, call.low.is_some(), until, || call.open.cancelled(), &mut text);
        self.shell = Some(shell);
        match end {
            Ok(end) => self.tell(&end, call.bash.timeout.as_millis(), text),
            Err(error) => bad(format!("the command was not run: {error}; try again")),
        }
    }

    /// The answer to a command that came to this end.
    fn tell(&mut self, end: &CommandEnd, timeout_ms: u128, mut text: CollectedText) -> ToolOutcome {
        let note = match end {
            CommandEnd::Status(0) => {
                let said = !text.is_empty();
                return good(if said { text.finish() } else { "(no output)".to_owned() });
            }
            CommandEnd::Status(status) => {
                if *status == KILLED {
                    self.all.calls.say(&FromJail::Lost { signal: SIGKILL });
                }
                format!("[exit status {status}]")
            }
            CommandEnd::Left(ended) => {
                self.lost(*ended);
                if let Some(why) = self.all.killed(&self.seat) {
                    // Then what was put aside goes too.
                    self.end(|piece| text.add(piece));
                    why
                } else {
                    format!(
                        "[the command ended its shell {}: directory, variables and functions are as before this \
                         command, and what runs in the background goes on]",
                        how(*ended)
                    )
                }
            }
            CommandEnd::Died(ended) => {
                self.end(|piece| text.add(piece));
                self.lost(*ended);
                let why = self.all.killed(&self.seat);
                why.unwrap_or_else(|| {
                    format!(
                        "[the shell itself ended {}, and what it had started was ended with it; the next command \
                         gets a new one]",
                        how(*ended)
                    )
                })
            }
            CommandEnd::Late => {
                self.stop(&mut text);
                format!(
                    "[timed out after {timeout_ms} ms and was killed, with everything this shell had started; send \
                     a larger timeout_ms (at most {COMMAND_MS_MAX}), or start long work in the background with its output in \
                     a file]"
                )
            }
            CommandEnd::Cancelled => {
                self.stop(&mut text);
                "[cancelled, and killed with everything this shell had started]".to_owned()
            }
        };
        let said = text.finish();
        let gap = if said.is_empty() || said.ends_with('\n') { "" } else { "\n" };
        let outcome = format!("{said}{gap}{note}");
        if matches!(end, CommandEnd::Left(ProcessEnd::Exit(0)) | CommandEnd::Died(ProcessEnd::Exit(0))) {
            good(outcome)
        } else {
            bad(outcome)
        }
    }

    /// Tells the server of a shell that somebody else than we has killed.
    fn lost(&self, ended: ProcessEnd) {
        let ProcessEnd::Signal(signal) = ended else { return };
        let by_us = {
            let _said = locked(&self.all.verdict);
            locked(&self.seat).killed.is_some()
        };
        if !by_us {
            self.all.calls.say(&FromJail::Lost { signal });
        }
    }

    fn stop(&mut self, text: &mut CollectedText) {
        if let Some(shell) = &mut self.shell {
            shell.interrupt(text);
        }
        self.end(|piece| text.add(piece));
    }

    /// The shell of this seat, a new one if there is none.
    fn take(&mut self) -> io::Result<BashShell> {
        if let Some(shell) = self.shell.take() {
            return Ok(shell);
        }
        // Held, so that it does not go with the last one that ends just now.
        let mut living = locked(&self.all.living);
        let shell = BashShell::start(&self.all.reaper, &self.all.layout.workspace, &self.wake)?;
        self.all.processes.began(shell.pid());
        *living += 1;
        self.all.lives.notify_all();
        Ok(shell)
    }

    fn end(&mut self, to: impl FnMut(&[u8])) {
        let Some(shell) = self.shell.take() else { return };
        let mut living = locked(&self.all.living);
        *living = living.saturating_sub(1);
        // Orphans that left their group belong to nobody in particular: they go with the last shell.
        if *living == 0 {
            shell.end(true, &self.all.processes, to);
        } else {
            drop(living);
            shell.end(false, &self.all.processes, to);
        }
        // So that nothing that is dead looks alive to the next command.
        self.all.reaper.take();
        locked(&self.seat).lost = true;
    }
}
