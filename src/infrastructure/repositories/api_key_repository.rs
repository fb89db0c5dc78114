//! API keys, found by the hash of their text.

use jiff::Timestamp;
use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, column_list,
    data_version, params, select, table,
};
use crate::domain::api_key::ApiKey;
use crate::domain::audit::SecurityAction;
use crate::domain::ids::{ApiKeyId, UserId};
use crate::domain::user::User;

table! {
    ApiKey in "api_keys", key ApiKeyId, listed by created_at;
    id,
    user_id,
    name,
    hint,
    key_hash,
    scopes: json,
    read_only,
    created_at,
    expires_at,
    last_used_at,
}

/// Which keys a list shows.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ApiKeyFilter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
}

/// Queries on API keys.
pub struct ApiKeyRepository<'a>(pub &'a mut Connection);

impl ApiKeyRepository<'_> {
    /// Returns the key with this hash, and its user with the version of the user's data, unless the key has expired at
    /// `now`.
    pub async fn by_hash(
        &mut self,
        key_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<((User, i64), ApiKey)>, DatabaseError> {
        let sql = format!(
            "SELECT {}, {}, {} FROM api_keys JOIN users ON users.id = api_keys.user_id \
             WHERE key_hash = $1 AND (expires_at IS NULL OR expires_at > $2)",
            column_list::<User>("users."),
            data_version("users.id"),
            column_list::<ApiKey>("api_keys.")
        );
        self.0.first(&sql, &params![key_hash, now]).await
    }

    /// Returns the keys of a user, the newest first.
    pub async fn of_user(&mut self, user_id: UserId) -> Result<Vec<ApiKey>, DatabaseError> {
        let sql = select::<ApiKey>("WHERE user_id = $1 ORDER BY created_at DESC, id DESC");
        self.0.all(&sql, &params![user_id]).await
    }

    /// Returns a page of the keys of all users, newest first.
    pub async fn list(
        &mut self,
        filter: &ApiKeyFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<ApiKey>, ListError> {
        let conditions = Conditions::default().compare_some("user_id =", filter.user_id);
        self.0.newest(filter, conditions, request).await
    }

    /// Returns the number of keys of a user, whose row is locked against further ones.
    pub async fn count(work: &mut UnitOfWork, user_id: UserId) -> Result<i64, DatabaseError> {
        work.one("SELECT COUNT(*) FROM api_keys WHERE user_id = $1", &params![user_id]).await
    }

    /// Records that a key is used now, unless a use since `before` is recorded.
    pub async fn record_use(
        work: &mut UnitOfWork,
        id: ApiKeyId,
        before: Timestamp,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE api_keys SET last_used_at = $2 \
                   WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)";
        let now = work.now();
        work.defer(sql, &params![id, now, before]).await
    }

    /// Removes all keys of a user, and records each in the audit log.
    pub async fn remove_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
        let sql = "DELETE FROM api_keys WHERE user_id = $1 RETURNING id";
        let removed: Vec<ApiKeyId> = work.all(sql, &params![user_id]).await?;
        for id in removed {
            work.record_api_key(SecurityAction::ApiKeyRevoked, id);
        }
        Ok(())
    }

    /// Removes a key of a user; returns whether there was one.
    pub async fn remove_own(
        work: &mut UnitOfWork,
        user_id: UserId,
        id: ApiKeyId,
    ) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM api_keys WHERE id = $1 AND user_id = $2";
        Ok(work.execute(sql, &params![id, user_id]).await? == 1)
    }
}
