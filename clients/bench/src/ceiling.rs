//! The ceiling: the same wire and the same two durable commits a turn, and nothing else.
//!
//! One row a commit in an append-only table, committed in groups with synchronous=FULL; the history is in
//! memory. No identity, no rules, no tools, no recovery: what a server on this machine could reach at best.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

use crate::{Outcome, Wrong};

/// Rows that may wait for the writer, and that it commits together.
const ROWS_WAITING: usize = 4_096;
const ROWS_TOGETHER: usize = 512;
/// Commits that a stream may lag behind.
const COMMITS_BEHIND: usize = 64;
/// The stamp of every event: telling the time is no part of the wire.
const AT: &str = "2026-11-29T12:00:00.000000Z";

struct House {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    made: AtomicU64,
    rows: mpsc::Sender<Row>,
    http: reqwest::Client,
    /// The model servers of the agents `quick` and `slow`.
    models: [String; 2],
}

struct Session {
    number: u64,
    model: String,
    commits: broadcast::Sender<Bytes>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    position: u64,
    history: Vec<Said>,
}

#[derive(Clone, Serialize)]
struct Said {
    role: &'static str,
    content: String,
}

/// A commit on its way to the disk.
struct Row {
    session: u64,
    first: u64,
    body: String,
    done: oneshot::Sender<()>,
}

#[derive(Deserialize)]
struct Create {
    agent: String,
}

#[derive(Deserialize)]
struct Send {
    events: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: Vec<Text>,
}

#[derive(Deserialize, Serialize)]
struct Text {
    text: String,
}

/// Serves until the process is ended.
pub(crate) async fn serve(database: &FilePath, models: [String; 2]) -> Outcome<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (rows, waiting) = mpsc::channel(ROWS_WAITING);
    let connection = opened(database)?;
    tokio::task::spawn_blocking(move || write(connection, waiting));
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let house = House { sessions: Mutex::default(), made: AtomicU64::new(0), rows, http, models };
    let doors = Router::new()
        .route("/v1/sessions", post(create))
        .route("/v1/sessions/{id}/events", post(send))
        .route("/v1/sessions/{id}/events/stream", get(stream))
        .with_state(Arc::new(house));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::say(&format!("listening on http://{}", listener.local_addr()?));
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, doors).await?)
}

fn opened(database: &FilePath) -> Outcome<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(database)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE log (session INTEGER NOT NULL, first INTEGER NOT NULL, body TEXT NOT NULL);
         CREATE UNIQUE INDEX log_position ON log (session, first)",
    )?;
    Ok(connection)
}

/// The writer: all that waits goes to the disk in one commit. It ends when a commit fails; who waits is told.
fn write(mut connection: rusqlite::Connection, mut waiting: mpsc::Receiver<Row>) {
    let mut rows = Vec::new();
    while waiting.blocking_recv_many(&mut rows, ROWS_TOGETHER) > 0 {
        if commit(&mut connection, &rows).is_err() {
            return;
        }
        for row in rows.drain(..) {
            // Nobody waits any more for a request that was cut.
            row.done.send(()).ok();
        }
    }
}

fn commit(connection: &mut rusqlite::Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let batch = connection.transaction()?;
    {
        let mut insert =
            batch.prepare_cached("INSERT INTO log (session, first, body) VALUES (?1, ?2, ?3)")?;
        for row in rows {
            insert.execute((row.session as i64, row.first as i64, &row.body))?;
        }
    }
    batch.commit()
}

impl House {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes these events durable, then shows them.
    async fn append(&self, session: &Session, events: &[Value]) -> Outcome<()> {
        let first = {
            let mut inside = session.inside();
            let first = inside.position;
            inside.position += events.len() as u64;
            first
        };
        let (mut body, mut frames) = (String::from("["), String::new());
        for (at, event) in events.iter().enumerate() {
            let data = event.to_string();
            let comma = if at == 0 { "" } else { "," };
            body.push_str(comma);
            body.push_str(&data);
            frames.push_str("event: message\nid: ");
            frames.push_str(event["id"].as_str().unwrap_or_default());
            frames.push_str("\ndata: ");
            frames.push_str(&data);
            frames.push_str("\n\n");
        }
        body.push(']');
        let (done, durable) = oneshot::channel();
        let row = Row { session: session.number, first, body, done };
        self.rows.send(row).await.map_err(|_| "the writer has ended")?;
        durable.await.map_err(|_| "the writer has ended")?;
        // Nobody may listen.
        drop(session.commits.send(Bytes::from(frames)));
        Ok(())
    }

