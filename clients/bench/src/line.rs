//! One connection of the load client: requests made beforehand, answers looked at and not read.

use std::net::SocketAddr;

use memchr::memmem::Finder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Largest head of a request or an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct KeptConnection {
    socket: TcpStream,
    /// What has come and is not used yet.
    held: Vec<u8>,
}

impl KeptConnection {
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, held: Vec::new() })
    }

    pub(crate) fn of(socket: TcpStream) -> Self {
        Self { socket, held: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.socket.write_all(bytes).await?)
    }

    /// The body of the answer to a request, which must be 200.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Outcome<Vec<u8>> {
        self.send(request).await?;
        let (head, body) = self.message().await?.ok_or("the server hung up")?;
        if !head.starts_with("http/1.1 200 ") {
            return Err(format!("{head}{}", String::from_utf8_lossy(&body)).into());
        }
        Ok(body)
    }

    /// The next request or answer: its head in small letters, and its body. None at the end.
    pub(crate) async fn message(&mut self) -> Outcome<Option<(String, Vec<u8>)>> {
        let Some(head) = self.head().await? else { return Ok(None) };
        let length = match head.split_once("\r\ncontent-length:") {
            Some((_, rest)) => rest.lines().next().unwrap_or_default().trim().parse()?,
            None if head.contains("\r\ntransfer-encoding:") => {
                return Err(format!("a body of unknown length: {head}").into());
            }
            None => 0,
        };
        while self.held.len() < length {
            if !self.more().await? {
                return Err("cut in the middle of a body".into());
            }
        }
        let body = self.held.drain(..length).collect();
        Ok(Some((head, body)))
    }

    /// Sends a request whose answer is a stream, and reads its head.
    pub(crate) async fn follow(&mut self, request: &[u8]) -> Outcome<()> {
        self.send(request).await?;
        let head = self.head().await?.ok_or("the server hung up")?;
        if head.starts_with("http/1.1 200 ") { Ok(()) } else { Err(format!("no stream: {head}").into()) }
    }

    /// Reads a stream until this has come.
    pub(crate) async fn until(&mut self, wanted: &Finder<'_>) -> Outcome<()> {
        loop {
            if let Some(at) = wanted.find(&self.held) {
                self.held.drain(..at + wanted.needle().len());
                return Ok(());
            }
            let kept = self.held.len().min(wanted.needle().len() - 1);
            self.held.drain(..self.held.len() - kept);
            if !self.more().await? {
                return Err("the stream ended".into());
            }
        }
    }

    async fn head(&mut self) -> Outcome<Option<String>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.held, b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end + 4).collect();
                return Ok(Some(String::from_utf8_lossy(&head).to_ascii_lowercase()));
            }
            if self.held.len() > HEAD_BYTES_MAX {
                return Err("a head without an end".into());
            }
            if !self.more().await? {
                return if self.held.is_empty() {
                    Ok(None)
                } else {
                    Err("cut in the middle of a head".into())
                };
            }
        }
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> Outcome<bool> {
        self.held.reserve(READ_BYTES);
        Ok(self.socket.read_buf(&mut self.held).await? > 0)
    }
}

/// A request, whole.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the other end of the line runs beside the test")]

    use super::*;
    use tokio::net::TcpListener;

    /// A line whose other end writes these pieces and hangs up.
    async fn told(pieces: &'static [&'static str]) -> KeptConnection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            socket.shutdown().await.unwrap();
            // Hanging up with something unread would take back what was written.
            while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        });
        KeptConnection::open(address).await.unwrap()
    }

    #[tokio::test]
    async fn answers_are_taken_one_by_one_and_a_refusal_is_an_error() {
        let mut line = told(&[
            "HTTP/1.1 200 OK\r\nContent-Le",
            "ngth: 3\r\n\r\nab",
            "cHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 1\r\n\r\n!",
        ])
        .await;
        assert_eq!(line.ask(b"x").await.unwrap(), b"abc");
        assert_eq!(line.ask(b"x").await.unwrap(), b"");
        assert!(line.ask(b"x").await.unwrap_err().to_string().ends_with("\r\n\r\n!"));
        assert!(line.ask(b"x").await.is_err());
    }

    #[tokio::test]
    async fn a_word_is_found_over_two_pieces_and_each_time_once() {
        let mut line = told(&["HTTP/1.1 200 OK\r\n\r\n..id", "le..idle..id"]).await;
        line.follow(b"x").await.unwrap();
        let idle = Finder::new("idle");
        line.until(&idle).await.unwrap();
        line.until(&idle).await.unwrap();
        assert_eq!(line.until(&idle).await.unwrap_err().to_string(), "the stream ended");
    }
}
