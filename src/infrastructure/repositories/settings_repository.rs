//! What a store notes about itself, a text a key.

use super::error::StoreError;
use super::session::Session;
use super::unit_of_work::UnitOfWork;
use super::value::{params, scalar};

/// The notes of the store about itself.
pub struct SettingsRepository<'a>(pub &'a mut Session);

impl SettingsRepository<'_> {
    /// What is noted under `key`.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.0.first("SELECT value FROM store_settings WHERE key = $1", &params![key], scalar).await
    }

    /// Notes something under `key`, instead of what was noted there.
    pub async fn set(unit_of_work: &mut UnitOfWork, key: &str, value: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO store_settings (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        unit_of_work.execute(sql, &params![key, value]).await.map(drop)
    }
}
