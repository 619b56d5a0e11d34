//! The errors of the Claude face: their types, statuses and body (docs/rules.md 12).

use alloc::string::String;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Object, schema::Tagged};

/// What kind of error it is: the `error.type` of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize)]
pub enum ErrorKind {
    /// The request is wrong, or the state does not allow it.
    #[serde(rename = "invalid_request_error")]
    InvalidRequest,
    /// No key, or a bad one.
    #[serde(rename = "authentication_error")]
    Authentication,
    /// The key is good, but not for this.
    #[serde(rename = "permission_error")]
    Permission,
    /// There is no such path or thing.
    #[serde(rename = "not_found_error")]
    NotFound,
    /// Something with this name exists already.
    #[serde(rename = "conflict_error")]
    Conflict,
    /// The body is too large.
    #[serde(rename = "request_too_large")]
    RequestTooLarge,
    /// Too much at once.
    #[serde(rename = "rate_limit_error")]
    RateLimit,
    /// The server is at fault.
    #[serde(rename = "api_error")]
    Api,
    /// An operation of the API that Heddle does not have yet.
    #[serde(rename = "not_supported_error")]
    NotSupported,
    /// The server stops, or is too busy.
    #[serde(rename = "overloaded_error")]
    Overloaded,
}

impl ErrorKind {
    /// The HTTP status that goes with it. A wrong method is an invalid request with 405, a stale agent
    /// version one with 409 (docs/rules.md 11).
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::RequestTooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::NotSupported => 501,
            Self::Overloaded => 529,
        }
    }
}

/// The body of an error.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[serde(tag = "type", rename = "error")]
#[schemars(rename = "ErrorBody", transform = Tagged("error"))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
    /// The same id as in the `request-id` header.
    pub request_id: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct ErrorDetail {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// What is wrong and what to do.
    pub message: String,
    /// More for a program, `error_code` first; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Object>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_body_has_the_shape_that_the_clients_read() {
        let mut details = Object::new();
        details.insert("error_code".into(), json!("environment_archived"));
        let error =
            ErrorDetail { kind: ErrorKind::InvalidRequest, message: "m".into(), details: Some(details) };
        let body = ErrorBody { error, request_id: "req_1".into() };
        assert_eq!(
            serde_json::to_value(&body).expect("writes"),
            json!({
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "m",
                    "details": {"error_code": "environment_archived"},
                },
                "request_id": "req_1",
            })
        );
    }

    #[test]
    fn details_are_absent_where_there_are_none() {
        let error = ErrorDetail { kind: ErrorKind::Api, message: "m".into(), details: None };
        let body = ErrorBody { error, request_id: "req_1".into() };
        assert_eq!(
            serde_json::to_value(&body).expect("writes"),
            json!({"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": "req_1"})
        );
    }
}
