//! The one-time passwords of users: their encrypted secrets, and the hashes of recovery codes.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, UnitOfWork, params, table};
use crate::domain::ids::UserId;
use crate::domain::one_time_password::OneTimePasswords;

table! {
    OneTimePasswords in "one_time_passwords", key UserId;
    user_id,
    secret,
    last_step,
    failures,
    blocked_until,
    created_at,
}

/// Queries on one-time passwords.
pub struct OneTimePasswordRepository<'a>(pub &'a mut Connection);

impl OneTimePasswordRepository<'_> {
    /// Gives a user an encrypted secret, in place of an earlier one.
    pub async fn begin(work: &mut UnitOfWork, user_id: UserId, secret: &[u8]) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO one_time_passwords (user_id, secret, last_step, failures, created_at) \
                   VALUES ($1, $2, 0, 0, $3) ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, \
                   last_step = 0, failures = 0, blocked_until = NULL, created_at = excluded.created_at";
        let now = work.now();
        work.defer(sql, &params![user_id, secret, now]).await
    }

    /// Uses the code of a step; returns whether neither it nor a later one was used before.
    pub async fn use_step(work: &mut UnitOfWork, user_id: UserId, step: i64) -> Result<bool, DatabaseError> {
        let sql = "UPDATE one_time_passwords SET last_step = $2, failures = 0, blocked_until = NULL \
                   WHERE user_id = $1 AND last_step < $2";
        Ok(work.execute(sql, &params![user_id, step]).await? == 1)
    }

    /// Counts a wrong code, after which none is accepted until `blocked_until`.
    pub async fn count_failure(
        work: &mut UnitOfWork,
        user_id: UserId,
        blocked_until: Option<Timestamp>,
    ) -> Result<(), DatabaseError> {
        let sql =
            "UPDATE one_time_passwords SET failures = failures + 1, blocked_until = $2 WHERE user_id = $1";
        work.defer(sql, &params![user_id, blocked_until]).await
    }

    /// Removes the secret and the recovery codes of a user.
    pub async fn remove(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
        work.defer("DELETE FROM one_time_passwords WHERE user_id = $1", &params![user_id]).await?;
        work.defer("DELETE FROM recovery_codes WHERE user_id = $1", &params![user_id]).await
    }

    /// Gives a user the recovery codes with these hashes, in place of all earlier ones.
    pub async fn replace_recovery_codes(
        work: &mut UnitOfWork,
        user_id: UserId,
        hashes: &[Vec<u8>],
    ) -> Result<(), DatabaseError> {
        work.defer("DELETE FROM recovery_codes WHERE user_id = $1", &params![user_id]).await?;
        for hash in hashes {
            let sql = "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)";
            work.defer(sql, &params![user_id, hash]).await?;
        }
        Ok(())
    }

    /// Uses the recovery code with this hash; returns whether the user had it.
    pub async fn use_recovery_code(
        work: &mut UnitOfWork,
        user_id: UserId,
        hash: &[u8],
    ) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";
        Ok(work.execute(sql, &params![user_id, hash]).await? == 1)
    }
}
