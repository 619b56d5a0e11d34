//! A scripted model server that judges every request: the other end of guests, storms and benches.
//!
//! `model-server --listen 127.0.0.1:0` prints `listening on http://ADDRESS`. Doors: `POST /v1/messages`, and
//! `POST /v1/chat/completions` in the dialect that the model's name asks for; `GET /v1/models` of either; of
//! either a model `shape-NAME` that speaks as a row of `GET /shapes` does;
//! `GET /referee` and `POST /referee/reset`; `POST /release/NAME` lets a `wait` of a script go on, and
//! `GET /waiting/NAME` answers once a request waits there; `GET /kept/NAME` hands over the request that a
//! step with `keep` answered last.

mod breach;
mod chat;
mod laws;
mod media;
mod offered;
mod played;
mod request;
mod script;
mod shapes;
mod wire;

use std::{
    collections::HashMap,
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use clap::Parser;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    breach::LawBreach,
    request::LooseRequest,
    script::{SaidMessage, ScriptStep},
    wire::{AnswerFrames, AskedAnswer},
};

/// Largest request, in bytes.
const BODY_BYTES: usize = 256 * 1024 * 1024;
/// Most breaches remembered; later ones are still answered 400.
const BREACHES: usize = 1_000;

/// Most requests kept at once.
const KEPT: usize = 64;

/// What the command line may say.
#[derive(Debug, Parser)]
#[command(about = "A scripted model server that asserts the laws of its two APIs on every request")]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Also answer requests whose `stream` is not true.
    #[arg(long)]
    unstreamed: bool,
}

/// What the server remembers; none of it decides a script but the counts of `times`.
#[derive(Debug, Default)]
struct Memory {
    unstreamed: bool,
    requests: AtomicU64,
    breaches: Mutex<Vec<String>>,
    played: Mutex<HashMap<String, u32>>,
    gates: Mutex<HashMap<String, watch::Sender<Gate>>>,
    kept: Mutex<HashMap<String, Bytes>>,
}

/// A named place where answers wait.
#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    waited: bool,
    open: bool,
}

impl Memory {
    fn breaches(&self) -> MutexGuard<'_, Vec<String>> {
        self.breaches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, name: &str) -> watch::Sender<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(name.to_owned()).or_default().clone()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request; false if there is no room for one more.
    fn keep(&self, name: &str, body: &Bytes) -> bool {
        let mut kept = self.kept();
        let fits = kept.len() < KEPT || kept.contains_key(name);
        if fits {
            kept.insert(name.to_owned(), body.clone());
        }
        fits
    }

    /// The outcome of a request as its response: a breach is remembered, and refused as `refusal` says it.
    fn judged(
        &self,
        outcome: Result<Response, LawBreach>,
        refusal: impl FnOnce(&str) -> Response,
    ) -> Response {
        self.requests.fetch_add(1, Ordering::Relaxed);
        outcome.unwrap_or_else(|breach| {
            let said = breach.to_string();
            let refusal = refusal(&said);
            let mut breaches = self.breaches();
            if breaches.len() < BREACHES {
                breaches.push(said);
            }
            refusal
        })
    }

    /// Whether a step that is played `times` often is over; counts this time.
    fn is_over(&self, key: &str, times: u32) -> bool {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let count = played.entry(key.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count > times
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen).await?;
    let mut out = io::stdout();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    let memory = Arc::new(Memory { unstreamed: options.unstreamed, ..Memory::default() });
    serve(listener, memory).await
}

async fn serve(listener: TcpListener, memory: Arc<Memory>) -> io::Result<()> {
    let doors = Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(offered::models))
        .route("/shapes", get(played::table))
        .route("/referee", get(referee))
        .route("/referee/reset", post(reset))
        .route("/release/{name}", post(release))
        .route("/waiting/{name}", get(waiting))
        .route("/kept/{name}", get(kept))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(memory);
    // Without TCP_NODELAY a frame would wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, doors).await
}

async fn referee(State(memory): State<Arc<Memory>>) -> Json<Value> {
    let breaches = memory.breaches().clone();
    Json(json!({"requests": memory.requests.load(Ordering::Relaxed), "breaches": breaches}))
}

async fn reset(State(memory): State<Arc<Memory>>) -> StatusCode {
    memory.requests.store(0, Ordering::Relaxed);
    memory.breaches().clear();
    StatusCode::NO_CONTENT
}

/// Opens a gate for good, for those that wait and those that come.
async fn release(State(memory): State<Arc<Memory>>, Path(name): Path<String>) -> StatusCode {
    memory.gate(&name).send_modify(|gate| gate.open = true);
    StatusCode::NO_CONTENT
}

