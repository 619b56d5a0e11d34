//! A server that starts where another was killed a moment ago, and one whose output nobody reads.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::house::{Server, heddle, serve, serving, status};

/// A server that is not waited for.
fn begin(command: &mut Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("an output"));
    let log = child.stderr.take().map(BufReader::new);
    Server { child, out, log, said: Vec::new(), url: String::new() }
}

/// Whether it comes up, once what it waits for is given free.
fn comes_up(mut server: Server, waits_for: &str, held: impl Sized) {
    let line = server.logged();
    assert!(line.contains(waits_for) && line.contains("waiting for it for 5 seconds at most"), "{line}");
    drop(held);
    let mut said = String::new();
    while !said.contains("listening on ") {
        assert_ne!(server.out.read_line(&mut said).expect("text"), 0, "it ended: {said}{}", server.ended().0);
    }
    server.signal("TERM");
    let (log, code) = server.ended();
    assert!(code == Some(0) && !log.contains("waiting for it"), "it is said once: {log}");
}

#[test]
fn what_a_killed_server_leaves_for_a_moment_is_waited_for() {
    let data = tempfile::tempdir().expect("a directory");
    drop(serve(data.path()));
    // As a process does that was forked and is no other program yet.
    let lock = File::options().write(true).open(data.path().join("lock")).expect("it is there");
    lock.try_lock().expect("nobody has it");
    comes_up(begin(&mut serving(data.path(), &[])), "another heddle serves ", lock);

    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = port.local_addr().expect("an address").to_string();
    let place = ["serve", "--listen", &listen, "--data", data.path().to_str().expect("a plain path")];
    comes_up(begin(&mut heddle(&place)), "another program listens there", port);
}

#[test]
fn an_output_that_nobody_reads_holds_no_server_up() {
    let data = tempfile::tempdir().expect("a directory");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("ours");
    let full = loop {
        if let Err(wrong) = writer.write(&[b'x'; 4_096]) {
            break wrong;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&writer, flags).expect("ours");
    let mut command = serving(data.path(), &["--sandbox=off"]);
    let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(command);
    let mut log = BufReader::new(child.stderr.take().expect("a log"));
    let mut line = String::new();
    // The last that is said before it serves.
    while !line.contains("the sandbox is OFF") {
        assert_ne!(log.read_line(&mut line).expect("text"), 0, "the log ended too early: {line}");
    }
    // Where it listens stands in the pipe that is full, and in its directory.
    let listen = std::fs::read_to_string(data.path().join("lock")).expect("text");
    let healthy = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(listen.trim(), healthy), "HTTP/1.1 200 OK");
    let term = Command::new("kill").arg(child.id().to_string()).status().expect("it runs");
    assert!(term.success() && child.wait().expect("it ends").success());
    drop(reader);
}
