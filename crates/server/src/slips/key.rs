//! What people get wrong about keys: what is told of one that does not open, and of none.

use axum::http::{HeaderMap, HeaderValue};
use protocol::routes::OWN_KEY;

use crate::keys;

/// How the id of a key begins.
const KEY_ID: &str = "apikey_";

/// What a client is told of a key that does not open, by its shape alone. The key is not in it.
pub(crate) fn wrong(secret: &str) -> &'static str {
    let begins = |with: &str| secret.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let quote = |letter: char| "\"'`".contains(letter);
    if begins("sk-") {
        "this is a key of a model's provider, and this server has keys of its own: `heddle keys create NAME` makes one; \
         set it as the client's API key, and the provider's key in the server's environment"
    } else if begins("bearer ") {
        "this API key is sent with `Bearer` in front of it, where that is taken for a part of it: send `x-api-key: KEY` \
         or `Authorization: Bearer KEY`"
    } else if secret.starts_with(quote) || secret.ends_with(quote) {
        "this API key is sent in quotes, which are taken for a part of it: leave them off"
    } else if secret.starts_with('$') {
        "this API key is the name of a variable, which nothing has put the value in place of, as in 'single quotes': \
         send the value"
    } else if begins(KEY_ID) {
        "this API key is the id of one: send the secret, which begins with `hdl_` and was shown when the key was made; \
         `heddle keys create NAME` makes another"
    } else if begins(OWN_KEY) && !keys::is_whole(secret) {
        "this API key is not whole, or has a letter that none has: copy all of it, `hdl_` and 43 or 44 letters and \
         digits; `heddle keys create NAME` makes another"
    } else {
        "this API key is unknown or revoked; `heddle keys create NAME` makes one, and `heddle keys list` says which there \
         are, without their secrets, which are shown only once"
    }
}

/// What a client is told that has shown no key.
pub(crate) fn missing(headers: &HeaderMap) -> &'static str {
    let sent = |name| headers.get(name).filter(|value: &&HeaderValue| !value.is_empty());
    let (own, authorization) = (sent("x-api-key"), sent("authorization"));
    if own.into_iter().chain(authorization).any(|value| value.to_str().is_err()) {
        return "the API key has characters that are not ASCII, such as the `…` of an example: send the whole key that \
                this server showed when it was made";
    }
    let scheme = authorization.and_then(|value| value.to_str().ok()).and_then(|text| text.split(' ').next());
    if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("bearer")) {
        return "no API key: what is sent as `Authorization` does not begin with `Bearer`: send `Authorization: Bearer KEY` \
                or `x-api-key: KEY`";
    }
    "no API key: send it as `x-api-key: KEY` or `Authorization: Bearer KEY`"
}
