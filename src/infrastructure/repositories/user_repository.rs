//! People with an account: found by address or by what another service calls them, and forgotten on request.

mod erasure;

pub use self::erasure::EraseError;

use jiff::Timestamp;
use serde::Serialize;

use super::database::{Connection, Cursors, DatabaseError, Page, UnitOfWork, params, select, table};
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::user::{Role, User, email_key};

table! {
    User in "users", key UserId, computed email_key: |user| email_key(&user.email), versioned, listed by created_at;
    id,
    email,
    name,
    password_hash,
    role,
    birth_date,
    email_verified_at,
    erased_at,
    version,
    created_at,
    updated_at,
}

/// Which users a list shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UserFilter {
    /// How their address begins, in any spelling.
    pub email_prefix: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
}

/// The queries of users.
pub struct UserRepository<'a>(pub &'a mut Connection);

impl UserRepository<'_> {
    /// The user with this address, in any spelling.
    pub async fn by_email(&mut self, email: &str) -> Result<Option<User>, DatabaseError> {
        self.0.first(&select::<User>("WHERE email_key = $1"), &params![email_key(email)]).await
    }

    /// The user whom `provider` calls `subject`.
    pub async fn by_identity(
        &mut self,
        provider: &str,
        subject: &str,
    ) -> Result<Option<User>, DatabaseError> {
        let sql = select::<User>(
            "WHERE id = (SELECT user_id FROM user_identities WHERE provider = $1 AND subject = $2)",
        );
        self.0.first(&sql, &params![provider, subject]).await
    }

    /// A page of users, newest first.
    pub async fn list(
        &mut self,
        filter: &UserFilter,
        limit: usize,
        after: Option<(Timestamp, UserId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<User>, DatabaseError> {
        let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
        if let Some(prefix) = &filter.email_prefix {
            // A range, not LIKE: it can use the index on both databases, and has no wildcards to escape.
            let from = email_key(prefix);
            let to = format!("{from}{}", char::MAX);
            conditions.push("email_key >= $1 AND email_key < $2".to_owned());
            values.extend(params![from, to]);
        }
        if let Some(role) = filter.role {
            // Written out, so that the index of the few administrators is used.
            conditions.push(format!("role = '{}'", role.name()));
        }
        self.0.newest(&conditions.join(" AND "), &values, limit, after, cursors).await
    }

    /// Whether there is an administrator besides this user.
    pub async fn has_admin_besides(&mut self, user_id: UserId) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND id <> $1)";
        self.0.one(sql, &params![user_id]).await
    }

    /// Adds a user unless the address is somebody's already; whether it was added.
    pub async fn insert_unique_email(work: &mut UnitOfWork, user: &User) -> Result<bool, DatabaseError> {
        work.insert_new(user).await
    }

    /// Keeps a user's password from being changed until this unit of work ends, if it still is this one; whether it is.
    pub async fn lock_password(
        work: &mut UnitOfWork,
        user_id: UserId,
        password_hash: &str,
    ) -> Result<bool, DatabaseError> {
        // whoever is changing the row is waited for, and the condition is looked at again after that
        let sql = "UPDATE users SET updated_at = updated_at WHERE id = $1 AND password_hash = $2";
        Ok(work.execute(sql, &params![user_id, password_hash]).await? == 1)
    }

    /// Notes that `provider` calls a user `subject`; false if it calls somebody else so.
    pub async fn link_identity(
        work: &mut UnitOfWork,
        user_id: UserId,
        provider: &str,
        subject: &str,
    ) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO user_identities (provider, subject, user_id, created_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (provider, subject) DO UPDATE SET user_id = excluded.user_id \
                   WHERE user_identities.user_id = excluded.user_id";
        let now = work.now();
        Ok(work.execute(sql, &params![provider, subject, user_id, now]).await? == 1)
    }
}
