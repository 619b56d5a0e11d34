//! From a request to a call: every check that comes before an endpoint's own, in one order.
//!
//! Unknown path 404, wrong method 405 (both by the router, without a key), key 401, workspace 400 and 404,
//! query parameters that nobody knows 400, body limit 413; then the endpoint: JSON, shape, existence, state
//! (docs/rules.md 11).

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
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
    http2,
    operation::{Method, Operation, Scope},
    query::Query,
    retried::{self, AttemptHeaders, Slot},
    sse,
    unread::Records,
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

async fn enter(door: Arc<Door>, mut request: Request, operation: &'static Operation) -> Response {
    let caller = match auth::caller(&door, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let connection = request.extensions_mut().remove::<Arc<Connection>>();
    if let Some(connection) = &connection {
        connection.known();
    }
    let answer = answered(Arc::clone(&door), caller, request, operation).await;
    let mut response = match answer.and_then(|answer| watched(&door, caller, connection, answer)) {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Known);
    response
}

async fn answered(
    door: Arc<Door>,
    caller: Caller,
    request: Request,
    operation: &'static Operation,
) -> Result<Answer, Problem> {
    let (mut parts, body) = request.into_parts();
    let query = Query::of(&parts.uri)?;
    if operation.is_served() {
        query.only(operation.query)?;
    }
    let Whole { bytes, turn } = match operation.method {
        Method::Get => Whole::default(),
        Method::Post | Method::Delete => body::whole(&door.bodies, caller, &parts.headers, body).await?,
    };
    let place = door.unread.place(caller, operation.answer.size()).await?;
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.map_err(|_| Problem::unknown_path(parts.uri.path()))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let target = parts.uri.path().to_owned();
    let (attempt, slot) = match entry(&door, caller, operation, &parts.headers, target, &bytes).await? {
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
    if operation.scope == Scope::Read {
        return operation.run(call).await?.try_map(|json| place.read(json));
    }
    // A client that goes away in the middle must not leave half of a change behind, nor let a repeat begin.
    // The task is still the request's, so its lines in the log carry the request's id.
    let work = operation.run(call).in_current_span();
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

/// The way into an operation.
pub(crate) fn entrance(
    operation: &'static Operation,
) -> impl Fn(State<Arc<Door>>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    move |State(door), request| Box::pin(enter(door, request, operation))
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

/// Looks whether a request is a POST that is sent again (docs/rules.md 4).
async fn entry(
    door: &Door,
    caller: Caller,
    operation: &Operation,
    headers: &HeaderMap,
    target: String,
    body: &Bytes,
) -> Result<Entry, Problem> {
    match operation.method {
        Method::Post => {}
        Method::Get | Method::Delete => return Ok(Entry::Another),
    }
    let told = AttemptHeaders::of(caller, headers)?;
    let attempt = move |body: Bytes| Ok(told.attempt(caller, &target, &body));
    let mut attempt = body::with(body.clone(), attempt).await?;
    let slot = door.working.enter(caller, &attempt).await;
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
