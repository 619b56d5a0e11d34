//! The binary under test: started with nothing of the caller's own settings, and asked over plain sockets, so
//! that the tests share no code with the server.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

const HEDDLE: &str = env!("CARGO_BIN_EXE_heddle");

/// What could lead the binary astray.
const STRAY: [&str; 13] = [
    "COLUMNS",
    "HEDDLE_API_KEY",
    "HEDDLE_ANTHROPIC_BASE_URL",
    "HEDDLE_CONFIG",
    "HEDDLE_DATA",
    "HEDDLE_LISTEN",
    "HEDDLE_LOG",
    "HEDDLE_LOG_FORMAT",
    "HEDDLE_SANDBOX",
    "HEDDLE_URL",
    "ANTHROPIC_API_KEY",
    "NO_COLOR",
    "TERM",
];

/// A command with nothing of the caller's own settings.
pub(crate) fn heddle(arguments: &[&str]) -> Command {
    let mut command = Command::new(HEDDLE);
    command.args(arguments).stdin(Stdio::null()).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    for name in STRAY {
        command.env_remove(name);
    }
    command
}

/// A server; dropping it kills it.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) out: BufReader<ChildStdout>,
    /// Its log, if it was asked for.
    pub(crate) log: Option<BufReader<ChildStderr>>,
    /// What it printed before it listened.
    pub(crate) said: Vec<String>,
    pub(crate) url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("it runs").success());
    }

    /// The next line of the log.
    pub(crate) fn logged(&mut self) -> String {
        let mut line = String::new();
        let log = self.log.as_mut().expect("its log was asked for");
        assert_ne!(log.read_line(&mut line).expect("text"), 0, "the log ended too early");
        line
    }

    /// The rest of the log, once the server has ended, and its exit code.
    pub(crate) fn ended(&mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.log.as_mut().expect("its log was asked for").read_to_string(&mut rest).expect("text");
        (rest, self.child.wait().expect("it ends").code())
    }
}

/// A server on `data`, whose log nobody reads.
pub(crate) fn serve(data: &Path) -> Server {
    start(serving(data, &[]).stderr(Stdio::null()))
}

/// The command of a server on `data` and a free port.
pub(crate) fn serving(data: &Path, more: &[&str]) -> Command {
    let data = data.to_str().expect("a plain path");
    heddle(&[&["serve", "--listen", "127.0.0.1:0", "--data", data], more].concat())
}

/// Starts a server and waits until it listens.
pub(crate) fn start(command: &mut Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("an output"));
    let log = child.stderr.take().map(BufReader::new);
    // From here on dropping it ends the process.
    let mut server = Server { child, out, log, said: Vec::new(), url: String::new() };
    while server.url.is_empty() {
        let mut line = String::new();
        let read = server.out.read_line(&mut line).expect("text");
        assert_ne!(read, 0, "it ended before it listened: {:?}", server.said);
        match line.strip_prefix("listening on ") {
            Some(url) => server.url = url.trim().to_owned(),
            None => server.said.push(line),
        }
    }
    server
}

/// What it printed, and what it wrote to standard error.
pub(crate) fn text(output: &Output) -> (String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (utf8(&output.stdout), utf8(&output.stderr))
}

/// A terminal of so many columns: what is written to it is read here.
pub(crate) struct Terminal {
    screen: BufReader<File>,
    /// What processes are given. While one of them or this is open, there may be more to read.
    line: Option<OwnedFd>,
}

impl Terminal {
    pub(crate) fn open(columns: u16) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("it is ours");
        let name = ptsname(&screen, Vec::new()).expect("it has a name");
        let line = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).expect("it has a size");
        Self { screen: BufReader::new(File::from(screen)), line: Some(line) }
    }

    pub(crate) fn line(&self) -> Stdio {
        self.line.as_ref().expect("it is open").try_clone().expect("another").into()
    }

    /// What is on it up to and with a line that holds this.
    pub(crate) fn until(&mut self, part: &str) -> String {
        let mut shown = String::new();
        while !shown.contains(part) {
            assert_ne!(self.screen.read_line(&mut shown).expect("text"), 0, "no {part} in {shown}");
        }
        shown.replace('\r', "")
    }

    /// All that is on it once nobody writes to it any more.
    pub(crate) fn rest(mut self) -> String {
        drop(self.line.take());
        let mut shown = String::new();
        // The last one who closes it is an error to the reader.
        while self.screen.read_line(&mut shown).is_ok_and(|read| read > 0) {}
        shown.replace('\r', "")
    }
}

/// A request over a plain socket. The connection stays open.
pub(crate) fn send(url: &str, request: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(url.trim_start_matches("http://")).expect("it listens");
    socket.write_all(request.as_bytes()).expect("it reads");
    BufReader::new(socket)
}

/// The first line of the answer.
pub(crate) fn status(url: &str, request: &str) -> String {
    let mut line = String::new();
    send(url, request).read_line(&mut line).expect("it answers");
    line.trim().to_owned()
}

/// The whole answer, head and body.
pub(crate) fn ask(url: &str, method: &str, path: &str, more: &[&str], body: &str) -> String {
    let more = [more, &["Connection: close", ""]].concat().join("\r\n");
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{more}Content-Length: {length}\r\n\r\n{body}");
    let mut answer = String::new();
    send(url, &request).read_to_string(&mut answer).expect("it answers");
    answer
}

pub(crate) fn post(url: &str, key: &str, path: &str, body: &str) -> String {
    ask(url, "POST", path, &[&format!("x-api-key: {key}")], body)
}

/// The value of this header of an answer.
pub(crate) fn header(answer: &str, name: &str) -> String {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name} in {answer}")).1.to_owned()
}

/// The first id of this kind in an answer.
pub(crate) fn id(answer: &str, prefix: &str) -> String {
    let at = answer.find(&format!("\"{prefix}_")).unwrap_or_else(|| panic!("no {prefix} id in {answer}"));
    answer[at + 1..].split('"').next().expect("an id").to_owned()
}
