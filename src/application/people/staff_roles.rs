//! Roles of the staff as administrators manage them. A change is effective with the next request of each user who has
//! the role, on every server.

use serde::Deserialize;
use utoipa::ToSchema;

use super::granting::{Grantable, Granter};
use crate::application::idempotency::{Responder, once};
use crate::application::{Change, Store, check_version, first_version};
use crate::domain::permission::{Permission, Permissions};
use crate::domain::staff_role::StaffRole;
use crate::domain::text::is_path_name;
use crate::infrastructure::exceptions::{Conflict, Failure, Fault, NotFound, ValidationException};
use crate::infrastructure::repositories::{DatabaseError, StaffRoleRepository, StoredResponse, UnitOfWork};

/// The most roles of a store.
const MAX_ROLES: usize = 100;

/// The role to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRole {
    /// The name: small letters, digits, `.`, `_` and `-`, and not dots alone.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = "^[.]*[a-z0-9_-][a-z0-9._-]*$",
        example = "support"
    )]
    pub name: String,
    /// The description, for administrators.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// What administrators with the role may do.
    #[schema(max_items = 128)]
    pub permissions: Vec<Permission>,
}

/// The values of a role.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRole {
    /// The description, for administrators.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// What administrators with the role may do.
    #[schema(max_items = 128)]
    pub permissions: Vec<Permission>,
}

/// Returns all roles by their names.
pub async fn roles(store: &Store) -> Result<Vec<StaffRole>, Failure> {
    Ok(StaffRoleRepository(&mut store.database().read().await?).all().await?)
}

/// Returns a role.
///
/// # Errors
///
/// [`NotFound::Role`].
pub async fn role(store: &Store, name: String) -> Result<StaffRole, Failure> {
    Ok(store.database().read().await?.find(name).await?.ok_or(NotFound::Role)?)
}

/// Creates a role, once for each idempotency key.
///
/// # Errors
///
/// Those of a missing permission, [`Conflict::AlreadyExists`], [`Conflict::TooManyRoles`], and a
/// [`ValidationException`] for a name that no role can have.
pub async fn create(
    store: &Store,
    granter: Granter,
    new: CreateRole,
    responder: Responder<StaffRole>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, (granter, new), async |work, (granter, new)| create_in(work, *granter, new).await)
        .await
}

async fn create_in(work: &mut UnitOfWork, granter: Granter, new: &CreateRole) -> Result<StaffRole, Failure> {
    if !is_path_name(&new.name) {
        return Err(ValidationException::one("/name", Fault::RoleName).into());
    }
    let grantable = Grantable::lock(work, granter).await?;
    let (permissions, now) = (new.permissions.iter().copied().collect(), work.now());
    grantable.check(permissions)?;
    let role = StaffRole {
        name: new.name.clone(),
        description: new.description.clone(),
        permissions,
        version: first_version(now),
        created_at: now,
        updated_at: now,
    };
    if StaffRoleRepository(work).all().await?.len() >= MAX_ROLES {
        return Err(Conflict::TooManyRoles.into());
    }
    if !work.insert_new(&role).await? {
        return Err(Conflict::AlreadyExists { field: "name" }.into());
    }
    Ok(role)
}

/// Replaces the values of a role.
///
/// # Errors
///
/// [`NotFound::Role`], [`Conflict::PreconditionFailed`], and those of a permission of the role, before or after the
/// change, that the granter does not have.
pub async fn replace(
    store: &Store,
    granter: Granter,
    name: String,
    expected_version: Option<i64>,
    values: ReplaceRole,
) -> Result<StaffRole, Failure> {
    let given = (granter, Change { id: name, expected_version, to: values });
    let write = store
        .database()
        .write(given, async |work, (granter, change)| replace_in(work, *granter, change).await);
    write.await
}

async fn replace_in(
    work: &mut UnitOfWork,
    granter: Granter,
    change: &Change<String, ReplaceRole>,
) -> Result<StaffRole, Failure> {
    let grantable = Grantable::lock(work, granter).await?;
    let mut role = work.find::<StaffRole>(change.id.clone()).await?.ok_or(NotFound::Role)?;
    check_version(role.version, change.expected_version)?;
    let permissions: Permissions = change.to.permissions.iter().copied().collect();
    grantable.check(role.permissions)?;
    grantable.check(permissions)?;
    role.permissions = permissions;
    role.description.clone_from(&change.to.description);
    work.update(&mut role).await?;
    Ok(role)
}

/// Removes a role that no user has.
///
/// # Errors
///
/// [`NotFound::Role`], [`Conflict::PreconditionFailed`], [`Conflict::RoleInUse`], and those of a permission of the role
/// that the granter does not have.
pub async fn remove(
    store: &Store,
    granter: Granter,
    name: String,
    expected_version: Option<i64>,
) -> Result<(), Failure> {
    let given = (granter, name, expected_version);
    let write = store.database().write(given, async |work, (granter, name, expected_version)| {
        let grantable = Grantable::lock(work, *granter).await?;
        let role = work.lock::<StaffRole>(name.clone()).await?.ok_or(NotFound::Role)?;
        grantable.check(role.permissions)?;
        check_version(role.version, *expected_version)?;
        match work.remove::<StaffRole>(name.clone()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotFound::Role.into()),
            Err(DatabaseError::ForeignKey(_)) => Err(Conflict::RoleInUse.into()),
            Err(error) => Err(Failure::from(error)),
        }
    });
    write.await
}
