//! Sessions, found by the hash of their token; and what ends those that are kept elsewhere.

use jiff::Timestamp;

use super::database::{
    Connection, DatabaseError, Json, UnitOfWork, column_list, data_version, params, select, table,
};
use crate::domain::ids::{SessionId, UserId};
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

/// A session that is not kept in the database and was ended. The row is kept until the session would have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    /// The session.
    pub session_id: SessionId,
    /// The time at which it would have ended by itself, or a later one, UTC.
    pub expires_at: Timestamp,
}

table! {
    EndedSession in "ended_sessions", key SessionId;
    session_id,
    expires_at,
}

/// What the transaction did that ended the sessions of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSessions {
    /// The user.
    pub user_id: UserId,
    /// The epoch in which the sessions were begun that have ended.
    pub former: i64,
    /// The epoch in which the user is from now on.
    pub epoch: i64,
    /// The session that goes on, if there is one.
    pub kept: Option<KeptSession>,
}

/// A session that goes on while all others of its user end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// The hash of its token before.
    pub from: Vec<u8>,
    /// The hash of its token from now on.
    pub to: Vec<u8>,
    /// Whether it is in the database.
    pub is_stored: bool,
}

/// The user of a session, with the version of the user's data, and what the user may do as an administrator.
pub type UserOfSession = ((User, i64), Permissions);

/// The permissions of the role of the staff of a user.
const GRANTED: &str =
    "LEFT JOIN (SELECT name AS role_name, permissions FROM roles) AS granted ON role_name = staff_role";

/// The sessions of a user, the newest first.
const OF_USER: &str = "WHERE user_id = $1 ORDER BY created_at DESC, token_hash";

/// Queries on sessions.
pub struct SessionRepository<'a>(pub &'a mut Connection);

