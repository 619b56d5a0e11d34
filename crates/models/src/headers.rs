//! The headers of a request: the route's own, the key's and the wire's.

use protocol::{
    prompt::{FailureClass, ModelFailure},
    routes::{ProviderKey, Route, RouteProvider},
};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use crate::{BuildError, failure::failure};

/// The version of the Messages API that we speak.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const MESSAGES_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const MESSAGES_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a route may not set: who asks, and how the body is framed, is ours to say.
const OURS: [HeaderName; 10] = [
    AUTHORIZATION,
    MESSAGES_KEY,
    MESSAGES_VERSION,
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONNECTION,
    HOST,
    TRANSFER_ENCODING,
];

/// Whether a header is ours to set, and not a route's.
pub fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| ours.as_str().eq_ignore_ascii_case(name))
}

/// The route's own headers, checked.
pub(crate) fn own(route: &Route) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &route.headers {
        let wrong = || BuildError::Header { pattern: route.pattern.clone(), name: name.clone() };
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        if is_ours(header.as_str()) {
            return Err(BuildError::OwnHeader { pattern: route.pattern.clone(), name: name.clone() });
        }
        headers.append(header, HeaderValue::try_from(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

/// All headers of a request to `route` but those of its body.
pub(crate) fn all(route: &Route, key: Option<&str>) -> Result<HeaderMap, ModelFailure> {
    let mut headers = own(route).map_err(|error| failure(FailureClass::NoRoute, format!("{error}.")))?;
    let (name, spelled) = match route.provider {
        RouteProvider::Messages => {
            headers.insert(MESSAGES_VERSION, VERSION);
            (MESSAGES_KEY, key.map(str::to_owned))
        }
        RouteProvider::ChatCompletions => (AUTHORIZATION, key.map(|key| format!("Bearer {key}"))),
        RouteProvider::Script => return Ok(headers),
    };
    if let Some(spelled) = spelled {
        headers.insert(name, secret(&spelled, route)?);
    }
    Ok(headers)
}

/// The key as a header, which no log shows.
fn secret(key: &str, route: &Route) -> Result<HeaderValue, ModelFailure> {
    let mut value = HeaderValue::from_str(key).map_err(|_| {
        let place = route.key.as_ref().map_or("the route", ProviderKey::place);
        let message = format!("The key in {place} holds characters that no HTTP header can carry.");
        failure(FailureClass::Denied, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
