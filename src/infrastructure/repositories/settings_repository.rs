//! What a store notes about itself, a text a key.

use super::database::{Connection, DatabaseError, UnitOfWork, params};

/// The notes of the store about itself.
pub struct SettingsRepository<'a>(pub &'a mut Connection);

impl SettingsRepository<'_> {
    /// What is noted under `key`.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, DatabaseError> {
        self.0.first("SELECT value FROM store_settings WHERE key = $1", &params![key]).await
    }

    /// Notes something under `key`, instead of what was noted there.
    pub async fn set(work: &mut UnitOfWork, key: &str, value: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO store_settings (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        work.defer(sql, &params![key, value]).await
    }
}