impl SessionRepository<'_> {
    /// Returns the session with this token, also one that has ended by itself and was not deleted yet, and its user.
    pub async fn by_token_hash(
        &mut self,
        token_hash: &[u8],
    ) -> Result<Option<(Session, UserOfSession)>, DatabaseError> {
        // The subqueries rename columns that `users` has, too.
        let sql = format!(
            "SELECT {}, token_hash, user_id, began_at, expires_at, last_used_at, user_agent, permissions, {} \
             FROM users JOIN (SELECT token_hash, user_id, created_at AS began_at, expires_at, last_used_at, user_agent \
              FROM sessions WHERE token_hash = $1) AS session ON user_id = id {GRANTED}",
            column_list::<User>(""),
            data_version("id")
        );
        let found: Option<(User, Session, Option<Json<Permissions>>, i64)> =
            self.0.first(&sql, &params![token_hash]).await?;
        Ok(found.map(|(user, session, of_role, version)| (session, with_permissions(user, version, of_role))))
    }

    /// Returns the user of a session that is kept elsewhere and was begun in this epoch, unless it was ended.
    pub async fn user_of(
        &mut self,
        session: &Session,
        epoch: i64,
    ) -> Result<Option<UserOfSession>, DatabaseError> {
        let sql = format!(
            "SELECT {}, permissions, {} FROM users {GRANTED} WHERE id = $1 AND session_epoch = $2 \
             AND NOT EXISTS (SELECT 1 FROM ended_sessions WHERE session_id = $3)",
            column_list::<User>(""),
            data_version("id")
        );
        let found: Option<(User, Option<Json<Permissions>>, i64)> =
            self.0.first(&sql, &params![session.user_id, epoch, session.id()]).await?;
        Ok(found.map(|(user, of_role, version)| with_permissions(user, version, of_role)))
    }

    /// Returns the epoch of a user; `None` if there is no such user.
    pub async fn epoch(&mut self, user_id: UserId) -> Result<Option<i64>, DatabaseError> {
        self.0.first("SELECT session_epoch FROM users WHERE id = $1", &params![user_id]).await
    }

    /// Returns those of the sessions that were ended.
    pub async fn ended(&mut self, ids: &[SessionId]) -> Result<Vec<EndedSession>, DatabaseError> {
        self.0.all_by_keys("session_id", ids).await
    }

    /// Returns the sessions of a user, also those that have ended by themselves and were not deleted yet, the newest
    /// first.
    pub async fn of_user(&mut self, user_id: UserId) -> Result<Vec<Session>, DatabaseError> {
        self.0.all(&select::<Session>(OF_USER), &params![user_id]).await
    }

    /// Returns the sessions as [`SessionRepository::of_user`] does, each with the version of the user's data.
    pub async fn of_user_with_version(
        &mut self,
        user_id: UserId,
    ) -> Result<Vec<(Session, i64)>, DatabaseError> {
        let sql = format!(
            "SELECT {}, {} FROM sessions {OF_USER}",
            column_list::<Session>(""),
            data_version("sessions.user_id")
        );
        self.0.all(&sql, &params![user_id]).await
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

    /// Removes a session; returns its user, if there was one.
    pub async fn remove(work: &mut UnitOfWork, token_hash: &[u8]) -> Result<Option<UserId>, DatabaseError> {
        work.first("DELETE FROM sessions WHERE token_hash = $1 RETURNING user_id", &params![token_hash]).await
    }

    /// Ends all sessions of a user, wherever they are kept.
    pub async fn end_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<EndedSessions, DatabaseError> {
        let (former, epoch) = next_epoch(work, user_id).await?;
        work.defer("DELETE FROM sessions WHERE user_id = $1", &params![user_id]).await?;
        Ok(EndedSessions { user_id, former, epoch, kept: None })
    }

    /// Ends all sessions of a user except the one with the token `from`, which has the token `to` from now on: it may
    /// be another one, and then the former is not valid any more.
    pub async fn end_others_of(
        work: &mut UnitOfWork,
        user_id: UserId,
        (from, to): (&[u8], &[u8]),
    ) -> Result<EndedSessions, DatabaseError> {
        let (former, epoch) = next_epoch(work, user_id).await?;
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2";
        work.defer(sql, &params![user_id, from]).await?;
        let sql = "UPDATE sessions SET token_hash = $3 WHERE user_id = $1 AND token_hash = $2";
        let is_stored = work.execute(sql, &params![user_id, from, to]).await? == 1;
        let kept = KeptSession { from: from.to_vec(), to: to.to_vec(), is_stored };
        Ok(EndedSessions { user_id, former, epoch, kept: Some(kept) })
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

    /// Removes up to `limit` rows of sessions that were ended and would have expired; returns the number removed.
    pub async fn purge_ended(work: &mut UnitOfWork, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM ended_sessions WHERE session_id IN \
                   (SELECT session_id FROM ended_sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let now = work.now();
        work.execute(sql, &params![now, limit]).await
    }

    /// Removes up to `limit` expired sessions; returns the number removed.
    pub async fn purge_expired(work: &mut UnitOfWork, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE token_hash IN \
                   (SELECT token_hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let now = work.now();
        work.execute(sql, &params![now, limit]).await
    }
}

fn with_permissions(user: User, version: i64, of_role: Option<Json<Permissions>>) -> UserOfSession {
    let permissions = user.permissions(of_role.map(|Json(permissions)| permissions));
    ((user, version), permissions)
}

/// Begins the next epoch of a user, if there is such a user; returns the former one and the new one. The user is locked
/// from then on, so that logging in at the same time ends before, and its session with it, or begins in the new epoch.
///
/// An epoch is a random number: a database that was restored counts to no epoch that sessions in Redis are of.
async fn next_epoch(work: &mut UnitOfWork, user_id: UserId) -> Result<(i64, i64), DatabaseError> {
    let lock = "UPDATE users SET session_epoch = session_epoch WHERE id = $1 RETURNING session_epoch";
    let former: Option<i64> = work.first(lock, &params![user_id]).await?;
    let mut random = [0; 8];
    work.secret(&mut random);
    let epoch = i64::from_le_bytes(random);
    work.defer("UPDATE users SET session_epoch = $2 WHERE id = $1", &params![user_id, epoch]).await?;
    Ok((former.unwrap_or_default(), epoch))
}
