//! What failed: an HTTP status, an error body or a broken connection becomes one failure with its class.

use core::{error::Error, time::Duration};

use jiff::{SignedDuration, fmt::rfc2822::DateTimeParser};
use protocol::{
    prompt::{FailureClass, ModelFailure},
    routes::{Route, WINDOW},
    usage::RequestTokens,
};
use reqwest::{
    StatusCode, Url,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use crate::{problem::ProviderProblem, secret::ProviderSecret};

/// Who was asked what, for the sentence that says why it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedRoute<'a> {
    pub(crate) route: &'a Route,
    /// The model, if one was asked.
    pub(crate) model: Option<&'a str>,
    /// What is cut out of what the provider says.
    pub(crate) secret: &'a ProviderSecret,
}

/// The failure that an answer with this status means.
pub(crate) fn answered(
    status: StatusCode,
    headers: &HeaderMap,
    problem: &ProviderProblem,
    asked: AskedRoute<'_>,
) -> ModelFailure {
    let route = asked.route;
    let code = status.as_u16();
    let class = problem.class_of(code);
    let what = match class {
        FailureClass::Overloaded => format!("The model provider is overloaded ({code})"),
        FailureClass::RateLimited => format!("The model provider limits the rate of requests ({code})"),
        FailureClass::Unavailable => format!("The model provider at {} failed ({code})", shown(route)),
        FailureClass::Denied => denied(code, route),
        FailureClass::Billing => format!("The account at the model provider cannot pay ({code})"),
        FailureClass::NoRoute if status.is_redirection() => format!(
            "{} answered with a redirect ({code}), which is not followed: set the base URL to where it leads",
            shown(route)
        ),
        FailureClass::NoRoute => missing(problem, code, asked),
        FailureClass::Overflow => format!("The conversation does not fit the model's window ({code})"),
        FailureClass::Invalid
        | FailureClass::Cut
        | FailureClass::Empty
        | FailureClass::Full
        | FailureClass::Unusable => {
            format!("The model provider refused the request ({code})")
        }
    };
    let message = format!("{what}{}", asked.secret.said(problem.message()));
    let message = match window(route) {
        Some(window) if class == FailureClass::Overflow => format!("{message} {window}"),
        Some(_) | None => message,
    };
    ModelFailure {
        class,
        status: Some(code),
        message,
        retry_after: retry_after(headers),
        tokens: RequestTokens::default(),
        spots: Vec::new(),
    }
}

/// How large the model's window is, if its route says so: what is taken where nobody said one is a guess.
pub(crate) fn window(route: &Route) -> Option<String> {
    let (tokens, pattern) = (route.window, &route.pattern);
    (tokens != WINDOW).then(|| format!("By the route {pattern} the window has {tokens} tokens."))
}

/// Of a 404: with words of the provider's it is the model that is not there, without any it is the door.
fn missing(problem: &ProviderProblem, code: u16, asked: AskedRoute<'_>) -> String {
    let (at, pattern) = (shown(asked.route), &asked.route.pattern);
    match asked.model {
        Some(model) if problem.is_of_the_api() => {
            format!("{at} does not know the model `{model}`, to which the route {pattern} leads ({code})")
        }
        Some(_) | None => {
            format!("There is no such API at {at} ({code}): check the base URL of the route {pattern}")
        }
    }
}

fn denied(code: u16, route: &Route) -> String {
    match &route.key {
        Some(key) => format!("The model provider does not accept the key in {} ({code})", key.place()),
        None => {
            format!("The model provider wants a key, and the route of {} names none ({code})", route.pattern)
        }
    }
}

/// How long the provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
///
/// A date is read against the answer's own `Date`, so that neither clock need be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = header("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1_000.0).ok();
    }
    let after = header(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let wait: SignedDuration = date(after)?.duration_since(date(header(DATE.as_str())?)?);
    Some(wait.max(SignedDuration::ZERO).unsigned_abs())
}

/// The failure of a request that got no answer.
pub(crate) fn unanswered(error: &reqwest::Error, route: &Route) -> ModelFailure {
    let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    let cause = root(error).unwrap_or_default();
    failure(
        FailureClass::Unavailable,
        format!("The model provider at {} {what}{}", shown(route), ProviderSecret::default().said(&cause)),
    )
}

/// The innermost cause; the outer ones repeat the URL, which may hold a password.
fn root(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}

/// The route's base URL without a password.
pub(crate) fn shown(route: &Route) -> String {
    let bare = Url::parse(&route.base_url).ok().and_then(|mut url| {
        url.set_username("").and_then(|()| url.set_password(None)).is_ok().then_some(url)
    });
    match bare {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("the base URL of {}", route.pattern),
    }
}

