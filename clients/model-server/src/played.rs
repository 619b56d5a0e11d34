//! Rows of the table of shapes, played to whoever asks for the model `shape-NAME`.

use std::borrow::Cow;

use axum::{
    Json,
    body::Bytes,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use crate::shapes::{self, ShapeWire};

/// `GET /shapes`: each row's model, source, wire and meaning.
pub(crate) async fn table() -> Json<Vec<Value>> {
    Json(shapes::all().map(shapes::ProviderShape::told).collect())
}

/// As much of a request as says whether a row is asked for.
#[derive(Debug, Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
}

/// The answer to a request that asks for a row of this wire.
pub(crate) fn played(body: &Bytes, wire: ShapeWire) -> Option<Response> {
    let asked: Asked<'_> = serde_json::from_slice(body).ok()?;
    let shape = shapes::of(&asked.model).filter(|shape| shape.wire == wire)?;
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(match (shape.refuses)(&body) {
        Some((status, refusal)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(refusal)).into_response()
        }
        None => {
            ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], (shape.sends)()).into_response()
        }
    })
}
