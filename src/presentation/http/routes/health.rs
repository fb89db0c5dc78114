//! Whether the server lives, and whether it can do its work.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::infrastructure::exceptions::Failure;
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::Public;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![live, ready]
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Whether the server answers at all; if not, it is to be started anew.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Health)))]
async fn live(_: Public) -> Json<Health> {
    OK
}

/// Whether the server can do its work, which is when its database answers.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, body = Health)))]
async fn ready(_: Public, State(app): State<AppState>) -> Result<Json<Health>, Failure> {
    app.store.database().ping().await?;
    Ok(OK)
}
