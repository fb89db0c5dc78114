//! Access tokens, and the keys by which other services verify them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::application::people::access_tokens::{self, CreateAccessToken};
use crate::presentation::http::json::{Json, OptionalJson};
use crate::presentation::http::principal::{Public, WithSession};
use crate::presentation::http::query::AnyQuery;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![create_access_token].and(routes![get_access_token_keys].publicly_cached())
}

/// An access token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessToken)]
struct AccessTokenBody {
    /// The token for `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// The number of seconds for which it is valid.
    expires_in: i64,
    /// The time at which it expires.
    expires_at: Timestamp,
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JsonWebKeySet)]
struct KeySetBody {
    /// The public keys.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// Exchange the session for an access token
///
/// Returns a JSON Web Token (RFC 9068) that is valid for ten minutes, by which another service knows the user: it
/// verifies the signature by the keys at `/.well-known/jwks.json`, the issuer, which is the URL of the store, or a name
/// of it if its settings have no URL, and the audience. That is the `audience` of the request, or the issuer if the
/// request has none. `expires_in` is less than ten minutes if the session expires before.
///
/// This store refuses a token with the audience of another service. It refuses its own once the session has ended, and
/// for what requires a session or is for administrators.
#[utoipa::path(post, path = "/v1/sessions/token", tag = "sessions", request_body = Option<CreateAccessToken>,
    responses((status = 200, body = AccessTokenBody)))]
async fn create_access_token(
    principal: WithSession,
    State(app): State<AppState>,
    OptionalJson(new): OptionalJson<CreateAccessToken>,
) -> HandlerResult<Json<AccessTokenBody>> {
    let issued = access_tokens::issue(&app.store, &principal.user, principal.session(), &new).await?;
    Ok(Json(AccessTokenBody {
        access_token: issued.text,
        token_type: "Bearer",
        expires_in: issued.expires_in,
        expires_at: issued.expires_at,
    }))
}

/// Get the keys of access tokens
///
/// Returns the public keys that verify access tokens. A new key is here for an hour before it signs, and an old one
/// until its last token has expired: a service may keep the keys for up to an hour.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "sessions", responses((status = 200, body = KeySetBody)))]
async fn get_access_token_keys(
    _: Public,
    State(app): State<AppState>,
    _: AnyQuery,
) -> HandlerResult<Json<KeySetBody>> {
    let keys = access_tokens::published(&app.store).await?;
    Ok(Json(KeySetBody { keys }))
}
