//! Log-ins, known by the hash of their token.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, Param, Row, Table, UnitOfWork, params};
use crate::domain::ids::UserId;
use crate::domain::user::{Session, User};

impl Table for Session {
    const NAME: &'static str = "sessions";
    const COLUMNS: &'static [&'static str] = &["token_hash", "user_id", "created_at", "expires_at"];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            token_hash: row.get(0)?,
            user_id: row.get(1)?,
            created_at: row.get(2)?,
            expires_at: row.get(3)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![self.token_hash.as_slice(), self.user_id, self.created_at, self.expires_at].into()
    }
}

/// The queries of log-ins.
pub struct SessionRepository<'a>(pub &'a mut Connection);

impl SessionRepository<'_> {
    /// The log-in with this token and its user, if it has not ended at `now`.
    pub async fn by_token_hash(
        &mut self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, DatabaseError> {
        // The names inside are those that users has not.
        let sql = format!(
            "SELECT {}, began_at, expires_at FROM users JOIN \
             (SELECT user_id, created_at AS began_at, expires_at FROM sessions \
              WHERE token_hash = $1 AND expires_at > $2) AS log_in ON user_id = id",
            User::COLUMNS.join(", ")
        );
        let behind = User::COLUMNS.len();
        let read = |row: &Row<'_>| {
            let user = User::from_row(row)?;
            let log_in = Session {
                token_hash: token_hash.to_vec(),
                user_id: user.id,
                created_at: row.get(behind)?,
                expires_at: row.get(behind + 1)?,
            };
            Ok((log_in, user))
        };
        self.0.first(&sql, &params![token_hash, now], read).await
    }

    /// Ends a log-in; whether there was one.
    pub async fn remove(work: &mut UnitOfWork, token_hash: &[u8]) -> Result<bool, DatabaseError> {
        work.remove::<Session>(token_hash).await
    }

    /// Ends every log-in of a user; how many there were.
    pub async fn remove_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
        work.execute("DELETE FROM sessions WHERE user_id = $1", &params![user_id]).await
    }

    /// Ends every log-in of a user but the one with this token; how many there were.
    pub async fn remove_others_of(
        work: &mut UnitOfWork,
        user_id: UserId,
        token_hash: &[u8],
    ) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2";
        work.execute(sql, &params![user_id, token_hash]).await
    }

    /// Ends the log-ins of a user that are older than the newest `count`; how many there were.
    pub async fn keep_newest(
        work: &mut UnitOfWork,
        user_id: UserId,
        count: i64,
    ) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND token_hash NOT IN (SELECT token_hash FROM sessions \
                   WHERE user_id = $1 ORDER BY created_at DESC, token_hash LIMIT $2)";
        work.execute(sql, &params![user_id, count]).await
    }

    /// Clears away log-ins that have ended; how many.
    pub async fn purge_expired(work: &mut UnitOfWork, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE token_hash IN \
                   (SELECT token_hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let now = work.now();
        work.execute(sql, &params![now, limit]).await
    }
}
