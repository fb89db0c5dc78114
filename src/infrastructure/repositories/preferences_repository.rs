//! What users wish: language, currency, and whether they want offers.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, Table, UnitOfWork, table};
use crate::domain::ids::UserId;
use crate::domain::user::Preferences;

table! {
    Preferences in "user_preferences", key UserId, versioned;
    user_id,
    locale,
    currency,
    marketing_consent,
    consent_at,
    version,
    updated_at,
}

/// The queries of preferences.
pub struct PreferencesRepository<'a>(pub &'a mut Connection);

impl PreferencesRepository<'_> {
    /// A user's wishes; version 0, and none at all, until they say any.
    pub async fn of(&mut self, user_id: UserId) -> Result<Preferences, DatabaseError> {
        let found = self.0.find::<Preferences>(user_id).await?;
        Ok(found.unwrap_or(Preferences {
            user_id,
            locale: None,
            currency: None,
            marketing_consent: false,
            consent_at: None,
            version: 0,
            updated_at: Timestamp::UNIX_EPOCH,
        }))
    }

    /// Writes wishes down unless somebody else has since they were read; counts their version up.
    pub async fn save(work: &mut UnitOfWork, wishes: &mut Preferences) -> Result<(), DatabaseError> {
        if wishes.version > 0 {
            return work.update(wishes).await;
        }
        let first = Preferences { version: 1, ..wishes.clone() };
        if !work.insert_new(&first).await? {
            return Err(DatabaseError::Stale { table: Preferences::NAME });
        }
        *wishes = first;
        Ok(())
    }
}
