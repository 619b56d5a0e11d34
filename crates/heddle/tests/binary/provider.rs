//! A provider of the Messages API on a thread of its own: answers everybody with one word, and with a call to
//! whoever offers a tool, and counts its callers. At a base URL that ends in `/denied` and `/broken` it
//! answers nobody, at `/empty` it says nothing, at `/talks` it writes the call into the text, at `/thinks` it
//! leaves its thinking there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

/// What a greeting in TLS begins with.
const TLS: [u8; 1] = [22];

pub(crate) struct Provider {
    pub(crate) url: String,
    calls: Arc<AtomicUsize>,
}

impl Provider {
    #[expect(clippy::disallowed_methods, reason = "the tests are not async, and it answers while they wait")]
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                answer(socket);
            }
        });
        Self { url, calls }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// One block and why it ends, as a stream says it.
fn block(block: &Value, delta: &Value, reason: &str) -> String {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1},
    });
    let stop = json!({"stop_reason": reason, "stop_sequence": null});
    let events = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let kind = |event: &Value| event["type"].as_str().expect("a type").to_owned();
    let record = |event: &Value| ["event: ", &kind(event), "\ndata: ", &event.to_string(), "\n\n"].concat();
    events.iter().map(record).collect()
}

fn word(word: &str) -> String {
    block(&json!({"type": "text", "text": ""}), &json!({"type": "text_delta", "text": word}), "end_turn")
}

/// A call of the tool that the doctor offers.
fn call() -> String {
    let input = json!({"type": "input_json_delta", "partial_json": "{\"word\": \"ok\"}"});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "note_word", "input": {}});
    block(&call, &input, "tool_use")
}

fn said(path: &str, body: &str) -> String {
    match (body.contains("\"tools\":"), path) {
        (true, path) if path.starts_with("/talks/") => {
            word("<tool_call>\n{\"name\": \"note_word\"}\n</tool_call>")
        }
        (true, _) => call(),
        (false, path) if path.starts_with("/empty/") => word(""),
        (false, path) if path.starts_with("/thinks/") => word("hm\n</think>\n\nok"),
        (false, _) => word("ok"),
    }
}

fn models() -> String {
    let model =
        json!({"type": "model", "id": "m-1", "display_name": "One", "created_at": "2026-01-01T00:00:00Z"});
    json!({"data": [model], "has_more": false, "first_id": "m-1", "last_id": "m-1"}).to_string()
}

fn denied() -> String {
    let error = json!({"type": "authentication_error", "message": "invalid x-api-key"});
    json!({"type": "error", "error": error}).to_string()
}

fn answer(mut socket: TcpStream) {
    let mut first = [0];
    if socket.peek(&mut first).is_ok() && first == TLS {
        // It speaks plain HTTP whatever it hears.
        drop(socket.read(&mut [0; 4_096]));
        drop(socket.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"));
        return;
    }
    let mut reader = BufReader::new(socket);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let at = head.len();
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
        let line = head[at..].trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut asked = vec![0; length];
    reader.read_exact(&mut asked).expect("a body");
    let asked = String::from_utf8(asked).expect("a text");
    let (status, kind, body) = match head.split(' ').nth(1).expect("a path") {
        path if path.starts_with("/denied/") => ("401 Unauthorized", "application/json", denied()),
        path if path.starts_with("/broken/") => ("500 Internal Server Error", "text/plain", String::new()),
        path if path.starts_with("/v1/models") => ("200 OK", "application/json", models()),
        path => ("200 OK", "text/event-stream", said(path, &asked)),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    // A caller that has what it wants may be gone.
    drop(reader.get_mut().write_all(answer.as_bytes()));
}
