//! From a request to a call: every check that comes before an endpoint's own, in one order.
//!
//! Unknown path 404, wrong method 405 (both by the router, without a key), key 401, workspace 400 and 404,
//! query parameters that nobody knows 400, body limit 413; then the endpoint: JSON, shape, existence, state
//! (docs/rules.md 11).

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use engine::{PostAttempt, RecalledAttempts};
use futures_util::{StreamExt as _, future::BoxFuture};
use tracing::Instrument;

use crate::{
    AppState,
    answer::{ApiAnswer, KnownAnswer},
    auth::{self, CallerKey},
    body::{self, WholeBody},
    call::{ApiRequest, Sent},
    connections::ServerConnection,
    error::ApiProblem,
    http2,
    operation::{KeyScope, Method, Operation},
    query::RequestQuery,
    retried::{self, AttemptHeaders, IdempotencySlot},
    slips, sse,
};

async fn enter(door: Arc<AppState>, mut request: Request, operation: &'static Operation) -> Response {
    let caller = match auth::caller(&door, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let connection = request.extensions_mut().remove::<Arc<ServerConnection>>();
    if let Some(connection) = &connection {
        connection.known();
    }
    let answer = answered(Arc::clone(&door), caller, request, operation).await;
    let mut response = match answer.and_then(|answer| watched(&door, caller, connection, answer)) {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(KnownAnswer);
    response
}

async fn answered(
    door: Arc<AppState>,
    caller: CallerKey,
    request: Request,
    operation: &'static Operation,
) -> Result<ApiAnswer, ApiProblem> {
    let (mut parts, body) = request.into_parts();
    let query = RequestQuery::of(&parts.uri)?;
    if operation.is_served() {
        query.only(operation.query)?;
    }
    let WholeBody { bytes, turn } = match operation.method {
        Method::Get => WholeBody::default(),
        Method::Post | Method::Delete => body::whole(&door.bodies, caller, &parts.headers, body).await?,
    };
    let place = door.unread.place(caller, operation.answer.size()).await?;
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.map_err(|_| slips::path::unknown(parts.uri.path()))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let target = parts.uri.path().to_owned();
    let (attempt, slot) = match entry(&door, caller, operation, &parts.headers, target, &bytes).await? {
        Entry::Answered(answer) => return Ok(ApiAnswer::Json(place.done(answer, turn))),
        Entry::Fresh(attempt, slot) => (Some(attempt), Some(slot)),
        Entry::Another => (None, None),
    };
    let sent = Sent { query, headers: parts.headers, path, body: bytes };
    let call = ApiRequest::new(Arc::clone(&door), caller, sent, place.page_bytes, attempt);
    if operation.scope == KeyScope::Read {
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
            Err(_) => Err(ApiProblem::stopping()),
        },
    }
}

/// The answer; a stream ends when its reader is gone, or the key that opened it is revoked. The environment's
/// key cannot be.
fn watched(
    door: &AppState,
    caller: CallerKey,
    connection: Option<Arc<ServerConnection>>,
    answer: ApiAnswer,
) -> Result<ApiAnswer, ApiProblem> {
    let ApiAnswer::Stream(told) = answer else { return Ok(answer) };
    let place = door.streams.place(caller)?;
    let left = connection.as_ref().map(|connection| connection.left().clone()).unwrap_or_default();
    let told = place.of(sse::BeatingRecords::new(told, left));
    if door.settings.env_key_hash == Some(caller.0) {
        return Ok(ApiAnswer::Stream(told.boxed()));
    }
    let of_connection = || connection.map(|connection| connection.cut().clone());
    let cut = http2::cut().or_else(of_connection).unwrap_or_default();
    Ok(ApiAnswer::Stream(door.streaming.until_revoked(caller, told, cut).boxed()))
}

/// The way into an operation.
pub(crate) fn entrance(
    operation: &'static Operation,
) -> impl Fn(State<Arc<AppState>>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    move |State(door), request| Box::pin(enter(door, request, operation))
}

/// What comes to an endpoint.
enum Entry {
    /// A POST, with its place among those that are worked on.
    Fresh(PostAttempt, IdempotencySlot),
    /// A POST that was sent before, and what it was answered.
    Answered(Bytes),
    /// Another method.
    Another,
}

/// Looks whether a request is a POST that is sent again (docs/rules.md 4).
async fn entry(
    door: &AppState,
    caller: CallerKey,
    operation: &Operation,
    headers: &HeaderMap,
    target: String,
    body: &Bytes,
) -> Result<Entry, ApiProblem> {
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
        RecalledAttempts::Answer(answer) => Ok(Entry::Answered(answer.into())),
        RecalledAttempts::Another => Err(retried::another()),
        RecalledAttempts::Nothing | RecalledAttempts::Commit => Ok(Entry::Fresh(attempt, slot)),
    }
}

#[cfg(test)]
#[path = "entrance_tests.rs"]
mod tests;
