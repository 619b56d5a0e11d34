//! What is behind Heddle's own doors, and who may come to them.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts, uri::Authority},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use serde_json::json;

use super::{DOORS, HTML, METRICS, Shows};
use crate::{
    AppState, answer::ApiAnswer, auth, connections::ServerConnection, error::ApiProblem, openapi,
    query::RequestQuery, serve::RequestPeer,
};

/// A page that needs nothing, runs nothing and is shown in no other.
const PAGE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Heddle</title></head>
<body>
<h1>Heddle</h1>
<p>This is a Heddle server. It runs agents on this machine and answers the Claude Managed Agents API; there is nothing
to see here with a browser.</p>
<h2>How to begin</h2>
<ol>
<li>A key: the first start made one (on a terminal it was shown, else it is in the file <code>first-key</code> of the
data directory); <code>heddle keys create NAME</code> makes another.</li>
<li>A client: give an official SDK of the API this page's address as its base URL, without <code>/v1</code> at the end,
and the key as its API key. Or send the key as <code>x-api-key</code>:
<pre>curl -H "x-api-key: $KEY" THIS_ADDRESS/v1/agents</pre></li>
<li>Then create an agent, an environment and a session (<code>POST /v1/agents</code>, <code>/v1/environments</code>,
<code>/v1/sessions</code>) and send events to the session.</li>
</ol>
<p><a href="/openapi.json">/openapi.json</a> describes every operation.</p>
</body>
</html>
"#;

/// Where proxies say for whom they speak.
const SPOKEN_FOR: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Adds the doors.
pub(crate) fn add(router: Router<Arc<AppState>>) -> Router<Arc<AppState>> {
    DOORS.iter().fold(router, |router, door| router.route(door.path, route(door.shows)))
}

fn route(shows: Shows) -> MethodRouter<Arc<AppState>> {
    match shows {
        Shows::Alive => routing::get(healthz),
        Shows::Ready => routing::get(readyz),
        Shows::Counters => routing::get(metrics),
        Shows::Document => routing::get(document),
        Shows::Home => routing::get(home),
    }
}

async fn home(uri: Uri) -> Response {
    if let Err(problem) = plain(&uri) {
        return problem.into_response();
    }
    let headers = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, ApiAnswer::Text { kind: HTML, text: PAGE.to_owned() }).into_response()
}

/// None of these doors has a query parameter.
fn plain(uri: &Uri) -> Result<(), ApiProblem> {
    RequestQuery::of(uri)?.only(&[])
}

async fn healthz(State(door): State<Arc<AppState>>, asked: Asked) -> Response {
    respond(asked.admit(&door).await.and_then(|()| ApiAnswer::json(&json!({"status": "ok"}))))
}

async fn readyz(State(door): State<Arc<AppState>>, asked: Asked) -> Response {
    respond(ready(&door, asked).await)
}

async fn metrics(State(door): State<Arc<AppState>>, asked: Asked) -> Response {
    let text = || ApiAnswer::Text { kind: METRICS, text: door.engine.counters().encode() };
    respond(asked.admit(&door).await.map(|()| text()))
}

async fn document(uri: Uri, headers: HeaderMap) -> Response {
    if let Err(problem) = plain(&uri) {
        return problem.into_response();
    }
    let served = &*openapi::SERVED;
    let tag = (header::ETAG, HeaderValue::from_static(&served.tag));
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|asked| asked.to_str().ok()).unwrap_or_default();
    if asked.split(',').any(|one| ["*", &served.tag].contains(&one.trim().trim_start_matches("W/"))) {
        return (StatusCode::NOT_MODIFIED, [tag]).into_response();
    }
    ([tag], ApiAnswer::Json(served.body.clone())).into_response()
}

/// Ready: the store writes, and the engine is not about to stop.
async fn ready(door: &AppState, asked: Asked) -> Result<ApiAnswer, ApiProblem> {
    asked.admit(door).await?;
    if door.engine.stopping() {
        return Err(ApiProblem::stopping());
    }
    door.ready.tried(door.engine.store(), &door.tasks).await?;
    ApiAnswer::json(&json!({"status": "ok"}))
}

/// Who asks, and by what name.
#[derive(Debug)]
struct Asked {
    /// Where the connection comes from, as far as it is known.
    peer: Option<RequestPeer>,
    connection: Option<Arc<ServerConnection>>,
    /// What is asked for; with the host, where the whole of the address was sent.
    uri: Uri,
    headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            peer: parts.extensions.get().copied(),
            connection: parts.extensions.get().cloned(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }
}

impl Asked {
    /// Lets a neighbour in without a key. A proxy on this machine is one, and whoever it speaks for is not;
    /// nor is a web page whose name somebody else has pointed at this machine.
    async fn admit(&self, door: &AppState) -> Result<(), ApiProblem> {
        let near = self.peer.is_some_and(|RequestPeer(peer)| peer.ip().to_canonical().is_loopback());
        let speaks_for_another = SPOKEN_FOR.iter().any(|name| self.headers.contains_key(*name));
        if !near || speaks_for_another || !self.by_address() {
            auth::caller(door, &self.headers).await?;
        }
        if let Some(connection) = &self.connection {
            connection.known();
        }
        plain(&self.uri)
    }

