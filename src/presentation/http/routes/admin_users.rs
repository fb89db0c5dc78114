//! People, as administrators see them.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::application::people::users;
use crate::domain::ids::UserId;
use crate::domain::user::Role;
use crate::infrastructure::repositories::UserFilter;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, change, erase]
}

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those whose address begins so, in any spelling.
    #[param(min_length = 1, max_length = 254)]
    email: Option<String>,
    /// Only those who may do this.
    #[param(inline)]
    role: Option<Role>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What a user may do from here on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    /// Their role.
    role: Role,
}

/// Users, newest first.
#[utoipa::path(get, path = "/admin/v1/users", tag = "admin users", params(ListParameters),
    responses((status = 200, body = List<UserBody>)))]
async fn list(_: Admin, State(app): State<AppState>, Query(wanted): Query<ListParameters>) -> HandlerResult {
    let ListParameters { email: email_prefix, role, limit, cursor } = wanted;
    let filter = UserFilter { email_prefix, role };
    let page = users::users(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |user| UserBody::of(&user))).into_response())
}

/// A user.
#[utoipa::path(get, path = "/admin/v1/users/{id}", tag = "admin users", params(("id" = Uuid, Path)),
    responses((status = 200, body = UserBody)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let user = users::user(&app.store, id).await?;
    fresh(user.version, &UserBody::of(&user), &known)
}

/// Gives a user another role. The last administrator stays one (`last_admin`).
#[utoipa::path(patch, path = "/admin/v1/users/{id}", tag = "admin users", params(("id" = Uuid, Path)),
    request_body = NewRole, responses((status = 200, body = UserBody)))]
async fn change(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    IfMatch(seen): IfMatch,
    Json(NewRole { role }): Json<NewRole>,
) -> HandlerResult {
    let database = app.store.database();
    let write = database.write_boxed(move |work| Box::pin(users::change_role(work, id, role, seen)));
    let user = write.await?;
    changed(user.version, &UserBody::of(&user))
}

/// Forgets a user on request; what the books need stays. An order that is under way has to be delivered or cancelled
/// before (`open_orders`).
#[utoipa::path(delete, path = "/admin/v1/users/{id}", tag = "admin users", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn erase(_: Admin, State(app): State<AppState>, Path(id): Path<UserId>) -> HandlerResult {
    let write = app.store.database().write_boxed(move |work| Box::pin(users::erase(work, id)));
    write.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
