//! The HTTP API of a store: the router over all routes, and the middleware around them.

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::conditional::{NO_VERSION, form_of};
use super::middleware::chain;
use super::state::AppState;
use super::{openapi, routes};
use crate::application::Store;
use crate::infrastructure::middleware::Chain;
use crate::settings::Settings;

/// The HTTP API of a store.
#[derive(Debug)]
pub struct Api {
    /// All routes, without the middleware.
    pub router: Router,
    /// The middleware.
    pub chain: Chain,
}

impl Api {
    /// Returns the API of a store. Streams end when `stop` is cancelled.
    pub fn new(store: &Store, settings: &Settings, stop: CancellationToken) -> Self {
        let routes = routes::all();
        let chain = chain(store, settings, &routes);
        let document = || form_of(NO_VERSION, openapi::document());
        let state = AppState::new(store.clone(), settings, stop, routes.permissions(), document);
        Self { router: routes.into_router().with_state(state), chain }
    }
}
