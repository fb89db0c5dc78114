//! Users, as administrators manage them.

use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::sessions::EndSessionsQuery;
use crate::application::people::birth_dates::{self, ReplaceBirthDate};
use crate::application::people::granting::Granter;
use crate::application::people::one_time_passwords;
use crate::application::people::users::{self, UpdateUser};
use crate::domain::ids::UserId;
use crate::domain::user::Role;
use crate::infrastructure::exceptions::{Conflict, UserNotFoundException};
use crate::infrastructure::repositories::UserFilter;
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::{Admin, AdminWithSession};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_users,
        get_user: [any::<UserNotFoundException>()],
        update_user: [any::<UserNotFoundException>(), Conflict::LastAdmin, Conflict::EmailNotVerified],
        replace_user_birth_date: [any::<UserNotFoundException>()],
        end_user_totp: [any::<UserNotFoundException>()],
        end_user_sessions: [any::<UserNotFoundException>()],
        erase_user: [any::<UserNotFoundException>(), Conflict::OpenOrders, Conflict::LastAdmin],
    ]
}

/// Which users are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// Only users whose e-mail address begins with this text. Letter case does not matter, nor whether the complete
    /// labels of an internationalised domain are written in their own letters or in ASCII.
    #[param(min_length = 1, max_length = 254)]
    email: Option<String>,
    /// Only users with this role.
    #[param(inline)]
    role: Option<Role>,
}

/// List users
///
/// Newest users come first. The audit log records who read which list.
#[utoipa::path(get, path = "/admin/v1/users", tag = "admin-users",
    responses((status = 200, body = List<UserBody>)))]
async fn list_users(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<UserQuery>>,
) -> HandlerResult<Json<List<UserBody>>> {
    let ListQuery { filter: UserQuery { email: email_prefix, role }, limit, cursor } = query;
    let page = users::users(&app.store, &UserFilter { email_prefix, role }, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |user| UserBody::of(&user))))
}

/// Get a user
///
/// The audit log records who read the data of whom.
#[utoipa::path(get, path = "/admin/v1/users/{id}", tag = "admin-users", params(("id" = Uuid, Path)),
    responses((status = 200, body = UserBody)))]
async fn get_user(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let user = users::user(&app.store, id).await?;
    Ok(if_none_match.respond(user.version, &UserBody::of(&user)))
}

/// Change the roles of a user
///
/// The sessions of the user end, and with another `role` the API keys and the links to accounts at an identity
/// provider, too. An administrator without a staff role may do everything, one with a staff role what its permissions
/// say. The request fails with `last_admin` if no administrator would be left who may do everything, and with
/// `unauthorized_access` if the user has, or would get, a permission that the caller does not have.
///
/// A customer becomes an administrator only with a verified e-mail address: otherwise someone else may have
/// registered with it, and the request fails with `email_not_verified`. In a store that sends no e-mails, the
/// operator makes administrators on the command line, with a new password.
#[utoipa::path(patch, path = "/admin/v1/users/{id}", tag = "admin-users", params(("id" = Uuid, Path)),
    request_body = UpdateUser, responses((status = 200, body = UserBody)))]
async fn update_user(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    IfMatch(expected_version): IfMatch,
    Json(update): Json<UpdateUser>,
) -> HandlerResult<StoredResponse> {
    let user = users::change_role(&app.store, Granter::of(&admin.0), id, expected_version, update).await?;
    Ok(UserBody::response(&user))
}

/// Replace the birth date of a user
///
/// For a user whose birth date is wrong: users set their own once, and cannot change it. The request is refused for an
/// administrator who has a permission that the caller does not have.
#[utoipa::path(put, path = "/admin/v1/users/{id}/birth-date", tag = "admin-users", params(("id" = Uuid, Path)),
    request_body = ReplaceBirthDate, responses((status = 200, body = UserBody)))]
async fn replace_user_birth_date(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    IfMatch(expected_version): IfMatch,
    Json(new): Json<ReplaceBirthDate>,
) -> HandlerResult<StoredResponse> {
    let granter = Granter::of(&admin);
    Ok(UserBody::response(&birth_dates::replace(&app.store, granter, id, expected_version, new).await?))
}

/// End the one-time passwords of a user
///
/// For a user who has lost the authenticator app and the recovery codes. Logging in then requires the password alone.
/// The user gets a notice by e-mail. The request is refused for the own account, whose factors have to be proven, and
/// for an administrator who has a permission that the caller does not have.
#[utoipa::path(delete, path = "/admin/v1/users/{id}/totp", tag = "admin-users", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn end_user_totp(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
) -> HandlerResult<StatusCode> {
    let admin = &admin.0;
    one_time_passwords::end_by_administrator(&app.store, Granter::of(admin), id, admin.user_id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the sessions of a user
///
/// Logs the user out everywhere, such as after a device was stolen, and ends the tokens that were sent to the user by
/// e-mail. API keys stay valid unless `revoke_api_keys` is `true`, which requires the permission `api-keys:write`, too.
/// The request is refused for an administrator who has a permission that the caller does not have.
#[utoipa::path(delete, path = "/admin/v1/users/{id}/sessions", tag = "admin-users", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn end_user_sessions(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
    Query(EndSessionsQuery { revoke_api_keys }): Query<EndSessionsQuery>,
) -> HandlerResult<StatusCode> {
    users::end_sessions(&app.store, Granter::of(&admin.0), id, revoke_api_keys).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erase a user
///
/// Removes the personal data of a user; this cannot be reverted. Orders and invoices keep what accounting needs. The
/// request fails with `open_orders` while an order of the user is pending, or paid and not fulfilled, with `last_admin`
/// for the last administrator who may do everything, and with `unauthorized_access` for an administrator who has a
/// permission that the caller does not have. If the store sends e-mails, a last one tells the user.
#[utoipa::path(delete, path = "/admin/v1/users/{id}", tag = "admin-users", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn erase_user(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(id): Path<UserId>,
) -> HandlerResult<StatusCode> {
    users::erase(&app.store, Granter::of(&admin.0), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
