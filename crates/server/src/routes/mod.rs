//! The routes, as data and as a router: one folder per resource, one file per endpoint.

mod agents;
mod environments;
mod events;
pub(crate) mod models;
mod not_built;
pub(crate) mod own;
mod sessions;
mod threads;

use std::sync::Arc;

use axum::Router;

use crate::{
    Door,
    extract::{delete, get, list, post},
};

pub use not_built::NOT_BUILT;
pub(crate) use not_built::for_good;

/// Every operation of the contract that is served: method, path, name.
pub const OPERATIONS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/agents", "agents.list"),
    ("POST", "/v1/agents", "agents.create"),
    ("GET", "/v1/agents/{agent_id}", "agents.retrieve"),
    ("POST", "/v1/agents/{agent_id}", "agents.update"),
    ("POST", "/v1/agents/{agent_id}/archive", "agents.archive"),
    ("GET", "/v1/agents/{agent_id}/versions", "agents.versions.list"),
    ("GET", "/v1/environments", "environments.list"),
    ("POST", "/v1/environments", "environments.create"),
    ("GET", "/v1/environments/{environment_id}", "environments.retrieve"),
    ("POST", "/v1/environments/{environment_id}", "environments.update"),
    ("DELETE", "/v1/environments/{environment_id}", "environments.delete"),
    ("POST", "/v1/environments/{environment_id}/archive", "environments.archive"),
    ("GET", "/v1/sessions", "sessions.list"),
    ("POST", "/v1/sessions", "sessions.create"),
    ("GET", "/v1/sessions/{session_id}", "sessions.retrieve"),
    ("POST", "/v1/sessions/{session_id}", "sessions.update"),
    ("DELETE", "/v1/sessions/{session_id}", "sessions.delete"),
    ("POST", "/v1/sessions/{session_id}/archive", "sessions.archive"),
    ("GET", "/v1/sessions/{session_id}/events", "sessions.events.list"),
    ("POST", "/v1/sessions/{session_id}/events", "sessions.events.send"),
    ("GET", "/v1/sessions/{session_id}/events/stream", "sessions.events.stream"),
    ("GET", "/v1/sessions/{session_id}/threads", "sessions.threads.list"),
    ("GET", "/v1/sessions/{session_id}/threads/{thread_id}", "sessions.threads.retrieve"),
    ("POST", "/v1/sessions/{session_id}/threads/{thread_id}/archive", "sessions.threads.archive"),
    ("GET", "/v1/sessions/{session_id}/threads/{thread_id}/events", "sessions.threads.events.list"),
    ("GET", "/v1/sessions/{session_id}/threads/{thread_id}/stream", "sessions.threads.events.stream"),
    ("GET", "/v1/models", "models.list"),
    ("GET", "/v1/models/{model_id}", "models.retrieve"),
];

/// Heddle's own operations beside the API, behind a key like the API's.
pub(crate) const HEDDLES: &[(&str, &str, &str)] =
    &[("GET", "/heddle/sessions/{session_id}/threads/{thread_id}/prompt", "heddle.prompt")];

/// The methods that a path takes, as it is written in the tables.
pub(crate) fn methods(path: &str) -> Vec<&'static str> {
    let known = OPERATIONS.iter().chain(HEDDLES).chain(NOT_BUILT).map(|(method, at, _)| (*method, *at));
    let known = known.chain(own::DOORS.iter().map(|door| ("GET", door.path)));
    known.filter(|(_, at)| *at == path).map(|(method, _)| method).collect()
}

/// Every route.
pub(crate) fn all() -> Router<Arc<Door>> {
    let router = Router::new()
        .route("/v1/agents", list(agents::list::run))
        .route("/v1/agents", post(agents::create::run))
        .route("/v1/agents/{agent_id}", get(agents::retrieve::run))
        .route("/v1/agents/{agent_id}", post(agents::update::run))
        .route("/v1/agents/{agent_id}/archive", post(agents::archive::run))
        .route("/v1/agents/{agent_id}/versions", list(agents::versions::run))
        .route("/v1/environments", list(environments::list::run))
        .route("/v1/environments", post(environments::create::run))
        .route("/v1/environments/{environment_id}", get(environments::retrieve::run))
        .route("/v1/environments/{environment_id}", post(environments::update::run))
        .route("/v1/environments/{environment_id}", delete(environments::delete::run))
        .route("/v1/environments/{environment_id}/archive", post(environments::archive::run))
        .route("/v1/sessions", list(sessions::list::run))
        .route("/v1/sessions", post(sessions::create::run))
        .route("/v1/sessions/{session_id}", get(sessions::retrieve::run))
        .route("/v1/sessions/{session_id}", post(sessions::update::run))
        .route("/v1/sessions/{session_id}", delete(sessions::delete::run))
        .route("/v1/sessions/{session_id}/archive", post(sessions::archive::run))
        .route("/v1/sessions/{session_id}/events", list(events::list::run))
        .route("/v1/sessions/{session_id}/events", post(events::send::run))
        .route("/v1/sessions/{session_id}/events/stream", get(events::stream::run))
        .route("/v1/sessions/{session_id}/threads", list(threads::list::run))
        .route("/v1/sessions/{session_id}/threads/{thread_id}", get(threads::retrieve::run))
        .route("/v1/sessions/{session_id}/threads/{thread_id}/archive", post(threads::archive::run))
        .route("/v1/sessions/{session_id}/threads/{thread_id}/events", list(threads::events::run))
        .route("/v1/sessions/{session_id}/threads/{thread_id}/stream", get(threads::stream::run))
        .route("/v1/models", list(models::list::run))
        .route("/v1/models/{model_id}", get(models::retrieve::run))
        .route("/heddle/sessions/{session_id}/threads/{thread_id}/prompt", list(threads::prompt::run));
    #[cfg(debug_assertions)]
    let router = crate::ends::add(router);
    not_built::add(own::add(router))
}

#[cfg(test)]
mod tests;
