//! One-time passwords of the user's own account.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::rotated;
use crate::application::people::one_time_passwords::{
    self, BeginTotp, BothFactors, ConfirmTotp, ConfirmedTotp,
};
use crate::domain::ids::{SessionId, UserId};
use crate::infrastructure::exceptions::{Conflict, RejectedRequest};
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::WithSession;
use crate::presentation::http::rate_classes::PASSWORD;
use crate::presentation::http::response::{HandlerResult, StoredResponse, untagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        begin_totp: [Conflict::AlreadyExists { field: "totp" }, Conflict::Stale],
        confirm_totp: [Conflict::AlreadyExists { field: "totp" }, RejectedRequest::TooMany { retry_after: 60 }],
        replace_recovery_codes: [Conflict::Stale, RejectedRequest::TooMany { retry_after: 60 }],
        end_totp: [Conflict::Stale, RejectedRequest::TooMany { retry_after: 60 }],
    ]
    .limited(PASSWORD)
}

/// What an authenticator app needs.
#[derive(Debug, Serialize, ToSchema)]
struct TotpEnrolment {
    /// The secret in base 32, which the user can type into the app. It is returned only here.
    secret: String,
    /// The URI that the app reads from a QR code.
    otpauth_uri: String,
}

/// The recovery codes of a user.
#[derive(Debug, Serialize, ToSchema)]
struct RecoveryCodes {
    /// Ten codes, each of which is accepted once in place of a one-time password. They are returned only here.
    recovery_codes: Vec<String>,
}

/// Begin to use one-time passwords
///
/// Generates a secret for an authenticator app (TOTP, RFC 6238). Logging in does not require codes before one was
/// confirmed ("Confirm one-time passwords"), for which there are 15 minutes; until then a further request replaces the
/// secret, and a new password of the account ends it. The request fails with `already_exists` if an app is in use: end
/// it first.
#[utoipa::path(post, path = "/v1/me/totp", tag = "account", request_body = BeginTotp,
    responses((status = 201, body = TotpEnrolment)))]
async fn begin_totp(
    principal: WithSession,
    State(app): State<AppState>,
    Json(request): Json<BeginTotp>,
) -> HandlerResult<(StatusCode, Json<TotpEnrolment>)> {
    let enrolment = one_time_passwords::begin(&app.store, session_of(&principal), request).await?;
    let body = TotpEnrolment { secret: enrolment.secret, otpauth_uri: enrolment.otpauth_uri };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Confirm one-time passwords
///
/// Proves with a code that the app has the secret, within 15 minutes after it was generated. From now on logging in
/// requires a code. All other sessions of the user end, that of the request gets a new token, in the header
/// `Session-Token` and the cookie, and the response has the recovery codes. After five wrong codes in a row further
/// ones are delayed.
#[utoipa::path(post, path = "/v1/me/totp/confirm", tag = "account", request_body = ConfirmTotp,
    responses((status = 200, body = RecoveryCodes,
        headers(("session-token" = Option<String>, description = "The new token of the session.")))))]
async fn confirm_totp(
    principal: WithSession,
    State(app): State<AppState>,
    Json(request): Json<ConfirmTotp>,
) -> HandlerResult<StoredResponse> {
    let session = principal.session();
    let confirming =
        one_time_passwords::confirm(&app.store, session.user_id, session.token_hash.clone(), request);
    let ConfirmedTotp { recovery_codes, token } = confirming.await?;
    let mut response = untagged(&RecoveryCodes { recovery_codes });
    if let Some(token) = token {
        response.headers.extend(rotated(&app, &token, session));
    }
    Ok(response)
}

/// Replace the recovery codes
///
/// Generates ten recovery codes; the earlier ones are not accepted any more.
#[utoipa::path(post, path = "/v1/me/totp/recovery-codes", tag = "account", request_body = BothFactors,
    responses((status = 200, body = RecoveryCodes)))]
async fn replace_recovery_codes(
    principal: WithSession,
    State(app): State<AppState>,
    Json(request): Json<BothFactors>,
) -> HandlerResult<Json<RecoveryCodes>> {
    let codes =
        one_time_passwords::replace_recovery_codes(&app.store, session_of(&principal), request).await?;
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}

/// End one-time passwords
///
/// Logging in requires the password alone. The secret and the recovery codes are removed, also a secret that was not
/// confirmed.
#[utoipa::path(delete, path = "/v1/me/totp", tag = "account", request_body = BothFactors,
    responses((status = 204)))]
async fn end_totp(
    principal: WithSession,
    State(app): State<AppState>,
    Json(request): Json<BothFactors>,
) -> HandlerResult<StatusCode> {
    one_time_passwords::end(&app.store, session_of(&principal), request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the user and the session of a request.
fn session_of(principal: &WithSession) -> (UserId, SessionId) {
    (principal.user_id(), principal.session().id())
}
