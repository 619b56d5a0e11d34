//! Answers: their forms, and what every one of them carries: the headers, an error's body, a line in the log.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::Frame;
use protocol::{
    SessionId,
    id::{self, Id, IdKind},
    limits,
};
use serde::Serialize;
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

use crate::{AppState, error::ApiProblem, sse::StreamRecords};

/// The `content-type` of a stream.
const STREAM: &str = "text/event-stream";

/// A good answer.
pub(crate) enum ApiAnswer {
    /// A JSON body.
    Json(Bytes),
    /// A text body of another kind.
    Text {
        /// Its `content-type`.
        kind: &'static str,
        /// What it says.
        text: String,
    },
    /// A stream of server-sent events.
    Stream(StreamRecords),
}

impl ApiAnswer {
    /// `value` as JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, ApiProblem> {
        serde_json::to_vec(value).map(|body| Self::Json(trimmed(body))).map_err(ApiProblem::internal)
    }

    /// The same with another JSON body, if it has one.
    pub(crate) fn try_map(
        self,
        map: impl FnOnce(Bytes) -> Result<Bytes, ApiProblem>,
    ) -> Result<Self, ApiProblem> {
        match self {
            Self::Json(body) => map(body).map(Self::Json),
            Self::Text { .. } | Self::Stream(_) => Ok(self),
        }
    }
}

/// An answer to somebody who showed a key that opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownAnswer;

/// What was written piece by piece, in no more memory than it fills: it may lie unread for long.
pub(crate) fn trimmed(mut body: Vec<u8>) -> Bytes {
    if body.len() > limits::ANSWER_SMALL_BYTES {
        body.shrink_to_fit();
    }
    body.into()
}

impl IntoResponse for ApiAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Self::Text { kind, text } => ([(header::CONTENT_TYPE, kind)], text).into_response(),
            Self::Stream(told) => {
                let headers = [
                    (header::CONTENT_TYPE, STREAM),
                    (header::CACHE_CONTROL, "no-cache, no-transform"),
                    (HeaderName::from_static("x-accel-buffering"), "no"),
                ];
                (headers, Body::from_stream(told)).into_response()
            }
        }
    }
}

/// Gives every answer its headers and every error its body; the one place that knows a request's id.
pub(crate) async fn finish_response(
    State(door): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = door.engine.mint::<id::Request>().to_string();
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let request = Request::from_parts(parts, body);
    // The route's pattern and not the path: that and the query may hold anything.
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let method = known(request.method());
    // A span as urgent as an error: a filter that lets any line through lets its request's id through.
    let span = tracing::error_span!(
        "request", %request_id, method = method.unwrap_or("?"), route,
        session = Empty, thread = Empty, agent = Empty, environment = Empty
    );
    for (name, text) in params.iter().flatten() {
        if let Some(named) = NAMED.iter().find(|named| named.param == name && (named.is)(text)) {
            span.record(named.field, text);
        }
    }
    answered(&door, request_id, request, next, method.is_some()).instrument(span).await
}

/// An id in a path, as the log tells it.
struct Named {
    /// The parameter of the route's pattern.
    param: &'static str,
    field: &'static str,
    /// Whether a word is one: any other is a stranger's own, and not repeated.
    is: fn(&str) -> bool,
}

const NAMED: [Named; 4] = [
    Named { param: "session_id", field: "session", is: is::<id::Session> },
    Named { param: "thread_id", field: "thread", is: is::<id::Thread> },
    Named { param: "agent_id", field: "agent", is: is::<id::Agent> },
    Named { param: "environment_id", field: "environment", is: is::<id::Environment> },
];

fn is<K: IdKind>(text: &str) -> bool {
    text.parse::<Id<K>>().is_ok()
}

/// Lets the log say which session a request has made.
pub(crate) fn made(session: SessionId) {
    Span::current().record("session", tracing::field::display(session));
}

/// The method as the log tells it; `None`: no method of HTTP, and as long as its sender likes.
fn known(method: &Method) -> Option<&'static str> {
    let known = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT"];
    known.into_iter().find(|known| *known == method.as_str())
}

