//! A model server that reads no request: it counts the bytes of each and answers with the same ones.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::line::KeptConnection;

/// A short answer of the Messages API, frame by frame.
const ANSWER: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",",
    "\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,",
    "\"usage\":{\"input_tokens\":7,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,",
    "\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there, \"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"how can I help?\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",",
    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// Answers until the process is ended.
pub(crate) async fn serve(delay: Duration) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::say(&format!("listening on http://{}", listener.local_addr()?));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        connections.spawn(answered(KeptConnection::of(socket), delay, answer.clone().into_bytes()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection. Who hangs up, or sends what is no request, is let go.
async fn answered(mut line: KeptConnection, delay: Duration, answer: Vec<u8>) {
    while let Ok(Some(_)) = line.message().await {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if line.send(&answer).await.is_err() {
            return;
        }
    }
}
