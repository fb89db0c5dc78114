//! Sessions, found by the hash of their token.

use jiff::Timestamp;

use super::database::{
    Connection, DatabaseError, Json, UnitOfWork, column_list, data_version, params, select, table,
};
use crate::domain::ids::UserId;
use crate::domain::permission::Permissions;
use crate::domain::user::{Session, User};

table! {
    Session in "sessions", key Vec<u8>;
    token_hash,
    user_id,
    created_at,
    expires_at,
    last_used_at,
    user_agent,
}

/// The sessions of a user that have not ended, the newest first.
const OF_USER: &str = "WHERE user_id = $1 AND expires_at > $2 AND COALESCE(last_used_at, created_at) > $3 \
                       ORDER BY created_at DESC, token_hash";

/// Queries on sessions.
pub struct SessionRepository<'a>(pub &'a mut Connection);

impl SessionRepository<'_> {
    /// Returns the session with this token, its user with the version of the user's data, and what the user may do
    /// as an administrator, unless the session has expired at `now`, or was not used since `idle_since`.
    pub async fn by_token_hash(
        &mut self,
        token_hash: &[u8],
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Option<(Session, (User, i64), Permissions)>, DatabaseError> {
        // The subqueries rename columns that `users` has, too.
        let sql = format!(
            "SELECT {}, token_hash, user_id, began_at, expires_at, last_used_at, user_agent, permissions, {} \
             FROM users JOIN (SELECT token_hash, user_id, created_at AS began_at, expires_at, last_used_at, user_agent \
              FROM sessions WHERE token_hash = $1 AND expires_at > $2 AND COALESCE(last_used_at, created_at) > $3) AS session \
             ON user_id = id \
             LEFT JOIN (SELECT name AS role_name, permissions FROM roles) AS granted ON role_name = staff_role",
            column_list::<User>(""),
            data_version("id")
        );
        let found: Option<(User, Session, Option<Json<Permissions>>, i64)> =
            self.0.first(&sql, &params![token_hash, now, idle_since]).await?;
        Ok(found.map(|(user, session, of_role, version)| {
            let permissions = user.permissions(of_role.map(|Json(permissions)| permissions));
            (session, (user, version), permissions)
        }))
    }

    /// Returns the sessions of a user that have not ended, the newest first.
    pub async fn of_user(
        &mut self,
        user_id: UserId,
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Vec<Session>, DatabaseError> {
        self.0.all(&select::<Session>(OF_USER), &params![user_id, now, idle_since]).await
    }

    /// Returns the sessions as [`SessionRepository::of_user`] does, each with the version of the user's data.
    pub async fn of_user_with_version(
        &mut self,
        user_id: UserId,
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Vec<(Session, i64)>, DatabaseError> {
        let sql = format!(
            "SELECT {}, {} FROM sessions {OF_USER}",
            column_list::<Session>(""),
            data_version("sessions.user_id")
        );
        self.0.all(&sql, &params![user_id, now, idle_since]).await
    }

    /// Records that a session is used now, unless a use since `before` is recorded.
    pub async fn record_use(
        work: &mut UnitOfWork,
        token_hash: &[u8],
        before: Timestamp,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE sessions SET last_used_at = $2 \
                   WHERE token_hash = $1 AND COALESCE(last_used_at, created_at) <= $3";
        let now = work.now();
        work.defer(sql, &params![token_hash, now, before]).await
    }

    /// Gives a session another token; returns whether there was one. The former token is not valid any more.
    pub async fn rotate(
        work: &mut UnitOfWork,
        token_hash: &[u8],
        new_hash: &[u8],
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE sessions SET token_hash = $2 WHERE token_hash = $1";
        Ok(work.execute(sql, &params![token_hash, new_hash]).await? == 1)
    }

    /// Removes a session; returns its user, if there was one.
    pub async fn remove(work: &mut UnitOfWork, token_hash: &[u8]) -> Result<Option<UserId>, DatabaseError> {
        work.first("DELETE FROM sessions WHERE token_hash = $1 RETURNING user_id", &params![token_hash]).await
    }

    /// Removes all sessions of a user; returns their number.
    pub async fn remove_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
        work.execute("DELETE FROM sessions WHERE user_id = $1", &params![user_id]).await
    }

    /// Removes all sessions of a user except the one with this token; returns the number removed.
    pub async fn remove_others_of(
        work: &mut UnitOfWork,
        user_id: UserId,
        token_hash: &[u8],
    ) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2";
        work.execute(sql, &params![user_id, token_hash]).await
    }

    /// Removes all sessions of a user except the newest `count`; returns the number removed.
    pub async fn keep_newest(
        work: &mut UnitOfWork,
        user_id: UserId,
        count: i64,
    ) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND token_hash NOT IN (SELECT token_hash FROM sessions \
                   WHERE user_id = $1 ORDER BY created_at DESC, token_hash LIMIT $2)";
        work.execute(sql, &params![user_id, count]).await
    }

    /// Removes up to `limit` expired sessions; returns the number removed.
    pub async fn purge_expired(work: &mut UnitOfWork, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE token_hash IN \
                   (SELECT token_hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let now = work.now();
        work.execute(sql, &params![now, limit]).await
    }
}
