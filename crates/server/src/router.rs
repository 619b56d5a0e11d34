//! The router: each operation behind the way in, the doors beside them, and what all answers go through.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware,
    response::IntoResponse,
    routing::{self, MethodRouter},
};
use tower_http::catch_panic::CatchPanicLayer;

#[cfg(debug_assertions)]
use crate::ends;
use crate::{
    AppState, answer, cors,
    entrance::entrance,
    error::ApiProblem,
    operation::{Method, Operation},
    routes::{self, own},
    slips,
};

/// Every route.
pub(crate) fn all() -> Router<Arc<AppState>> {
    let router = of(routes::operations());
    #[cfg(debug_assertions)]
    let router = ends::add(router);
    own::doors::add(router)
}

/// The routes of these operations.
pub(crate) fn of(operations: impl IntoIterator<Item = &'static Operation>) -> Router<Arc<AppState>> {
    operations
        .into_iter()
        .fold(Router::new(), |router, operation| router.route(operation.path, route(operation)))
}

fn route(operation: &'static Operation) -> MethodRouter<Arc<AppState>> {
    let entrance = entrance(operation);
    match operation.method {
        Method::Get => routing::get(entrance),
        Method::Post => routing::post(entrance),
        Method::Delete => routing::delete(entrance),
    }
}

/// `routes` with everything that every answer goes through.
pub(crate) fn furnished(routes: Router<Arc<AppState>>, door: Arc<AppState>) -> Router {
    let origins = &door.settings.origins;
    let cors = (!origins.is_empty()).then(|| cors::layer(origins));
    let router = routes
        .fallback(|request: Request| async move { slips::path::unknown(request.uri().path()) })
        .method_not_allowed_fallback(|request: Request| async move {
            let pattern = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
            let right = routes::methods(pattern);
            ApiProblem::wrong_method(request.method().as_str(), request.uri().path(), &right)
        })
        .layer(CatchPanicLayer::custom(|_| ApiProblem::internal("an endpoint panicked").into_response()))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), answer::finish_response))
        .with_state(door);
    // Outside of everything, so that a page can also read what an error says.
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}
