//! The load: clients that each send a message, wait for the idle event on their stream, and send the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memchr::memmem::Finder;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Outcome;
use crate::line::KeptConnection;
use crate::subject::MeasuredServer;

/// Clients that create sessions at once.
pub(crate) const CREATORS: usize = 16;
/// Sessions that a window has at least: a single client goes round, so that none of them grows long.
const SESSIONS_MIN: usize = 8;
/// How long one turn may take.
const TURN: Duration = Duration::from_mins(1);
/// The event that ends a turn, as its frame writes it.
const IDLE: &[u8] = b"\"session.status_idle\"";

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeasuredWindow {
    pub(crate) clients: usize,
    /// Whether the model is the slow one.
    pub(crate) slow: bool,
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

/// What a window has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowFigures {
    pub(crate) turns_a_second: f64,
    pub(crate) median_ms: f64,
    /// Processor time of the server alone; None if the window was too short to tell.
    pub(crate) cpu_ms: Option<f64>,
}

/// A session with its open stream.
struct Open {
    message: Vec<u8>,
    stream: KeptConnection,
}

/// One client: a connection for what it sends, and its sessions, of which it takes one after the other.
struct Client {
    line: KeptConnection,
    sessions: VecDeque<Open>,
}

/// When a turn was over, and how long it took.
type Turn = (Instant, Duration);

/// Sessions a second that so many clients create.
pub(crate) async fn creates(subject: &MeasuredServer, length: Duration) -> Outcome<f64> {
    let request: Arc<[u8]> = subject.creation(false).into();
    let (mut creators, began) = (JoinSet::new(), Instant::now());
    for _ in 0..CREATORS {
        let (mut line, request) = (subject.line().await?, Arc::clone(&request));
        creators.spawn(async move {
            let mut made = 0_u32;
            while began.elapsed() < length {
                line.ask(&request).await?;
                made += 1;
            }
            Outcome::Ok(made)
        });
    }
    let mut made = 0;
    while let Some(one) = creators.join_next().await {
        made += one??;
    }
    Ok(f64::from(made) / began.elapsed().as_secs_f64())
}

/// Runs one window with fresh sessions; when it returns nothing is under way.
pub(crate) async fn window(subject: &MeasuredServer, given: MeasuredWindow) -> Outcome<WindowFigures> {
    let each = SESSIONS_MIN.div_ceil(given.clients);
    let over = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for client in clients(subject, given.clients, each, given.slow).await? {
        running.spawn(turns(client, usize::MAX, Arc::clone(&over)));
    }
    tokio::time::sleep(given.warm).await;
    let (cpu, began) = (subject.process.cpu()?, Instant::now());
    tokio::time::sleep(given.measured).await;
    let (cpu, ended) = (subject.process.cpu()?.saturating_sub(cpu), Instant::now());
    over.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    while let Some(one) = running.join_next().await {
        all.extend(one??);
    }
    shown(&all, began, ended, cpu)
}

/// What the turns that ended between two moments come to.
fn shown(all: &[Turn], began: Instant, ended: Instant, cpu: Duration) -> Outcome<WindowFigures> {
    let inside = all.iter().filter(|(at, _)| (began..ended).contains(at));
    let mut times: Vec<Duration> = inside.map(|(_, took)| *took).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).ok_or("no turn ended in this window")?;
    let turns = times.len() as f64;
    // Ten ticks of the clock that counts it.
    let cpu_ms = (cpu >= Duration::from_millis(100)).then(|| cpu.as_secs_f64() * 1e3 / turns);
    let seconds = ended.duration_since(began).as_secs_f64();
    Ok(WindowFigures { turns_a_second: turns / seconds, median_ms: median.as_secs_f64() * 1e3, cpu_ms })
}

/// The same load each time: so many clients, each with so many turns in each of so many fresh sessions.
pub(crate) async fn equal(
    subject: &MeasuredServer,
    many: usize,
    sessions: usize,
    each: usize,
) -> Outcome<()> {
    let mut running = JoinSet::new();
    for client in clients(subject, many, sessions, false).await? {
        running.spawn(turns(client, sessions * each, Arc::default()));
    }
    while let Some(one) = running.join_next().await {
        one??;
    }
    Ok(())
}

/// So many clients with so many fresh sessions each, whose streams are open.
async fn clients(subject: &MeasuredServer, many: usize, sessions: usize, slow: bool) -> Outcome<Vec<Client>> {
    let content = json!([{"type": "text", "text": "hi"}]);
    let message = json!({"events": [{"type": "user.message", "content": content}]}).to_string();
    let creation = subject.creation(slow);
    let mut clients = Vec::with_capacity(many);
    for _ in 0..many {
        let mut client = Client { line: subject.line().await?, sessions: VecDeque::with_capacity(sessions) };
        for _ in 0..sessions {
            let made: Value = serde_json::from_slice(&client.line.ask(&creation).await?)?;
            let path = format!("/v1/sessions/{}/events", made["id"].as_str().ok_or("no id")?);
            let mut stream = subject.line().await?;
            stream.follow(&subject.request("GET", &format!("{path}/stream"), "")).await?;
            client.sessions.push_back(Open { message: subject.request("POST", &path, &message), stream });
        }
        clients.push(client);
    }
    Ok(clients)
}

/// Turns of one client, at most so many, until it is over.
async fn turns(mut client: Client, most: usize, over: Arc<AtomicBool>) -> Outcome<Vec<Turn>> {
    let idle = Finder::new(IDLE);
    let mut done = Vec::new();
    while done.len() < most && !over.load(Ordering::Relaxed) {
        let mut session = client.sessions.pop_front().ok_or("no session")?;
        let began = Instant::now();
        let turn = async {
            client.line.ask(&session.message).await?;
            session.stream.until(&idle).await
        };
        tokio::time::timeout(TURN, turn).await.map_err(|_| format!("no end of a turn in {TURN:?}"))??;
        let ended = Instant::now();
        done.push((ended, ended - began));
        client.sessions.push_back(session);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_turns_that_end_inside_count_and_a_short_cpu_time_is_not_told() {
        let start = Instant::now();
        let at = |ms: u64, took: u64| (start + Duration::from_millis(ms), Duration::from_millis(took));
        let turns = [at(50, 1), at(150, 2), at(180, 9), at(190, 4), at(1_100, 1)];
        let (began, ended) = (start + Duration::from_millis(100), start + Duration::from_millis(1_100));
        let shown_with = |cpu| shown(&turns, began, ended, Duration::from_millis(cpu)).unwrap();
        let three = shown_with(300);
        assert_eq!((three.turns_a_second, three.median_ms, three.cpu_ms), (3.0, 4.0, Some(100.0)));
        assert_eq!(shown_with(90).cpu_ms, None);
        assert!(shown(&turns, ended, ended, Duration::ZERO).is_err());
    }
}
