//! The state of the server.

use serde::Serialize;
use utoipa::ToSchema;

use crate::infrastructure::cache::RedisUnavailable;
use crate::infrastructure::exceptions::{Failure, NotReady, NotReadyReason};
use crate::infrastructure::middleware::RateClass;
use crate::presentation::http::json::Json;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::AnyQuery;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![get_liveness, get_readiness: [any::<NotReady>()]].limited(RateClass::Exempt)
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// The state of a server that is ready.
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    /// Always `ok`; a server that is not ready responds with a problem document.
    status: &'static str,
    /// Whether the users who are logged in are served: `ok`, or `unavailable` while the Redis of the sessions is away.
    /// The server is ready all the same: guests are served, and another server would not do more.
    sessions: &'static str,
}

/// Check whether the server runs
///
/// A server that does not respond has to be restarted.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Health)))]
async fn get_liveness(_: Public, _: AnyQuery) -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Check whether the server is ready
///
/// The server is ready if its database can be written and it is not stopping. If it is not ready, the request fails
/// with `not_ready` and the reason.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, body = Ready)))]
async fn get_readiness(_: Public, State(app): State<AppState>, _: AnyQuery) -> Result<Json<Ready>, Failure> {
    if app.stop.is_cancelled() {
        return Err(NotReady { reason: NotReadyReason::Stopping }.into());
    }
    app.readiness.check(&app.store).await?;
    let sessions = match app.store.infrastructure.sessions.check().await {
        Ok(()) => "ok",
        Err(RedisUnavailable) => "unavailable",
    };
    Ok(Json(Ready { status: "ok", sessions }))
}