    async fn answer(&self, session: &Session) -> Outcome<String> {
        let messages = session.inside().history.clone();
        let body =
            json!({"model": session.model, "max_tokens": 32_000, "stream": true, "messages": messages});
        let slow = session.model == "slow";
        let url = &self.models[usize::from(slow)];
        let request = self.http.post(format!("{url}/v1/messages")).header("x-api-key", "k").json(&body);
        let mut answer = request.send().await?.error_for_status()?;
        let mut held = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            held.extend_from_slice(&chunk);
        }
        let mut text = String::new();
        for line in held.split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                let frame: Value = serde_json::from_slice(data)?;
                text.push_str(frame["delta"]["text"].as_str().unwrap_or_default());
            }
        }
        Ok(text)
    }
}

impl Session {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, place: u64) -> String {
        format!("sevt_{:022}", self.number * 1_000_000 + place)
    }

    /// The ids of the next `N` events.
    fn ids<const N: usize>(&self) -> [String; N] {
        let position = self.inside().position;
        std::array::from_fn(|at| self.id(position + at as u64))
    }
}

async fn create(State(house): State<Arc<House>>, Json(given): Json<Create>) -> Result<Json<Value>, Response> {
    let number = house.made.fetch_add(1, Ordering::Relaxed);
    let id = format!("sesn_{number:022}");
    let (commits, _) = broadcast::channel(COMMITS_BEHIND);
    let session = Session { number, model: given.agent, commits, inside: Mutex::default() };
    let made = json!({"id": id, "type": "session", "status": "idle", "created_at": AT});
    house.append(&session, std::slice::from_ref(&made)).await.map_err(failed)?;
    house.sessions().insert(id, Arc::new(session));
    Ok(Json(made))
}

async fn stream(State(house): State<Arc<House>>, Path(id): Path<String>) -> Response {
    let Some(session) = house.sessions().get(&id).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let commits = BroadcastStream::new(session.commits.subscribe()).map(|commit| commit.map_err(Wrong::from));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(commits)).into_response()
}

async fn send(
    State(house): State<Arc<House>>,
    Path(id): Path<String>,
    Json(given): Json<Send>,
) -> Result<Json<Value>, Response> {
    let session = house.sessions().get(&id).cloned();
    let Some(session) = session else { return Err(StatusCode::NOT_FOUND.into_response()) };
    let text = given.events.into_iter().flat_map(|event| event.content).map(|block| block.text).collect();
    let [running, thread, message, span] = session.ids();
    let content = json!([{"type": "text", "text": text}]);
    let events = [
        json!({"id": running, "processed_at": AT, "type": "session.status_running"}),
        json!({"id": thread, "processed_at": AT, "type": "session.thread_status_running",
            "session_thread_id": "sthr_1111111111111111111111", "agent_name": "bench"}),
        json!({"id": message, "processed_at": AT, "type": "user.message", "content": content}),
        json!({"id": span, "processed_at": AT, "type": "span.model_request_start"}),
    ];
    session.inside().history.push(Said { role: "user", content: text });
    house.append(&session, &events).await.map_err(failed)?;
    let echo = json!({"id": message, "processed_at": null, "type": "user.message", "content": content});
    start(house, session, span);
    Ok(Json(json!({"data": [echo]})))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a turn goes on after its request; nothing here is ever cancelled"
)]
fn start(house: Arc<House>, session: Arc<Session>, span: String) {
    tokio::spawn(async move {
        // A turn that fails shows no idle event, and the load client says so.
        drop(turn(&house, &session, &span).await);
    });
}

async fn turn(house: &House, session: &Session, span: &str) -> Outcome<()> {
    let text = house.answer(session).await?;
    let [message, end, thread, usage, idle] = session.ids();
    let stop = json!({"type": "end_turn"});
    let events = [
        json!({"id": message, "processed_at": AT, "type": "agent.message",
            "content": [{"type": "text", "text": text}]}),
        json!({"id": end, "processed_at": AT, "type": "span.model_request_end", "model_request_start_id": span,
            "is_error": false, "model_usage": {"cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "input_tokens": 7, "output_tokens": 9, "speed": null}}),
        json!({"id": thread, "processed_at": AT, "type": "session.thread_status_idle",
            "session_thread_id": "sthr_1111111111111111111111", "agent_name": "bench", "stop_reason": stop,
            "stop_details": null}),
        json!({"id": usage, "processed_at": AT, "type": "session.usage", "usage": {"active_seconds": 0.001,
            "cache_creation": null, "cache_read_input_tokens": 0, "input_tokens": 7, "list_cost": null,
            "output_tokens": 9, "server_tool_use": {"web_fetch_requests": 0, "web_search_requests": 0}},
            "budget": null}),
        json!({"id": idle, "processed_at": AT, "type": "session.status_idle", "stop_reason": stop,
            "stop_details": null}),
    ];
    session.inside().history.push(Said { role: "assistant", content: text });
    house.append(session, &events).await
}

fn failed(why: Wrong) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response()
}
