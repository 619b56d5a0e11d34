//! Jails to try things in: started as a server starts them, with a program that runs what it is sent.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use sandbox::{Isolation, Jail, JailFault, JailLimits, JailPlan, JailUsers, SessionFolders, WantedUsers};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the tests' jails run as when the tests are root: a range of their own.
pub(crate) const FIRST: u32 = 2_100_000_000;
pub(crate) const COUNT: u32 = 4_096;

/// One server's, as all tests of this process are. Those that are not root look into what jails wrote, so
/// their jails are nobody else.
pub(crate) fn users() -> JailUsers {
    static USERS: OnceLock<JailUsers> = OnceLock::new();
    let range = WantedUsers::Range { first: FIRST, count: COUNT };
    let wanted = if is_root() { range } else { WantedUsers::Own };
    USERS.get_or_init(|| JailUsers::new(program(), wanted, 64)).clone()
}

/// A server's data directory: private, and gone at the end.
pub(crate) struct World {
    pub(crate) place: TempDir,
    pub(crate) folders: SessionFolders,
    pub(crate) users: JailUsers,
}

impl World {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let folders = SessionFolders::new(place.path().join("data/sandboxes"), users());
        Self { place, folders, users: users() }
    }

    pub(crate) fn plan(&self, name: &str) -> JailPlan {
        let folder = self.folders.make(name).unwrap();
        JailPlan { isolation: Isolation::Local, folder, readonly: Vec::new(), limits: JailLimits::default() }
    }

    pub(crate) fn try_start(&self, plan: &JailPlan) -> Result<Inmate, JailFault> {
        sandbox::start(&program(), plan, &self.users).map(Inmate::new)
    }

    pub(crate) fn jail(&self, name: &str) -> Inmate {
        self.try_start(&self.plan(name)).unwrap()
    }
}

pub(crate) fn try_start(plan: &JailPlan) -> Result<Inmate, JailFault> {
    sandbox::start(&program(), plan, &users()).map(Inmate::new)
}

pub(crate) fn start(plan: &JailPlan) -> Inmate {
    try_start(plan).unwrap()
}

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_jail-of-the-tests").into()
}

/// The program where everybody may execute it, and a place where everybody may write.
pub(crate) fn public() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = place.path().join("jail");
    fs::copy(program(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    (place, copy)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A server that holds a jail in which a script was left, and that jail's outer process.
pub(crate) fn holding(command: &mut Command) -> (Child, u32) {
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (server, line.trim().parse().unwrap())
}

/// A jail and the talk with what runs in it.
pub(crate) struct Inmate {
    pub(crate) jail: Jail,
    said: BufReader<UnixStream>,
    /// Kept as long, when it is the only one there.
    world: Option<World>,
}

/// A jail in a world of its own.
pub(crate) fn alone() -> Inmate {
    let world = World::new();
    let mut jail = world.jail("a");
    jail.world = Some(world);
    jail
}

/// How a program ended, and its stdout and stderr without blanks at the ends.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) code: Option<i64>,
    pub(crate) said: String,
}

impl Answer {
    pub(crate) fn new(code: i64, said: &str) -> Self {
        Self { code: Some(code), said: said.to_owned() }
    }
}

impl Inmate {
    pub(crate) fn new(jail: Jail) -> Self {
        let said = BufReader::new(jail.socket().unwrap());
        Self { jail, said, world: None }
    }

    pub(crate) fn ask(&mut self, ask: &Value) -> Answer {
        self.tell(ask);
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("the jail answers");
        let said = answer["said"].as_str().unwrap().trim().to_owned();
        Answer { code: answer["code"].as_i64(), said }
    }

    pub(crate) fn tell(&mut self, ask: &Value) {
        self.said.get_mut().write_all(format!("{ask}\n").as_bytes()).unwrap();
    }

    pub(crate) fn bash(&mut self, script: &str) -> Answer {
        self.ask(&json!({"Run": {"words": ["/bin/bash", "-c", script]}}))
    }

    pub(crate) fn python(&mut self, script: &str) -> Answer {
        self.ask(&json!({"Run": {"words": ["/usr/bin/python3", "-c", script]}}))
    }

    /// Starts it and does not wait.
    pub(crate) fn leave(&mut self, script: &str) {
        self.ask(&json!({"Leave": {"words": ["/bin/bash", "-c", script]}}));
    }

    /// True when the jail has closed its end.
    pub(crate) fn has_hung_up(&mut self) -> bool {
        let mut rest = Vec::new();
        self.said.read_to_end(&mut rest).is_ok_and(|read| read == 0)
    }
}

/// The same, outside: shows that an attempt is not refused for a reason of its own.
pub(crate) fn outside(program: &str, script: &str) -> Answer {
    let output = Command::new(program).args(["-c", script]).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Answer { code: output.status.code().map(i64::from), said: said.trim().to_owned() }
}

/// Processes on this machine whose command line holds the text.
pub(crate) fn alive(text: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

/// A pipe with a name that a program inside holds open: reading it to its end waits for that program's end.
pub(crate) struct Thread(PathBuf);

impl Thread {
    pub(crate) fn new(folder: &Path) -> Self {
        let pipe = folder.join("workspace/pipe");
        assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap().success());
        Self(pipe)
    }

    /// Waits until a program has it open and has said something, then hands over the rest.
    pub(crate) fn taken(&self) -> impl Read + use<> {
        let mut pipe = fs::File::open(&self.0).unwrap();
        let mut byte = [0];
        pipe.read_exact(&mut byte).unwrap();
        pipe
    }
}
