//! A small client of the API that tells a lost answer from a refusal.

use std::{collections::VecDeque, io, time::Duration};

use models::sse::Decoder;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use super::house::KEY;

/// Longest silence of a stream or an answer; streams have a heartbeat every ten seconds.
const SILENCE: Duration = Duration::from_secs(25);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hitch {
    /// The connection was lost: what was asked may have happened or not.
    #[error("no answer to {0}")]
    Cut(String),
    /// The server said no: what was asked did not happen.
    #[error("{what} was refused with {status}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
}

impl Hitch {
    fn cut(what: &str, lost: &reqwest::Error) -> Self {
        Self::Cut(format!("{what}: {lost:?}"))
    }
}

/// Someone who calls a server.
#[derive(Debug)]
pub(crate) struct Caller {
    http: Client,
    base: String,
}

impl Caller {
    /// A caller of the server at `base`, with connections of its own.
    pub(crate) fn new(base: &str) -> io::Result<Self> {
        // An error only says that a provider is installed; nothing here is encrypted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder().no_proxy().tls_certs_only([]).read_timeout(SILENCE);
        Ok(Self { http: http.build().map_err(io::Error::other)?, base: base.to_owned() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Hitch> {
        self.read(self.request(Method::GET, path), &format!("GET {path}")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Hitch> {
        self.send(path, body, false).await
    }

    /// Posts; `again`: as the SDKs do that did not hear the first answer.
    pub(crate) async fn send(&self, path: &str, body: &Value, again: bool) -> Result<Value, Hitch> {
        let count = u32::from(again).to_string();
        let request = self.request(Method::POST, path).header("x-stainless-retry-count", count).json(body);
        self.read(request, &format!("POST {path}")).await
    }

    /// Every entry of a list, by pages of a thousand.
    pub(crate) async fn all(&self, path: &str) -> Result<Vec<Value>, Hitch> {
        self.paged(path, 1_000).await
    }

    /// Every entry of a list, page by page.
    pub(crate) async fn paged(&self, path: &str, limit: usize) -> Result<Vec<Value>, Hitch> {
        let mut entries = Vec::new();
        let mut page = self.get(&format!("{path}?limit={limit}")).await?;
        loop {
            if let Some(data) = page["data"].as_array() {
                entries.extend(data.iter().cloned());
            }
            let Some(next) = page["next_page"].as_str() else { return Ok(entries) };
            page = self.get(&format!("{path}?limit={limit}&page={next}")).await?;
        }
    }

    /// Follows a session from behind the event `after`.
    pub(crate) async fn stream(&self, session: &str, after: &str) -> Result<Stream, Hitch> {
        let path = format!("/v1/sessions/{session}/events/stream");
        let request = self.request(Method::GET, &path).header("last-event-id", after);
        let response = request.send().await.map_err(|lost| Hitch::cut(&path, &lost))?;
        let response = good(response, &path).await?;
        Ok(Stream { response, path, decoder: Decoder::default(), frames: VecDeque::new() })
    }

    async fn read(&self, request: reqwest::RequestBuilder, what: &str) -> Result<Value, Hitch> {
        let response = request.send().await.map_err(|lost| Hitch::cut(what, &lost))?;
        good(response, what).await?.json().await.map_err(|lost| Hitch::cut(what, &lost))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(KEY)
    }
}

async fn good(response: Response, what: &str) -> Result<Response, Hitch> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let message = response.text().await.map_err(|lost| Hitch::cut(what, &lost))?;
    Err(Hitch::Refused { what: what.to_owned(), status: status.as_u16(), message })
}

/// An open stream of events.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    path: String,
    decoder: Decoder,
    frames: VecDeque<Value>,
}

impl Stream {
    /// The next event; a stream that ends was cut.
    pub(crate) async fn next(&mut self) -> Result<Value, Hitch> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let cut = || Hitch::Cut(format!("GET {}", self.path));
            let chunk = self.response.chunk().await.ok().flatten().ok_or_else(cut)?;
            for frame in self.decoder.take(&chunk).map_err(|_| cut())? {
                self.frames.push_back(serde_json::from_slice(&frame.data).map_err(|_| cut())?);
            }
        }
    }
}
