//! Bodies of requests: read whole, in their bounds of bytes and time, and then as JSON.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderName, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use protocol::{error::ErrorKind, limits, parse};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::{auth::CallerKey, bodies::BodiesUnderWay, error::ApiProblem, lane::LaneRoom};

/// How long a client may fall silent, and how long it may take in all.
const SILENCE: Duration = Duration::from_secs(limits::BODY_SILENCE_S);
const WHOLE: Duration = Duration::from_secs(limits::BODY_S);
const WHOLE_SMALL: Duration = Duration::from_secs(limits::BODY_SMALL_S);
/// What some editors write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body that has come whole.
#[derive(Debug, Default)]
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    /// Its turn, to be kept for as long as anything of it is.
    pub(crate) turn: Option<LaneRoom>,
}

/// Reads the whole body once it is its turn. What is too large, or has no turn, is thrown away up to twice
/// the limit, so that a client that writes first and reads then gets to read the answer.
///
/// # Errors
/// 413 for what is too large; 400 for what is encoded, in another charset, cut off, or too slow; 429 and 529
/// for what has no turn.
pub(crate) async fn whole(
    bodies: &BodiesUnderWay,
    caller: CallerKey,
    headers: &HeaderMap,
    body: Body,
) -> Result<WholeBody, ApiProblem> {
    plain(headers)?;
    if body.is_end_stream() {
        return Ok(WholeBody::default());
    }
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > 2 * limits::BODY_BYTES) {
        return Err(too_large());
    }
    let began = Instant::now();
    let is_large = length.is_some_and(|length| length > limits::BODY_LARGE_BYTES);
    let end = began + if is_large { WHOLE } else { WHOLE_SMALL };
    let mut coming = Coming { body: Limited::new(body, 2 * limits::BODY_BYTES), began, end };
    let (bytes, turn) = match coming.kept(bodies, caller, length).await {
        Ok(kept) => kept,
        Err(Stop::Broken(problem)) => return Err(problem),
        Err(Stop::Refused(problem)) => {
            while let Ok(Some(_)) = coming.data().await {}
            return Err(problem);
        }
    };
    Ok(WholeBody { bytes: bytes.into(), turn: Some(turn) })
}

/// A body that comes. What it has of the room is taken from others until its end, so that a small one has
/// less time.
struct Coming {
    body: Limited<Body>,
    began: Instant,
    end: Instant,
}

/// Why no more of a body is kept.
enum Stop {
    /// Nothing more can come.
    Broken(ApiProblem),
    /// What comes is not wanted.
    Refused(ApiProblem),
}

impl Coming {
    /// Its next bytes; `None`: it is whole.
    async fn data(&mut self) -> Result<Option<Bytes>, Stop> {
        loop {
            let frame = timeout_at(self.end.min(Instant::now() + SILENCE), self.body.frame()).await;
            let frame = match frame.map_err(|_| Stop::Broken(slow()))? {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Err(Stop::Broken(cut())),
            };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// All of it, within the limit.
    async fn kept(
        &mut self,
        bodies: &BodiesUnderWay,
        caller: CallerKey,
        length: Option<usize>,
    ) -> Result<(Vec<u8>, LaneRoom), Stop> {
        let mut room = length.unwrap_or(limits::BODY_LARGE_BYTES);
        if room > limits::BODY_BYTES {
            return Err(Stop::Refused(too_large()));
        }
        let mut turn = bodies.turn(caller, room).await.map_err(Stop::Refused)?;
        let mut bytes = Vec::with_capacity(room);
        while let Some(data) = self.data().await? {
            let whole = bytes.len() + data.len();
            if whole > limits::BODY_BYTES {
                return Err(Stop::Refused(too_large()));
            }
            if whole > room {
                // Nobody said how long it is: it is large, and may be as large as any.
                room = limits::BODY_BYTES;
                turn = bodies.turn(caller, room).await.map_err(Stop::Refused)?;
                bytes.reserve_exact(room - bytes.len());
                self.end = self.began + WHOLE;
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, turn))
    }
}

/// Does this with a body, on a thread that may block where it takes its time.
///
/// # Errors
/// What it gives, and 500 where it panicked.
pub(crate) async fn with<T: Send + 'static>(
    bytes: Bytes,
    work: impl FnOnce(Bytes) -> Result<T, ApiProblem> + Send + 'static,
) -> Result<T, ApiProblem> {
    if bytes.len() <= limits::BODY_LARGE_BYTES {
        return work(bytes);
    }
    let worked = tokio::task::spawn_blocking(move || work(bytes)).await;
    worked.unwrap_or_else(|died| Err(ApiProblem::internal(format!("a body could not be read: {died}"))))
}

/// A body as JSON; an empty one is an empty object (docs/rules.md 12).
///
/// # Errors
/// What is not UTF-8, no JSON, or nested too deep.
pub(crate) fn json(body: &[u8]) -> Result<Value, ApiProblem> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    let text = std::str::from_utf8(body)
        .map_err(|wrong| wrong_body(format!("the body is not UTF-8 from byte {} on", wrong.valid_up_to())))?;
    let shape = BodyShape::of(text);
    if shape.depth > limits::BODY_DEPTH {
        let message =
            format!("objects and arrays of the body lie in each other more than {} deep", limits::BODY_DEPTH);
        return Err(wrong_body(message));
    }
    if shape.values > limits::BODY_VALUES {
        let message = format!(
            "the body holds more than {} values; send what it says in several requests",
            limits::BODY_VALUES
        );
        return Err(wrong_body(message));
    }
    serde_json::from_str(text).map_err(|wrong| wrong_body(format!("the body is not valid JSON: {wrong}")))
}

