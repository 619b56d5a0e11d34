//! A whole house for the tests: the router over a real engine, a memory store and a scripted model.
//! Every good answer is checked against the API's contract on its way out, and every answer against
//! `/openapi.json`.

pub(crate) mod asked;
pub(crate) mod contract;
pub(crate) mod described;
mod script;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use axum::{
    Router,
    body::{Body, BodyDataStream},
    extract::Request,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use engine::{Clock, Engine, EngineParts, SeededEntropy, ThreadLimits};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use protocol::{
    Timestamp, WorkspaceId, limits,
    routes::{Route, Routes},
};
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;

use crate::{
    AppState, Settings, keys,
    operation::Operation,
    revoked::{KeyWatch, StreamingKeys},
    router::{self, furnished},
};

/// What every time in an answer is replaced with.
pub(crate) const TIME: &str = "a time";

/// The key of every house.
pub(crate) const KEY: &str = "hdl_test";

/// The house.
pub(crate) struct TestServer {
    router: Router,
    engine: Engine,
    door: Arc<AppState>,
    made: AtomicU64,
}

/// A router of these operations alone.
pub(crate) fn routes(operations: impl IntoIterator<Item = &'static Operation>) -> Router<Arc<AppState>> {
    router::of(operations)
}

impl TestServer {
    pub(crate) async fn open() -> Self {
        Self::with(router::all()).await
    }

    /// A house with other routes.
    pub(crate) async fn with(routes: Router<Arc<AppState>>) -> Self {
        Self::built(routes, ThreadLimits::default()).await
    }

    /// A house in which threads may lie two levels deep.
    pub(crate) async fn deep() -> Self {
        Self::built(router::all(), ThreadLimits { max_depth: 2, ..ThreadLimits::default() }).await
    }

    /// A house whose clock runs as tokio's does.
    pub(crate) async fn still() -> Self {
        let clock = Clock::from(Timestamp::from_micros(1_700_000_000_000_000));
        Self::under(router::all(), ThreadLimits::default(), clock, Store::memory(), 7).await
    }

    /// A house on this store.
    pub(crate) async fn on(store: Store) -> Self {
        Self::under(router::all(), ThreadLimits::default(), Clock::wall(), store, 7).await
    }

    /// The next house on what this one leaves behind, as after the end of its process.
    pub(crate) async fn next(self) -> Self {
        self.engine.stop().await;
        let now = self.engine.now();
        let lease = self.engine.store().claim("node", "killed", now, now.after(Duration::from_secs(30)));
        lease.await.expect("a lease that it left behind");
        let (store, dice) = (self.engine.store().clone(), self.engine.mint::<protocol::id::Event>().bits());
        Self::under(router::all(), ThreadLimits::default(), Clock::wall(), store, dice).await
    }

    async fn built(routes: Router<Arc<AppState>>, tree: ThreadLimits) -> Self {
        Self::under(routes, tree, Clock::wall(), Store::memory(), 7).await
    }

    async fn under(
        routes: Router<Arc<AppState>>,
        tree: ThreadLimits,
        clock: Clock,
        store: Store,
        dice: u128,
    ) -> Self {
        let parts = EngineParts {
            store,
            oracle: Arc::new(script::ScriptedModel),
            hands: Arc::new(script::EchoRunner),
            routes: Routes(vec![Route::script("test-*")]),
            clock,
            dice: SeededEntropy::seeded(dice),
            tree,
            cache_bytes: limits::SESSION_CACHE_BYTES,
        };
        let engine = Engine::start(parts).await.expect("an engine");
        let workspace = WorkspaceId::from_bits(1);
        let settings = Settings {
            workspace,
            env_key_hash: Some(keys::hash(KEY)),
            connections: limits::CONNECTIONS,
            origins: Vec::new(),
            #[cfg(debug_assertions)]
            end: crate::End::new(|name| std::future::ready(name == "known")),
        };
        let door = AppState::new(engine.clone(), settings);
        let router = furnished(routes, Arc::clone(&door));
        Self { router, engine, door, made: AtomicU64::new(0) }
    }

    /// Its doors, to be served.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The keys that have streams open.
    pub(crate) fn streaming(&self) -> &StreamingKeys {
        &self.door.streaming
    }

    /// The watch over its keys.
    pub(crate) fn watch(&self) -> KeyWatch {
        KeyWatch::new(&self.door)
    }

    /// Sends a request as it is; the answer's body is not read.
    pub(crate) async fn whole(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    /// Sends a request as it is.
    pub(crate) async fn raw(&self, request: Request) -> (StatusCode, HeaderMap, Bytes) {
        let response = self.whole(request).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.expect("a body").to_bytes())
    }

    pub(crate) async fn get(&self, path: &str) -> TestAnswer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn get_with(&self, path: &str, name: &'static str, value: &str) -> TestAnswer {
        self.send(Method::GET, path, &[(name, value)], Body::empty()).await
    }

    /// Posts `body`; null is no body at all.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> TestAnswer {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> TestAnswer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(Method::POST, path, headers, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestAnswer {
        self.send(Method::DELETE, path, &[], Body::empty()).await
    }

