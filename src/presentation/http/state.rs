//! What every handler is given, and the router over all routes.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode};

use super::{observe::observe, routes};
use crate::application::Store;
use crate::infrastructure::adapters::sandbox::SandboxPayments;
use crate::infrastructure::exceptions::{Failure, NotFound, RejectedRequest};
use crate::settings::HttpSettings;

/// What every handler is given: `State(app): State<AppState>`, then `&app.store`. Clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<App>);

/// The store behind the routes.
pub struct App {
    /// The store.
    pub store: Store,
    /// The limits of requests, and how cookies are sent.
    pub http: HttpSettings,
    /// The sandbox's bank, where the shopper of a sandbox payment acts.
    pub sandbox: Arc<SandboxPayments>,
    /// The OpenAPI document, written when it is first asked for.
    pub(super) openapi: OnceLock<Bytes>,
}

impl AppState {
    /// The state of a store that serves.
    pub fn new(store: Store, http: HttpSettings, sandbox: Arc<SandboxPayments>) -> Self {
        Self(Arc::new(App { store, http, sandbox, openapi: OnceLock::new() }))
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

/// Every route, with what surrounds them.
pub fn router(state: AppState) -> Router {
    let (router, _) = routes::all().into_parts();
    router
        .fallback(|| async { Failure::from(NotFound::Route) })
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

/// The answer to a method that a resource does not have; the router adds which ones it has.
async fn other_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => Failure::from(RejectedRequest::MethodNotAllowed).into_response(),
    }
}
