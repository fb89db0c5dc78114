//! Ways of shipping.

use super::database::{Connection, DatabaseError, UnitOfWork, params, select, table};
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
    /// Those that can be chosen, in their order.
    pub async fn active(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>(ACTIVE);
        self.0.all(&sql, &[]).await
    }

    /// Sends for [`ShippingRepository::active`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn active_ahead(&mut self) {
        self.0.send_ahead(&select::<ShippingMethod>(ACTIVE), &[]);
    }

    /// All of them, in their order.
    pub async fn all(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("ORDER BY position, code");
        self.0.all(&sql, &[]).await
    }

    /// The one with this code, whether it can be chosen or not.
    pub async fn by_code(&mut self, code: &str) -> Result<Option<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("WHERE code = $1");
        self.0.first(&sql, &params![code]).await
    }

    /// Puts these in the place of all that were there.
    pub async fn replace(work: &mut UnitOfWork, methods: &[ShippingMethod]) -> Result<(), DatabaseError> {
        // Of two who do this at once the second would not see, and so not remove, what the first has added.
        work.lock_name("shipping_methods").await?;
        work.execute("DELETE FROM shipping_methods", &[]).await?;
        for method in methods {
            work.insert(method).await?;
        }
        Ok(())
    }
}