/// A failure that cost nothing and says no time to wait.
pub(crate) fn failure(class: FailureClass, message: String) -> ModelFailure {
    ModelFailure {
        class,
        status: None,
        message,
        retry_after: None,
        tokens: RequestTokens::default(),
        spots: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::routes::{ProviderKey, RouteProvider};
    use serde_json::json;

    fn route() -> Route {
        Route {
            provider: RouteProvider::Messages,
            base_url: "http://me:password@provider/".to_owned(),
            key: Some(ProviderKey::Variable("THE_KEY".to_owned())),
            ..Route::script("claude-*")
        }
    }

    fn failed(status: u16, message: &str) -> (FailureClass, String) {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = json!({"type": "error", "error": {"type": "x", "message": message}}).to_string();
        let route = route();
        let secret = ProviderSecret::of(Some("secret"));
        let asked = AskedRoute { route: &route, model: Some("claude-x"), secret: &secret };
        let failure = answered(status, &HeaderMap::new(), &ProviderProblem::read(body.as_bytes()), asked);
        (failure.class, failure.message)
    }

    #[test]
    fn each_status_has_its_class_and_its_sentence() {
        let table = [
            (529, "Busy.", FailureClass::Overloaded, "The model provider is overloaded (529): Busy."),
            (
                429,
                "Slow",
                FailureClass::RateLimited,
                "The model provider limits the rate of requests (429): Slow.",
            ),
            (408, "", FailureClass::Unavailable, "The model provider at http://provider failed (408)."),
            (500, "", FailureClass::Unavailable, "The model provider at http://provider failed (500)."),
            (503, "", FailureClass::Unavailable, "The model provider at http://provider failed (503)."),
            (409, "", FailureClass::Unavailable, "The model provider at http://provider failed (409)."),
            (421, "", FailureClass::Unavailable, "The model provider at http://provider failed (421)."),
            (423, "", FailureClass::Unavailable, "The model provider at http://provider failed (423)."),
            (424, "", FailureClass::Unavailable, "The model provider at http://provider failed (424)."),
            (425, "", FailureClass::Unavailable, "The model provider at http://provider failed (425)."),
            (499, "", FailureClass::Unavailable, "The model provider at http://provider failed (499)."),
            (
                401,
                "no",
                FailureClass::Denied,
                "The model provider does not accept the key in THE_KEY (401): no.",
            ),
            (
                403,
                "no",
                FailureClass::Denied,
                "The model provider does not accept the key in THE_KEY (403): no.",
            ),
            (402, "", FailureClass::Billing, "The account at the model provider cannot pay (402)."),
            (
                400,
                "Your credit balance is too low",
                FailureClass::Billing,
                "The account at the model provider cannot pay (400): Your credit balance is too low.",
            ),
            (400, "bad", FailureClass::Invalid, "The model provider refused the request (400): bad."),
            (
                404,
                "model: claude-x",
                FailureClass::NoRoute,
                "http://provider does not know the model `claude-x`, to which the route claude-* leads \
                 (404): model: claude-x.",
            ),
            (
                404,
                "",
                FailureClass::NoRoute,
                "There is no such API at http://provider (404): check the base URL of the route claude-*.",
            ),
            (413, "", FailureClass::Invalid, "The model provider refused the request (413)."),
        ];
        for (status, said, class, sentence) in table {
            assert_eq!(failed(status, said), (class, sentence.to_owned()), "{status}");
        }
    }

    #[test]
    fn a_message_is_cut_and_never_holds_the_key() {
        let (_, message) = failed(400, &"é".repeat(600));
        assert_eq!(message, format!("The model provider refused the request (400): {}…", "é".repeat(500)));
        let (_, message) = failed(401, "invalid key secret!");
        assert!(message.ends_with("invalid key …!."), "{message}");
    }

    #[test]
    fn a_body_that_is_not_the_apis_is_left_out() {
        let route = route();
        let secret = ProviderSecret::default();
        let asked = AskedRoute { route: &route, model: None, secret: &secret };
        let problem = ProviderProblem::read(b"<html>");
        let page = answered(StatusCode::BAD_GATEWAY, &HeaderMap::new(), &problem, asked);
        assert_eq!(page.message, "The model provider at http://provider failed (502).");
    }

    #[test]
    fn the_time_to_wait_is_read_in_each_of_its_forms() {
        let wait = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a value"));
            }
            retry_after(&map)
        };
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(
            wait(&[("retry-after-ms", "1500"), ("retry-after", "9")]),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(wait(&[("retry-after", "0")]), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", "2.5")]), Some(Duration::from_millis(2_500)));
        assert_eq!(wait(&[("retry-after", later), ("date", date)]), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[("retry-after", date), ("date", later)]), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", later)]), None);
        assert_eq!(wait(&[("retry-after", "-1")]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[]), None);
    }
}
