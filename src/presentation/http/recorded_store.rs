//! The store for routes that only read, and are recorded in the audit log all the same.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::actor::any_actor_of;
use super::routing::Argument;
use super::state::AppState;
use crate::application::Store;

/// The store, whose transactions record the actor of the request whatever its method is.
#[derive(Clone)]
pub(super) struct RecordedStore(pub(super) Store);

impl Argument for RecordedStore {}

impl FromRequestParts<AppState> for RecordedStore {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self(app.store.acting(Arc::new(any_actor_of(parts, app.client_address)))))
    }
}
