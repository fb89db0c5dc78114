//! API keys of all users, as administrators manage them.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_keys::ApiKeyBody;
use crate::application::people::api_keys;
use crate::application::people::granting::Granter;
use crate::domain::ids::{ApiKeyId, UserId};
use crate::infrastructure::exceptions::NotFound;
use crate::infrastructure::repositories::ApiKeyFilter;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::AdminWithSession;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![list_all_api_keys, delete_any_api_key: [NotFound::ApiKey]]
}

/// Which keys are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ApiKeyQuery {
    /// Only keys of this user.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
}

/// An API key with its user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyOfUser)]
struct ApiKeyOfUserBody {
    #[serde(flatten)]
    api_key: ApiKeyBody,
    /// The user for whom the key acts.
    user_id: UserId,
}

/// List API keys
///
/// The keys of all users, newest first, also those that have expired.
#[utoipa::path(get, path = "/admin/v1/api-keys", tag = "admin-api-keys",
    responses((status = 200, body = List<ApiKeyOfUserBody>)))]
async fn list_all_api_keys(
    _: AdminWithSession,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<ApiKeyQuery>>,
) -> HandlerResult<Json<List<ApiKeyOfUserBody>>> {
    let ListQuery { filter: ApiKeyQuery { user_id }, limit, cursor } = query;
    let page = api_keys::list(&app.store, ApiKeyFilter { user_id }, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |api_key| ApiKeyOfUserBody {
        api_key: ApiKeyBody::of(&api_key),
        user_id: api_key.user_id,
    })))
}

/// Revoke an API key
///
/// Requests with the key are refused from now on. The request fails with `unauthorized_access` if the owner has a
/// permission that the caller does not have.
#[utoipa::path(delete, path = "/admin/v1/api-keys/{id}", tag = "admin-api-keys", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_any_api_key(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(id): Path<ApiKeyId>,
) -> HandlerResult<StatusCode> {
    api_keys::revoke(&app.store, Granter::of(&admin.0), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
