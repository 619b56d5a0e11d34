//! A small client of our own API, for the verbs that talk to a server like anybody else does.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::sse::SseDecoder;
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use crate::{
    Wrong,
    config::SettingsFlags,
    lock::{self, DirectoryUse},
    remark::remark,
    seal, secret,
};

/// Between two attempts to reach a server that is away, and how often it is tried: for a minute, since one
/// that ends in order and is started again may take longer than half of it.
const PAUSE: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 300;
/// What is said of a server that answers a greeting in TLS with plain HTTP.
const NO_TLS: &str = "InvalidContentType";

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(
        "cannot reach {url} ({reason}): is `heddle serve` running there? --url or HEDDLE_URL says where it is"
    )]
    Unreachable { url: String, reason: String },
    #[error(
        "{url} speaks http, not https: write --url or HEDDLE_URL as {}, where nobody on the way could read the key",
        url.replacen("https", "http", 1)
    )]
    NoTls { url: String },
    #[error("the server at {url} answered {status}: {message}")]
    Refused { url: String, status: u16, message: String },
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// Whether the server is away, and may be back in a moment: 502 and 504 are a proxy's word for that.
    fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Refused { status: 502..=504, .. } => true,
            Self::NoTls { .. } | Self::Refused { .. } | Self::Unreadable(_) => false,
        }
    }
}

/// What is there; `None` if it is not there any more.
pub(crate) fn there<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(CallError::Refused { status: 404, .. }) => Ok(None),
        Err(wrong) => Err(wrong),
    }
}

/// Which server to talk to, and with which key.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerAddress {
    /// The server [default: where the one that has the data directory listens, or what the settings' file
    /// says, or http://127.0.0.1:7717]
    #[arg(long, env = "HEDDLE_URL")]
    url: Option<String>,
    /// An API key [default: what the file first-key in the server's data directory holds; a first start on a
    /// terminal shows its key and leaves no such file]
    #[arg(long, env = "HEDDLE_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The server's data directory [default: what its settings' file says, or heddle-data]
    #[arg(long, env = "HEDDLE_DATA", value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    #[command(flatten)]
    beside: SettingsFlags,
}

impl ServerAddress {
    /// Someone who calls there.
    pub(crate) fn caller(self) -> Result<ApiClient, Wrong> {
        let (url, key) = match (self.url, self.key) {
            (Some(url), Some(key)) => (url, key),
            (url, key) => {
                let settled = self.beside.settle(self.data)?;
                let listen = match lock::served(&settled.data) {
                    DirectoryUse::At(listen) => listen,
                    DirectoryUse::Somewhere | DirectoryUse::No => settled.listen,
                };
                (or_local(url, listen)?, or_first(key, &settled.data)?)
            }
        };
        if let Some(why) = secret::unsendable(key.trim()) {
            return Err(format!("the key (of --key, HEDDLE_API_KEY or the file first-key) {why}").into());
        }
        Ok(ApiClient::new(&web(url.trim())?, key.trim())?)
    }
}

/// `url`, if it is the address of a server, up to where each path begins. One of this machine needs no
/// scheme; for another it is said whether the key goes there in the clear.
fn web(url: &str) -> Result<String, Wrong> {
    let read = |url: &str| {
        Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    let with_scheme = format!("http://{url}");
    let (whole, with) = (read(url), read(&with_scheme).filter(|_| !url.contains("://")));
    // What is beyond an address may be a secret, and is not repeated.
    if let Some(beyond) = whole.as_ref().or(with.as_ref()).and_then(beyond) {
        return Err(format!("--url or HEDDLE_URL must {beyond}").into());
    }
    let example = match (whole, with) {
        (Some(named), _) => return Ok(base(url, &named).to_owned()),
        (None, Some(named)) if is_local(&named) => return Ok(base(&with_scheme, &named).to_owned()),
        (None, Some(_)) => {
            format!("https://{url}, or {with_scheme} where nobody on the way could read the key")
        }
        (None, None) => "http://127.0.0.1:7717".to_owned(),
    };
    let shown = if url.contains('@') { "what it holds" } else { &format!("`{url}`") };
    Err(format!("{shown} is no address of a server: write --url or HEDDLE_URL as {example}").into())
}

/// What a server's address does not hold, if this one does.
fn beyond(url: &Url) -> Option<&'static str> {
    match () {
        () if !url.username().is_empty() || url.password().is_some() => {
            Some("hold no user and no password: the key is said by --key or HEDDLE_API_KEY")
        }
        () if url.query().is_some() || url.fragment().is_some() => Some("end before `?` and `#`"),
        () => None,
    }
}

