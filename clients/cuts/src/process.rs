//! A process that says where it listens, and is killed with kill -9.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// What a process prints before its address.
const MARK: &str = "listening on ";

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    /// Kept open: a process whose output nobody can read may die of it.
    out: BufReader<ChildStdout>,
    url: String,
}

impl ServerProcess {
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

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
