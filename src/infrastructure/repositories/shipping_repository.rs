//! Ways of shipping.

use super::error::StoreError;
use super::session::Session;
use super::table::{Table, select};
use super::unit_of_work::UnitOfWork;
use super::value::{Json, Param, Row, params};
use crate::domain::shipping::ShippingMethod;

impl Table for ShippingMethod {
    const NAME: &'static str = "shipping_methods";
    const COLUMNS: &'static [&'static str] =
        &["id", "code", "name", "translations", "tax_class", "position", "active", "rates"];

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
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
pub struct ShippingRepository<'a>(pub &'a mut Session);

impl ShippingRepository<'_> {
    /// Those that can be chosen, in their order.
    pub async fn active(&mut self) -> Result<Vec<ShippingMethod>, StoreError> {
        let sql = select::<ShippingMethod>("WHERE active ORDER BY position, code");
        self.0.all(&sql, &[], ShippingMethod::from_row).await
    }

    /// All of them, in their order.
    pub async fn all(&mut self) -> Result<Vec<ShippingMethod>, StoreError> {
        let sql = select::<ShippingMethod>("ORDER BY position, code");
        self.0.all(&sql, &[], ShippingMethod::from_row).await
    }

    /// The one with this code, whether it can be chosen or not.
    pub async fn by_code(&mut self, code: &str) -> Result<Option<ShippingMethod>, StoreError> {
        let sql = select::<ShippingMethod>("WHERE code = $1");
        self.0.first(&sql, &params![code], ShippingMethod::from_row).await
    }

    /// Puts these in the place of all that were there.
    pub async fn replace(
        unit_of_work: &mut UnitOfWork,
        methods: &[ShippingMethod],
    ) -> Result<(), StoreError> {
        // Of two who do this at once the second would not see, and so not remove, what the first has added.
        unit_of_work.take_turn("shipping_methods").await?;
        unit_of_work.execute("DELETE FROM shipping_methods", &[]).await?;
        for method in methods {
            unit_of_work.insert(method).await?;
        }
        Ok(())
    }
}
