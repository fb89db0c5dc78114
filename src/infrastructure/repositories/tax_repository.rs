//! Tax rules: the rate of each tax class in each country.

use super::database::{
    Connection, DatabaseError, Param, ToColumns, UnitOfWork, from_row, params, select, table,
};
use crate::domain::country::Country;
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};

table! {
    TaxRule in "tax_rules", key (Country, TaxClass);
    country,
    tax_class,
    rate as (basis_points, inclusive),
}

from_row!(TaxRate { basis_points, inclusive });

impl ToColumns for TaxRate {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        values.extend(params![self.basis_points, self.inclusive]);
    }
}

const OF_COUNTRY: &str = "WHERE country = $1 ORDER BY tax_class";

/// Queries on tax rules.
pub struct TaxRepository<'a>(pub &'a mut Connection);

impl TaxRepository<'_> {
    /// Returns the rules of a country, by tax class.
    pub async fn for_country(&mut self, country: Country) -> Result<Vec<TaxRule>, DatabaseError> {
        self.0.all(&select::<TaxRule>(OF_COUNTRY), &params![country]).await
    }

    /// Sends the statement of [`TaxRepository::for_country`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn for_country_ahead(&mut self, country: Country) {
        self.0.send_ahead(&select::<TaxRule>(OF_COUNTRY), &params![country]);
    }

    /// Returns all rules, by country and tax class.
    pub async fn all(&mut self) -> Result<Vec<TaxRule>, DatabaseError> {
        self.0.all(&select::<TaxRule>("ORDER BY country, tax_class"), &[]).await
    }

    /// Returns the tax classes of active products, categories and active shipping methods, and that of products whose
    /// category has none if there is one without a category and a class; without that of what is not taxed.
    pub async fn classes_in_use(&mut self) -> Result<Vec<TaxClass>, DatabaseError> {
        let sql = "SELECT tax_class FROM (SELECT tax_class FROM products WHERE active \
                   UNION SELECT CAST($2 AS TEXT) FROM products \
                   WHERE active AND tax_class IS NULL AND category_id IS NULL \
                   UNION SELECT tax_class FROM categories \
                   UNION SELECT tax_class FROM shipping_methods WHERE active) AS used \
                   WHERE tax_class IS NOT NULL AND tax_class <> $1 ORDER BY tax_class";
        self.0.all(sql, &params![TaxClass::zero().as_str(), TaxClass::default().as_str()]).await
    }

    /// Replaces all rules.
    pub async fn replace(work: &mut UnitOfWork, rules: &[TaxRule]) -> Result<(), DatabaseError> {
        // Without the lock, the second of two concurrent calls would not remove the rules that the first inserted.
        work.lock_name("tax_rules").await?;
        work.defer("DELETE FROM tax_rules", &[]).await?;
        for rule in rules {
            work.insert(rule).await?;
        }
        Ok(())
    }
}
