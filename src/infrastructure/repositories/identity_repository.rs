//! The accounts of users at identity providers.

use super::database::{Connection, DatabaseError, UnitOfWork, column_list, data_version, params};
use crate::domain::audit::SecurityAction;
use crate::domain::ids::UserId;
use crate::domain::user::User;

/// Queries on accounts at identity providers.
pub struct IdentityRepository<'a>(pub &'a mut Connection);

impl IdentityRepository<'_> {
    /// Returns the user whose account at a provider has this subject, with the version of the user's data.
    pub async fn user(
        &mut self,
        provider: &str,
        subject: &str,
    ) -> Result<Option<(User, i64)>, DatabaseError> {
        let sql = format!(
            "SELECT {}, {} FROM user_identities JOIN users ON users.id = user_identities.user_id \
             WHERE provider = $1 AND subject = $2 AND erased_at IS NULL",
            column_list::<User>("users."),
            data_version("users.id")
        );
        self.0.first(&sql, &params![provider, subject]).await
    }

    /// Removes all accounts of a user at providers, and records each in the audit log.
    pub async fn remove_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
        let sql = "DELETE FROM user_identities WHERE user_id = $1";
        for _ in 0..work.execute(sql, &params![user_id]).await? {
            work.record(SecurityAction::IdentityUnlinked, Some(user_id));
        }
        Ok(())
    }

    /// Links the account at a provider to a user, unless it is linked.
    pub async fn link(
        work: &mut UnitOfWork,
        (provider, subject): (&str, &str),
        user_id: UserId,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO user_identities (provider, subject, user_id, created_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let now = work.now();
        work.defer(sql, &params![provider, subject, user_id, now]).await
    }
}
