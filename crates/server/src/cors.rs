//! Which web pages may call from a browser: none, or those whose origins the settings name.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what it was allowed.
const MAX_AGE: Duration = Duration::from_mins(10);

/// What the SDKs send. `x-stainless-*` cannot be named as a pattern, so each is.
const SENT: &[&str] = &[
    "authorization",
    "x-api-key",
    "content-type",
    "last-event-id",
    "idempotency-key",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-workspace-id",
    "anthropic-dangerous-direct-browser-access",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-helper",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-read-timeout",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-stream-helper",
    "x-stainless-timeout",
];

/// What a page may read beside the body.
const SHOWN: [HeaderName; 3] = [
    HeaderName::from_static("request-id"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("x-should-retry"),
];

/// Lets pages of exactly these origins call. Cookies are never sent along: a key is in a header.
pub(crate) fn layer(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(SENT.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>())
        .expose_headers(SHOWN)
        .max_age(MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Settings, keys, router,
        testing::{KEY, TestServer},
    };
    use axum::{
        Router,
        body::Body,
        extract::Request,
        http::{HeaderMap, StatusCode},
    };
    use protocol::WorkspaceId;
    use tower::ServiceExt;

    const PAGE: &str = "https://app.example";

    /// The whole API, for pages of these origins.
    async fn door(origins: &[&'static str]) -> Router {
        let settings = Settings {
            workspace: WorkspaceId::from_bits(1),
            env_key_hash: Some(keys::hash(KEY)),
            connections: protocol::limits::CONNECTIONS,
            origins: origins.iter().copied().map(HeaderValue::from_static).collect(),
            #[cfg(debug_assertions)]
            end: crate::End::default(),
        };
        router(TestServer::open().await.engine().clone(), settings).0
    }

    async fn asked(
        door: &Router,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let (parts, _) = door.clone().oneshot(request).await.expect("an answer").into_parts();
        (parts.status, parts.headers)
    }

    /// What an answer says of CORS, sorted.
    fn told(headers: &HeaderMap) -> Vec<String> {
        let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-"));
        let mut told: Vec<String> =
            ours.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        told.sort();
        told
    }

    fn preflight(origin: &str) -> [(&str, &str); 3] {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-api-key,x-stainless-lang"),
        ]
    }

    #[tokio::test]
    async fn without_origins_nothing_is_said_of_cors_and_options_is_a_wrong_method() {
        let door = door(&[]).await;
        let (status, headers) = asked(&door, "OPTIONS", "/v1/agents", &preflight(PAGE)).await;
        assert_eq!((status, told(&headers)), (StatusCode::METHOD_NOT_ALLOWED, Vec::new()));
        let (status, headers) =
            asked(&door, "GET", "/v1/agents", &[("origin", PAGE), ("x-api-key", KEY)]).await;
        assert_eq!((status, told(&headers)), (StatusCode::OK, Vec::new()));
    }

    #[tokio::test]
    async fn a_page_of_a_named_origin_may_ask_first_and_then_call() {
        let door = door(&[PAGE]).await;
        for path in ["/v1/agents", "/v1/sessions/x/events"] {
            let (status, headers) = asked(&door, "OPTIONS", path, &preflight(PAGE)).await;
            let expected = [
                format!("access-control-allow-headers: {}", SENT.join(",")),
                "access-control-allow-methods: GET,POST,DELETE".into(),
                format!("access-control-allow-origin: {PAGE}"),
                "access-control-max-age: 600".into(),
            ];
            assert_eq!((status, told(&headers)), (StatusCode::OK, expected.to_vec()));
        }
        let exposed = "access-control-expose-headers: request-id,retry-after,x-should-retry".to_owned();
        let allowed = format!("access-control-allow-origin: {PAGE}");
        // An error, too, must be readable for the page.
        for (key, status) in [(KEY, 200), ("wrong", 401)] {
            let more = [("origin", PAGE), ("x-api-key", key)];
            let (answered, headers) = asked(&door, "GET", "/v1/agents", &more).await;
            assert_eq!((answered.as_u16(), told(&headers)), (status, vec![allowed.clone(), exposed.clone()]));
            assert!(headers["vary"].to_str().expect("text").contains("origin"));
        }
    }

    #[tokio::test]
    async fn a_page_of_another_origin_is_allowed_nothing() {
        let door = door(&[PAGE, "https://two.example"]).await;
        for other in ["https://evil.example", "http://app.example", "https://app.example:8443", "null"] {
            let (_, headers) = asked(&door, "OPTIONS", "/v1/agents", &preflight(other)).await;
            assert!(!headers.contains_key("access-control-allow-origin"), "{other}");
            let (_, headers) =
                asked(&door, "GET", "/v1/agents", &[("origin", other), ("x-api-key", KEY)]).await;
            assert!(!headers.contains_key("access-control-allow-origin"), "{other}");
        }
        let (_, headers) = asked(&door, "OPTIONS", "/v1/agents", &preflight("https://two.example")).await;
        assert_eq!(headers["access-control-allow-origin"], "https://two.example");
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
}
