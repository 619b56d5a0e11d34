//! The list of models, in the words of whoever asks.

use axum::{
    Json,
    extract::Query,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

/// The models of the Messages API; there are others, but these are told.
const MESSAGES: [&str; 3] = ["claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5"];
/// Those of chat completions, one for each dialect.
const CHAT: [&str; 6] =
    ["chat-openai", "chat-strict", "chat-vllm", "chat-llamacpp", "chat-ollama", "chat-bare"];

/// Which page is wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct WantedPage {
    #[serde(default)]
    after_id: String,
    limit: Option<usize>,
}

/// `GET /v1/models`: pages for who speaks the Messages API, else the whole list of the other wire.
pub(crate) async fn models(headers: HeaderMap, Query(page): Query<WantedPage>) -> Response {
    if headers.contains_key("anthropic-version") && headers.contains_key("x-api-key") {
        let after = MESSAGES.iter().position(|id| *id == page.after_id).map_or(0, |at| at + 1);
        let rest = &MESSAGES[after..];
        let shown = &rest[..rest.len().min(page.limit.unwrap_or(20))];
        let made = "2025-09-29T00:00:00Z";
        let model = |id| json!({"type": "model", "id": id, "display_name": id, "created_at": made});
        let data: Vec<_> = shown.iter().map(model).collect();
        let more = shown.len() < rest.len();
        return Json(
            json!({"data": data, "has_more": more, "first_id": shown.first(), "last_id": shown.last()}),
        )
        .into_response();
    }
    if headers.contains_key(header::AUTHORIZATION) {
        let model =
            |id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "scripts"});
        return Json(json!({"object": "list", "data": CHAT.map(model)})).into_response();
    }
    StatusCode::UNAUTHORIZED.into_response()
}
