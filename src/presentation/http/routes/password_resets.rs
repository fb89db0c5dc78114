//! Password resets.

use axum::response::IntoResponse;
use http::StatusCode;
use http::header::SET_COOKIE;

use crate::application::people::password_resets::{self, RequestPasswordReset, ResetPassword};
use crate::infrastructure::exceptions::{Conflict, RejectedRequest};
use crate::presentation::http::json::Json;
use crate::presentation::http::log_in_client::device_cookie;
use crate::presentation::http::principal::Public;
use crate::presentation::http::rate_classes::PASSWORD;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        request_password_reset: [Conflict::NoEmails, RejectedRequest::TooManyAtOnce],
        reset_password,
    ]
    .limited(PASSWORD)
}

/// Request a password reset
///
/// Sends a token to the e-mail address of an account, which is valid for an hour, and at most five in an hour. The
/// response and its time are the same whether the address has an account or not.
#[utoipa::path(post, path = "/v1/password-resets", tag = "users", request_body = RequestPasswordReset,
    responses((status = 202)))]
async fn request_password_reset(
    _: Public,
    State(app): State<AppState>,
    Json(request): Json<RequestPasswordReset>,
) -> HandlerResult<StatusCode> {
    password_resets::request(&app.store, request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password by a token
///
/// Uses the token of the e-mail of a password reset. All sessions and API keys of the user end, and the e-mail address
/// is verified. If it was not before, the one-time passwords of a customer end, too: someone else may have registered
/// with the address. Those of an administrator remain.
#[utoipa::path(post, path = "/v1/password-resets/confirm", tag = "users", request_body = ResetPassword,
    responses((status = 204)))]
async fn reset_password(
    _: Public,
    State(app): State<AppState>,
    Json(request): Json<ResetPassword>,
) -> HandlerResult {
    let device = password_resets::reset(&app.store, request).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(device_cookie(&app, &device).map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}
