//! What these tests share: hands in a folder of their own, and calls for them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::{EventId, SessionId, ThreadId, content::ContentBlock, tool::BuiltinName};
use rustix::fs::{CWD, FileType, Mode};
use sandbox::{Isolation, JailUsers, SessionFolders, WantedUsers};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{OpenOptions, Receiver},
    runtime::Handle,
};
use tools::{JailSettings, LocalToolRunner, ToolCall, ToolOutcome, ToolRunner};

/// The jail that our own inside serves.
pub(crate) const TRUE_JAIL: &str = env!("CARGO_BIN_EXE_tools-jail-of-the-tests");
/// The jail that misbehaves as it is told.
pub(crate) const ODD_JAIL: &str = env!("CARGO_BIN_EXE_tools-odd-jail-of-the-tests");

pub(crate) const ONE: SessionId = SessionId::from_bits(1);
pub(crate) const TWO: SessionId = SessionId::from_bits(2);
pub(crate) const MAIN: ThreadId = ThreadId::from_bits(7);
pub(crate) const CHILD: ThreadId = ThreadId::from_bits(8);

/// Tests that are not root look into what jails wrote, so their jails are nobody else.
fn wanted() -> WantedUsers {
    if rustix::process::geteuid().is_root() { WantedUsers::DEFAULT } else { WantedUsers::Own }
}

/// Hands, and the folder that goes with them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) hands: LocalToolRunner,
    pub(crate) data: TempDir,
}

/// Hands on jails of `program`, with the settings changed.
pub(crate) fn world(program: &str, isolation: Isolation, change: impl FnOnce(&mut JailSettings)) -> World {
    // Not in /tmp, which a jail has one of its own of.
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut settings = JailSettings::new(data.path().join("sandboxes"), program.into());
    settings.isolation = isolation;
    settings.limits.free_bytes = 0;
    settings.users = wanted();
    change(&mut settings);
    World { hands: LocalToolRunner::new(settings), data }
}

/// A pipe in a session's workspace: what runs inside says through it that it runs.
#[derive(Debug)]
pub(crate) struct Sign(Receiver);

impl Sign {
    pub(crate) async fn seen(&mut self) {
        let mut byte = [0];
        within(30, self.0.read_exact(&mut byte)).await.unwrap();
    }
}

/// Hands on true jails.
pub(crate) fn jail(isolation: Isolation, change: impl FnOnce(&mut JailSettings)) -> World {
    world(TRUE_JAIL, isolation, change)
}

/// Hands on jails that misbehave.
pub(crate) fn odd(change: impl FnOnce(&mut JailSettings)) -> World {
    world(ODD_JAIL, Isolation::Off, change)
}

/// The end of every test: nothing outlives a stop.
impl Drop for World {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        tokio::task::block_in_place(|| runtime.block_on(self.hands.stop()));
        if !std::thread::panicking() {
            assert_eq!(self.jails(), 0);
        }
    }
}

impl World {
    pub(crate) fn root(&self) -> PathBuf {
        self.data.path().join("sandboxes")
    }

    pub(crate) fn folder(&self, session: SessionId) -> PathBuf {
        self.root().join(session.to_string())
    }

    pub(crate) fn folders(&self) -> SessionFolders {
        SessionFolders::new(self.root(), JailUsers::new(TRUE_JAIL.into(), wanted(), 64))
    }

    /// A pipe of this name in the session's workspace.
    pub(crate) fn sign(&self, session: SessionId, name: &str) -> Sign {
        let path = self.folders().make(&session.to_string()).unwrap().join("workspace").join(name);
        let mode = Mode::from_raw_mode(0o622);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        rustix::fs::chmod(&path, mode).unwrap();
        // Open for both, so that it does not end when a writer does.
        Sign(OpenOptions::new().read_write(true).open_receiver(&path).unwrap())
    }

    /// Runs a command in the main thread's shell.
    pub(crate) async fn bash(&self, session: SessionId, command: &str) -> ToolOutcome {
        self.run(bash(session, MAIN, command)).await
    }

    /// Runs a call that may begin as soon as it can.
    pub(crate) async fn run(&self, call: ToolCall) -> ToolOutcome {
        run(&self.hands, call).await
    }

    pub(crate) async fn tool(&self, session: SessionId, tool: BuiltinName, input: Value) -> ToolOutcome {
        self.run(call(session, MAIN, tool, input)).await
    }

    /// The outer process of the session's jail, if it lives.
    pub(crate) fn jail(&self, session: SessionId) -> Option<i32> {
        let folder = self.folder(session);
        processes().into_iter().find(|pid| is_outer(*pid, &folder))
    }

    /// How many jails of these hands live.
    pub(crate) fn jails(&self) -> usize {
        let root = self.root();
        processes().into_iter().filter(|pid| is_outer(*pid, &root)).count()
    }
}

pub(crate) fn bash(session: SessionId, thread: ThreadId, command: &str) -> ToolCall {
    call(session, thread, BuiltinName::Bash, json!({"command": command}))
}

pub(crate) fn call(session: SessionId, thread: ThreadId, tool: BuiltinName, input: Value) -> ToolCall {
    static EVENTS: AtomicU64 = AtomicU64::new(1);
    let event = EventId::from_bits(u128::from(EVENTS.fetch_add(1, Ordering::Relaxed)));
    ToolCall { session, thread, event, tool, input: input.as_object().unwrap().clone() }
}

/// Runs a call that may begin as soon as it can.
pub(crate) async fn run(hands: &LocalToolRunner, call: ToolCall) -> ToolOutcome {
    hands.run(call, Box::pin(async { true })).await.unwrap()
}

/// All of an outcome's text.
pub(crate) fn text(outcome: &ToolOutcome) -> String {
    let texts = outcome.content.iter().map(|block| {
        let ContentBlock::Text { text } = block else { panic!("not a text: {block:?}") };
        text.as_str()
    });
    texts.collect()
}

pub(crate) fn said(text: &str) -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(text)], is_error: false }
}

pub(crate) fn failed(text: &str) -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(text)], is_error: true }
}

/// Returns when the process has ended; it is not reaped here.
pub(crate) async fn ended(pid: i32) {
    let wait = tokio::task::spawn_blocking(move || {
        use rustix::{
            event::{PollFd, PollFlags, poll},
            process::{Pid, PidfdFlags, pidfd_open},
        };
        // Gone and reaped already is ended too.
        let Ok(process) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return };
        while poll(&mut [PollFd::new(&process, PollFlags::IN)], None).is_err() {}
    });
    within(30, wait).await.unwrap();
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A bound on what should take a moment, so that a fault is a failure and not a hang.
pub(crate) async fn within<F: Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whether this is the outer process of a jail in a folder below `folder`, or in it.
fn is_outer(pid: i32, folder: &Path) -> bool {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/cmdline")) else { return false };
    line.contains("\"outer\"") && line.contains(folder.to_str().unwrap())
}