    /// Posts these bytes.
    pub(crate) async fn post_raw(
        &self,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> TestAnswer {
        self.send(Method::POST, path, headers, body.into()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> TestAnswer {
        let mut request = Request::builder().method(method.clone()).uri(path).header("x-api-key", KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, headers, body) = self.raw(request.body(body).expect("a request")).await;
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        described::check(&method, path, status.as_u16(), &headers, &body);
        TestAnswer { asked: (method, path.to_owned()), status, headers, body }
    }

    /// A saved agent.
    pub(crate) async fn agent(&self) -> Value {
        let body = json!({"name": "an agent", "model": "test-1", "tools": [tool("look_up")]});
        self.post("/v1/agents", &body).await.ok()
    }

    /// An environment with a name of its own.
    pub(crate) async fn environment(&self) -> Value {
        let name = format!("environment {}", self.made.fetch_add(1, Ordering::Relaxed));
        self.post("/v1/environments", &json!({"name": name})).await.ok()
    }

    /// A session that begins with `events`.
    pub(crate) async fn session(&self, events: &[Value]) -> Value {
        let (agent, environment) = (self.agent().await, self.environment().await);
        let body =
            json!({"agent": agent["id"], "environment_id": environment["id"], "initial_events": events});
        self.post("/v1/sessions", &body).await.ok()
    }

    /// A coordinator with one helper, who has the custom tool `look_up`.
    pub(crate) async fn coordinator(&self) -> Value {
        let body = json!({"name": "a helper", "model": "test-1", "tools": [tool("look_up")]});
        let helper = self.post("/v1/agents", &body).await.ok();
        let roster = json!({"type": "coordinator", "agents": [helper["id"]]});
        let body = json!({"name": "a coordinator", "model": "test-1", "multiagent": roster});
        self.post("/v1/agents", &body).await.ok()
    }

    /// The path of a session whose coordinator has given its helper this task, and the helper's thread.
    pub(crate) async fn family(&self, task: &str) -> (String, Value) {
        let (agent, environment) = (self.coordinator().await, self.environment().await);
        let events = [message(&format!("spawn {task}"))];
        let body =
            json!({"agent": agent["id"], "environment_id": environment["id"], "initial_events": events});
        let path = format!("/v1/sessions/{}", id(&self.post("/v1/sessions", &body).await.ok()));
        let first = id(&self.get(&format!("{path}/events?limit=1")).await.ok()["data"][0]);
        let mut stream = self.stream(&format!("{path}/events/stream?after_id={first}")).await;
        while stream.next().await.data()["type"] != "session.thread_created" {}
        let threads = self.get(&format!("{path}/threads")).await.ok();
        (path, threads["data"][1].clone())
    }

    /// Waits until the session at `path` rests.
    pub(crate) async fn settled(&self, path: &str) {
        let newest = self.get(&format!("{path}/events?order=desc&limit=1")).await.ok();
        let newest = &newest["data"][0];
        if newest["type"] == "session.status_idle" {
            return;
        }
        let id = newest["id"].as_str().expect("an event");
        let mut stream = self.stream(&format!("{path}/events/stream?after_id={id}")).await;
        while stream.next().await.data()["type"] != "session.status_idle" {}
    }

    /// Sends a request without a body; gives the status and the message of an error. What a stream shows is
    /// not read.
    pub(crate) async fn opened(&self, method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        if status == StatusCode::OK {
            return (status, String::new());
        }
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        (status, body["error"]["message"].as_str().expect("a message").to_owned())
    }

    /// Waits until the session at `path` has made one more thread than it had.
    pub(crate) async fn spawned(&self, path: &str) {
        let newest = self.get(&format!("{path}/events?order=desc&limit=1")).await.ok();
        let made = "session.thread_created";
        let told = format!("{path}/events?order=desc&types[]={made}&types[]=user.message&limit=1");
        if self.get(&told).await.ok()["data"][0]["type"] == made {
            return;
        }
        let id = newest["data"][0]["id"].as_str().expect("an event");
        let mut stream = self.stream(&format!("{path}/events/stream?after_id={id}")).await;
        while stream.next().await.data()["type"] != made {}
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, path: &str) -> TestStream {
        let request = Request::get(path).header("x-api-key", KEY).body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        TestStream { body: response.into_body().into_data_stream(), read: String::new() }
    }

    /// Every item of a list, walked by pages of these sizes, over and over, and back again where the list
    /// runs both ways.
    pub(crate) async fn walked(&self, path: &str, limits: &[usize]) -> Vec<Value> {
        let mut items: Vec<Value> = Vec::new();
        let mut sizes = limits.iter().cycle();
        let mut limit = *sizes.next().expect("a size");
        let mut page = self.get(&format!("{path}&limit={limit}")).await.good();
        assert!(page["prev_page"].is_null(), "{path}: something before the first page");
        loop {
            let shown = data(&page);
            assert!(shown.len() <= limit && (!shown.is_empty() || items.is_empty()), "{path}: {limit}");
            items.extend(shown);
            let Some(next) = page["next_page"].as_str() else { break };
            limit = *sizes.next().expect("a size");
            page = self.get(&format!("{path}&limit={limit}&page={next}")).await.good();
        }
        if page.get("prev_page").is_some() {
            let mut back = data(&page);
            while let Some(prev) = page["prev_page"].as_str() {
                let behind = data(&page);
                limit = *sizes.next().expect("a size");
                page = self.get(&format!("{path}&limit={limit}&page={prev}")).await.good();
                let mut shown = data(&page);
                assert!(!shown.is_empty() && shown.len() <= limit, "{path}: {limit}");
                let next = page["next_page"].as_str().expect("there is more behind");
                let again = self.get(&format!("{path}&limit=100&page={next}")).await.good();
                assert!(data(&again).starts_with(&behind), "{path}: there and back");
                shown.extend(back);
                back = shown;
            }
            assert_eq!(back, items, "{path}: backwards");
        }
        items
    }

    /// Every item of a list, whose pages hold `sizes` items.
    pub(crate) async fn pages(&self, path: &str, sizes: &[usize]) -> Vec<Value> {
        let (mut items, mut seen, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}&page={token}")).await.ok();
            let data = page["data"].as_array().expect("data");
            seen.push(data.len());
            items.extend(data.iter().cloned());
            match page["next_page"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        assert_eq!(seen, sizes, "{path}");
        items
    }
}

/// A runtime whose clock stands still, for tests that are no `tokio::test`.
pub(crate) fn still() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime")
}

/// The items of a list.
pub(crate) fn data(list: &Value) -> Vec<Value> {
    list["data"].as_array().expect("data").clone()
}

/// The id of an answer, as text.
pub(crate) fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

/// A `user.message`.
pub(crate) fn message(text: &str) -> Value {
    json!({"type": "user.message", "content": [{"type": "text", "text": text}]})
}

/// A custom tool.
pub(crate) fn tool(name: &str) -> Value {
    json!({"type": "custom", "name": name, "description": "d", "input_schema": {"type": "object"}})
}

/// The types of a list's events.
pub(crate) fn types(list: &Value) -> Vec<String> {
    let events = list["data"].as_array().expect("data").iter();
    events.map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

/// An answer.
pub(crate) struct TestAnswer {
    asked: (Method, String),
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl TestAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.body
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|wrong| panic!("{wrong}: {}", self.body))
    }

    /// `details.error_code`.
    pub(crate) fn code(&self) -> Option<String> {
        self.json()["error"]["details"]["error_code"].as_str().map(str::to_owned)
    }

    /// Every time in the answer, in order.
    pub(crate) fn times(&self) -> Vec<String> {
        let mut times = Vec::new();
        timeless(&mut self.json(), &mut times);
        times
    }

    /// The body of a good answer that obeys the contract.
    pub(crate) fn good(self) -> Value {
        let (method, path) = &self.asked;
        assert_eq!(self.status, 200, "{method} {path}: {}", self.body);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        contract::check(method, path, &body);
        body
    }

    /// The same, its times replaced.
    pub(crate) fn ok(self) -> Value {
        let mut body = self.good();
        timeless(&mut body, &mut Vec::new());
        body
    }

    /// An error of this status and type whose message begins like this.
    pub(crate) fn refused(self, status: u16, kind: &str, message: &str) {
        let (method, path) = &self.asked;
        assert_eq!(self.status, status, "{method} {path}: {}", self.body);
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].as_str().expect("a message").starts_with(message), "{body}");
        let mut expected = json!({"type": kind, "message": error["message"]});
        if let Some(details) = error.get("details") {
            expected["details"] = json!({"error_code": details["error_code"]});
        }
        let request = self.header("request-id").expect("a request id");
        assert_eq!(body, json!({"type": "error", "error": expected, "request_id": request}));
    }
}

