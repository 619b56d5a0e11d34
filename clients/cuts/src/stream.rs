//! An open stream of a session's events.

use std::io;
use std::pin::Pin;

use futures_util::TryStreamExt;
use reqwest::Response;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, Lines};
use tokio_util::io::StreamReader;

use crate::hitch::CallHitch;

/// Events as the server publishes them.
pub(crate) struct EventReader {
    lines: Lines<Pin<Box<dyn AsyncBufRead>>>,
    path: String,
}

impl EventReader {
    /// The stream that answers a GET of `path`.
    pub(crate) fn of(response: Response, path: String) -> Self {
        Self::reading(StreamReader::new(response.bytes_stream().map_err(io::Error::other)), path)
    }

    fn reading(bytes: impl AsyncBufRead + 'static, path: String) -> Self {
        let bytes: Pin<Box<dyn AsyncBufRead>> = Box::pin(bytes);
        Self { lines: bytes.lines(), path }
    }

    /// The next event; a stream that ends was cut.
    pub(crate) async fn next(&mut self) -> Result<Value, CallHitch> {
        let cut = || CallHitch::Cut(format!("GET {}", self.path));
        while let Some(line) = self.lines.next_line().await.map_err(|_| cut())? {
            // An event is one line of JSON; the other lines name it, or keep the connection alive.
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).map_err(|_| cut());
            }
        }
        Err(cut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn events_come_in_order_and_half_an_event_is_a_cut() {
        let bytes = b": keep-alive\n\nevent: message\nid: a\ndata: {\"id\":\"a\"}\n\n\
            event: message\ndata: {\"id\":\"b\"}\n\nevent: message\nid: c\ndata: {\"id\":";
        let mut stream = EventReader::reading(&bytes[..], "/stream".to_owned());
        let first = [stream.next().await.unwrap(), stream.next().await.unwrap()];
        assert_eq!(first, [json!({"id": "a"}), json!({"id": "b"})]);
        assert_eq!(stream.next().await.unwrap_err().to_string(), "no answer to GET /stream");
        assert!(matches!(stream.next().await, Err(CallHitch::Cut(_))));
    }
}
