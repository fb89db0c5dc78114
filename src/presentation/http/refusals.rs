//! Records refused requests for what administrators do in the audit log.
//!
//! What surrounds a route sees each refusal, also that of a use case; the guard of the route knows the store and the
//! actor, and hands them out by an extension of the request.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;

use super::actor::Sender;
use super::state::AppState;
use crate::application::audit;
use crate::infrastructure::middleware::Partition;
use crate::infrastructure::repositories::spawn_in_trace;

/// What is recorded of a request: an extension of the request.
#[derive(Clone, Default)]
pub(super) struct Attempt(Arc<OnceLock<Noted>>);

/// The store, and who sends the request.
#[derive(Clone)]
pub(super) struct Noted {
    pub(super) app: AppState,
    pub(super) sender: Sender,
}

impl Attempt {
    /// Returns what the guard of the route has noted.
    pub(super) fn noted(&self) -> Option<Noted> {
        self.0.get().cloned()
    }
}

/// Notes who sends a request and what for, as soon as the user is known, if there is one. Few requests are refused: the
/// actor is made of it for those alone.
pub(super) fn note(parts: &Parts, app: &AppState) {
    let Some(Attempt(attempt)) = parts.extensions.get() else { return };
    // another guard of the route notes the same
    attempt.get_or_init(|| Noted { app: app.clone(), sender: Sender::of(parts, app.client_address) });
}

/// Surrounds a route of administrators: a request that its guard has seen, and that is refused with status 403, is
/// recorded.
pub(super) async fn record(mut request: Request, next: Next) -> Response {
    let attempt = Attempt::default();
    request.extensions_mut().insert(attempt.clone());
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(Noted { app, sender }) = attempt.noted()
    {
        let by = sender.user.map_or(audit::STRANGERS, |user| Partition::User(user.user_id.0));
        let actor = Arc::new(sender.refused_actor());
        // in a task of its own: a client that disconnects prevents no entry
        let task = spawn_in_trace(async move { audit::record_refusal(&app.store.acting(actor), by).await });
        let _ = task.await;
    }
    response
}