/// What stands before the `/v1` of each path, which other clients are given with it.
fn base<'a>(url: &'a str, read: &Url) -> &'a str {
    let url = url.trim_end_matches('/');
    let versioned = read.path().trim_end_matches('/').ends_with("/v1");
    url.strip_suffix("/v1").filter(|_| versioned).unwrap_or(url).trim_end_matches('/')
}

/// Whether the address is one of this machine alone.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// `url`, or where a server that listens there is reached from this machine.
fn or_local(url: Option<String>, listen: SocketAddr) -> Result<String, Wrong> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    match (url, listen.port()) {
        (Some(url), _) => Ok(url),
        (None, 0) => Err("the settings leave the server's port open: give --url, or set HEDDLE_URL".into()),
        (None, port) => Ok(format!("http://{}", SocketAddr::new(ip, port))),
    }
}

/// `key`, or the one that the first start wrote.
fn or_first(key: Option<String>, data: &Path) -> Result<String, Wrong> {
    let first = || {
        let said = format!(
            "no key: give --key, or set HEDDLE_API_KEY, to what the server's first start showed; `heddle keys create` makes \
             another (there is no file first-key in {})",
            data.display()
        );
        std::fs::read_to_string(data.join(seal::FIRST_KEY)).map_err(|_| said.into())
    };
    key.map_or_else(first, Ok)
}

/// Someone who calls the API.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    http: Client,
    base: String,
    key: String,
    /// Whether a server that is away is asked again, for a minute.
    patient: bool,
}

impl ApiClient {
    pub(crate) fn new(base: &str, key: &str) -> Result<Self, reqwest::Error> {
        // Loopback needs neither a proxy nor the system's certificates.
        let local = Url::parse(base).is_ok_and(|url| url.scheme() == "http" && is_local(&url));
        // A stream that has nothing to tell says so every ten seconds.
        let mut http =
            Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(Duration::from_mins(1));
        if local {
            http = http.no_proxy().tls_certs_only([]);
        }
        let base = base.trim_end_matches('/').into();
        Ok(Self { http: http.build()?, base, key: key.into(), patient: false })
    }

