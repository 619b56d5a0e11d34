//! Answers: their forms, and what every one of them carries: the headers, and an error's body.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use protocol::id;
use serde::Serialize;
use tokio::time::Instant;

use crate::{Door, error::Problem};

/// A good answer.
#[derive(Debug)]
pub(crate) enum Answer {
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
    Stream(Body),
}

impl Answer {
    /// `value` as JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, Problem> {
        serde_json::to_vec(value).map(|body| Self::Json(body.into())).map_err(Problem::internal)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Self::Text { kind, text } => ([(header::CONTENT_TYPE, kind)], text).into_response(),
            Self::Stream(body) => {
                let headers = [
                    (header::CONTENT_TYPE, "text/event-stream"),
                    (header::CACHE_CONTROL, "no-cache, no-transform"),
                    (HeaderName::from_static("x-accel-buffering"), "no"),
                ];
                (headers, body).into_response()
            }
        }
    }
}

/// Gives every answer its headers and every error its body; the one place that knows a request's id.
pub(crate) async fn dress(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let request_id = door.engine.mint::<id::Request>().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let milliseconds = began.elapsed().as_millis();
    tracing::debug!(%request_id, %method, path, status, milliseconds, "answered");
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if let Some(inner) = &problem.inner {
            tracing::error!(%request_id, %method, path, status, inner, "a request failed");
        }
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

fn spoken(problem: &Problem, request_id: String) -> Response {
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

    #[test]
    fn an_organization_is_written_as_a_uuid() {
        assert_eq!(organization(1), "00000000-0000-0000-0000-000000000001");
    }
}