async fn waiting(State(memory): State<Arc<Memory>>, Path(name): Path<String>) -> StatusCode {
    let gate = memory.gate(&name);
    match gate.subscribe().wait_for(|gate| gate.waited).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::GONE,
    }
}

/// Hands over what was kept, which is then forgotten.
async fn kept(State(memory): State<Arc<Memory>>, Path(name): Path<String>) -> Response {
    match memory.kept().remove(&name) {
        Some(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn messages(State(memory): State<Arc<Memory>>, headers: HeaderMap, body: Bytes) -> Response {
    memory.judged(answer(&memory, &headers, &body), |said| failure(400, said, None))
}

/// The step that a judged request asks for.
fn next(memory: &Memory, messages: &[impl SaidMessage], body: &Bytes) -> Result<ScriptStep, LawBreach> {
    let mut step = script::step(messages).map_err(|detail| LawBreach { law: "script", detail })?;
    while let (Some(key), Some(times)) = (&step.key, step.times) {
        match (memory.is_over(key, times), step.then.take()) {
            (true, Some(then)) => step = *then,
            (true | false, _) => break,
        }
    }
    if let Some(name) = step.keep.as_deref().filter(|name| !memory.keep(name, body)) {
        return Err(LawBreach { law: "script", detail: format!("no room to keep `{name}`") });
    }
    Ok(step)
}

fn answer(memory: &Memory, headers: &HeaderMap, body: &Bytes) -> Result<Response, LawBreach> {
    for (name, law) in [("x-api-key", "key_header"), ("anthropic-version", "version_header")] {
        if !headers.contains_key(name) {
            return Err(LawBreach { law, detail: format!("there is no header {name}") });
        }
    }
    if let Some(response) = played::played(body, shapes::ShapeWire::Messages) {
        return Ok(response);
    }
    let request: LooseRequest<'_> = serde_json::from_slice(body)
        .map_err(|error| LawBreach { law: "readable", detail: error.to_string() })?;
    laws::check(&request, memory.unstreamed)?;
    let step = next(memory, &request.messages, body)?;
    if let Some(status) = step.fail {
        let message = step.why();
        return Ok(failure(status, message, step.retry_after));
    }
    let asked = AskedAnswer {
        model: &request.model,
        tokens: request.tokens(),
        digest: wire::digest(body, usize::MAX),
    };
    if !request.stream {
        return Ok(Json(wire::message(&step, asked)).into_response());
    }
    Ok(streamed(memory, &step, wire::frames(&step, asked)))
}

fn failure(status: u16, message: &str, retry_after: Option<u64>) -> Response {
    let body = Json(wire::error(wire::error_type(status), message));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    later((status, body).into_response(), retry_after)
}

/// The response with a `retry-after`, if there is one.
fn later(mut response: Response, retry_after: Option<u64>) -> Response {
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn streamed(memory: &Memory, step: &ScriptStep, frames: AnswerFrames) -> Response {
    let body = if step.cut_after.is_none() && step.delay_ms.is_none() && step.wait.is_none() {
        Body::from(frames.frames.concat())
    } else {
        let gate = step.wait.as_ref().map(|name| (frames.before_wait, memory.gate(name)));
        let play = Play {
            frames: frames.frames.into_iter(),
            sent: 0,
            gate,
            cut_after: step.cut_after,
            delay: step.delay_ms.map(Duration::from_millis),
        };
        Body::from_stream(stream::unfold(play, Play::next))
    };
    let headers: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

/// An answer that goes out frame by frame.
struct Play {
    frames: std::vec::IntoIter<String>,
    sent: usize,
    /// After how many frames it waits, and where.
    gate: Option<(usize, watch::Sender<Gate>)>,
    cut_after: Option<usize>,
    delay: Option<Duration>,
}

impl Play {
    async fn next(mut self) -> Option<(io::Result<String>, Self)> {
        // Lets the connection flush what it has: a cut must come after the frames before it.
        tokio::task::yield_now().await;
        if self.cut_after == Some(self.sent) {
            return Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), self));
        }
        if let Some(delay) = self.delay.filter(|_| self.sent > 0) {
            tokio::time::sleep(delay).await;
        }
        if let Some((_, gate)) = self.gate.take_if(|(before, _)| *before == self.sent) {
            gate.send_modify(|gate| gate.waited = true);
            gate.subscribe().wait_for(|gate| gate.open).await.ok()?;
        }
        let frame = self.frames.next()?;
        self.sent += 1;
        Some((Ok(frame), self))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the server under test runs beside the test")]

    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    async fn started() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, Arc::new(Memory::default())));
        address
    }

    async fn sent(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: k\r\n\
             authorization: Bearer k\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect("a sent request");
        socket
    }

    async fn asked(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
        let mut socket = sent(address, method, path, body).await;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    fn request(text: &str) -> String {
        json!({"model": "claude-test", "max_tokens": 9, "stream": true,
            "messages": [{"role": "user", "content": text}]})
        .to_string()
    }

    fn status(answer: &str) -> &str {
        answer.split(' ').nth(1).expect("a status")
    }

    #[tokio::test]
    async fn a_legal_request_is_answered_and_a_breach_is_refused_and_remembered() {
        let address = started().await;
        let fine = asked(address, "POST", "/v1/messages", &request("hello")).await;
        assert_eq!(status(&fine), "200");
        assert!(fine.contains("\"text\":\"ok\"") && fine.contains("event: message_stop"), "{fine}");
        let broken = asked(address, "POST", "/v1/messages", &request(" ")).await;
        assert_eq!(status(&broken), "400");
        let said = "text_not_blank: messages.0: text 0 has no visible text";
        assert!(broken.ends_with(&wire::error("invalid_request_error", said).to_string()), "{broken}");
        let judged = asked(address, "GET", "/referee", "").await;
        assert!(judged.ends_with(&json!({"requests": 2, "breaches": [said]}).to_string()), "{judged}");
        assert_eq!(status(&asked(address, "POST", "/referee/reset", "").await), "204");
        let judged = asked(address, "GET", "/referee", "").await;
        assert!(judged.ends_with(&json!({"requests": 0, "breaches": []}).to_string()), "{judged}");
    }

    /// A request of either wire that breaks every law of the table, or none.
    fn shaped(model: &str, wire: shapes::ShapeWire, broken: bool) -> Value {
        let call =
            |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
        let own = json!({"id": "own", "function": {"arguments": "{\"q\":\"a\"}"}, "extra_content": "x"});
        match (wire, broken) {
            (shapes::ShapeWire::Chat, true) => json!({
                "model": model, "stream": true, "stream_options": {}, "max_tokens": 8_192,
                "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a"}]},
                    {"role": "assistant", "reasoning_content": "x", "reasoning": "x",
                     "tool_calls": [call("call_1"), own]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "x"},
                    {"role": "user", "content": "c"}]}),
            (shapes::ShapeWire::Chat, false) => json!({
                "model": model, "stream": true, "max_completion_tokens": 9, "messages": [
                    {"role": "assistant", "tool_calls": [call("abcDEF123")]},
                    {"role": "tool", "tool_call_id": "abcDEF123", "content": "x"}]}),
            (shapes::ShapeWire::Messages, _) => {
                let mut result =
                    json!({"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": []});
                let mut called = json!({"type": "tool_use", "id": "t", "name": "look", "input": {"q": "b"}});
                if broken {
                    called["input"] = json!({"q": "a"});
                    result["cache_control"] = json!({"type": "ephemeral"});
                } else {
                    result["content"] = json!([{"type": "text", "text": "no"}]);
                }
                json!({"model": model, "max_tokens": 9, "stream": true, "messages": [
                    {"role": "assistant", "content": [called]}, {"role": "user", "content": [result]}]})
            }
        }
    }

    #[tokio::test]
    async fn each_row_of_the_table_refuses_what_it_says_and_sends_what_it_says() {
        let address = started().await;
        let names: std::collections::HashSet<_> = shapes::all().map(|shape| shape.name).collect();
        assert_eq!(names.len(), shapes::all().count(), "a name that is there twice");
        for shape in shapes::all() {
            let path = match shape.wire {
                shapes::ShapeWire::Chat => "/v1/chat/completions",
                shapes::ShapeWire::Messages => "/v1/messages",
            };
            let always = (shape.means)()["failed"].is_string();
            for broken in [true, false] {
                let body = shaped(&shape.model(), shape.wire, broken);
                let answer = asked(address, "POST", path, &body.to_string()).await;
                match (shape.refuses)(&body) {
                    Some((refused, said)) => {
                        assert!(broken || always, "{}", shape.name);
                        assert_eq!(status(&answer), refused.to_string(), "{}", shape.name);
                        assert!(answer.ends_with(&said.to_string()), "{}: {answer}", shape.name);
                    }
                    None => assert!(answer.contains(&(shape.sends)()), "{}: {answer}", shape.name),
                }
            }
        }
        let laws = shapes::all().filter(|shape| (shape.refuses)(&shaped("m", shape.wire, true)).is_some());
        assert_eq!(laws.count(), 33);
        let judged = asked(address, "GET", "/referee", "").await;
        assert!(judged.contains("\"breaches\":[]"), "{judged}");
        let told = asked(address, "GET", "/shapes", "").await;
        assert!(told.contains("\"model\":\"shape-mistral-ids-of-nine\""), "{told}");
    }

    #[tokio::test]
    async fn a_step_with_times_fails_that_often_and_then_goes_on() {
        let address = started().await;
        let script =
            request(r#"script:[{"fail":529,"times":2,"key":"k","retry_after":0,"then":{"text":"fine"}}]"#);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let answer = asked(address, "POST", "/v1/messages", &script).await;
            seen.push((
                status(&answer).to_owned(),
                answer.contains("retry-after: 0"),
                answer.contains("fine"),
            ));
        }
        let failed = ("529".to_owned(), true, false);
        assert_eq!(seen, vec![failed.clone(), failed, ("200".to_owned(), false, true)]);
    }

    #[tokio::test]
    async fn a_kept_request_is_handed_over_once_word_for_word() {
        let address = started().await;
        let script = request("script:[{\"keep\":\"k\"}]");
        assert_eq!(status(&asked(address, "GET", "/kept/k", "").await), "404");
        assert_eq!(status(&asked(address, "POST", "/v1/messages", &script).await), "200");
        let kept = asked(address, "GET", "/kept/k", "").await;
        assert!(kept.ends_with(&format!("\r\n\r\n{script}")), "{kept}");
        assert_eq!(status(&asked(address, "GET", "/kept/k", "").await), "404");
    }

    #[tokio::test]
    async fn a_wait_holds_until_it_is_released() {
        let address = started().await;
        let script = request("script:[{\"text\":\"one two\",\"chunks\":2,\"wait\":\"w\"}]");
        let mut held = sent(address, "POST", "/v1/messages", &script).await;
        assert_eq!(status(&asked(address, "GET", "/waiting/w", "").await), "204");
        let mut before = Vec::new();
        while !String::from_utf8_lossy(&before).contains("one ") {
            assert!(held.read_buf(&mut before).await.expect("more") > 0, "the stream goes on");
        }
        assert_eq!(status(&asked(address, "POST", "/release/w", "").await), "204");
        let mut after = String::new();
        held.read_to_string(&mut after).await.expect("the rest");
        assert!(after.contains("two") && after.contains("message_stop"), "{after}");
    }

    #[tokio::test]
    async fn a_cut_closes_the_connection_after_the_frames_before_it() {
        let address = started().await;
        let cut = asked(address, "POST", "/v1/messages", &request("script:[{\"cut_after\":4}]")).await;
        assert!(cut.contains("text_delta") && !cut.contains("content_block_stop"), "{cut}");
        assert!(!cut.ends_with("0\r\n\r\n"), "the body has no proper end");
    }

    #[tokio::test]
    async fn a_chat_request_is_judged_by_its_own_laws_and_played_from_the_same_script() {
        let address = started().await;
        let chat = |model: &str, text: &str| {
            json!({"model": model, "max_tokens": 9, "stream": true, "stream_options": {"include_usage": true},
                "messages": [{"role": "user", "content": text}]})
            .to_string()
        };
        let door = "/v1/chat/completions";
        let script = "script:[{\"text\":\"fine\",\"keep\":\"k\"}]";
        let fine = asked(address, "POST", door, &chat("m", script)).await;
        assert_eq!(status(&fine), "200");
        assert!(fine.contains("\"content\":\"fine\"") && fine.ends_with("data: [DONE]\n\n"), "{fine}");
        let kept = asked(address, "GET", "/kept/k", "").await;
        assert!(kept.ends_with(&chat("m", script)), "{kept}");
        let failing = "script:[{\"fail\":429,\"retry_after\":3,\"message\":\"slow\"}]";
        let failed = asked(address, "POST", door, &chat("ollama", failing)).await;
        assert_eq!((status(&failed), failed.contains("retry-after: 3")), ("429", true));
        assert!(failed.ends_with("{\"error\":\"slow\"}"), "{failed}");
        let strict = asked(address, "POST", door, &chat("strict", "hi")).await;
        assert!(status(&strict) == "400" && strict.contains("'max_completion_tokens'"), "{strict}");
        let broken = asked(address, "POST", door, &chat("m", " ")).await;
        assert_eq!(status(&broken), "400");
        let judged = asked(address, "GET", "/referee", "").await;
        let breaches = json!({"requests": 4, "breaches": ["text_not_blank: messages.0"]});
        assert!(judged.ends_with(&breaches.to_string()), "{judged}");
    }

    #[tokio::test]
    async fn models_are_listed_in_pages() {
        let address = started().await;
        let page = asked(address, "GET", "/v1/models?limit=2", "").await;
        assert!(
            page.contains("\"has_more\":true") && page.contains("\"last_id\":\"claude-sonnet-4-5\""),
            "{page}"
        );
        let rest = asked(address, "GET", "/v1/models?limit=2&after_id=claude-sonnet-4-5", "").await;
        assert!(
            rest.contains("\"has_more\":false") && rest.contains("\"first_id\":\"claude-haiku-4-5\""),
            "{rest}"
        );
    }
}
