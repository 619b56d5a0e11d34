//! A small client of the API that tells a lost answer from a refusal.

use std::io;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::hitch::CallHitch;
use crate::stream::EventReader;

/// The key of the server under test.
pub(crate) const KEY: &str = "key-of-the-power-cuts";
/// Longest silence of a stream or an answer; streams have a heartbeat every ten seconds.
const SILENCE: Duration = Duration::from_secs(25);
/// Entries of a page where nothing else is asked for.
const PAGE: usize = 1_000;

/// Someone who calls a server.
#[derive(Debug)]
pub(crate) struct CutsCaller {
    http: Client,
    base: String,
}

impl CutsCaller {
    /// A caller of the server at `base`, with connections of its own.
    pub(crate) fn new(base: &str) -> io::Result<Self> {
        // An error only says that a provider is installed; nothing here is encrypted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder().no_proxy().tls_certs_only([]).read_timeout(SILENCE);
        Ok(Self { http: http.build().map_err(io::Error::other)?, base: base.to_owned() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallHitch> {
        read(self.request(Method::GET, path), &format!("GET {path}")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallHitch> {
        self.send(path, body, false).await
    }

    /// Posts; `again`: as the SDKs do that did not hear the first answer.
    pub(crate) async fn send(&self, path: &str, body: &Value, again: bool) -> Result<Value, CallHitch> {
        let count = u32::from(again).to_string();
        let request = self.request(Method::POST, path).header("x-stainless-retry-count", count).json(body);
        read(request, &format!("POST {path}")).await
    }

    /// Posts what makes something, and gives its id.
    pub(crate) async fn make(&self, path: &str, body: &Value, again: bool) -> Result<String, CallHitch> {
        let made = self.send(path, body, again).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Every entry of a list.
    pub(crate) async fn all(&self, path: &str) -> Result<Vec<Value>, CallHitch> {
        self.paged(path, PAGE).await
    }

    /// Every entry of a list, by pages of `limit`.
    pub(crate) async fn paged(&self, path: &str, limit: usize) -> Result<Vec<Value>, CallHitch> {
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

    /// The stream of `path`, from behind the event `after`.
    pub(crate) async fn stream(&self, path: String, after: &str) -> Result<EventReader, CallHitch> {
        let request = self.request(Method::GET, &path).header("last-event-id", after);
        let response = request.send().await.map_err(|lost| CallHitch::cut(&path, &lost))?;
        Ok(EventReader::of(good(response, &path).await?, path))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(KEY)
    }
}

async fn read(request: RequestBuilder, what: &str) -> Result<Value, CallHitch> {
    let response = request.send().await.map_err(|lost| CallHitch::cut(what, &lost))?;
    good(response, what).await?.json().await.map_err(|lost| CallHitch::cut(what, &lost))
}

async fn good(response: Response, what: &str) -> Result<Response, CallHitch> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let message = response.text().await.map_err(|lost| CallHitch::cut(what, &lost))?;
    Err(CallHitch::Refused { what: what.to_owned(), status: status.as_u16(), message })
}
