//! Log in, log out.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::SET_COOKIE;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::people::authentication;
use crate::application::people::log_in_limits::LogInClient;
use crate::application::people::sessions::{self, CreateSession, CreatedSession};
use crate::domain::ids::SessionId;
use crate::domain::user::Session;
use crate::infrastructure::exceptions::{NotFound, UnauthorizedAccessException};
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::log_in_client::device_cookie;
use crate::presentation::http::principal::{
    CredentialHolder, OwnCookie, Public, SameSite, WithSession, removed_session_cookies, session_cookie,
};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::rate_classes::LOG_IN;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};
use crate::presentation::http::user_agent::UserAgent;

pub(super) fn routes() -> Routes {
    let log_in = routes![
        create_session: [
            UnauthorizedAccessException::WrongCredentials,
            UnauthorizedAccessException::OneTimePasswordRequired,
            UnauthorizedAccessException::WrongOneTimePassword,
        ]
    ];
    let others = routes![
        delete_session,
        list_sessions,
        delete_session_by_id: [NotFound::Session],
        delete_all_sessions,
    ];
    others.and(log_in.limited(LOG_IN))
}

/// What ends with all sessions of a user.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EndSessionsQuery {
    /// Whether all API keys of the user are revoked, too.
    #[serde(default)]
    #[param(default = false)]
    pub(super) revoke_api_keys: bool,
}

/// A session of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    /// The token for `Authorization: Bearer …`. It is returned only here.
    token: String,
    /// The time at which the session ends.
    expires_at: Timestamp,
    /// The user.
    user: UserBody,
}

/// Log in
///
/// Creates a session. An unknown e-mail address and a wrong password give the same response after the same time. So
/// does the right password of a customer whose address is not verified, in a store that hides which addresses have
/// accounts: the customer follows the link in the e-mail of the registration or, without that, requests a new password
/// (`POST /v1/password-resets`), which verifies the address, too.
///
/// The operation takes no idempotency key, since the token would have to be stored with it: a repeated request creates
/// a second session. After too many failed attempts the request fails with `too_many_requests`, and no password is
/// checked; a device that has logged in before is known by a cookie, and failed attempts of others do not count for it.
///
/// The session of the request's cookie ends, also that of another user: a browser has one session. So that no other
/// site logs a browser in to an account of its own, the request of a page of another site fails with the reason
/// `foreign_origin`, unless `http.allowed_origins` names its origin.
///
/// If the account has one-time passwords, a request without a code fails with the reason `one_time_password_required`
/// after the password was found right. Each code is accepted once. After five wrong ones in a row further ones are
/// delayed, up to a day; a recovery code is accepted all the same.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = CreateSession,
    responses((status = 201, body = SessionBody,
        headers(("set-cookie" = String, description = "The token as a cookie, for browsers.")))))]
async fn create_session(
    _: Public,
    _: SameSite,
    State(app): State<AppState>,
    client: LogInClient,
    UserAgent(user_agent): UserAgent,
    Json(credentials): Json<CreateSession>,
) -> HandlerResult {
    let CreatedSession { token, session, user, device } =
        sessions::log_in(&app.store, credentials, &client, user_agent).await?;
    let cookie = session_cookie(&app, &token, app.store.terms.session.as_secs());
    let body = SessionBody { token, expires_at: session.expires_at, user: UserBody::of(&user) };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    let device = device.and_then(|token| device_cookie(&app, &token));
    for cookie in cookie.into_iter().chain(device) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The headers of a response with the new token of a session.
pub(super) fn rotated(app: &AppState, token: &str, session: &Session) -> Vec<(String, String)> {
    let seconds = session.expires_at.duration_since(app.store.now()).as_secs();
    let cookie = session_cookie(app, token, seconds);
    let cookie = cookie.as_ref().and_then(|cookie| cookie.to_str().ok());
    let headers = [("session-token", Some(token)), ("set-cookie", cookie)];
    headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

/// Log out
///
/// Ends the session of the request's token, which is its own or an access token of it, and that of the cookie beside
/// it. The operation succeeds without a session, too, and whatever other credentials the request has.
#[utoipa::path(delete, path = "/v1/sessions", tag = "sessions", responses((status = 204)))]
async fn delete_session(
    CredentialHolder(credentials): CredentialHolder,
    _: OwnCookie,
    State(app): State<AppState>,
) -> HandlerResult {
    for credential in credentials {
        authentication::log_out(&app.store, credential.expose_secret()).await?;
    }
    Ok(logged_out(&app))
}

/// A session of the user, without its token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnSession {
    /// The id of the session.
    id: SessionId,
    /// Whether the request belongs to this session.
    current: bool,
    /// What the client that logged in called itself.
    user_agent: Option<String>,
    /// The time at which the session was created.
    created_at: Timestamp,
    /// The time of the last use, to five minutes.
    last_used_at: Timestamp,
    /// The time at which the session ends. It ends earlier if it is not used.
    expires_at: Timestamp,
}

/// List the sessions of the user
///
/// Newest sessions come first, and only those that have not ended. There are at most 100.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "sessions", responses((status = 200, body = List<OwnSession>)))]
async fn list_sessions(
    principal: WithSession,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<OwnSession>>> {
    let sessions = sessions::of_user(&app.store, principal.user_id()).await?;
    Ok(Json(List::whole(sessions, |session| OwnSession::of(session, Some(principal.session())))))
}

impl OwnSession {
    /// The body of a session; `current` is that of the request, if it has one.
    pub(super) fn of(session: Session, current: Option<&Session>) -> Self {
        Self {
            id: session.id(),
            current: current.is_some_and(|current| session.token_hash == current.token_hash),
            last_used_at: session.used_at(),
            user_agent: session.user_agent,
            created_at: session.created_at,
            expires_at: session.expires_at,
        }
    }
}

/// End a session of the user
///
/// Ends any session of the user, also that of the request.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_session_by_id(
    principal: WithSession,
    State(app): State<AppState>,
    Path(id): Path<SessionId>,
) -> HandlerResult<StatusCode> {
    sessions::end(&app.store, principal.user_id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log out everywhere
///
/// Ends all sessions of the user, and the tokens that were sent to the user by e-mail. API keys stay valid unless
/// `revoke_api_keys` is `true`. A user whose account a stranger has used sets that, or changes the password, which ends
/// all API keys and all other sessions.
#[utoipa::path(delete, path = "/v1/me/sessions", tag = "sessions", responses((status = 204)))]
async fn delete_all_sessions(
    principal: WithSession,
    State(app): State<AppState>,
    Query(EndSessionsQuery { revoke_api_keys }): Query<EndSessionsQuery>,
) -> HandlerResult {
    sessions::log_out_everywhere(&app.store, principal.user_id(), revoke_api_keys).await?;
    Ok(logged_out(&app))
}

/// A response without a body that removes the session's cookie, by each of its names.
pub(super) fn logged_out(app: &AppState) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in removed_session_cookies(app) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
