//! One bash that stays: how a command gets into it and how its output and its status come out.
//!
//! Commands come to it on its standard input, a socket, which is also where it tells that one is over. While
//! a command runs, standard input is /dev/null; bash keeps the socket in a descriptor that no program
//! inherits. The word that tells the end is random and new with each command.
//!
//! A command can end the shell that runs it (`exit`, `set -e`, `exec`, a signal). So the shell puts a copy of
//! itself aside before each, which goes away when the command is over and takes over when the shell is gone.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread};
use rustix::process::{Pid, setpriority_process};

use super::{
    ambient,
    host::{ADOPTS, StartedProcesses, WakeBell, has_room_for},
    processes::{self, ProcessOwner},
    reaper::{ChildReaper, KeptShell, ProcessEnd, StartedProcess},
    script::{ScriptReader, said, script},
    text::CollectedText,
};

/// Between SIGINT and SIGKILL (docs/rules.md 10).
const GRACE: Duration = Duration::from_secs(1);
/// How often the rest of a process group is looked for in that time; no system call waits for a group.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the status of a killed shell may take to come.
const BURIAL: Duration = Duration::from_secs(5);
/// Processes that a copy of the shell needs to be put aside; one of them ends at once.
const KEEPING: usize = 2;
/// What the output begins with where there is no room for these.
const CROWDED: &[u8] =
    b"[this session has as many processes as it may have, so that programs can hardly start; \
what the shell does by itself works: `kill -9 -1` ends all the others]\n";
/// Bytes read at once; also what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes that are kept of what background processes say between two commands: the last ones.
const LATER_BYTES: usize = 4_000;
/// Bytes of what the shell says on its socket that are kept until a line is whole.
const WORD_BYTES: usize = 256;

/// How a command came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommandEnd {
    /// With this status, and the shell lives on.
    Status(i32),
    /// The shell ended with it, and one that was put aside before it lives on.
    Left(ProcessEnd),
    /// The shell ended with it, and there is no other.
    Died(ProcessEnd),
    /// It took too long.
    Late,
    /// Its call was cancelled.
    Cancelled,
}

/// A bash and its two descriptors.
#[derive(Debug)]
pub(super) struct BashShell {
    /// Those that it took over from and whose groups still live, and then its own.
    pids: Vec<Pid>,
    pid: Pid,
    life: Arc<StartedProcess>,
    /// The copy that was put aside for the command that runs.
    kept: Option<Pid>,
    reader: ScriptReader,
    reaper: Arc<ChildReaper>,
    wake: Arc<WakeBell>,
    script: OwnedFd,
    output: Output,
    later: VecDeque<u8>,
}

/// Where its commands' output comes out.
#[derive(Debug)]
struct Output {
    pipe: OwnedFd,
    open: bool,
    piece: Vec<u8>,
}

impl BashShell {
    /// Starts one in the workspace. `wake` rings when it ends.
    ///
    /// # Errors
    /// There is no bash, or no room for one more process.
    pub(super) fn start(
        reaper: &Arc<ChildReaper>,
        workspace: &Path,
        wake: &Arc<WakeBell>,
    ) -> io::Result<Self> {
        let (script, its_script) = UnixStream::pair()?;
        script.set_nonblocking(true)?;
        let (pipe, its_output) = io::pipe()?;
        ioctl_fionbio(&pipe, true)?;
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc"])
            .current_dir(workspace)
            .process_group(0)
            .stdin(OwnedFd::from(its_script))
            .stdout(Stdio::from(its_output.try_clone()?))
            .stderr(Stdio::from(its_output));
        let (pid, life) = reaper.spawn(&mut command, Arc::clone(wake))?;
        // Behind the tools themselves, which must answer while commands use all there is.
        setpriority_process(Some(pid), 19).ok();
        let output = Output { pipe: pipe.into(), open: true, piece: vec![0; PIECE_BYTES] };
        Ok(Self {
            pids: vec![pid],
            pid,
            life,
            kept: None,
            reader: ScriptReader::Bash,
            reaper: Arc::clone(reaper),
            wake: Arc::clone(wake),
            script: script.into(),
            output,
            later: VecDeque::new(),
        })
    }

