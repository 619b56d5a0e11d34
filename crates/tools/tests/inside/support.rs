//! A jail to talk to.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox::{Isolation, JailLayout, JailLimits, JailPlan, JailUsers, SessionFolders, WantedUsers};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whether a process that leaves its group, or a deleted file that is still open, is found.
pub(crate) const FINDS_ALL: bool = cfg!(all(target_os = "linux", not(heddle_portable)));
/// What puts a command into a session of its own, where that does not hide it.
pub(crate) const APART: &str = if FINDS_ALL { "setsid" } else { "env" };

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) content: Value,
    pub(crate) is_error: bool,
}

impl Answer {
    /// Its one text.
    pub(crate) fn text(&self) -> &str {
        self.content[0]["text"].as_str().expect("a text")
    }
}

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is a process of its own, with no clock to pause"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What an answer of text looks like.
pub(crate) fn good(text: &str) -> Answer {
    Answer { content: json!([{"type": "text", "text": text}]), is_error: false }
}

/// What an error looks like.
pub(crate) fn bad(text: &str) -> Answer {
    Answer { content: json!([{"type": "text", "text": text}]), is_error: true }
}

/// A jail, its folder on the host, and the answers that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Jail {
    pub(crate) isolation: Isolation,
    pub(crate) folder: PathBuf,
    pub(crate) layout: JailLayout,
    pub(crate) killed: Vec<String>,
    told: Vec<Value>,
    socket: UnixStream,
    last: u64,
    answers: BTreeMap<u64, Answer>,
    jail: Option<sandbox::Jail>,
    temp: TempDir,
}

/// Runs the test without isolation, and in a real jail where this host can make one.
pub(crate) fn everywhere(test: fn(&mut Jail)) {
    everywhere_with(JailLimits::default(), test);
}

