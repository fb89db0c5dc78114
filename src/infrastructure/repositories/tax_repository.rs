//! Which country charges how much tax on what.

use super::database::{Connection, DatabaseError, UnitOfWork, from_row, params};
use crate::domain::country::Country;
use crate::domain::tax::{TaxClass, TaxRate, TaxRule};

const OF_COUNTRY: &str =
    "SELECT country, tax_class, basis_points, inclusive FROM tax_rules WHERE country = $1 ORDER BY tax_class";

/// The queries of tax rules.
pub struct TaxRepository<'a>(pub &'a mut Connection);

impl TaxRepository<'_> {
    /// The rate that a country charges on a class.
    pub async fn find(
        &mut self,
        country: Country,
        tax_class: &TaxClass,
    ) -> Result<Option<TaxRate>, DatabaseError> {
        let sql = "SELECT basis_points, inclusive FROM tax_rules WHERE country = $1 AND tax_class = $2";
        self.0.first(sql, &params![country, tax_class]).await
    }

    /// The rules of one country.
    pub async fn for_country(&mut self, country: Country) -> Result<Vec<TaxRule>, DatabaseError> {
        self.0.all(OF_COUNTRY, &params![country]).await
    }

    /// Sends for [`TaxRepository::for_country`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn for_country_ahead(&mut self, country: Country) {
        self.0.send_ahead(OF_COUNTRY, &params![country]);
    }

    /// Every rule, by country and class.
    pub async fn all(&mut self) -> Result<Vec<TaxRule>, DatabaseError> {
        let sql =
            "SELECT country, tax_class, basis_points, inclusive FROM tax_rules ORDER BY country, tax_class";
        self.0.all(sql, &[]).await
    }

    /// Adds a rule unless its country has one for its class; whether it was added.
    pub async fn insert_new(work: &mut UnitOfWork, rule: &TaxRule) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO tax_rules (country, tax_class, basis_points, inclusive) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let TaxRule { country, tax_class, rate } = rule;
        let values = params![*country, tax_class, rate.basis_points, rate.inclusive];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Puts these rules in the place of all that were there.
    pub async fn replace(work: &mut UnitOfWork, rules: &[TaxRule]) -> Result<(), DatabaseError> {
        // Of two who do this at once the second would not see, and so not remove, what the first has added.
        work.lock_name("tax_rules").await?;
        work.execute("DELETE FROM tax_rules", &[]).await?;
        let sql =
            "INSERT INTO tax_rules (country, tax_class, basis_points, inclusive) VALUES ($1, $2, $3, $4)";
        for TaxRule { country, tax_class, rate } in rules {
            let values = params![*country, tax_class, rate.basis_points, rate.inclusive];
            work.execute(sql, &values).await?;
        }
        Ok(())
    }
}

from_row!(TaxRate { basis_points, inclusive });
from_row!(TaxRule { country, tax_class, rate });
