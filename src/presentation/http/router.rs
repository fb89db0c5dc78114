//! The router over all routes.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::state::AppState;
use super::{observe::observe, openapi, rate_classes, routes};
use crate::application::Store;
use crate::infrastructure::exceptions::{Failure, NotFound, RejectedRequest};
use crate::settings::Settings;

/// Returns the HTTP API of a store: all routes, inside the layer that logs and limits each request. Streams end when
/// `stop` is cancelled.
pub fn router(store: Store, settings: &Settings, stop: CancellationToken) -> Router {
    let routes = routes::all();
    let limiter = store.infrastructure.limiter.clone();
    let limits = rate_classes::limits(&settings.rate_limits, limiter, &routes);
    let state = AppState::new(store, settings, stop, openapi::document);
    let router = routes
        .into_router()
        .fallback(|| async { Failure::from(NotFound::Route) })
        .method_not_allowed_fallback(method_not_allowed);
    let router = match limits {
        Some(limits) => limits.apply(router),
        None => router,
    };
    router.layer(from_fn_with_state(state.clone(), observe)).with_state(state)
}

/// Responds to a method that a resource does not have; the router adds `Allow`.
async fn method_not_allowed(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => Failure::from(RejectedRequest::MethodNotAllowed).into_response(),
    }
}