/// Whether a body is called a form. That alone is no mistake: curl calls everything so.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = text(headers, &header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    let kind = kind.map(|kind| kind.trim().to_ascii_lowercase()).unwrap_or_default();
    ["application/x-www-form-urlencoded", "multipart/form-data"].contains(&kind.as_str())
}

/// What is said of a body that is no JSON, and was sent as a form.
pub(crate) fn form(wrong: ApiProblem) -> ApiProblem {
    let message =
        format!("{}; it was sent as a form: send JSON, with `content-type: application/json`", wrong.message);
    ApiProblem { message, ..wrong }
}

/// What a text of JSON is like, before it takes many times its bytes to hold. Of what is no JSON it says
/// anything.
struct BodyShape {
    /// How deep brackets lie in each other outside of strings.
    depth: usize,
    /// At least as many values as there are in it: each stands behind a bracket or a comma.
    values: usize,
}

impl BodyShape {
    fn of(text: &str) -> Self {
        let mut shape = Self { depth: 0, values: 1 };
        let mut depth = 0_usize;
        let (mut quoted, mut escaped) = (false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => {
                    depth += 1;
                    shape.values += 1;
                    shape.depth = shape.depth.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' => shape.values += 1,
                _ => {}
            }
        }
        shape
    }
}

/// Refuses a body that is not sent as it is, or not in UTF-8. What the content type calls it does not matter.
fn plain(headers: &HeaderMap) -> Result<(), ApiProblem> {
    let encoded = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case("identity");
    let encodings = text(headers, &header::CONTENT_ENCODING).unwrap_or_default();
    if let Some(encoding) = encodings.split(',').map(str::trim).find(encoded) {
        let encoding = parse::shown(encoding);
        let message = format!("content-encoding: `{encoding}` is not supported; send the body as it is");
        return Err(ApiProblem { code: Some("request_body_encoding_unsupported"), ..wrong_body(message) });
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
            Err(ApiProblem { code: Some("unsupported_charset"), ..wrong_body(message) })
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn wrong_body(message: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorKind::InvalidRequest, message)
}

fn too_large() -> ApiProblem {
    let message = format!("the body is larger than {} MiB", limits::BODY_BYTES / (1024 * 1024));
    ApiProblem::new(ErrorKind::RequestTooLarge, message)
}

fn cut() -> ApiProblem {
    wrong_body("the body ended before it was whole; send it again")
}

fn slow() -> ApiProblem {
    let message = format!(
        "the body did not come in time: no byte for {} s, or not whole after {} s (a small one: {} s); send it again",
        limits::BODY_SILENCE_S,
        limits::BODY_S,
        limits::BODY_SMALL_S
    );
    ApiProblem { code: Some("request_body_timeout"), ..wrong_body(message) }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
