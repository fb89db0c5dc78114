//! Roles of the staff and permissions, as administrators manage them.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::application::people::granting::Granter;
use crate::application::people::staff_roles::{self, CreateRole, ReplaceRole};
use crate::domain::permission::Permission;
use crate::domain::staff_role::StaffRole;
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::{Admin, AdminWithSession};
use crate::presentation::http::query::Path;
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_permissions,
        list_roles,
        get_role: [NotFound::Role],
        create_role: [Conflict::AlreadyExists { field: "name" }, Conflict::TooManyRoles],
        replace_role: [NotFound::Role],
        delete_role: [NotFound::Role, Conflict::RoleInUse],
    ]
}

/// A permission, with what it allows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PermissionDescription)]
struct PermissionBody {
    /// The name.
    name: Permission,
    /// The ids of the operations that require it.
    operations: Vec<String>,
}

/// A role of the staff.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StaffRole)]
struct RoleBody {
    /// The name.
    #[schema(example = "support")]
    name: String,
    /// The description, for administrators.
    description: String,
    /// What administrators with the role may do.
    permissions: Vec<Permission>,
    /// The time at which the role was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// List permissions
///
/// All permissions that a role can have, each with the operations that it allows. The permission to write does not
/// include the one to read. The response to a change shows the whole of what was changed all the same, such as the
/// order with its addresses to the administrator who fulfils it, and the account to the one who replaces its birth
/// date.
#[utoipa::path(get, path = "/admin/v1/permissions", tag = "admin-roles",
    responses((status = 200, body = List<PermissionBody>)))]
async fn list_permissions(
    _: Admin,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<PermissionBody>>> {
    let mut operations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (permission, operation) in app.permissions() {
        operations.entry(permission.to_string()).or_default().push(operation.clone());
    }
    Ok(Json(List::whole(Permission::all().collect(), |name| PermissionBody {
        name,
        operations: operations.remove(&name.to_string()).unwrap_or_default(),
    })))
}

/// List roles
///
/// All roles of the staff, by their names.
#[utoipa::path(get, path = "/admin/v1/roles", tag = "admin-roles",
    responses((status = 200, body = List<RoleBody>)))]
async fn list_roles(_: Admin, State(app): State<AppState>) -> HandlerResult<Json<List<RoleBody>>> {
    let roles = staff_roles::roles(&app.store).await?;
    Ok(Json(List::whole(roles, |role| RoleBody::of(&role))))
}

/// Get a role
#[utoipa::path(get, path = "/admin/v1/roles/{name}", tag = "admin-roles", params(("name" = String, Path)),
    responses((status = 200, body = RoleBody)))]
async fn get_role(
    _: Admin,
    State(app): State<AppState>,
    Path(name): Path<String>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let role = staff_roles::role(&app.store, name).await?;
    Ok(if_none_match.respond(role.version, &RoleBody::of(&role)))
}

/// Create a role
///
/// A user gets the role as `staff_role`, and then has only its permissions as an administrator. The request fails with
/// `unauthorized_access` if the role has a permission that the caller does not have.
#[utoipa::path(post, path = "/admin/v1/roles", tag = "admin-roles", request_body = CreateRole,
    responses((status = 201, body = RoleBody)))]
async fn create_role(
    admin: AdminWithSession,
    State(app): State<AppState>,
    request: Idempotent<CreateRole>,
) -> HandlerResult<StoredResponse> {
    let location = |role: &StaffRole| format!("/admin/v1/roles/{}", role.name);
    let (new, responder) =
        request.into_parts(Some(admin.0.user_id()), created(location, RoleBody::response))?;
    staff_roles::create(&app.store, Granter::of(&admin.0), new, responder).await
}

/// Replace a role
///
/// The change is effective with the next request of each administrator who has the role. The request fails with
/// `unauthorized_access` if the role has, or would get, a permission that the caller does not have.
#[utoipa::path(put, path = "/admin/v1/roles/{name}", tag = "admin-roles", params(("name" = String, Path)),
    request_body = ReplaceRole, responses((status = 200, body = RoleBody)))]
async fn replace_role(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(name): Path<String>,
    IfMatch(expected_version): IfMatch,
    Json(values): Json<ReplaceRole>,
) -> HandlerResult<StoredResponse> {
    let role =
        staff_roles::replace(&app.store, Granter::of(&admin.0), name, expected_version, values).await?;
    Ok(RoleBody::response(&role))
}

/// Delete a role
///
/// The request fails with `in_use` if a user has the role.
#[utoipa::path(delete, path = "/admin/v1/roles/{name}", tag = "admin-roles", params(("name" = String, Path)),
    responses((status = 204)))]
async fn delete_role(
    admin: AdminWithSession,
    State(app): State<AppState>,
    Path(name): Path<String>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    staff_roles::remove(&app.store, Granter::of(&admin.0), name, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl RoleBody {
    fn response(role: &StaffRole) -> StoredResponse {
        tagged(role.version, &Self::of(role))
    }

    fn of(role: &StaffRole) -> Self {
        Self {
            name: role.name.clone(),
            description: role.description.clone(),
            permissions: role.permissions.iter().collect(),
            created_at: role.created_at,
            updated_at: role.updated_at,
        }
    }
}
