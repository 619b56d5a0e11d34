//! The program that the tests start jails of: runs what it is sent inside, and starts jails itself where a
//! test needs another user than the tests' own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's program may panic and prints its findings"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use sandbox::{InsideJail, Isolation, JailLimits, JailPlan, JailUsers, SessionFolders, WantedUsers};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Run it with these words, wait for its end and for the end of its output.
    Run { words: Vec<String> },
    /// Start it and answer without waiting; its output goes nowhere.
    Leave { words: Vec<String> },
    /// Stop reading, as a process would that hangs: no answer.
    Hang,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// None after a signal.
    pub code: Option<i32>,
    /// stdout, then stderr.
    pub said: String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["jail", order] => match sandbox::enter(order) {
            Ok(inside) => serve(inside),
            Err(code) => code,
        },
        ["start", root, script] => start(root, script, "alone"),
        ["start", root, script, name] => start(root, script, name),
        ["hold", root, script] => hold(root, script, "held"),
        ["hold", root, script, name] => hold(root, script, name),
        ["remove", root, name] => {
            SessionFolders::new(PathBuf::from(root), users()).remove(name).unwrap();
            ExitCode::SUCCESS
        }
        ["start-without-namespaces", root] => {
            unshare(CloneFlags::CLONE_NEWUSER).unwrap();
            std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
            start(root, "true", "alone")
        }
        ["probe-without-namespaces"] => {
            unshare(CloneFlags::CLONE_NEWUSER).unwrap();
            std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
            let report = sandbox::probe(&users(), &[]);
            print!("{report:#?}");
            ExitCode::from(u8::from(!report.ok()))
        }
        _ => ExitCode::from(2),
    }
}

fn users() -> JailUsers {
    JailUsers::new("/proc/self/exe".into(), WantedUsers::DEFAULT, 64)
}

fn serve(inside: InsideJail) -> ExitCode {
    let mut socket = inside.socket.try_clone().unwrap();
    for line in BufReader::new(inside.socket).lines() {
        let Ok(line) = line else { break };
        let answer = match serde_json::from_str(&line).unwrap() {
            Ask::Run { words } => run(&words),
            Ask::Leave { words } => {
                #[expect(clippy::zombie_processes, reason = "the jail's end is its end")]
                command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                Answer { code: None, said: String::new() }
            }
            Ask::Hang => loop {
                std::thread::park();
            },
        };
        let mut line = serde_json::to_vec(&answer).unwrap();
        line.push(b'\n');
        if socket.write_all(&line).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

fn run(words: &[String]) -> Answer {
    match command(words).output() {
        Ok(output) => {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            Answer { code: output.status.code(), said }
        }
        Err(error) => Answer { code: None, said: error.to_string() },
    }
}

/// Starts a jail, leaves one script running in it, makes what serves it hang, says so in a line, and waits
/// to be killed.
fn hold(root: &str, script: &str, name: &str) -> ExitCode {
    let folders = SessionFolders::new(PathBuf::from(root), users());
    let folder = folders.make(name).unwrap();
    let plan =
        JailPlan { isolation: Isolation::Local, folder, readonly: Vec::new(), limits: JailLimits::default() };
    let jail = sandbox::start("/proc/self/exe".as_ref(), &plan, &users()).unwrap();
    let mut socket = jail.socket().unwrap();
    let ask = Ask::Leave { words: ["/bin/bash", "-c", script].map(str::to_owned).to_vec() };
    socket.write_all(&serde_json::to_vec(&ask).unwrap()).unwrap();
    socket.write_all(b"\n\"Hang\"\n").unwrap();
    println!("{}", jail.pid());
    loop {
        std::thread::park();
    }
}

/// Starts a jail, runs one script in it and prints what it said; or the fault, with exit code 9.
fn start(root: &str, script: &str, name: &str) -> ExitCode {
    let folders = SessionFolders::new(PathBuf::from(root), users());
    let folder = folders.make(name).unwrap();
    let plan =
        JailPlan { isolation: Isolation::Local, folder, readonly: Vec::new(), limits: JailLimits::default() };
    match sandbox::start("/proc/self/exe".as_ref(), &plan, &users()) {
        Ok(jail) => {
            let mut socket = jail.socket().unwrap();
            let ask = Ask::Run { words: ["/bin/bash", "-c", script].map(str::to_owned).to_vec() };
            socket.write_all(&serde_json::to_vec(&ask).unwrap()).unwrap();
            socket.write_all(b"\n").unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let mut said = String::new();
            socket.read_to_string(&mut said).unwrap();
            jail.end();
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            print!("{fault}");
            ExitCode::from(9)
        }
    }
}
