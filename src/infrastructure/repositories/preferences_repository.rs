//! The preferences of users: locale, currency and marketing consent.

use super::database::{Connection, DatabaseError, Owner, Table, UnitOfWork, table};
use crate::domain::ids::UserId;
use crate::domain::user::Preferences;

table! {
    Preferences in "user_preferences", key UserId, versioned, owned by |preferences| Owner::User(preferences.user_id);
    user_id,
    locale,
    currency,
    marketing_consent,
    consent_at,
    version,
    updated_at,
}

/// Queries on preferences.
pub struct PreferencesRepository<'a>(pub &'a mut Connection);

impl PreferencesRepository<'_> {
    /// Returns the preferences of a user; of version 0 and empty if none were saved.
    pub async fn of(&mut self, user_id: UserId) -> Result<Preferences, DatabaseError> {
        let found = self.0.find::<Preferences>(user_id).await?;
        Ok(found.unwrap_or_else(|| Preferences::none(user_id)))
    }

    /// Saves preferences and increments their version, unless they changed since they were read.
    pub async fn save(work: &mut UnitOfWork, preferences: &mut Preferences) -> Result<(), DatabaseError> {
        if preferences.version > 0 {
            return work.update(preferences).await;
        }
        let first = Preferences { version: 1, updated_at: work.now(), ..preferences.clone() };
        if !work.insert_new(&first).await? {
            return Err(DatabaseError::Stale { table: Preferences::NAME });
        }
        *preferences = first;
        Ok(())
    }
}
