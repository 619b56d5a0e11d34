//! A provider on loopback that notes what it is asked, and what is asked of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Response},
};
use models::{Net, Proxy};
use protocol::{
    content::Block,
    prompt::{AnswerBlock, Message, Part, Prompt, Role},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// A request as the provider saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) peer: SocketAddr,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    /// Null if there is none.
    pub(crate) body: Value,
}

impl Seen {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A provider that answers as a test says.
pub(crate) struct Fake {
    pub(crate) base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(crate) async fn start(
        answer: impl Fn(&Seen) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let doors = Router::new().fallback(
            async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
                let body = if body.is_empty() { Value::Null } else { json(&body) };
                let seen = Seen { peer, uri: head.uri.to_string(), headers: head.headers, body };
                let response = answer(&seen);
                notes.lock().expect("no panic").push(seen);
                response
            },
        );
        let doors = doors.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, doors).await });
        Self { base_url, seen }
    }

    /// One that answers every request with this error.
    pub(crate) async fn failing(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: Value,
    ) -> Self {
        Self::start(move |_| {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Body::from(body.to_string())).expect("a response")
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

/// A streamed body.
pub(crate) fn streamed(frames: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(frames.into()).expect("a response")
}

/// No proxy.
pub(crate) fn direct() -> Net {
    Net { extra_ca_pem: None, proxy: Proxy::Direct }
}

/// A user says hi.
pub(crate) fn prompt(model: &str) -> Prompt {
    let parts = vec![Part::Content(Block::text("hi"))];
    let messages = vec![Arc::new(Message { role: Role::User, parts })];
    Prompt { model: model.to_owned(), system: None, tools: vec![], messages, counted: None }
}

/// A text block.
pub(crate) fn said(text: &str) -> AnswerBlock {
    AnswerBlock::Text { text: text.to_owned() }
}
