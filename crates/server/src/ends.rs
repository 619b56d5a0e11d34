//! A door that only a test's build has: lets a thread or a task that the server cannot do without panic.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing,
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{AppState, answer::ApiAnswer, auth};

/// Lets the task of this name panic; false: there is none of that name.
#[derive(Clone)]
pub struct End(Arc<dyn Fn(String) -> BoxFuture<'static, bool> + Send + Sync>);

impl End {
    /// An end that does this.
    pub fn new<F>(end: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move |name| Box::pin(end(name))))
    }
}

impl Default for End {
    fn default() -> Self {
        Self::new(|_| std::future::ready(false))
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End(..)")
    }
}

/// Adds the door.
pub(crate) fn add(router: Router<Arc<AppState>>) -> Router<Arc<AppState>> {
    router.route("/heddle/test/end/{name}", routing::post(end))
}

async fn end(State(door): State<Arc<AppState>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Err(problem) = auth::caller(&door, &headers).await {
        return problem.into_response();
    }
    if !(door.settings.end.0)(name.clone()).await {
        return StatusCode::NOT_FOUND.into_response();
    }
    match ApiAnswer::json(&json!({"ended": name})) {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}