/// The same with other limits.
pub(crate) fn everywhere_with(limits: JailLimits, test: fn(&mut Jail)) {
    test(&mut Jail::start(Isolation::Off, limits.clone()));
    if sandbox::probe(&users(), &[]).ok() {
        test(&mut Jail::start(Isolation::Local, limits));
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tools-jail-of-the-tests"))
}

impl Jail {
    pub(crate) fn start(isolation: Isolation, limits: JailLimits) -> Self {
        Self::of(program(), isolation, limits)
    }

    /// One without isolation, of a server that ignores interrupts.
    pub(crate) fn deaf() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let script = format!("#!/bin/sh\ntrap '' INT QUIT HUP\nexec '{}' \"$@\"\n", program().display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self::of(&path, Isolation::Off, JailLimits::default())
    }

    fn of(program: &Path, isolation: Isolation, limits: JailLimits) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = SessionFolders::new(temp.path().join("sandboxes"), users()).make("session").unwrap();
        let layout = JailLayout::new(isolation, &folder);
        let plan = JailPlan { isolation, folder: folder.clone(), readonly: Vec::new(), limits };
        let jail = sandbox::start(program, &plan, &users()).expect("a jail");
        let socket = jail.socket().unwrap();
        // So that a test that waits for nothing ends.
        socket.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        Self {
            isolation,
            folder,
            layout,
            killed: Vec::new(),
            told: Vec::new(),
            socket,
            last: 0,
            answers: BTreeMap::new(),
            jail: Some(jail),
            temp,
        }
    }

    /// A file of the workspace on the host.
    pub(crate) fn workspace(&self, path: &str) -> PathBuf {
        self.folder.join("workspace").join(path)
    }

    /// Puts a file into the workspace, from the host, readable and writable for the jail.
    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.workspace(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// Sends a call of the thread `t` and answers its number.
    pub(crate) fn send(&mut self, tool: &str, input: Value) -> u64 {
        self.send_as("t", tool, input, false)
    }

    pub(crate) fn send_as(&mut self, thread: &str, tool: &str, input: Value, shell_lost: bool) -> u64 {
        self.last += 1;
        let event = format!("sevt_{}", self.last);
        let call = self.last;
        self.frame(&json!({"Run": {
            "call": call, "thread": thread, "event": event, "tool": tool, "input": input, "shell_lost": shell_lost
        }}));
        call
    }

    /// Makes a call on a server whose disk is nearly full.
    pub(crate) fn call_low(&mut self, tool: &str, input: Value) -> Answer {
        self.last += 1;
        let (call, event) = (self.last, format!("sevt_{}", self.last));
        let low = json!({"free_mib": 5, "least_mib": 10});
        self.frame(&json!({"Run": {
            "call": call, "thread": "t", "event": event, "tool": tool, "input": input, "shell_lost": false, "low": low
        }}));
        self.answer(call)
    }

    /// Asks as the server's watch does; gives the whole frame that answers.
    pub(crate) fn ask(&mut self, question: Value) -> Value {
        self.frame(&question);
        while self.told.is_empty() {
            self.hear();
        }
        self.told.remove(0)
    }

    pub(crate) fn cancel(&mut self, call: u64) {
        self.frame(&json!({"Cancel": {"call": call}}));
    }

    fn frame(&mut self, frame: &Value) {
        let frame = serde_json::to_vec(frame).unwrap();
        self.socket.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        self.socket.write_all(&frame).unwrap();
    }

    /// The answer to a call.
    pub(crate) fn answer(&mut self, call: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&call) {
                return answer;
            }
            self.hear();
        }
    }

    /// Reads one frame.
    pub(crate) fn hear(&mut self) {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).expect("a frame in time");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.socket.read_exact(&mut frame).unwrap();
        let frame: Value = serde_json::from_slice(&frame).unwrap();
        if let Some(why) = frame["Killed"]["why"].as_str() {
            self.killed.push(why.into());
            return;
        }
        if frame["Done"].is_null() {
            self.told.push(frame);
            return;
        }
        let (call, outcome) = (&frame["Done"]["call"], &frame["Done"]["outcome"]);
        let is_error = outcome["is_error"].as_bool().unwrap();
        let answer = Answer { content: outcome["content"].clone(), is_error };
        self.answers.insert(call.as_u64().unwrap(), answer);
    }

    pub(crate) fn call(&mut self, tool: &str, input: Value) -> Answer {
        let call = self.send(tool, input);
        self.answer(call)
    }

    pub(crate) fn bash(&mut self, command: &str) -> Answer {
        self.call("bash", json!({"command": command}))
    }

    /// Waits until a command succeeds, which another one's progress makes it do.
    pub(crate) fn until(&mut self, thread: &str, command: &str) {
        let call =
            self.send_as(thread, "bash", json!({"command": format!("until {command}; do :; done")}), false);
        assert_eq!(self.answer(call), good("(no output)"));
    }

    /// The outer process.
    pub(crate) fn pid(&self) -> u32 {
        self.jail.as_ref().expect("it lives").pid()
    }

    /// Ends it and keeps its folder.
    pub(crate) fn end(&mut self) {
        self.jail.take().expect("it lives").end();
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if let Some(jail) = self.jail.take() {
            jail.end();
        }
        // Also what a test has shut.
        let removed = SessionFolders::new(self.temp.path().join("sandboxes"), users()).remove("session");
        if !std::thread::panicking() {
            removed.expect("whatever is in it");
        }
    }
}

impl Jail {
    /// Sends bytes that are no frame.
    pub(crate) fn break_frame(&mut self) {
        self.socket.write_all(&[0, 0, 0, 2, b'}', b'{']).unwrap();
    }

    /// Whether the jail closes the socket without a word.
    pub(crate) fn closes(&mut self) -> bool {
        // It may still say what became of its shells.
        std::io::copy(&mut self.socket, &mut std::io::sink()).is_ok()
    }
}

/// Tests that are not root look into what jails wrote, so their jails are nobody else.
fn users() -> JailUsers {
    let wanted = if rustix::process::geteuid().is_root() { WantedUsers::DEFAULT } else { WantedUsers::Own };
    JailUsers::new(env!("CARGO_BIN_EXE_tools-jail-of-the-tests").into(), wanted, 64)
}