    /// Its process, which leads its group.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<ProcessEnd> {
        self.life.ended()
    }

    /// Runs a command and adds its output to `text`, until it is over, `until`, or `cancelled` says so after
    /// a ring. In the two last cases it still runs.
    ///
    /// # Errors
    /// The operating system has no dice.
    pub(super) fn run(
        &mut self,
        command: &str,
        low: bool,
        until: Instant,
        cancelled: impl Fn() -> bool,
        text: &mut CollectedText,
    ) -> io::Result<CommandEnd> {
        let token = ambient::token()?;
        // What the shell does by itself must work where nothing can begin any more: it ends the others.
        let keeps = ADOPTS && has_room_for(KEEPING);
        if ADOPTS && !keeps {
            text.add(CROWDED);
        }
        let script = script(command, low, &token, self.reader, keeps.then_some(self.pid));
        if self.reader != ScriptReader::Bash {
            self.reader = ScriptReader::Kept { first: false };
        }
        let mut left = script.as_bytes();
        let mut words = Vec::new();
        let mut listens = true;
        loop {
            if let Some(ended) = self.life.ended() {
                while ioctl_fionread(&self.script).is_ok_and(|count| count > 0)
                    && hear(&self.script, &mut words)
                {}
                self.kept = said(&words, &token).kept.or(self.kept);
                self.output.drain(|piece| text.add(piece));
                return Ok(if self.take_over(until, &cancelled) {
                    CommandEnd::Left(ended)
                } else {
                    CommandEnd::Died(ended)
                });
            }
            if cancelled() {
                return Ok(CommandEnd::Cancelled);
            }
            let now = ambient::now();
            if now >= until {
                return Ok(CommandEnd::Late);
            }
            let script = listens.then_some((&self.script, !left.is_empty()));
            wait(script, Some(&self.output), &self.wake, until - now);
            self.wake.clear();
            self.output.read(|piece| text.add(piece));
            if listens {
                listens = tell(&self.script, &mut left) && hear(&self.script, &mut words);
                let said = said(&words, &token);
                self.kept = said.kept.or(self.kept);
                if let Some(status) = said.status {
                    self.dismiss();
                    // What the command wrote is in the pipe by now. What comes later is of its background.
                    self.output.drain(|piece| text.add(piece));
                    return Ok(CommandEnd::Status(status));
                }
            }
        }
    }

    /// Makes the copy that was put aside the shell; false if there is none.
    fn take_over(&mut self, until: Instant, cancelled: &impl Fn() -> bool) -> bool {
        let Some(kept) = self.kept else { return false };
        loop {
            match self.reaper.adopt(kept, &self.wake) {
                KeptShell::Taken(life) => {
                    self.pids.retain(|pid| processes::lives(*pid));
                    self.pids.push(kept);
                    (self.pid, self.life, self.kept) = (kept, life, None);
                    self.reader = ScriptReader::Kept { first: true };
                    return true;
                }
                // It was put aside a moment ago and has not stopped yet.
                KeptShell::Runs if ambient::now() < until && !cancelled() => {
                    wait(None, None, &self.wake, GLANCE);
                    self.wake.clear();
                }
                KeptShell::Runs | KeptShell::Gone => return false,
            }
        }
    }

    /// Ends the copy that was put aside.
    fn dismiss(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.reaper.dismiss(kept);
        }
    }

    /// Waits for a ring, and keeps the last of what background processes say meanwhile.
    pub(super) fn rest(&mut self) {
        wait(None, Some(&self.output), &self.wake, Duration::MAX);
        self.wake.clear();
        self.output.read(|piece| keep(&mut self.later, piece));
    }

    /// What background processes have said since the last command, or the end of it.
    pub(super) fn later(&mut self) -> Vec<u8> {
        self.output.drain(|piece| keep(&mut self.later, piece));
        std::mem::take(&mut self.later).into()
    }

    /// SIGINT to its group, and a second for it to end; what it says is added to `text`.
    pub(super) fn interrupt(&mut self, text: &mut CollectedText) {
        self.dismiss();
        processes::interrupt(self.pid);
        let until = ambient::now() + GRACE;
        while self.life.ended().is_none() || processes::lives(self.pid) {
            let now = ambient::now();
            if now >= until {
                return;
            }
            wait(None, Some(&self.output), &self.wake, GLANCE.min(until - now));
            self.wake.clear();
            self.output.read(|piece| text.add(piece));
        }
    }

    /// Kills it and what descends from it, or, if it is the last one, everything; its last words go to `to`.
    pub(super) fn end(mut self, last: bool, processes: &StartedProcesses, to: impl FnMut(&[u8])) {
        self.dismiss();
        processes.end(if last { ProcessOwner::All } else { ProcessOwner::Shells(&self.pids) });
        let until = ambient::now() + BURIAL;
        while self.life.ended().is_none() && ambient::now() < until {
            wait(None, None, &self.wake, GLANCE);
            self.wake.clear();
        }
        self.output.drain(to);
    }
}

