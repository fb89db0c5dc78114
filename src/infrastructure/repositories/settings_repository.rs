//! The store's own settings: texts by their keys.
//!
//! Not described by `table!`: only the value of a key is read.

use super::database::{Connection, DatabaseError, UnitOfWork, params};

/// Queries on the store's own settings.
pub struct SettingsRepository<'a>(pub &'a mut Connection);

impl SettingsRepository<'_> {
    /// Returns the value of a key, if it is set.
    pub async fn find(&mut self, key: &str) -> Result<Option<String>, DatabaseError> {
        self.0.first("SELECT value FROM store_settings WHERE key = $1", &params![key]).await
    }

    /// Sets the value of a key if the store has no product.
    pub async fn set_without_products(
        work: &mut UnitOfWork,
        key: &str,
        value: &str,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO store_settings (key, value) SELECT CAST($1 AS TEXT), CAST($2 AS TEXT) \
                   WHERE NOT EXISTS (SELECT 1 FROM products) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        work.defer(sql, &params![key, value]).await
    }

    /// Sets the value of a key.
    pub async fn set(work: &mut UnitOfWork, key: &str, value: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO store_settings (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        work.defer(sql, &params![key, value]).await
    }

    /// Sets the value of a key that has none.
    pub async fn set_new(work: &mut UnitOfWork, key: &str, value: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO store_settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        work.defer(sql, &params![key, value]).await
    }
}
