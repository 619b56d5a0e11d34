//! What the two processes of a jail and the server say to each other before the socket belongs to the tools.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::clock::Deadline;
use crate::errand::FolderTask;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::plan::JailPlan;

/// The argument of `heddle jail`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartOrder {
    Outer(StartPlan),
    Inner(StartPlan),
    Keeper(FolderTask),
}

impl StartOrder {
    /// `program jail <order>`, which has whatever this process hands on.
    pub(crate) fn command(&self, program: &Path) -> Result<Command, JailFault> {
        let order = serde_json::to_string(self)
            .map_err(|error| JailFault::new(StartStep::Plan, error.to_string()))?;
        let mut command = Command::new(program);
        command.arg("jail").arg(order);
        Ok(command)
    }

    /// The same with an empty environment and a socket as its standard input; and the server's end of that.
    /// It closes only when the command is dropped, too.
    pub(crate) fn call(&self, program: &Path) -> Result<(Command, UnixStream), JailFault> {
        let (ours, theirs) = UnixStream::pair().at(StartStep::Spawn)?;
        let mut command = self.command(program)?;
        command.env_clear().stdin(Stdio::from(OwnedFd::from(theirs)));
        Ok((command, ours))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StartPlan {
    pub plan: JailPlan,
    /// Whether the server maps the outer process to its user, once that is in a namespace of its own.
    pub mapped: bool,
    /// How many jails share what the kernel counts by user, this one included.
    pub neighbours: u32,
    /// Which process the server is, by which what it left is known when it was killed.
    #[serde(default)]
    pub server: String,
}

/// One line from the jail to the server. After `Ready` or `Failed` there is no further one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartReport {
    /// Another jail still holds the folder's lock.
    Waiting,
    Ready(HostFindings),
    /// The user namespace is made: to be mapped, and one byte to be sent then.
    Unshared,
    /// An errand is done.
    Done,
    Failed(JailFault),
}

/// What a jail found out about its host while it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostFindings {
    /// Whether programs inside can talk to each other over 127.0.0.1.
    pub loopback: bool,
    /// Trees of the host that are shown as they are: locks, watches and sockets in them are the host's.
    pub shared: Vec<String>,
}

/// The longest line; a fault's text is far shorter.
const LINE_BYTES_MAX: usize = 16 * 1024;

impl StartReport {
    pub(crate) fn send(&self, mut socket: &UnixStream) -> io::Result<()> {
        let mut line = serde_json::to_vec(self).map_err(io::Error::other)?;
        line.push(b'\n');
        socket.write_all(&line)
    }

    /// `None` when the other end closed before a whole line. Reads not one byte more than the line.
    pub(crate) fn receive(mut socket: &UnixStream, deadline: Deadline) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        loop {
            let left = deadline.left().ok_or(io::ErrorKind::TimedOut)?;
            socket.set_read_timeout(Some(left))?;
            let mut byte = [0];
            match socket.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) if byte == [b'\n'] => break,
                Ok(_) if line.len() >= LINE_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
                Ok(_) => line.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        socket.set_read_timeout(None)?;
        serde_json::from_slice(&line).map(Some).map_err(io::Error::other)
    }
}