    /// The same, who asks again what changes nothing while the server is away.
    pub(crate) fn patient(&self) -> Self {
        Self { patient: true, ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.again(async || self.read(self.send(Method::GET, path, None, None).await?).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.read(self.send(Method::POST, path, Some(body), None).await?).await
    }

    /// Opens a stream; with `after`, from behind that event.
    pub(crate) async fn stream(&self, path: &str, after: Option<&str>) -> Result<EventStream, CallError> {
        let response = self.again(async || self.send(Method::GET, path, None, after).await).await?;
        Ok(EventStream { response, decoder: SseDecoder::default(), frames: VecDeque::new() })
    }

    /// The answer to a call; with patience, that of the server that is back.
    async fn again<T>(&self, call: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CallError> {
        let mut attempts = 0;
        loop {
            let answer = call().await;
            let away = answer.as_ref().is_err_and(CallError::is_away);
            if !away && attempts > 0 {
                remark("the server is back; the session goes on after the last event you saw");
            }
            if !away || !self.patient || attempts == ATTEMPTS {
                return answer;
            }
            if attempts == 0 {
                remark("the server is gone; trying again for a minute");
            }
            attempts += 1;
            tokio::time::sleep(PAUSE).await;
        }
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
        Err(CallError::Refused { url: self.base.clone(), status: status.as_u16(), message })
    }

    fn unreachable(&self, wrong: &reqwest::Error) -> CallError {
        let mut reason: &dyn std::error::Error = wrong;
        // The outer ones repeat the address.
        while let Some(cause) = reason.source() {
            reason = cause;
        }
        let (url, reason) = (self.base.clone(), reason.to_string());
        if reason.contains(NO_TLS) {
            CallError::NoTls { url }
        } else {
            CallError::Unreachable { url, reason }
        }
    }

    async fn read(&self, response: Response) -> Result<Value, CallError> {
        // One that is cut off comes of a server that went away.
        let body = response.bytes().await.map_err(|wrong| self.unreachable(&wrong))?;
        serde_json::from_slice(&body).map_err(|wrong| CallError::Unreadable(wrong.to_string()))
    }
}

/// An open stream of events.
#[derive(Debug)]
pub(crate) struct EventStream {
    response: Response,
    decoder: SseDecoder,
    frames: VecDeque<Value>,
}

impl EventStream {
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
                let event = serde_json::from_slice(&frame.data)
                    .map_err(|wrong| CallError::Unreadable(wrong.to_string()))?;
                self.frames.push_back(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_needs_no_scheme_and_another_is_told_what_to_write() {
        let clear = "where nobody on the way could read the key";
        for (url, meant) in [
            ("http://localhost:7717", Ok("http://localhost:7717")),
            ("https://a/b", Ok("https://a/b")),
            ("localhost:7717", Ok("http://localhost:7717")),
            ("127.0.0.1:7717", Ok("http://127.0.0.1:7717")),
            ("[::1]:7717", Ok("http://[::1]:7717")),
            ("loom:7717", Err(format!("as https://loom:7717, or http://loom:7717 {clear}"))),
            ("192.0.2.1", Err(format!("as https://192.0.2.1, or http://192.0.2.1 {clear}"))),
            ("ftp://a", Err("as http://127.0.0.1:7717".to_owned())),
            ("", Err("as http://127.0.0.1:7717".to_owned())),
            ("http://localhost:7717/v1", Ok("http://localhost:7717")),
            ("https://a/b/v1/", Ok("https://a/b")),
            ("localhost:7717//", Ok("http://localhost:7717")),
            ("https://v1/", Ok("https://v1")),
        ] {
            match (web(url).map_err(|wrong| wrong.to_string()), meant) {
                (Ok(read), Ok(meant)) => assert_eq!(read, meant),
                (Err(wrong), Err(end)) => assert!(wrong.ends_with(&end), "{wrong}"),
                (read, _) => panic!("{url}: {read:?}"),
            }
        }
    }

    #[test]
    fn an_address_that_holds_more_than_one_is_refused_and_nothing_of_it_is_repeated() {
        for (url, said) in [
            ("http://u:secret@a", "--url or HEDDLE_URL must hold no user and no password"),
            ("https://secret@a:1/v1", "--url or HEDDLE_URL must hold no user and no password"),
            ("u:secret@localhost:7717", "--url or HEDDLE_URL must hold no user and no password"),
            ("http://u:secret@a:nowhere", "what it holds is no address of a server"),
            ("http://a/?k=secret", "--url or HEDDLE_URL must end before `?` and `#`"),
            ("localhost:7717#secret", "--url or HEDDLE_URL must end before `?` and `#`"),
        ] {
            let wrong = web(url).expect_err("a mistake").to_string();
            assert!(wrong.starts_with(said) && !wrong.contains("secret"), "{url}: {wrong}");
        }
    }

    #[test]
    fn a_server_is_reached_where_it_listens_unless_it_is_said_otherwise() {
        let reached = |listen: &str| or_local(None, listen.parse().expect("an address")).ok();
        assert_eq!(
            ["127.0.0.1:1", "0.0.0.0:2", "[::]:3", "192.0.2.1:4", "127.0.0.1:0"].map(reached),
            [
                Some("http://127.0.0.1:1".to_owned()),
                Some("http://127.0.0.1:2".to_owned()),
                Some("http://[::1]:3".to_owned()),
                Some("http://192.0.2.1:4".to_owned()),
                None
            ]
        );
        let listen = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(or_local(Some("http://there".into()), listen).ok().as_deref(), Some("http://there"));
    }
}
