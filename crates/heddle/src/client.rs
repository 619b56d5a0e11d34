//! A small client of our own API, for the verbs that talk to a server like anybody else does.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::sse::Decoder;
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use crate::{Wrong, config::Beside, seal};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(
        "cannot reach {url} ({reason}): is `heddle serve` running there? --url or HEDDLE_URL says where it is"
    )]
    Unreachable { url: String, reason: String },
    #[error("the server answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
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
pub(crate) struct Place {
    /// The server [default: where the settings' file says that it listens, or http://127.0.0.1:7717]
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
    beside: Beside,
}

impl Place {
    /// Someone who calls there.
    pub(crate) fn caller(self) -> Result<Caller, Wrong> {
        let (url, key) = match (self.url, self.key) {
            (Some(url), Some(key)) => (url, key),
            (url, key) => {
                let settled = self.beside.settle(self.data)?;
                (or_local(url, settled.listen)?, or_first(key, &settled.data)?)
            }
        };
        Ok(Caller::new(&web(url.trim())?, key.trim())?)
    }
}

/// `url`, if it is the address of a server. One of this machine needs no scheme; for another it is said
/// whether the key goes there in the clear.
fn web(url: &str) -> Result<String, Wrong> {
    let read = |url: &str| {
        Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    if read(url).is_some() {
        return Ok(url.to_owned());
    }
    let with_scheme = format!("http://{url}");
    let example = match read(&with_scheme).filter(|_| !url.contains("://")) {
        Some(named) if is_local(&named) => return Ok(with_scheme),
        Some(_) => format!("https://{url}, or {with_scheme} where nobody on the way could read the key"),
        None => "http://127.0.0.1:7717".to_owned(),
    };
    Err(format!("`{url}` is no address of a server: write --url or HEDDLE_URL as {example}").into())
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
pub(crate) struct Caller {
    http: Client,
    base: String,
    key: String,
}

impl Caller {
    pub(crate) fn new(base: &str, key: &str) -> Result<Self, reqwest::Error> {
        // Loopback needs neither a proxy nor the system's certificates.
        let local = Url::parse(base).is_ok_and(|url| url.scheme() == "http" && is_local(&url));
        // A stream that has nothing to tell says so every ten seconds.
        let mut http =
            Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(Duration::from_mins(1));
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
        let mut reason: &dyn std::error::Error = wrong;
        // The outer ones repeat the address.
        while let Some(cause) = reason.source() {
            reason = cause;
        }
        CallError::Unreachable { url: self.base.clone(), reason: reason.to_string() }
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
        ] {
            match (web(url).map_err(|wrong| wrong.to_string()), meant) {
                (Ok(read), Ok(meant)) => assert_eq!(read, meant),
                (Err(wrong), Err(end)) => assert!(wrong.ends_with(&end), "{wrong}"),
                (read, _) => panic!("{url}: {read:?}"),
            }
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