impl Output {
    /// Reads one piece, if there is one.
    fn read(&mut self, to: impl FnOnce(&[u8])) {
        match rustix::io::read(&self.pipe, &mut self.piece) {
            Ok(0) => self.open = false,
            Ok(count) => to(&self.piece[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.open = false,
        }
    }

    /// Reads what is in the pipe now and not what comes meanwhile, which may be without end.
    fn drain(&mut self, mut to: impl FnMut(&[u8])) {
        let mut left = ioctl_fionread(&self.pipe).unwrap_or_default();
        while left > 0 && self.open {
            let mut count = 0;
            self.read(|piece| {
                count = piece.len() as u64;
                to(piece);
            });
            left = if count == 0 { 0 } else { left.saturating_sub(count) };
        }
    }
}

/// Writes what the socket takes; false when it takes nothing any more.
fn tell(script: &OwnedFd, left: &mut &[u8]) -> bool {
    if left.is_empty() {
        return true;
    }
    // A shell that is gone is an error and no signal: Rust programs ignore SIGPIPE.
    match rustix::io::write(script, left) {
        Ok(count) => {
            *left = &left[count..];
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

/// Reads what the shell says; false when it says nothing any more. Whatever is no word of ours is of no
/// interest, so only the end of it is kept.
fn hear(script: &OwnedFd, word: &mut Vec<u8>) -> bool {
    let mut piece = [0; WORD_BYTES];
    match rustix::io::read(script, &mut piece) {
        Ok(0) => false,
        Ok(count) => {
            word.extend_from_slice(&piece[..count]);
            let surplus = word.len().saturating_sub(2 * WORD_BYTES);
            word.drain(..surplus);
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

fn keep(later: &mut VecDeque<u8>, piece: &[u8]) {
    later.extend(piece);
    let surplus = later.len().saturating_sub(LATER_BYTES);
    later.drain(..surplus);
}

/// Waits until one of these has something, or for `time`. The socket may also be waited for with something to
/// write.
fn wait(script: Option<(&OwnedFd, bool)>, output: Option<&Output>, wake: &WakeBell, time: Duration) {
    let mut fds = vec![PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN)];
    if let Some(output) = output.filter(|output| output.open) {
        fds.push(PollFd::from_borrowed_fd(output.pipe.as_fd(), PollFlags::IN));
    }
    if let Some((script, writes)) = script {
        let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        fds.push(PollFd::from_borrowed_fd(script.as_fd(), flags));
    }
    // A time that does not fit is for ever. An interrupted wait is one that is over: whoever waits looks
    // anew.
    let time = Timespec::try_from(time).ok();
    poll(&mut fds, time.as_ref()).ok();
}
