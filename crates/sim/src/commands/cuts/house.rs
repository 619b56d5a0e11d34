//! The two processes of the power cuts, and where their binaries are.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

/// The key of the server under test.
pub(crate) const KEY: &str = "key-of-the-power-cuts";
/// What a process prints before its address.
const MARK: &str = "listening on ";

/// Where the binaries are.
#[derive(Debug)]
pub(crate) struct Binaries {
    heddle: PathBuf,
    model_server: PathBuf,
}

impl Binaries {
    /// As `HEDDLE_BIN` and `MODEL_SERVER_BIN` say.
    pub(crate) fn of_environment() -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test program without a configuration")]
        let read = |name: &str| {
            let missing =
                || io::Error::new(io::ErrorKind::NotFound, format!("set {name} to the binary's path"));
            std::env::var_os(name).map(PathBuf::from).ok_or_else(missing)
        };
        Ok(Self { heddle: read("HEDDLE_BIN")?, model_server: read("MODEL_SERVER_BIN")? })
    }

    pub(crate) fn model_server(&self) -> Command {
        let mut command = Command::new(&self.model_server);
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// The server on the data directory `data`, with its models at `model`.
    pub(crate) fn heddle(&self, data: &Path, model: &str) -> Command {
        let mut command = Command::new(&self.heddle);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env("HEDDLE_API_KEY", KEY).env("HEDDLE_ANTHROPIC_BASE_URL", model);
        command.env("ANTHROPIC_API_KEY", "key-of-the-scripted-model");
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command
    }
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Kept open: a process whose output nobody can read may die of it.
    out: BufReader<ChildStdout>,
    url: String,
}

impl Process {
    /// Starts `command` and waits until it listens; its errors go to the end of `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> io::Result<Self> {
        let errors = File::options().append(true).create(true).open(log)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no output to read"))?;
        let mut process = Self { child, out: BufReader::new(out), url: String::new() };
        let mut line = String::new();
        while process.out.read_line(&mut line)? > 0 {
            if let Some((_, url)) = line.split_once(MARK) {
                url.trim().clone_into(&mut process.url);
                return Ok(process);
            }
            line.clear();
        }
        Err(io::Error::other(format!("a process ended before it listened; see {}", log.display())))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// kill -9, and waits for the end.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
