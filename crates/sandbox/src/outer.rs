//! The outer process of a jail: holds the folder's lock, starts the inner process, and sees that nothing
//! outlives it.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as Block};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::setsid;

use crate::clock::Deadline;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::host;
use crate::session_folder::LOCK;
use crate::word::{StartOrder, StartPlan, StartReport};

/// How long the inner process has to end by itself once the server has closed the socket.
const END: Duration = Duration::from_secs(1);

/// What is passed on of the inner process's stderr, where only a panic of ours can write.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// Its working directory is the session's folder.
pub(crate) fn run(socket: &UnixStream, start: StartPlan) -> Result<ExitCode, JailFault> {
    // No terminal of the server's, and no signal that a terminal or a service manager sends to all of the
    // server's processes at once: the server decides when a jail ends. It fails only for the leader of a
    // group, who has none.
    setsid().ok();
    host::give_way();
    host::be_woken().at(StartStep::Spawn)?;
    let mut blocked = SigSet::empty();
    for signal in [Block::SIGINT, Block::SIGTERM, Block::SIGHUP, Block::SIGQUIT] {
        blocked.add(signal);
    }
    blocked.thread_block().at(StartStep::Spawn)?;
    let mut go = [0];
    let mut reader = socket;
    reader.read_exact(&mut go).at(StartStep::Spawn)?;

    let _lock = take_lock(socket)?;
    let isolation = start.plan.isolation;
    host::hold(&start, socket)?;
    // What it became made the kernel forget it.
    host::be_woken().at(StartStep::UserNamespace)?;
    let program = host::program().at(StartStep::Spawn)?;
    let mut child = StartOrder::Inner(start)
        .command(&program)?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .at(StartStep::Spawn)?;
    let stderr = child.stderr.take();
    let watched = watch(&mut child, socket, stderr);
    // Its end is the end of every process in its pid namespace; a wait returns when all of them are gone.
    child.kill().ok();
    let status = child.wait();
    host::bury(isolation);
    // No fault from here on: the socket has long belonged to the tools.
    let code = match (watched, status) {
        (Ok(()), Ok(status)) => status.code().and_then(|code| u8::try_from(code).ok()),
        (Err(_), _) | (_, Err(_)) => None,
    };
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn take_lock(socket: &UnixStream) -> Result<rustix::fd::OwnedFd, JailFault> {
    // Made with the folder, which is the server's.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(LOCK, flags, Mode::empty()).at(StartStep::Lock)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(lock),
        Err(Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error).at(StartStep::Lock),
    }
    StartReport::Waiting.send(socket).at(StartStep::Lock)?;
    // Without a bound: the server kills this process when it has waited long enough.
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
        if error != Errno::INTR {
            return Err(error).at(StartStep::Lock);
        }
    }
    Ok(lock)
}

/// Returns when the inner process has ended, or has not although its time is over.
fn watch(child: &mut Child, socket: &UnixStream, mut stderr: Option<ChildStderr>) -> io::Result<()> {
    let ended = host::end_of(child)?;
    let mut end: Option<Deadline> = None;
    let mut left = STDERR_BYTES_MAX;
    loop {
        let mut fds: Vec<_> = ended.iter().map(|ended| PollFd::new(ended, PollFlags::IN)).collect();
        let ended_at = ended.is_some().then_some(0);
        // Hanging up is always reported. Once seen it would be for ever.
        let socket_at = end.is_none().then_some(fds.len());
        if socket_at.is_some() {
            fds.push(PollFd::new(socket, PollFlags::empty()));
        }
        let stderr_at = stderr.is_some().then_some(fds.len());
        if let Some(stderr) = &stderr {
            fds.push(PollFd::new(stderr, PollFlags::IN));
        }
        match poll(&mut fds, end.map(Deadline::timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened =
            |at: Option<usize>| at.and_then(|at| fds.get(at)).is_some_and(|fd| !fd.revents().is_empty());
        let (has_ended, has_hung_up, has_spoken) =
            (happened(ended_at), happened(socket_at), happened(stderr_at));
        if has_spoken
            && let Some(pipe) = &mut stderr
            && !pass_on(pipe, &mut left)
        {
            stderr = None;
            if ended.is_none() {
                return Ok(());
            }
        }
        if has_ended && !has_spoken {
            return Ok(());
        }
        if has_hung_up || has_ended {
            if end.is_none() {
                host::hurry();
            }
            end.get_or_insert(Deadline::after(END));
        }
        if end.is_some_and(|end| end.left().is_none()) {
            return Ok(());
        }
    }
}

/// False at the end of the pipe.
fn pass_on(pipe: &mut ChildStderr, left: &mut usize) -> bool {
    // Even if none of it is UTF-8, what is made of it fits into a page.
    let mut buffer = [0; 1024];
    let read = match pipe.read(&mut buffer) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
        Err(_) => return false,
    };
    if let Some(said) = buffer.get(..read.min(*left)) {
        *left -= said.len();
        tell(said);
    }
    read > 0
}

/// Says it on the server's stderr, if that can be done at once: its reader may be gone or asleep, and nobody
/// here may wait for him. Agents have a hand in what is said, so that none of it may steer a terminal.
fn tell(said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    let said: String =
        said.chars().map(|char| if char.is_control() && char != '\n' { '?' } else { char }).collect();
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Where a pipe has room, it has room for this much.
    if poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready == 1) {
        rustix::io::write(&stderr, said.as_bytes()).ok();
    }
}
