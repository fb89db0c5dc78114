//! The router over all routes.

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::state::AppState;
use super::{openapi, rate_classes, routes};
use crate::application::Store;
use crate::settings::Settings;

/// Returns the HTTP API of a store: all routes, inside the layer that limits each request, and without the middleware.
/// Streams end when `stop` is cancelled.
pub fn router(store: Store, settings: &Settings, stop: CancellationToken) -> Router {
    let routes = routes::all();
    let limiter = store.infrastructure.limiter.clone();
    let limits = rate_classes::limits(&settings.rate_limits, limiter, &routes);
    let state = AppState::new(store, settings, stop, routes.permissions(), openapi::document);
    let router = routes.into_router();
    let router = match limits {
        Some(limits) => limits.apply(router),
        None => router,
    };
    router.with_state(state)
}
