//! From a request to a call: every check that comes before an endpoint's own, in one order.
//!
//! Unknown path 404, wrong method 405 (both by the router, without a key), key 401, workspace 400 and 404,
//! query parameters that nobody knows 400, body limit 413; then the endpoint: JSON, shape, existence, state
//! (rules.md 11).

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, Method, request::Parts},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use bytes::Bytes;
use engine::{Attempt, Engine, Recalled};
use futures_util::{StreamExt as _, future::BoxFuture};
use protocol::{
    Invalid, WorkspaceId,
    error::ErrorKind,
    id::{self, Id, Kind, NotAnId},
    parse,
};
use serde_json::Value;
use tracing::Instrument;

use crate::{
    Door,
    answer::Answer,
    auth::{self, Caller},
    body::{self, Whole},
    connections::Connection,
    error::Problem,
    http2, openapi,
    query::Query,
    retried::{self, AttemptHeaders, Slot},
    sse,
    unread::{Records, Shape},
};

/// A request that may come in.
#[derive(Debug)]
pub(crate) struct Call {
    door: Arc<Door>,
    caller: Caller,
    /// Its query.
    pub(crate) query: Query,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    path: Vec<(String, String)>,
    page_bytes: usize,
    attempt: Option<Attempt>,
    /// Taken by who reads it, so that it is not held beside what was read of it.
    body: Mutex<Bytes>,
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

    /// Room for the records of a stream that it is answered with.
    pub(crate) fn records(&self) -> Records {
        self.door.unread.records(self.caller)
    }

    /// Bytes that a page may have which it is answered with.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// How it is told from others, if it is a POST.
    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// The text in the path.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Problem> {
        let text = self.path.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        text.ok_or_else(|| Problem::internal(format!("no {name} in the path")))
    }

    /// The id in the path. What cannot be one names nothing; of agents and threads it is the request that is
    /// wrong.
    pub(crate) fn id<K: Kind>(&self, name: &str) -> Result<Id<K>, Problem> {
        let text = self.text(name)?;
        let strict = [id::Agent::PREFIX, id::Thread::PREFIX].contains(&K::PREFIX);
        text.parse().map_err(|wrong: NotAnId| {
            let message = format!("{name}: {wrong}; got `{}`", parse::shown(text));
            let kind =
                if strict && !wrong.is_foreign() { ErrorKind::InvalidRequest } else { ErrorKind::NotFound };
            Problem::new(kind, message)
        })
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
        let is_form = body::is_form(&self.headers);
        body::with(bytes, move |bytes| {
            let value =
                body::json(&bytes).map_err(|wrong| if is_form { body::form(wrong) } else { wrong })?;
            drop(bytes);
            Ok(read(value)?)
        })
        .await
    }
}

/// An endpoint that reads one thing.
pub(crate) fn get<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::get(entrance(Shape::Thing, run))
}

/// An endpoint that reads a page of a list, or what may be as large.
pub(crate) fn list<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::get(entrance(Shape::Page, run))
}

/// An endpoint that changes something.
pub(crate) fn post<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::post(entrance(Shape::Thing, run))
}

/// An endpoint that deletes.
pub(crate) fn delete<F, A>(run: F) -> MethodRouter<Arc<Door>>
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    routing::delete(entrance(Shape::Thing, run))
}

async fn enter<F, A>(door: Arc<Door>, mut request: Request, shape: Shape, run: F) -> Response
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let caller = match auth::caller(&door, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let connection = request.extensions_mut().remove::<Arc<Connection>>();
    if let Some(connection) = &connection {
        connection.known();
    }
    let answer = answered(Arc::clone(&door), caller, request, shape, run).await;
    let mut response = match answer.and_then(|answer| watched(&door, caller, connection, answer)) {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Known);
    response
}

