//! Bodies of requests: read whole, in their bounds of bytes and time, and then as JSON.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use protocol::{error::ErrorKind, limits, parse};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::error::Problem;

/// How long a client may fall silent, and how long it may take in all.
const SILENCE: Duration = Duration::from_secs(limits::BODY_SILENCE_S);
const WHOLE: Duration = Duration::from_secs(limits::BODY_S);
/// What some editors write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the whole body. What is too large is thrown away up to twice the limit, so that a client that
/// writes first and reads then gets to read the answer.
///
/// # Errors
/// 413 for what is too large; 400 for what is encoded, in another charset, cut off, or too slow.
pub(crate) async fn whole(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    plain(headers)?;
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > 2 * limits::BODY_BYTES) {
        return Err(too_large());
    }
    let mut body = Limited::new(body, 2 * limits::BODY_BYTES);
    let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(limits::BODY_BYTES));
    let mut fits = true;
    let end = Instant::now() + WHOLE;
    loop {
        let frame = timeout_at(end.min(Instant::now() + SILENCE), body.frame()).await.map_err(|_| slow())?;
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else { return Err(if fits { cut() } else { too_large() }) };
        let Ok(data) = frame.into_data() else { continue };
        fits = fits && bytes.len() + data.len() <= limits::BODY_BYTES;
        if fits {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if fits { Ok(bytes.into()) } else { Err(too_large()) }
}

/// A body as JSON; an empty one is an empty object (spec/clients.md).
///
/// # Errors
/// What is not UTF-8, no JSON, or nested too deep.
pub(crate) fn json(body: &[u8]) -> Result<Value, Problem> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    let text = std::str::from_utf8(body)
        .map_err(|wrong| wrong_body(format!("the body is not UTF-8 from byte {} on", wrong.valid_up_to())))?;
    if depth(text) > limits::BODY_DEPTH {
        let message =
            format!("objects and arrays of the body lie in each other more than {} deep", limits::BODY_DEPTH);
        return Err(wrong_body(message));
    }
    serde_json::from_str(text).map_err(|wrong| wrong_body(format!("the body is not valid JSON: {wrong}")))
}

/// How deep brackets lie in each other outside of strings. Of what is no JSON it says anything.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Refuses a body that is not sent as it is, or not in UTF-8. What the content type calls it does not matter.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case("identity");
    let encodings = text(headers, &header::CONTENT_ENCODING).unwrap_or_default();
    if let Some(encoding) = encodings.split(',').map(str::trim).find(encoded) {
        let encoding = parse::shown(encoding);
        let message = format!("content-encoding: `{encoding}` is not supported; send the body as it is");
        return Err(Problem { code: Some("request_body_encoding_unsupported"), ..wrong_body(message) });
    }
    let kind = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let charset = kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    let known =
        |charset: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset));
    match charset.filter(|charset| !known(charset)) {
        None => Ok(()),
        Some(charset) => {
            let charset = parse::shown(charset);
            let message = format!("content-type: the charset `{charset}` is not supported; send UTF-8");
            Err(Problem { code: Some("unsupported_charset"), ..wrong_body(message) })
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn wrong_body(message: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::InvalidRequest, message)
}

fn too_large() -> Problem {
    let message = format!("the body is larger than {} MiB", limits::BODY_BYTES / (1024 * 1024));
    Problem::new(ErrorKind::RequestTooLarge, message)
}

fn cut() -> Problem {
    wrong_body("the body ended before it was whole; send it again")
}

fn slow() -> Problem {
    let message = format!(
        "the body did not come in time: no byte for {} s, or not whole after {} s; send it again",
        limits::BODY_SILENCE_S,
        limits::BODY_S
    );
    Problem { code: Some("request_body_timeout"), ..wrong_body(message) }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