    /// Whether each name by which the server was asked is an address or this machine's own: any other name
    /// may have been given this address for the sake of a browser.
    fn by_address(&self) -> bool {
        let named = self.headers.get_all(header::HOST).iter();
        let named = named.map(|name| name.to_str().ok()?.parse::<Authority>().ok());
        self.uri.host().is_none_or(is_address)
            && named.into_iter().all(|name| name.is_some_and(|name| is_address(name.host())))
    }
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn respond(answer: Result<ApiAnswer, ApiProblem>) -> Response {
    match answer {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{KEY, TestServer};
    use axum::{body::Body, extract::Request, http::StatusCode};

    async fn asked(house: &TestServer, path: &str, peer: Option<&str>, key: bool) -> (StatusCode, String) {
        let mut request = Request::get(path);
        if key {
            request = request.header("x-api-key", KEY);
        }
        if let Some(peer) = peer {
            request = request.extension(RequestPeer(peer.parse().expect("an address")));
        }
        let (status, _, body) = house.raw(request.body(Body::empty()).expect("a request")).await;
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_neighbour_needs_no_key_and_a_stranger_does() {
        let house = TestServer::open().await;
        for path in ["/healthz", "/readyz", "/metrics"] {
            for near in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
                assert_eq!(asked(&house, path, Some(near), false).await.0, 200, "{path} from {near}");
            }
            for (peer, key, status) in
                [(Some("192.0.2.1:9"), false, 401), (None, false, 401), (None, true, 200)]
            {
                assert_eq!(asked(&house, path, peer, key).await.0, status, "{path} from {peer:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_proxy_beside_the_server_needs_a_key_for_whom_it_speaks_for() {
        let house = TestServer::open().await;
        let near = RequestPeer("127.0.0.1:9".parse().expect("an address"));
        for name in SPOKEN_FOR {
            let request = || Request::get("/metrics").extension(near).header(name, "192.0.2.1");
            for (request, status) in [(request(), 401), (request().header("x-api-key", KEY), 200)] {
                let (told, ..) = house.raw(request.body(Body::empty()).expect("a request")).await;
                assert_eq!(told, status, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_page_whose_name_was_pointed_here_needs_a_key() {
        let house = TestServer::open().await;
        let near = RequestPeer("127.0.0.1:9".parse().expect("an address"));
        for (host, uri, status) in [
            ("localhost:7717", "/metrics", 200),
            ("LOCALHOST.", "/metrics", 200),
            ("heddle.localhost", "/metrics", 200),
            ("127.0.0.1:7717", "/metrics", 200),
            ("192.0.2.7", "/metrics", 200),
            ("[::1]:7717", "/metrics", 200),
            ("evil.example:7717", "/metrics", 401),
            ("localhost.evil.example", "/metrics", 401),
            ("127.0.0.1.evil.example", "/metrics", 401),
            ("", "/metrics", 401),
            ("127.0.0.1", "http://evil.example/metrics", 401),
        ] {
            let request = Request::get(uri).extension(near).header("host", host);
            let (told, ..) = house.raw(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(told, status, "{host:?} {uri}");
        }
        let two = Request::get("/metrics").extension(near).header("host", "127.0.0.1");
        let two = two.header("host", "evil.example").body(Body::empty()).expect("a request");
        assert_eq!(house.raw(two).await.0, 401);
    }

    #[tokio::test]
    async fn a_browser_is_told_what_this_is_by_a_page_that_runs_nothing() {
        let house = TestServer::open().await;
        let (status, headers, body) =
            house.raw(Request::get("/").body(Body::empty()).expect("a request")).await;
        let page = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!((status.as_u16(), &headers["content-type"]), (200, &HTML.parse().expect("text")));
        assert!(headers["content-security-policy"].to_str().expect("text").starts_with("default-src 'none'"));
        assert!(!page.contains("<script") && page.contains("without <code>/v1</code>"), "{page}");
        let written = &crate::openapi::SERVED.body;
        let document: serde_json::Value = serde_json::from_slice(written).expect("JSON");
        assert_eq!(document["paths"]["/"]["get"]["security"], json!([]));
    }

    #[tokio::test]
    async fn none_of_these_doors_has_a_query_parameter() {
        let house = TestServer::open().await;
        for door in DOORS {
            let near = Some("127.0.0.1:9");
            assert_eq!(
                asked(&house, &format!("{}?beta=true", door.path), near, false).await.0,
                200,
                "{}",
                door.path
            );
            let (status, body) = asked(&house, &format!("{}?verbose=1", door.path), near, false).await;
            assert_eq!(status, 400, "{}", door.path);
            assert!(body.contains("verbose: unknown query parameter; this takes `beta`"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_stopped_engine_is_alive_and_not_ready() {
        let house = TestServer::open().await;
        house.engine().stop().await;
        let near = Some("127.0.0.1:9");
        assert_eq!(asked(&house, "/healthz", near, false).await.0, 200);
        assert_eq!(asked(&house, "/readyz", near, false).await.0, 529);
    }

    #[tokio::test]
    async fn the_counters_are_shown_as_text() {
        let house = TestServer::open().await;
        house.session(&[]).await;
        let (_, text) = asked(&house, "/metrics", None, true).await;
        assert!(text.contains("\nheddle_commits_total 1\n"), "{text}");
    }
    /// With and without `--config 'profile.dev.package.server.debug-assertions=false'`.
    #[tokio::test]
    async fn the_door_that_ends_tasks_is_in_a_tests_build_alone_and_needs_a_key() {
        let house = TestServer::open().await;
        let built = cfg!(debug_assertions);
        for (name, key, status) in [
            ("known", true, if built { 200 } else { 404 }),
            ("unknown", true, 404),
            ("known", false, if built { 401 } else { 404 }),
        ] {
            let mut request = Request::post(format!("/heddle/test/end/{name}"));
            if key {
                request = request.header("x-api-key", KEY);
            }
            let (told, ..) = house.raw(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(told, status, "{name}, with a key: {key}");
        }
    }
}
