//! Log in, log out.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::people::sessions::{self, LogIn, LoggedIn};
use crate::domain::ids::CartId;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::{Holder, Public, SignedIn, session_cookie};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![log_in, log_out, log_out_everywhere]
}

/// What shows who somebody is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The address they registered with, in any spelling.
    #[schema(max_length = 254)]
    email: String,
    /// Their password.
    #[schema(value_type = String, max_length = 128)]
    password: SecretString,
    /// The cart they filled as a guest: it becomes theirs, or goes into the one they have.
    cart_id: Option<CartId>,
}

/// A log-in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    /// What is sent as `Authorization: Bearer …` from here on; told this once.
    token: String,
    /// Until when.
    expires_at: Timestamp,
    /// Who it is.
    user: UserBody,
}

/// Logs in. The answer is the same, and as slow, whether there is no such account or the password is wrong. It takes
/// no idempotency key, since the token would have to be kept for it; one that is sent twice is two log-ins.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = Credentials,
    responses((status = 201, body = SessionBody,
        headers(("set-cookie" = String, description = "The token, for browsers.")))))]
async fn log_in(
    _: Public,
    State(app): State<AppState>,
    Json(Credentials { email, password, cart_id }): Json<Credentials>,
) -> HandlerResult {
    let LoggedIn { token, session, user } =
        sessions::log_in(&app.store, LogIn { email, password, cart_id }).await?;
    let cookie = session_cookie(&app, &token, app.store.policy.session.as_secs());
    let body = SessionBody { token, expires_at: session.expires_at, user: UserBody::of(&user) };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// Logs out. To do so again, or without being logged in, is no fault.
#[utoipa::path(delete, path = "/v1/sessions", tag = "sessions", responses((status = 204)))]
async fn log_out(Holder(token_hash): Holder, State(app): State<AppState>) -> HandlerResult {
    if let Some(token_hash) = token_hash {
        sessions::log_out(&app.store, token_hash).await?;
    }
    Ok(gone(&app))
}

/// Logs out everywhere.
#[utoipa::path(delete, path = "/v1/me/sessions", tag = "sessions", responses((status = 204)))]
async fn log_out_everywhere(who: SignedIn, State(app): State<AppState>) -> HandlerResult {
    sessions::log_out_everywhere(&app.store, who.user_id()).await?;
    Ok(gone(&app))
}

/// An empty answer that takes a browser's cookie away.
pub(super) fn gone(app: &AppState) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(session_cookie(app, "", 0).map(|cookie| (SET_COOKIE, cookie)));
    response
}
