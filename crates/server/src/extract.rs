//! From a request to a call: every check that comes before an endpoint's own, in one order.
//!
//! Unknown path 404, wrong method 405 (both by the router, without a key), key 401 and 403, body limit
//! 413; then the endpoint: JSON, shape, existence, state (rules.md 11).

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, Method, request::Parts},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use bytes::Bytes;
use engine::Engine;
use protocol::{
    Invalid, WorkspaceId,
    id::{Id, Kind},
};
use serde_json::Value;
use tracing::Instrument;

use crate::{
    Door,
    answer::Answer,
    auth::{self, Caller},
    bodies::Turn,
    body::{self, Whole},
    connections::Connection,
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
    /// Taken by who reads it, so that it is not held beside what was read of it.
    body: Mutex<Bytes>,
    /// The body's, and what was made of it.
    _turn: Option<Turn>,
}

/// An answer to somebody who showed a key that opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known;

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

    /// The body as JSON; it is read once.
    pub(crate) async fn body(&self) -> Result<Value, Problem> {
        self.read(Ok).await
    }

    /// What is meant by the body; it is read once.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Value) -> Result<T, Invalid> + Send + 'static,
    ) -> Result<T, Problem> {
        let bytes = std::mem::take(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner));
        body::with(bytes, move |bytes| {
            let value = body::json(&bytes)?;
            drop(bytes);
            Ok(read(value)?)
        })
        .await
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

async fn enter<F, A>(door: Arc<Door>, mut request: Request, run: F) -> Response
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let caller = match auth::caller(&door, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    if let Some(connection) = request.extensions_mut().remove::<Arc<Connection>>() {
        connection.known();
    }
    let mut response = match answered(door, caller, request, run).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Known);
    response
}

async fn answered<F, A>(door: Arc<Door>, caller: Caller, request: Request, run: F) -> Result<Answer, Problem>
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let Whole { bytes, turn } = if reads {
        Whole::default()
    } else {
        body::whole(&door.bodies, caller, &parts.headers, body).await?
    };
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.map_err(|_| Problem::unknown_path(parts.uri.path()))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = Query::of(&parts.uri)?;
    let target = parts.uri.path().to_owned();
    let entry = entry(&door, caller, &parts, target, &bytes).await?;
    let call = Call {
        door: Arc::clone(&door),
        query,
        headers: parts.headers,
        path,
        body: Mutex::new(bytes),
        _turn: turn,
    };
    if reads {
        return Ok(watched(&door, caller, run(call).await?));
    }
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

/// The answer; a stream ends when the key that opened it is revoked. The environment's key cannot be.
fn watched(door: &Door, caller: Caller, answer: Answer) -> Answer {
    match answer {
        Answer::Stream(body) if door.settings.env_key_hash != Some(caller.0) => {
            let keys = (door.engine.store(), door.settings.workspace);
            Answer::Stream(door.streaming.until_revoked(caller, body, keys, &door.tasks))
        }
        Answer::Stream(_) | Answer::Json(_) | Answer::Text { .. } => answer,
    }
}

/// A POST's place among the retried ones (rules.md 4); `None` for other methods.
async fn entry(
    door: &Door,
    caller: Caller,
    parts: &Parts,
    target: String,
    body: &Bytes,
) -> Result<Option<Entry>, Problem> {
    if parts.method != Method::POST {
        return Ok(None);
    }
    let count = parts.headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok());
    let again = count.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0);
    let mark = body::with(body.clone(), move |body| Ok(Mark::of(caller, &target, &body))).await?;
    Ok(Some(door.retried.enter(mark, again).await))
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
