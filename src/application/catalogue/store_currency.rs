//! The currency of the store where the settings name none: that of its first import.

use crate::domain::money::Currency;
use crate::infrastructure::repositories::{Connection, DatabaseError, SettingsRepository, UnitOfWork};

/// The key of the store's setting.
const KEY: &str = "currency";

/// Returns the currency of the store's first import, if that set one.
pub async fn find(connection: &mut Connection) -> Result<Option<Currency>, DatabaseError> {
    let code = SettingsRepository(connection).find(KEY).await?;
    Ok(code.and_then(|code| code.parse().ok()))
}

/// Sets the currency of a store that has no product.
pub(crate) async fn set_if_empty(work: &mut UnitOfWork, currency: Currency) -> Result<(), DatabaseError> {
    SettingsRepository::set_without_products(work, KEY, currency.code()).await
}
