//! Users: found by e-mail address, listed, and erased on request.

mod erasure;

pub use self::erasure::EraseError;

use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, Json, ListError, Owner, Page, PageRequest, UnitOfWork,
    data_version, params, select, table,
};
use crate::domain::email::{email_key, stored_email_keys};
use crate::domain::ids::UserId;
use crate::domain::permission::{Permission, Permissions};
use crate::domain::state::State;
use crate::domain::user::{Role, User};

table! {
    User in "users", key UserId, computed email_key: |user| stored_email_keys(&user.email).0, versioned, listed by created_at,
    owned by |user| Owner::User(user.id);
    id,
    email,
    name,
    password_hash,
    role,
    staff_role,
    birth_date,
    email_verified_at,
    totp_since,
    erased_at,
    version,
    created_at,
    updated_at,
}

/// Which users a list shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UserFilter {
    /// Only those whose e-mail address begins with this, in any spelling.
    pub email_prefix: Option<String>,
    /// Only those with this role.
    pub role: Option<Role>,
}

/// Queries on users.
pub struct UserRepository<'a>(pub &'a mut Connection);

impl UserRepository<'_> {
    /// Returns the user with this e-mail address, in any spelling. If two users have it, who registered when their
    /// spellings were not the same yet, it is that of this spelling.
    pub async fn by_email(&mut self, email: &str) -> Result<Option<User>, DatabaseError> {
        let (key, other) = stored_email_keys(email);
        let Some(other) = other else {
            return self.0.first(&select::<User>("WHERE email_key = $1"), &params![key]).await;
        };
        let sql = select::<User>(
            "WHERE email_key = $1 OR email_key = $2 ORDER BY CASE WHEN email_key = $1 THEN 0 ELSE 1 END LIMIT 1",
        );
        self.0.first(&sql, &params![key, other]).await
    }

    /// Returns the version of the data of a user, which each change of it increases.
    pub async fn data_version(&mut self, id: UserId) -> Result<i64, DatabaseError> {
        self.0.one(&format!("SELECT {}", data_version("$1")), &params![id]).await
    }

    /// Returns whether a user was erased.
    pub async fn is_erased(&mut self, id: UserId) -> Result<bool, DatabaseError> {
        Ok(self.0.find::<User>(id).await?.is_none_or(|user| user.erased_at.is_some()))
    }

    /// Returns a page of users, newest first.
    pub async fn list(
        &mut self,
        filter: &UserFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<User>, ListError> {
        let mut conditions = Conditions::default();
        if let Some(prefix) = &filter.email_prefix {
            // A range, not LIKE: both engines can use the index, and there are no wildcards to escape.
            let (from, _) = stored_email_keys(prefix);
            let to = format!("{from}{}", char::MAX);
            conditions = conditions.compare("email_key >=", from).compare("email_key <", to);
        }
        if let Some(role) = filter.role {
            // A literal, so that the partial index of the administrators is used.
            conditions = conditions.and(&format!("role = '{}'", role.name()));
        }
        self.0.newest(filter, conditions, request).await
    }

    /// Returns whether there is an administrator who may do everything.
    pub async fn has_admin(&mut self) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND staff_role IS NULL)";
        self.0.one(sql, &[]).await
    }

    /// Returns the ids of the administrators who have a permission.
    pub async fn admins_with(&mut self, permission: Permission) -> Result<Vec<UserId>, DatabaseError> {
        let sql = "SELECT id, staff_role, permissions FROM users LEFT JOIN roles ON roles.name = staff_role \
                   WHERE role = 'admin' ORDER BY id";
        let admins: Vec<(UserId, Option<String>, Option<Json<Permissions>>)> = self.0.all(sql, &[]).await?;
        let with = admins.into_iter().filter(|(_, staff_role, of_role)| {
            let has = |of_role: &Json<Permissions>| of_role.0.contains(permission);
            staff_role.is_none() || of_role.as_ref().is_some_and(has)
        });
        Ok(with.map(|(id, ..)| id).collect())
    }

    /// Returns whether an administrator besides this user may do everything.
    pub async fn has_admin_besides(&mut self, user_id: UserId) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM users \
                   WHERE role = 'admin' AND staff_role IS NULL AND id <> $1)";
        self.0.one(sql, &params![user_id]).await
    }

    /// Inserts a user unless another user has the e-mail address; returns whether it was inserted.
    pub async fn insert_unique_email(work: &mut UnitOfWork, user: &User) -> Result<bool, DatabaseError> {
        Ok(!is_used_in_other_spelling(work, user).await? && work.insert_new(user).await?)
    }

    /// Updates a user, who may have another e-mail address, unless another user has it; returns whether it was updated.
    pub async fn update_unique_email(work: &mut UnitOfWork, user: &mut User) -> Result<bool, DatabaseError> {
        if is_used_in_other_spelling(work, user).await? {
            return Ok(false);
        }
        match work.update(user).await {
            Err(error) if error.is_taken("users_email") => Ok(false),
            updated => updated.map(|()| true),
        }
    }

    /// Replaces the hash of a password by another hash of it. The account does not change.
    pub async fn set_password_hash(
        work: &mut UnitOfWork,
        user_id: UserId,
        password_hash: &str,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
        work.defer(sql, &params![user_id, password_hash]).await
    }
}

/// Returns whether another user has the e-mail address in the other spelling of its domain, of which no constraint
/// knows, unless the user has it already. Until the transaction ends, others that ask this of either spelling wait.
async fn is_used_in_other_spelling(work: &mut UnitOfWork, user: &User) -> Result<bool, DatabaseError> {
    let (key, Some(other)) = stored_email_keys(&user.email) else { return Ok(false) };
    work.lock_name(&format!("e-mail address {}", email_key(&user.email))).await?;
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE email_key = $1 AND id <> $2) \
               AND NOT EXISTS (SELECT 1 FROM users WHERE email_key = $3 AND id = $2)";
    work.one(sql, &params![other, user.id, key]).await
}
