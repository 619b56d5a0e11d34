//! From a request to a call: every check that comes before an endpoint's own, in one order.
//!
//! Unknown path 404, wrong method 405 (both by the router, without a key), key 401 and 403, body limit
//! 413; then the endpoint: JSON, shape, existence, state (rules.md 11).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use bytes::Bytes;
use engine::Engine;
use http_body_util::{BodyExt, Limited};
use protocol::{
    WorkspaceId,
    error::ErrorKind,
    id::{Id, Kind},
    limits,
};
use serde_json::{Map, Value};
use tracing::Instrument;

use crate::{
    Door,
    answer::Answer,
    auth::{self, Caller},
    error::Problem,
    query::Query,
    retried::{Entry, Mark},
};

/// A request that may come in.
#[derive(Debug)]
pub(crate) struct Call {
    door: Arc<Door>,
    /// Its query.
    pub(crate) query: Query,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    path: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.door.engine
    }

    /// Whose resources.
    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.door.settings.workspace
    }

    /// The text in the path.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Problem> {
        let text = self.path.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        text.ok_or_else(|| Problem::internal(format!("no {name} in the path")))
    }

    /// The id in the path; what cannot be one names nothing.
    pub(crate) fn id<K: Kind>(&self, name: &str) -> Result<Id<K>, Problem> {
        let text = self.text(name)?;
        text.parse().map_err(|wrong| Problem::missing(format!("{name}: there is no `{text}`: {wrong}")))
    }

    /// The body as JSON; an empty one is an empty object (spec/clients.md).
    pub(crate) fn body(&self) -> Result<Value, Problem> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_slice(&self.body).map_err(|wrong| {
            Problem::new(ErrorKind::InvalidRequest, format!("the body is not valid JSON: {wrong}"))
        })
    }
}

/// An endpoint that reads.
pub(crate) fn get<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::get(move |State(door): State<Arc<Door>>, request: Request| enter(door, request, run.clone()))
}

/// An endpoint that changes something.
pub(crate) fn post<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::post(move |State(door): State<Arc<Door>>, request: Request| enter(door, request, run.clone()))
}

/// An endpoint that deletes.
pub(crate) fn delete<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::delete(move |State(door): State<Arc<Door>>, request: Request| enter(door, request, run.clone()))
}

async fn enter<F, A>(door: Arc<Door>, request: Request, run: F) -> Response
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    match answered(door, request, run).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn answered<F, A>(door: Arc<Door>, request: Request, run: F) -> Result<Answer, Problem>
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let caller = auth::caller(&door, &parts.headers).await?;
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let body = if reads { Bytes::new() } else { whole(&parts.headers, body).await? };
    let path = RawPathParams::from_request_parts(&mut parts, &()).await.map_err(Problem::internal)?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = Query::of(&parts.uri)?;
    let target = parts.uri.path().to_owned();
    let call = Call { door: Arc::clone(&door), query, headers: parts.headers, path, body };
    if reads {
        return run(call).await;
    }
    let entry = entry(&door, caller, &parts.method, &target, &call).await;
    let slot = match entry {
        Some(Entry::First(answer)) => return Ok(Answer::Json(answer)),
        Some(Entry::Fresh(slot)) => Some(slot),
        None => None,
    };
    // A client that goes away in the middle must not leave half of a change behind, nor a retry unknown.
    // The task is still the request's, so its lines in the log carry the request's id.
    let work = run(call).in_current_span();
    let task = door.tasks.spawn(async move {
        let answer = work.await;
        if let (Ok(Answer::Json(body)), Some(slot)) = (&answer, slot) {
            slot.keep(body.clone());
        }
        answer
    });
    match task.await {
        Ok(answer) => answer,
        Err(died) => match died.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::stopping()),
        },
    }
}

/// A POST's place among the retried ones (rules.md 4); `None` for other methods.
async fn entry(door: &Door, caller: Caller, method: &Method, target: &str, call: &Call) -> Option<Entry> {
    if method != Method::POST {
        return None;
    }
    let count = call.headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok());
    let again = count.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0);
    Some(door.retried.enter(Mark::of(caller, target, &call.body), again).await)
}

/// Reads the whole body. What is too large is thrown away up to twice the limit, so that a client that
/// writes first and reads then gets to read the answer.
async fn whole(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let message = format!("the body is larger than {} MiB", limits::BODY_BYTES / (1024 * 1024));
        Problem::new(ErrorKind::RequestTooLarge, message)
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > 2 * limits::BODY_BYTES) {
        return Err(too_large());
    }
    let mut body = Limited::new(body, 2 * limits::BODY_BYTES);
    let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(limits::BODY_BYTES));
    let mut fits = true;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(if fits { cut() } else { too_large() }) };
        let Ok(data) = frame.into_data() else { continue };
        fits = fits && bytes.len() + data.len() <= limits::BODY_BYTES;
        if fits {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if fits { Ok(bytes.into()) } else { Err(too_large()) }
}

fn cut() -> Problem {
    Problem::new(ErrorKind::InvalidRequest, "the body ended before it was whole; send it again")
}
