//! The user's own account and preferences.

use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::{logged_out, rotated};
use crate::application::people::email_addresses;
use crate::application::people::preferences::{self, ReplacePreferences};
use crate::application::people::profile::{self, AccountOwner, EraseAccount, UpdateAccount, UpdatedAccount};
use crate::domain::money::Currency;
use crate::domain::user::{Preferences, Session};
use crate::infrastructure::exceptions::{
    Conflict, EmailAlreadyUsedException, RejectedRequest, UnauthorizedAccessException,
};
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::cache_status::OwnFromCache;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::json::Json;
use crate::presentation::http::log_in_client::device_cookie;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::{LoggedIn, WithSessionOrIssuer};
use crate::presentation::http::rate_classes::PASSWORD;
use crate::presentation::http::response::{HandlerResult, StoredResponse, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    let with_password = routes![
        update_account: [
            any::<EmailAlreadyUsedException>(),
            UnauthorizedAccessException::SessionRequired,
            Conflict::Stale,
            RejectedRequest::TooManyEmails { retry_after: 60 },
        ],
        erase_account: [
            Conflict::OpenOrders,
            Conflict::LastAdmin,
            Conflict::Stale,
            RejectedRequest::TooManyEmails { retry_after: 60 },
        ],
    ];
    let others = routes![
        get_account,
        send_email_verification: [
            Conflict::NoEmails,
            RejectedRequest::TooManyEmails { retry_after: 60 },
        ],
        get_preferences,
        replace_preferences,
    ];
    others.and(with_password.limited(PASSWORD))
}

/// The preferences of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preferences)]
pub(super) struct PreferencesBody {
    /// The user's language, a BCP 47 tag.
    locale: Option<String>,
    /// The currency in which the user sees prices.
    currency: Option<Currency>,
    /// Whether the user agrees to receive marketing messages.
    marketing_consent: bool,
    /// The time at which marketing consent was last given or withdrawn.
    consent_at: Option<Timestamp>,
}

/// Get the account
///
/// Returns the user's account.
#[utoipa::path(get, path = "/v1/me", tag = "account", responses((status = 200, body = UserBody)))]
async fn get_account(principal: LoggedIn, if_none_match: IfNoneMatch) -> Response {
    if_none_match.respond(principal.user.version, &UserBody::of(&principal.user))
}

/// Update the account
///
/// A change of the e-mail address or password requires a session and the current password. A new password ends all
/// other sessions and all API keys of the user, and gives that of the request a new token, in the header `Session-
/// Token` and the cookie.
///
/// If the store sends e-mails, a new e-mail address gets a token, and the present one a notice; the new one becomes
/// that of the account when the token is used ("Verify an e-mail address"), which ends the other sessions. If it
/// sends none, the address changes at once, is not verified, and the other sessions end; the request then fails
/// with `email_already_used` if the address has another account.
#[utoipa::path(patch, path = "/v1/me", tag = "account", request_body = UpdateAccount,
    responses((status = 200, body = UserBody,
        headers(("session-token" = Option<String>, description = "The new token of the session, if the password changed.")))))]
async fn update_account(
    principal: LoggedIn,
    State(app): State<AppState>,
    IfMatch(expected_version): IfMatch,
    Json(change): Json<UpdateAccount>,
) -> HandlerResult<StoredResponse> {
    let owner = AccountOwner {
        user_id: principal.user_id(),
        token_hash: principal.session().map(|session| session.token_hash.clone()),
        expected_version,
    };
    let UpdatedAccount { user, token, device } = profile::update(&app.store, owner, change).await?;
    let mut response = UserBody::response(&user);
    if let (Some(token), Some(session)) = (token, principal.session()) {
        response.headers.extend(rotated(&app, &token, session));
    }
    let device = device.and_then(|token| device_cookie(&app, &token));
    let cookie = device.as_ref().and_then(|cookie| cookie.to_str().ok());
    response.headers.extend(cookie.map(|cookie| ("set-cookie".to_owned(), cookie.to_owned())));
    Ok(response)
}

/// Send a token to verify the e-mail address
///
/// Sends a token to the e-mail address of the account, which is valid for 24 hours, unless the address is verified.
/// At most five are sent in an hour.
#[utoipa::path(post, path = "/v1/me/email-verification", tag = "account", responses((status = 202)))]
async fn send_email_verification(
    principal: LoggedIn,
    State(app): State<AppState>,
) -> HandlerResult<StatusCode> {
    email_addresses::send_verification(&app.store, principal.user_id()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Erase the account
///
/// Removes the personal data of the user; this cannot be reverted. Orders and invoices keep what accounting needs.
/// The request fails with `open_orders` while an order of the user is pending, or paid and not fulfilled. It requires a
/// session or a token of the identity provider, and has a body: `{"current_password": "…"}`, or `{}` if the
/// account has no password.
///
/// If the store sends e-mails, a last one tells the owner of the account, also at the addresses that it had before, as
/// long as the e-mails of their changes are kept (30 days). Accounts of one address that is not verified can be erased
/// five times at once, and once in twelve minutes after that.
#[utoipa::path(delete, path = "/v1/me", tag = "account", request_body = EraseAccount, responses((status = 204)))]
async fn erase_account(
    user: WithSessionOrIssuer,
    State(app): State<AppState>,
    Json(request): Json<EraseAccount>,
) -> HandlerResult {
    let principal = user.principal();
    let session_id = principal.session().map(Session::id);
    profile::erase(&app.store, (principal.user.id, session_id), request).await?;
    Ok(logged_out(&app))
}

/// Get the preferences
///
/// Returns the user's preferences.
#[utoipa::path(get, path = "/v1/me/preferences", tag = "account",
    responses((status = 200, body = PreferencesBody)))]
async fn get_preferences(
    principal: LoggedIn,
    State(app): State<AppState>,
    if_none_match: IfNoneMatch,
    from_cache: OwnFromCache,
) -> HandlerResult {
    let preferences = preferences::preferences(&app.store, principal.data()).await?;
    let response = if_none_match.respond(preferences.version, &PreferencesBody::of(&preferences));
    Ok(from_cache.respond(response, Some(preferences.status)))
}

/// Replace the preferences
///
/// A member that is omitted is removed.
#[utoipa::path(put, path = "/v1/me/preferences", tag = "account", request_body = ReplacePreferences,
    responses((status = 200, body = PreferencesBody)))]
async fn replace_preferences(
    principal: LoggedIn,
    State(app): State<AppState>,
    IfMatch(expected_version): IfMatch,
    Json(new): Json<ReplacePreferences>,
) -> HandlerResult<StoredResponse> {
    let preferences = preferences::replace(&app.store, principal.user_id(), expected_version, new).await?;
    Ok(tagged(preferences.version, &PreferencesBody::of(&preferences)))
}

impl PreferencesBody {
    /// The body of preferences.
    pub(super) fn of(preferences: &Preferences) -> Self {
        Self {
            locale: preferences.locale.clone(),
            currency: preferences.currency,
            marketing_consent: preferences.marketing_consent,
            consent_at: preferences.consent_at,
        }
    }
}
