//! A load client: so many clients, each with a session of its own and an open stream, send one message after
//! the other and wait for the idle event. Prints creates/s, turns/s and the time of a turn.
//!
//! `cargo run --release -p sim --example load -- URL KEY MODEL CLIENTS TURNS`, against a server on loopback.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Clone)]
struct Caller {
    http: Client,
    url: String,
    key: String,
}

impl Caller {
    async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).header("x-api-key", &self.key).json(body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn stream(&self, path: &str) -> Outcome<Response> {
        let request = self.http.get(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        Ok(request.send().await?.error_for_status()?)
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, model, clients, turns] = arguments.as_slice() else {
        return Err("give URL KEY MODEL CLIENTS TURNS".into());
    };
    let (clients, turns): (usize, usize) = (clients.parse()?, turns.parse()?);
    let local = url.starts_with("http://127.0.0.1") || url.starts_with("http://[::1]");
    if !local {
        return Err("the server must be on loopback".into());
    }
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = Client::builder().no_proxy().tls_certs_only([]).build()?;
    let caller = Caller { http, url: url.trim_end_matches('/').into(), key: key.into() };

    let name = format!("load-{clients}-{}", std::process::id());
    let environment = caller.post("/v1/environments", &json!({"name": name})).await?;
    let agent = caller.post("/v1/agents", &json!({"name": "load", "model": model})).await?;
    let body = json!({"agent": agent["id"], "environment_id": environment["id"]});

    let began = Instant::now();
    let mut makers = JoinSet::new();
    for _ in 0..clients {
        let (caller, body) = (caller.clone(), body.clone());
        makers.spawn(async move { caller.post("/v1/sessions", &body).await });
    }
    let mut sessions = Vec::new();
    while let Some(made) = makers.join_next().await {
        sessions.push(made??["id"].as_str().ok_or("a session without an id")?.to_owned());
    }
    let creating = began.elapsed();

    let began = Instant::now();
    let mut runners = JoinSet::new();
    for session in sessions {
        runners.spawn(run(caller.clone(), session, turns));
    }
    let mut times: Vec<Duration> = Vec::new();
    while let Some(run) = runners.join_next().await {
        times.extend(run??);
    }
    let working = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    report(&format!(
        "{clients} clients: {:.0} creates/s, {:.0} turns/s, p50 {:.2} ms, p99 {:.2} ms ({} turns)",
        clients as f64 / creating.as_secs_f64(),
        times.len() as f64 / working,
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
        times.len()
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the report")]
fn report(line: &str) {
    println!("{line}");
}

/// One client: sends, waits for the idle event on its stream, sends again.
async fn run(caller: Caller, session: String, turns: usize) -> Outcome<Vec<Duration>> {
    let mut stream = caller.stream(&format!("/v1/sessions/{session}/events/stream")).await?;
    let path = format!("/v1/sessions/{session}/events");
    let message = json!({"events": [{"type": "user.message", "content": [{"type": "text", "text": "hi"}]}]});
    let mut times = Vec::with_capacity(turns);
    for _ in 0..turns {
        let began = Instant::now();
        caller.post(&path, &message).await?;
        idle(&mut stream).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Reads the stream up to the next idle event of the session. An event's frame ends in a blank line, and
/// the server writes a frame whole, so that looking at the end of what has come is enough.
async fn idle(stream: &mut Response) -> Outcome<()> {
    let mut tail = Vec::new();
    loop {
        let chunk = stream.chunk().await?.ok_or("the stream ended")?;
        tail.extend_from_slice(&chunk);
        let text = String::from_utf8_lossy(&tail);
        if text.contains("\"session.status_idle\"") && text.ends_with("\n\n") {
            return Ok(());
        }
    }
}