async fn answered<F, A>(
    door: Arc<Door>,
    caller: Caller,
    request: Request,
    shape: Shape,
    run: F,
) -> Result<Answer, Problem>
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let query = Query::of(&parts.uri)?;
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if let Some(known) = openapi::parameters(&parts.method, pattern) {
        query.only(known)?;
    }
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let Whole { bytes, turn } = if reads {
        Whole::default()
    } else {
        body::whole(&door.bodies, caller, &parts.headers, body).await?
    };
    let place = door.unread.place(caller, shape).await?;
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.map_err(|_| Problem::unknown_path(parts.uri.path()))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let target = parts.uri.path().to_owned();
    let (attempt, slot) = match entry(&door, caller, &parts, target, &bytes).await? {
        Entry::Answered(answer) => return Ok(Answer::Json(place.done(answer, turn))),
        Entry::Fresh(attempt, slot) => (Some(attempt), Some(slot)),
        Entry::Another => (None, None),
    };
    let call = Call {
        door: Arc::clone(&door),
        caller,
        query,
        headers: parts.headers,
        path,
        page_bytes: place.page_bytes,
        attempt,
        body: Mutex::new(bytes),
    };
    if reads {
        return run(call).await?.try_map(|json| place.read(json));
    }
    // A client that goes away in the middle must not leave half of a change behind, nor let a repeat begin.
    // The task is still the request's, so its lines in the log carry the request's id.
    let work = run(call).in_current_span();
    let task = door.tasks.spawn(async move {
        let answer = work.await;
        // Whoever sends it again finds what it left.
        if let Some(slot) = slot {
            slot.end(&answer);
        }
        // The body had its turn for as long as anything of it was there.
        answer?.try_map(|json| Ok(place.done(json, turn)))
    });
    match task.await {
        Ok(answer) => answer,
        Err(died) => match died.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::stopping()),
        },
    }
}

/// The answer; a stream ends when its reader is gone, or the key that opened it is revoked. The environment's
/// key cannot be.
fn watched(
    door: &Door,
    caller: Caller,
    connection: Option<Arc<Connection>>,
    answer: Answer,
) -> Result<Answer, Problem> {
    let Answer::Stream(told) = answer else { return Ok(answer) };
    let place = door.streams.place(caller)?;
    let left = connection.as_ref().map(|connection| connection.left().clone()).unwrap_or_default();
    let told = place.of(sse::Beating::new(told, left));
    if door.settings.env_key_hash == Some(caller.0) {
        return Ok(Answer::Stream(told.boxed()));
    }
    let of_connection = || connection.map(|connection| connection.cut().clone());
    let cut = http2::cut().or_else(of_connection).unwrap_or_default();
    Ok(Answer::Stream(door.streaming.until_revoked(caller, told, cut).boxed()))
}

/// The way into an endpoint.
fn entrance<F, A>(
    shape: Shape,
    run: F,
) -> impl Fn(State<Arc<Door>>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    move |State(door), request| Box::pin(enter(door, request, shape, run.clone()))
}

/// What comes to an endpoint.
enum Entry {
    /// A POST, with its place among those that are worked on.
    Fresh(Attempt, Slot),
    /// A POST that was sent before, and what it was answered.
    Answered(Bytes),
    /// Another method.
    Another,
}

/// Looks whether a request is a POST that is sent again (rules.md 4).
async fn entry(
    door: &Door,
    caller: Caller,
    parts: &Parts,
    target: String,
    body: &Bytes,
) -> Result<Entry, Problem> {
    if parts.method != Method::POST {
        return Ok(Entry::Another);
    }
    let told = AttemptHeaders::of(caller, &parts.headers)?;
    let attempt = move |body: Bytes| Ok(told.attempt(caller, &target, &body));
    let mut attempt = body::with(body.clone(), attempt).await?;
    let slot = door.working.enter(&attempt).await;
    if slot.was_refused() {
        attempt = attempt.anew();
    }
    if !attempt.may_repeat() {
        return Ok(Entry::Fresh(attempt, slot));
    }
    match door.engine.recall(&mut attempt).await? {
        Recalled::Answer(answer) => Ok(Entry::Answered(answer.into())),
        Recalled::Another => Err(retried::another()),
        Recalled::Nothing | Recalled::Commit => Ok(Entry::Fresh(attempt, slot)),
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
