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
use models::{ProviderNet, ProviderProxy};
use protocol::{
    content::ContentBlock,
    prompt::{AnswerBlock, MessagePart, MessageRole, ModelAnswer, Prompt, PromptMessage, ThinkingPart},
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
    /// The same as it was written.
    pub(crate) text: String,
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
                let text = String::from_utf8_lossy(&body).into_owned();
                let body = if body.is_empty() { Value::Null } else { json(&body) };
                let seen = Seen { peer, uri: head.uri.to_string(), headers: head.headers, body, text };
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
pub(crate) fn direct() -> ProviderNet {
    ProviderNet { extra_ca_pem: None, proxy: ProviderProxy::Direct }
}

/// A user says hi.
pub(crate) fn prompt(model: &str) -> Prompt {
    let parts = vec![MessagePart::Content(ContentBlock::text("hi"))];
    let messages = vec![Arc::new(PromptMessage { role: MessageRole::User, parts })];
    Prompt { model: model.to_owned(), system: None, tools: vec![], messages, counted: None }
}

/// An answer as a history tells it: what stands beside it in front, ids in plain letters.
pub(crate) fn told(answer: &ModelAnswer) -> PromptMessage {
    let id = |index: usize| match &answer.blocks[index] {
        AnswerBlock::ToolUse { id, .. } if id.contains('+') => format!("toolu_{index}"),
        AnswerBlock::ToolUse { id, .. } => id.clone(),
        AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. } => panic!("no call"),
    };
    let from = answer.opaque.as_ref().map(|opaque| Arc::new(opaque.from.clone()));
    let beside = answer.opaque.iter().flat_map(|opaque| opaque.beside.clone());
    let beside = beside.filter_map(|beside| {
        Some(MessagePart::Beside { from: from.clone()?, beside: beside.of(|index| Some(id(index)))? })
    });
    let blocks = answer.blocks.iter().enumerate().map(|(index, block)| match block {
        AnswerBlock::Text { text } => MessagePart::Content(ContentBlock::text(text)),
        AnswerBlock::Thinking { raw } => {
            MessagePart::Thinking(ThinkingPart { raw: raw.clone(), from: from.clone() })
        }
        AnswerBlock::ToolUse { name, input, .. } => MessagePart::ToolUse {
            id: id(index),
            name: name.clone(),
            input: input.clone().unwrap_or_default(),
        },
    });
    PromptMessage { role: MessageRole::Assistant, parts: beside.chain(blocks).collect() }
}

/// What comes behind that: each call is answered.
pub(crate) fn answered(message: &PromptMessage) -> PromptMessage {
    let result = |part: &MessagePart| match part {
        MessagePart::ToolUse { id, .. } => Some(MessagePart::ToolResult {
            id: id.clone(),
            content: vec![ContentBlock::text("seen")],
            is_error: false,
        }),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolResult { .. } => None,
    };
    PromptMessage { role: MessageRole::User, parts: message.parts.iter().filter_map(result).collect() }
}

/// A person says this.
pub(crate) fn user(text: &str) -> PromptMessage {
    PromptMessage { role: MessageRole::User, parts: vec![MessagePart::Content(ContentBlock::text(text))] }
}

/// A text block.
pub(crate) fn said(text: &str) -> AnswerBlock {
    AnswerBlock::Text { text: text.to_owned() }
}
