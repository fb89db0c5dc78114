//! Shipping methods with their rates.

use super::database::{Connection, DatabaseError, UnitOfWork, select, table};
use crate::domain::ids::ShippingMethodId;
use crate::domain::shipping::ShippingMethod;

table! {
    ShippingMethod in "shipping_methods", key ShippingMethodId;
    id,
    code,
    name,
    translations: json,
    tax_class,
    position,
    active,
    rates: json,
}

const ACTIVE: &str = "WHERE active ORDER BY position, code";

/// Queries on shipping methods.
pub struct ShippingRepository<'a>(pub &'a mut Connection);

impl ShippingRepository<'_> {
    /// Returns the active shipping methods, by position.
    pub async fn active(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>(ACTIVE);
        self.0.all(&sql, &[]).await
    }

    /// Sends the statement of [`ShippingRepository::active`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn active_ahead(&mut self) {
        self.0.send_ahead(&select::<ShippingMethod>(ACTIVE), &[]);
    }

    /// Returns all shipping methods, by position.
    pub async fn all(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("ORDER BY position, code");
        self.0.all(&sql, &[]).await
    }

    /// Replaces all shipping methods.
    pub async fn replace(work: &mut UnitOfWork, methods: &[ShippingMethod]) -> Result<(), DatabaseError> {
        // Without the lock, the second of two concurrent calls would not remove the methods that the first inserted.
        work.lock_name("shipping_methods").await?;
        work.defer("DELETE FROM shipping_methods", &[]).await?;
        for method in methods {
            work.insert(method).await?;
        }
        Ok(())
    }
}
