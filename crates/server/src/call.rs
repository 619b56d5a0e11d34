//! A request that may come in, as its endpoint sees it: whose it is, what was sent, and what it may take.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use bytes::Bytes;
use engine::{Engine, PostAttempt};
use protocol::{
    Invalid, WorkspaceId,
    error::ErrorKind,
    id::{self, Id, IdKind, NotAnId},
    parse,
};
use serde_json::Value;

use crate::{AppState, auth::CallerKey, body, error::ApiProblem, query::RequestQuery, unread::StreamRoom};

/// A request that may come in.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    door: Arc<AppState>,
    caller: CallerKey,
    /// Its query.
    pub(crate) query: RequestQuery,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    path: Vec<(String, String)>,
    page_bytes: usize,
    attempt: Option<PostAttempt>,
    /// Taken by who reads it, so that it is not held beside what was read of it.
    body: Mutex<Bytes>,
}

/// What was sent with it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) query: RequestQuery,
    pub(crate) headers: HeaderMap,
    /// What stands in the path, by the names of its pattern.
    pub(crate) path: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl ApiRequest {
    /// A request of this caller. A page that it is answered with may have so many bytes; `attempt`: how it is
    /// told from others, if it is a POST.
    pub(crate) fn new(
        door: Arc<AppState>,
        caller: CallerKey,
        sent: Sent,
        page_bytes: usize,
        attempt: Option<PostAttempt>,
    ) -> Self {
        let Sent { query, headers, path, body } = sent;
        Self { door, caller, query, headers, path, page_bytes, attempt, body: Mutex::new(body) }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.door.engine
    }

    /// Whose resources.
    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.door.settings.workspace
    }

    /// Room for the records of a stream that it is answered with.
    pub(crate) fn records(&self) -> StreamRoom {
        self.door.unread.records(self.caller)
    }

    /// Bytes that a page may have which it is answered with.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// How it is told from others, if it is a POST.
    pub(crate) fn attempt(&self) -> Option<&PostAttempt> {
        self.attempt.as_ref()
    }

    /// The text in the path.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ApiProblem> {
        let text = self.path.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        text.ok_or_else(|| ApiProblem::internal(format!("no {name} in the path")))
    }

    /// The id in the path. What cannot be one names nothing; of agents and threads it is the request that is
    /// wrong.
    pub(crate) fn id<K: IdKind>(&self, name: &str) -> Result<Id<K>, ApiProblem> {
        let text = self.text(name)?;
        let strict = [id::Agent::PREFIX, id::Thread::PREFIX].contains(&K::PREFIX);
        text.parse().map_err(|wrong: NotAnId| {
            let message = format!("{name}: {wrong}; got `{}`", parse::shown(text));
            let kind =
                if strict && !wrong.is_foreign() { ErrorKind::InvalidRequest } else { ErrorKind::NotFound };
            ApiProblem::new(kind, message)
        })
    }

    /// The body as JSON; it is read once.
    pub(crate) async fn body(&self) -> Result<Value, ApiProblem> {
        self.read(Ok).await
    }

    /// What is meant by the body; it is read once.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Value) -> Result<T, Invalid> + Send + 'static,
    ) -> Result<T, ApiProblem> {
        let bytes = std::mem::take(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner));
        let is_form = body::is_form(&self.headers);
        body::with(bytes, move |bytes| {
            let value =
                body::json(&bytes).map_err(|wrong| if is_form { body::form(wrong) } else { wrong })?;
            drop(bytes);
            Ok(read(value)?)
        })
        .await
    }
}
