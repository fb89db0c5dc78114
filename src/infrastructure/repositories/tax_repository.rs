//! Tax rules: the rate of each tax class in each country.
//!
//! Not described by `table!`: a rule has no id, and rules are only replaced as a whole.

use super::database::{Connection, DatabaseError, UnitOfWork, from_row, params};
use crate::domain::country::Country;
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};

const OF_COUNTRY: &str =
    "SELECT country, tax_class, basis_points, inclusive FROM tax_rules WHERE country = $1 ORDER BY tax_class";

/// Queries on tax rules.
pub struct TaxRepository<'a>(pub &'a mut Connection);

impl TaxRepository<'_> {
    /// Returns the rate of a tax class in a country.
    pub async fn find(
        &mut self,
        country: Country,
        tax_class: &TaxClass,
    ) -> Result<Option<TaxRate>, DatabaseError> {
        let sql = "SELECT basis_points, inclusive FROM tax_rules WHERE country = $1 AND tax_class = $2";
        self.0.first(sql, &params![country, tax_class]).await
    }

    /// Returns the rules of a country, by tax class.
    pub async fn for_country(&mut self, country: Country) -> Result<Vec<TaxRule>, DatabaseError> {
        self.0.all(OF_COUNTRY, &params![country]).await
    }

    /// Sends for [`TaxRepository::for_country`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn for_country_ahead(&mut self, country: Country) {
        self.0.send_ahead(OF_COUNTRY, &params![country]);
    }

    /// Returns all rules, by country and tax class.
    pub async fn all(&mut self) -> Result<Vec<TaxRule>, DatabaseError> {
        let sql =
            "SELECT country, tax_class, basis_points, inclusive FROM tax_rules ORDER BY country, tax_class";
        self.0.all(sql, &[]).await
    }

    /// Returns the tax classes of active products and of the categories and shipping methods that no rule names.
    pub async fn classes_without_rule(&mut self) -> Result<Vec<TaxClass>, DatabaseError> {
        let sql = "SELECT tax_class FROM (SELECT tax_class FROM products WHERE active \
                   UNION SELECT tax_class FROM categories \
                   UNION SELECT tax_class FROM shipping_methods WHERE active) AS used \
                   WHERE tax_class IS NOT NULL AND tax_class NOT IN (SELECT tax_class FROM tax_rules) \
                   ORDER BY tax_class";
        self.0.all(sql, &[]).await
    }

    /// Inserts a rule unless its country has one for its tax class; returns whether it was inserted.
    pub async fn insert_new(work: &mut UnitOfWork, rule: &TaxRule) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO tax_rules (country, tax_class, basis_points, inclusive) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let TaxRule { country, tax_class, rate } = rule;
        let values = params![*country, tax_class, rate.basis_points, rate.inclusive];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Replaces all rules.
    pub async fn replace(work: &mut UnitOfWork, rules: &[TaxRule]) -> Result<(), DatabaseError> {
        // Without the lock, the second of two concurrent calls would not remove the rules that the first inserted.
        work.lock_name("tax_rules").await?;
        work.defer("DELETE FROM tax_rules", &[]).await?;
        let sql =
            "INSERT INTO tax_rules (country, tax_class, basis_points, inclusive) VALUES ($1, $2, $3, $4)";
        for TaxRule { country, tax_class, rate } in rules {
            let values = params![*country, tax_class, rate.basis_points, rate.inclusive];
            work.defer(sql, &values).await?;
        }
        Ok(())
    }
}

from_row!(TaxRate { basis_points, inclusive });
from_row!(TaxRule { country, tax_class, rate });
