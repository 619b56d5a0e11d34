//! A jail whose inside misbehaves: each call's `command` says how. For the tests of the server's end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match sandbox::enter(arguments.get(2).map_or("", String::as_str)) {
        // The other end has closed: that is how a jail is told to end.
        Ok(inside) => serve(inside.socket).map_or(ExitCode::SUCCESS, |()| ExitCode::FAILURE),
        Err(code) => code,
    }
}

fn serve(mut socket: UnixStream) -> std::io::Result<()> {
    let mut stubborn = false;
    loop {
        let frame = hear(&mut socket)?;
        if let Some(run) = frame.get("Run") {
            let call = run["call"].as_u64().unwrap_or_default();
            let command = run["input"]["command"].as_str().unwrap_or_default().to_owned();
            stubborn |= command == "stubborn";
            run_one(&mut socket, call, &command, run)?;
        } else if let Some(cancel) = frame.get("Cancel").filter(|_| !stubborn) {
            done(&mut socket, cancel["call"].as_u64().unwrap_or_default(), "was cancelled")?;
        }
    }
}

fn run_one(socket: &mut UnixStream, call: u64, command: &str, run: &Value) -> std::io::Result<()> {
    let (how, rest) = command.split_once(' ').unwrap_or((command, ""));
    match how {
        "echo" => done(socket, call, &run.to_string()),
        "hang" => std::fs::write(rest, "x"),
        "deaf" => {
            std::fs::write(rest, "x")?;
            loop {
                std::thread::park();
            }
        }
        "exit" => Err(std::io::Error::other("told to exit")),
        "unknown" => {
            done(socket, call + 1_000, "of nobody")?;
            done(socket, call, "mine")
        }
        "stubborn" => done(socket, call, "from now on"),
        "twice" => {
            done(socket, call, "once")?;
            done(socket, call, "twice")
        }
        "chatter" => {
            for number in 0..2_000 {
                done(socket, 1_000_000 + number, "of nobody")?;
            }
            Ok(())
        }
        "killed" => {
            say(socket, &json!({"Killed": {"why": "full"}}))?;
            done(socket, call, "mine")
        }
        "length" => socket.write_all(&rest.parse::<u32>().unwrap_or_default().to_be_bytes()),
        "raw" => {
            socket.write_all(&(rest.len() as u32).to_be_bytes())?;
            socket.write_all(rest.as_bytes())
        }
        "half" => {
            socket.write_all(&100_u32.to_be_bytes())?;
            socket.write_all(b"{\"Done\"")?;
            Err(std::io::Error::other("told to exit"))
        }
        "parts" => {
            let parts = vec![0; rest.parse().unwrap_or_default()];
            let outcome = json!({"content": [], "is_error": false});
            say(socket, &json!({"Done": {"call": call, "outcome": outcome, "parts": parts}}))
        }
        "content" => {
            let content: Value = serde_json::from_str(rest).unwrap_or_default();
            say(socket, &json!({"Done": {"call": call, "outcome": {"content": content, "is_error": false}}}))
        }
        "text" => done(socket, call, &"x".repeat(rest.parse().unwrap_or_default())),
        "image" => {
            let data = "A".repeat(rest.parse().unwrap_or_default());
            let source = json!({"type": "base64", "media_type": "image/png", "data": data});
            let content = json!([{"type": "image", "source": source}]);
            say(socket, &json!({"Done": {"call": call, "outcome": {"content": content, "is_error": false}}}))
        }
        "pdf" => {
            let data = "A".repeat(rest.parse().unwrap_or_default());
            let source = json!({"type": "base64", "media_type": "application/pdf", "data": data});
            let content = json!([{"type": "document", "source": source}]);
            say(socket, &json!({"Done": {"call": call, "outcome": {"content": content, "is_error": false}}}))
        }
        _ => done(socket, call, "no such mode"),
    }
}

fn done(socket: &mut UnixStream, call: u64, text: &str) -> std::io::Result<()> {
    let outcome = json!({"content": [{"type": "text", "text": text}], "is_error": false});
    say(socket, &json!({"Done": {"call": call, "outcome": outcome}}))
}

fn say(socket: &mut UnixStream, frame: &Value) -> std::io::Result<()> {
    let body = frame.to_string();
    socket.write_all(&(body.len() as u32).to_be_bytes())?;
    socket.write_all(body.as_bytes())
}

fn hear(socket: &mut UnixStream) -> std::io::Result<Value> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body)?;
    serde_json::from_slice(&body).map_err(std::io::Error::other)
}
