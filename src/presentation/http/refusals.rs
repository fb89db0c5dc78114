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

use super::actor::refused_actor_of;
use super::state::AppState;
use crate::application::audit;
use crate::domain::audit::Actor;
use crate::infrastructure::middleware::{Partition, RequestUser};
use crate::infrastructure::repositories::spawn_in_trace;

/// For whom requests are counted whose user is not known: for all clients together, since a stranger has many
/// addresses, and entries are kept for ever.
const STRANGERS: Partition = Partition::Digest([0; 16]);

/// What is recorded of a request if it is refused: an extension of the request.
#[derive(Clone, Default)]
struct Attempt(Arc<OnceLock<Noted>>);

#[derive(Clone)]
struct Noted {
    app: AppState,
    actor: Arc<Actor>,
    by: Partition,
}

/// Notes who sends a request and what for, as soon as the user is known, if there is one.
pub(super) fn note(parts: &Parts, app: &AppState) {
    let Some(Attempt(attempt)) = parts.extensions.get() else { return };
    let user = parts.extensions.get().and_then(RequestUser::get);
    let by = user.map_or(STRANGERS, |user| Partition::User(user.user_id.0));
    let actor = Arc::new(refused_actor_of(parts, app.client_address));
    // another guard of the route notes the same
    let _ = attempt.set(Noted { app: app.clone(), actor, by });
}

/// Surrounds a route of administrators: a request that its guard has seen, and that is refused with status 403, is
/// recorded.
pub(super) async fn record(mut request: Request, next: Next) -> Response {
    let attempt = Attempt::default();
    request.extensions_mut().insert(attempt.clone());
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(Noted { app, actor, by }) = attempt.0.get().cloned()
    {
        // in a task of its own: a client that disconnects prevents no entry
        let task = spawn_in_trace(async move { audit::record_refusal(&app.store.acting(actor), by).await });
        let _ = task.await;
    }
    response
}
