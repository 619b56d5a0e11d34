//! A small client of our own API, for the verbs that talk to a server like anybody else does.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use models::sse::Decoder;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::{Wrong, config};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot reach {url}: is `heddle serve` running there? ({reason})")]
    Unreachable { url: String, reason: String },
    #[error("the server answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

/// Which server to talk to, and with which key.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The server.
    #[arg(long, env = "HEDDLE_URL", default_value = "http://127.0.0.1:7717")]
    url: String,
    /// The key; without it `HEDDLE_API_KEY`, or the key that the first start wrote to `first-key`.
    #[arg(long, env = "HEDDLE_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The data directory, to find `first-key` in.
    #[arg(long, env = "HEDDLE_DATA", default_value = config::DATA)]
    data: PathBuf,
}

impl Place {
    /// Someone who calls there.
    pub(crate) fn caller(self) -> Result<Caller, Wrong> {
        let key = match self.key {
            Some(key) => key,
            None => std::fs::read_to_string(self.data.join("first-key"))
                .map_err(|_| "no key: give --key, or set HEDDLE_API_KEY")?,
        };
        Ok(Caller::new(&self.url, key.trim())?)
    }
}

/// Someone who calls the API.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    http: Client,
    base: String,
    key: String,
}

impl Caller {
    pub(crate) fn new(base: &str, key: &str) -> Result<Self, reqwest::Error> {
        // Loopback needs neither a proxy nor the system's certificates.
        let local = base.starts_with("http://127.") || base.starts_with("http://[::1]");
        let mut http = Client::builder().connect_timeout(Duration::from_secs(10));
        if local {
            http = http.no_proxy().tls_certs_only([]);
        }
        Ok(Self { http: http.build()?, base: base.trim_end_matches('/').into(), key: key.into() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallError> {
        read(self.send(Method::GET, path, None, None).await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        read(self.send(Method::POST, path, Some(body), None).await?).await
    }

    /// Opens a stream; with `after`, from behind that event.
    pub(crate) async fn stream(&self, path: &str, after: Option<&str>) -> Result<Stream, CallError> {
        let response = self.send(Method::GET, path, None, after).await?;
        Ok(Stream { response, decoder: Decoder::default(), frames: VecDeque::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        after: Option<&str>,
    ) -> Result<Response, CallError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = request.send().await.map_err(|wrong| self.unreachable(&wrong))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = match response.json::<Value>().await {
            Ok(body) => {
                body.pointer("/error/message").and_then(Value::as_str).unwrap_or("(no message)").into()
            }
            Err(wrong) => wrong.to_string(),
        };
        Err(CallError::Refused { status: status.as_u16(), message })
    }

    fn unreachable(&self, wrong: &reqwest::Error) -> CallError {
        CallError::Unreachable { url: self.base.clone(), reason: wrong.to_string() }
    }
}

async fn read(response: Response) -> Result<Value, CallError> {
    response.json().await.map_err(|wrong| CallError::Unreadable(wrong.to_string()))
}

/// An open stream of events.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    decoder: Decoder,
    frames: VecDeque<Value>,
}

impl Stream {
    /// The next event; `None` when the stream has ended or was cut.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, CallError> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let Ok(Some(chunk)) = self.response.chunk().await else { return Ok(None) };
            let frames =
                self.decoder.take(&chunk).map_err(|_| CallError::Unreadable("a frame too large".into()))?;
            for frame in frames {
                let event = serde_json::from_slice(&frame)
                    .map_err(|wrong| CallError::Unreadable(wrong.to_string()))?;
                self.frames.push_back(event);
            }
        }
    }
}
