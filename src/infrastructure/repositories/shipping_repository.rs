//! Ways of shipping.

use super::database::{Connection, DatabaseError, Json, Param, Row, Table, UnitOfWork, params, select};
use crate::domain::shipping::ShippingMethod;

impl Table for ShippingMethod {
    const NAME: &'static str = "shipping_methods";
    const COLUMNS: &'static [&'static str] =
        &["id", "code", "name", "translations", "tax_class", "position", "active", "rates"];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get(0)?,
            code: row.get(1)?,
            name: row.get(2)?,
            translations: row.get::<Json<_>>(3)?.0,
            tax_class: row.get(4)?,
            position: row.get(5)?,
            active: row.get(6)?,
            rates: row.get::<Json<_>>(7)?.0,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            &self.code,
            &self.name,
            Param::json(&self.translations),
            &self.tax_class,
            self.position,
            self.active,
            Param::json(&self.rates),
        ]
        .into()
    }
}

/// The queries of ways of shipping.
pub struct ShippingRepository<'a>(pub &'a mut Connection);

impl ShippingRepository<'_> {
    /// Those that can be chosen, in their order.
    pub async fn active(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("WHERE active ORDER BY position, code");
        self.0.all(&sql, &[], ShippingMethod::from_row).await
    }

    /// All of them, in their order.
    pub async fn all(&mut self) -> Result<Vec<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("ORDER BY position, code");
        self.0.all(&sql, &[], ShippingMethod::from_row).await
    }

    /// The one with this code, whether it can be chosen or not.
    pub async fn by_code(&mut self, code: &str) -> Result<Option<ShippingMethod>, DatabaseError> {
        let sql = select::<ShippingMethod>("WHERE code = $1");
        self.0.first(&sql, &params![code], ShippingMethod::from_row).await
    }

    /// Puts these in the place of all that were there.
    pub async fn replace(work: &mut UnitOfWork, methods: &[ShippingMethod]) -> Result<(), DatabaseError> {
        // Of two who do this at once the second would not see, and so not remove, what the first has added.
        work.exclusive_lock("shipping_methods").await?;
        work.execute("DELETE FROM shipping_methods", &[]).await?;
        for method in methods {
            work.insert(method).await?;
        }
        Ok(())
    }
}