/// [`dress`], within the request's span.
async fn answered(
    door: &AppState,
    request_id: String,
    request: Request,
    next: Next,
    known: bool,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let began = Instant::now();
    let mut response = if known {
        next.run(request).await
    } else {
        ApiProblem::wrong_method(request.method().as_str(), request.uri().path(), &[]).into_response()
    };
    let problem = response.extensions_mut().remove::<ApiProblem>();
    let streams = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == STREAM);
    if streams {
        tracing::info!("a stream opens");
        response =
            response.map(|body| Body::new(Streamed { body, began, span: Span::current(), ended: false }));
    } else if response.extensions_mut().remove::<KnownAnswer>().is_some() {
        tell(door, &response, reads, began, problem.as_ref());
    } else {
        let inner = problem.as_ref().and_then(|problem| problem.inner.as_deref());
        tell_of_stranger(door, &response, began, inner);
    }
    if let Some(problem) = problem {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = spoken(&problem, request_id.clone());
        // A wrong method is told which ones are right.
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let workspace = door.settings.workspace;
    let headers = response.headers_mut();
    let own = [
        ("request-id", request_id),
        ("anthropic-organization-id", organization(workspace.bits())),
        ("anthropic-workspace-id", workspace.to_string()),
    ];
    for (name, value) in own {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// How long something took, as a number that a line of JSON can hold.
fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The one line of a request: louder for what changes something or fails than for what only reads.
fn tell(door: &AppState, response: &Response, reads: bool, began: Instant, problem: Option<&ApiProblem>) {
    let (status, milliseconds) = (response.status().as_u16(), milliseconds(began));
    let often = problem.and_then(|problem| problem.often);
    if let Some(inner) = problem.and_then(|problem| problem.inner.as_deref()) {
        match often.map(|often| door.seldom(often).now()) {
            None => tracing::error!(status, milliseconds, inner, "a request failed"),
            Some(Some(times)) => tracing::error!(status, milliseconds, times, inner, "requests failed"),
            Some(None) => tracing::debug!(status, milliseconds, inner, "a request failed"),
        }
    } else if reads && !response.status().is_server_error() {
        tracing::debug!(status, milliseconds, "answered");
    } else {
        tracing::info!(status, milliseconds, "answered");
    }
}

/// What a stranger sends is not said one by one: a log must not be filled from outside.
fn tell_of_stranger(door: &AppState, response: &Response, began: Instant, inner: Option<&str>) {
    let (status, milliseconds) = (response.status(), milliseconds(began));
    tracing::debug!(status = status.as_u16(), milliseconds, "answered");
    if status.is_server_error()
        && let Some(times) = door.failures.now()
    {
        let inner = inner.unwrap_or_default();
        tracing::error!(status = status.as_u16(), times, inner, "requests without a key failed");
    } else if status == StatusCode::UNAUTHORIZED
        && let Some(times) = door.strangers.now()
    {
        tracing::warn!(times, "requests showed no key, or one that is unknown or revoked");
    }
}

/// The body of a stream: what is logged while it is made is logged within the request, and so is its end.
struct Streamed {
    body: Body,
    began: Instant,
    span: Span,
    /// Whether it came to an end of its own.
    ended: bool,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let _entered = this.span.enter();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        let milliseconds = milliseconds(self.began);
        let by = if self.ended { "the server" } else { "the client" };
        self.span.in_scope(|| tracing::info!(milliseconds, by, "a stream ended"));
    }
}

fn spoken(problem: &ApiProblem, request_id: String) -> Response {
    let body = match serde_json::to_vec(&problem.body(request_id)) {
        Ok(body) => body,
        Err(wrong) => {
            tracing::error!(%wrong, "an error's body could not be written");
            Vec::new()
        }
    };
    let mut response = (problem.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(retry) = problem.retry {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        response.headers_mut().insert("x-should-retry", value);
    }
    if let Some(seconds) = problem.wait_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A server has one organization; it is named after the workspace, in the form that clients know.
fn organization(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    ends.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        openapi::queries::{ParameterForm, QueryParameter, parameter},
        operation::{GoodAnswer, Operation, get, post},
        testing::{KEY, TestServer, routes},
    };
    use futures_util::StreamExt as _;
    use serde_json::Value;
    use std::io;
    use std::sync::Mutex;

    /// Lines of a log, kept.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Waits until each line is kept: a test beside this one may have been registering it when the log began,
    /// and then it is off until it is asked about again.
    async fn awake(house: &TestServer, kept: &Kept) {
        loop {
            for (method, path) in [(Method::POST, "/changes/7"), (Method::GET, "/streams/7")] {
                let request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
                house.raw(request.body(Body::empty()).unwrap()).await;
            }
            let told = String::from_utf8(std::mem::take(&mut *kept.0.lock().unwrap())).unwrap();
            if ["answered", "a stream opens", "a stream ended"].iter().all(|line| told.contains(line)) {
                return;
            }
            tracing::callsite::rebuild_interest_cache();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_an_endpoint_and_its_stream_log_carries_the_id_of_the_answer() {
        let kept = Kept::default();
        let lines = kept.clone();
        let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
        let _kept = tracing::subscriber::set_default(log);
        const X: &[QueryParameter] = &[parameter("x", ParameterForm::Text, "")];
        const CHANGES: &Operation =
            &post("/changes/{id}", "changes", "").asks(X).gives(GoodAnswer::Object, |_| {
                Box::pin(async {
                    tracing::info!("inside");
                    ApiAnswer::json(&1)
                })
            });
        const STREAMS: &Operation =
            &get("/streams/{id}", "streams", "").asks(X).gives(GoodAnswer::Stream, |_| {
                Box::pin(async {
                    let frames = futures_util::stream::once(async {
                        tracing::info!("inside");
                        Ok(Bytes::from_static(b"x"))
                    });
                    Ok(ApiAnswer::Stream(frames.boxed()))
                })
            });
        let house = TestServer::with(routes([CHANGES, STREAMS])).await;
        awake(&house, &kept).await;
        let mut expected = Vec::new();
        for (method, path, lines) in [
            (Method::POST, "/changes", &["inside", "answered"][..]),
            (Method::GET, "/streams", &["a stream opens", "inside", "a stream ended"]),
        ] {
            let request =
                Request::builder().method(&method).uri(format!("{path}/7?x=y")).header("x-api-key", KEY);
            let (_, headers, _) = house.raw(request.body(Body::empty()).unwrap()).await;
            let id = headers["request-id"].to_str().unwrap().to_owned();
            let route = format!("{path}/{{id}}");
            let line = |line: &&str| [line, id.as_str(), method.as_str(), &route].map(str::to_owned);
            expected.extend(lines.iter().map(line));
        }
        let kept = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let told = kept.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |pointer| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            ["/fields/message", "/span/request_id", "/span/method", "/span/route"].map(text)
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn strangers_are_told_of_once_a_minute_and_not_in_their_own_words() {
        let kept = Kept::default();
        let lines = kept.clone();
        let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
        let _kept = tracing::subscriber::set_default(log);
        let told = loop {
            let house = TestServer::open().await;
            kept.0.lock().unwrap().clear();
            for n in 0..200 {
                let method = if n % 2 == 0 { "POST".to_owned() } else { "M".repeat(50_000) };
                let request =
                    Request::builder().method(method.as_str()).uri("/v1/agents").header("x-api-key", "bad");
                let (status, headers, body) = house.raw(request.body(Body::empty()).unwrap()).await;
                assert_eq!(status, if n % 2 == 0 { 401 } else { 405 });
                assert!(body.len() < 1_000 && headers.contains_key("request-id"));
            }
            let told = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            if told.contains("requests showed no key") {
                break told;
            }
            // A test beside this one may have been registering the line when the log began.
            tracing::callsite::rebuild_interest_cache();
            tokio::task::yield_now().await;
        };
        assert_eq!((told.lines().count(), told.contains("MMM")), (1, false), "{told}");
    }

    #[test]
    fn an_organization_is_written_as_a_uuid() {
        assert_eq!(organization(1), "00000000-0000-0000-0000-000000000001");
    }
}
