//! Roles of the staff.

use super::database::{Connection, DatabaseError, Json, params, select, table};
use crate::domain::permission::Permissions;
use crate::domain::staff_role::StaffRole;
use crate::domain::user::User;

table! {
    StaffRole in "roles", key String, versioned;
    name,
    description,
    permissions: json,
    version,
    created_at,
    updated_at,
}

/// Queries on roles of the staff.
pub struct StaffRoleRepository<'a>(pub &'a mut Connection);

impl StaffRoleRepository<'_> {
    /// Returns all roles by their names.
    pub async fn all(&mut self) -> Result<Vec<StaffRole>, DatabaseError> {
        self.0.all(&select::<StaffRole>("ORDER BY name"), &[]).await
    }

    /// Returns what a user may do as an administrator, now.
    pub async fn permissions_of(&mut self, user: &User) -> Result<Permissions, DatabaseError> {
        let of_role = match &user.staff_role {
            Some(name) => self.of_role(name).await?,
            None => None,
        };
        Ok(user.permissions(of_role))
    }

    /// Returns the permissions of a role.
    async fn of_role(&mut self, name: &str) -> Result<Option<Permissions>, DatabaseError> {
        let sql = "SELECT permissions FROM roles WHERE name = $1";
        let found: Option<Json<Permissions>> = self.0.first(sql, &params![name]).await?;
        Ok(found.map(|Json(permissions)| permissions))
    }
}