fn timeless(value: &mut Value, times: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if key.ends_with("_at") && value.is_string() {
                    times.push(value.as_str().unwrap().to_owned());
                    *value = TIME.into();
                } else {
                    timeless(value, times);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| timeless(item, times)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An open stream.
pub(crate) struct TestStream {
    body: BodyDataStream,
    read: String,
}

impl TestStream {
    /// The next record that is no heartbeat.
    pub(crate) async fn next(&mut self) -> TestRecord {
        self.step().await.expect("the stream is over")
    }

    /// Whether nothing more comes.
    pub(crate) async fn ended(&mut self) -> bool {
        self.step().await.is_none()
    }

    async fn step(&mut self) -> Option<TestRecord> {
        loop {
            if let Some((record, rest)) = self.read.split_once("\n\n") {
                let record = TestRecord(record.to_owned());
                self.read = rest.to_owned();
                if !record.0.starts_with(':') {
                    return Some(record);
                }
                continue;
            }
            let bytes = self.body.next().await?.expect("a frame");
            self.read.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }
}

/// One record of a stream.
pub(crate) struct TestRecord(String);

impl TestRecord {
    pub(crate) fn id(&self) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix("id: "))
    }

    pub(crate) fn data(&self) -> Value {
        let data = self.0.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let data = serde_json::from_str(data).expect("JSON");
        contract::check_frame(&data);
        described::check_frame(&data);
        data
    }
}
