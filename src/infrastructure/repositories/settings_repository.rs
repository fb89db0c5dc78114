//! The store's own settings: texts by their keys.

use super::database::{Connection, DatabaseError, UnitOfWork, params};

/// Queries on the store's own settings.
pub struct SettingsRepository<'a>(pub &'a mut Connection);

impl SettingsRepository<'_> {
    /// Returns the value of a key, if it is set.
    pub async fn find(&mut self, key: &str) -> Result<Option<String>, DatabaseError> {
        self.0.first("SELECT value FROM store_settings WHERE key = $1", &params![key]).await
    }

    /// Sets the value of a key.
    pub async fn set(work: &mut UnitOfWork, key: &str, value: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO store_settings (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        work.defer(sql, &params![key, value]).await
    }
}
