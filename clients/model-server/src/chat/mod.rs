//! The door for chat completions: judges by that wire's laws and plays the same scripts.

pub(crate) mod laws;
pub(crate) mod wire;

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use self::{laws::ChatRequest, wire::Dialect};
use crate::{
    Memory,
    breach::{LawBreach, breach},
    later, next,
    played::played,
    shapes::ShapeWire,
    streamed,
    wire::{AskedAnswer, digest},
};

/// `POST /v1/chat/completions`.
pub(crate) async fn completions(
    State(memory): State<Arc<Memory>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    memory.judged(answer(&memory, &headers, &body), |said| {
        let body = Dialect::of("").error(400, said, "breach");
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    })
}

fn answer(memory: &Memory, headers: &HeaderMap, body: &Bytes) -> Result<Response, LawBreach> {
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if said.and_then(|said| said.strip_prefix("Bearer ")).is_none_or(str::is_empty) {
        return breach("key_header", "there is no header authorization with a Bearer key");
    }
    if let Some(response) = played(body, ShapeWire::Chat) {
        return Ok(response);
    }
    let request: ChatRequest<'_> = serde_json::from_slice(body)
        .map_err(|error| LawBreach { law: "readable", detail: error.to_string() })?;
    laws::check(&request)?;
    let dialect = Dialect::of(&request.model);
    if dialect.refuses_max_tokens && request.max_tokens.is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                       Use 'max_completion_tokens' instead.";
        let body = dialect.error(400, message, "unsupported_parameter");
        return Ok((StatusCode::BAD_REQUEST, Json(body)).into_response());
    }
    let step = next(memory, &request.messages, body)?;
    if let Some(status) = step.fail {
        let message = step.why();
        let body = dialect.error(status, message, "scripted");
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Ok(later((status, Json(body)).into_response(), step.retry_after));
    }
    let asked =
        AskedAnswer { model: &request.model, tokens: request.tokens(), digest: digest(body, usize::MAX) };
    Ok(streamed(memory, &step, wire::frames(&step, asked, dialect)))
}
