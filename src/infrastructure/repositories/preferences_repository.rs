//! What users wish: language, currency, and whether they want offers.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, Param, Row, Table, UnitOfWork, Versioned, params};
use crate::domain::ids::UserId;
use crate::domain::user::Preferences;

impl Table for Preferences {
    const NAME: &'static str = "user_preferences";
    const COLUMNS: &'static [&'static str] =
        &["user_id", "locale", "currency", "marketing_consent", "consent_at", "version", "updated_at"];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            user_id: row.get(0)?,
            locale: row.get(1)?,
            currency: row.get(2)?,
            marketing_consent: row.get(3)?,
            consent_at: row.get(4)?,
            version: row.get(5)?,
            updated_at: row.get(6)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.user_id,
            self.locale.as_deref(),
            self.currency,
            self.marketing_consent,
            self.consent_at,
            self.version,
            self.updated_at,
        ]
        .into()
    }
}

impl Versioned for Preferences {
    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
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
