//! API keys of the user.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::application::people::api_keys::{self, CreateApiKey, CreatedApiKey};
use crate::domain::api_key::ApiKey;
use crate::domain::ids::ApiKeyId;
use crate::domain::permission::Permission;
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::WithSession;
use crate::presentation::http::query::Path;
use crate::presentation::http::rate_classes::PASSWORD;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    let new_key = routes![create_api_key: [Conflict::TooManyApiKeys, Conflict::Stale]];
    let others = routes![list_api_keys, get_api_key: [NotFound::ApiKey], delete_api_key: [NotFound::ApiKey]];
    others.and(new_key.limited(PASSWORD))
}

/// An API key, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyBody {
    /// The id of the key.
    id: ApiKeyId,
    /// The name.
    name: String,
    /// The first 12 characters of the key.
    hint: String,
    /// The permissions of the key. It has those of them that its user has, too.
    scopes: Vec<Permission>,
    /// Whether the key only reads: requests with another method than GET and HEAD are refused.
    read_only: bool,
    /// The time at which the key was created.
    created_at: Timestamp,
    /// The time at which the key expires; `null` if it does not.
    expires_at: Option<Timestamp>,
    /// The time of the last use, to five minutes; `null` if there was none.
    last_used_at: Option<Timestamp>,
}

/// An API key with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyWithText)]
struct ApiKeyWithTextBody {
    #[serde(flatten)]
    api_key: ApiKeyBody,
    /// The key for `Authorization: Bearer …`. It is returned only here.
    key: String,
}

/// List the API keys of the user
///
/// Newest keys come first, also those that have expired. There are at most 100.
#[utoipa::path(get, path = "/v1/me/api-keys", tag = "api-keys", responses((status = 200, body = List<ApiKeyBody>)))]
async fn list_api_keys(
    principal: WithSession,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<ApiKeyBody>>> {
    let found = api_keys::of_user(&app.store, principal.user_id()).await?;
    Ok(Json(List::whole(found, |api_key| ApiKeyBody::of(&api_key))))
}

/// Create an API key
///
/// Creates a key by which a program acts for the user, in `Authorization: Bearer uck_…`. It cannot change the
/// password or the e-mail address, cannot read or change sessions and API keys, and cannot change roles. What an
/// administrator's key does as an administrator is limited by its `scopes`, and by the permissions that the user has at
/// that time. Every user can create a key that only reads (`read_only`): a request with another method than GET and
/// HEAD is refused with the reason `read_only_key`, also one of what a customer may do. The key begins with `uck_` and
/// ends with a checksum, so that programs that search for leaked secrets find it.
///
/// The operation requires a session and the current password.
///
/// The key is valid until it is revoked or expires, and at most until the password of the user is changed or reset, the
/// user becomes or ceases to be an administrator, or the user is erased. It stays valid when the user logs out
/// everywhere (unless `revoke_api_keys` is `true`), changes the e-mail address, or enrols or ends one-time passwords.
/// `last_used_at` in the list shows which keys are in use.
///
/// A user has at most 100 keys, and creates 20 at once and one in three minutes after that.
///
/// The operation takes no idempotency key, since the key would have to be stored with it: a repeated request creates a
/// second key.
#[utoipa::path(post, path = "/v1/me/api-keys", tag = "api-keys", request_body = CreateApiKey,
    responses((status = 201, body = ApiKeyWithTextBody,
        headers(("Location" = String, description = "The URL of the new resource.")))))]
async fn create_api_key(
    principal: WithSession,
    State(app): State<AppState>,
    Json(new): Json<CreateApiKey>,
) -> HandlerResult<Response> {
    let CreatedApiKey { api_key, text } = api_keys::create(&app.store, &principal, new).await?;
    let location = format!("/v1/me/api-keys/{}", api_key.id);
    let body = ApiKeyWithTextBody { api_key: ApiKeyBody::of(&api_key), key: text.expose().to_owned() };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response())
}

/// Get an API key of the user
///
/// Returns the key without its text, which the store does not keep, also if it has expired.
#[utoipa::path(get, path = "/v1/me/api-keys/{id}", tag = "api-keys", params(("id" = Uuid, Path)),
    responses((status = 200, body = ApiKeyBody)))]
async fn get_api_key(
    principal: WithSession,
    State(app): State<AppState>,
    Path(id): Path<ApiKeyId>,
) -> HandlerResult<Json<ApiKeyBody>> {
    let found = api_keys::own(&app.store, principal.user_id(), id).await?;
    Ok(Json(ApiKeyBody::of(&found)))
}

/// Revoke an API key of the user
///
/// Requests with the key are refused from now on.
#[utoipa::path(delete, path = "/v1/me/api-keys/{id}", tag = "api-keys", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_api_key(
    principal: WithSession,
    State(app): State<AppState>,
    Path(id): Path<ApiKeyId>,
) -> HandlerResult<StatusCode> {
    api_keys::revoke_own(&app.store, principal.user_id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl ApiKeyBody {
    /// The body of a key.
    pub(super) fn of(api_key: &ApiKey) -> Self {
        Self {
            id: api_key.id,
            name: api_key.name.clone(),
            hint: api_key.hint.clone(),
            scopes: api_key.scopes.iter().collect(),
            read_only: api_key.read_only,
            created_at: api_key.created_at,
            expires_at: api_key.expires_at,
            last_used_at: api_key.last_used_at,
        }
    }
}
