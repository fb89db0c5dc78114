//! Stock: how many pieces of a variant there are, and how many of them orders have reserved.
//!
//! `0 ≤ reserved ≤ stock` holds under any race, because every change is one conditional update: the database, not a
//! value read before, decides whether there is enough. Variants are always touched in the order of their ids, so
//! that two orders never wait for each other in a circle. `version` counts the changes of `stock` alone: who sets an absolute
//! number learns that pieces came or went since, and is not disturbed by reservations.

mod reservations;

pub use self::reservations::ReserveError;

use std::collections::{BTreeMap, HashMap};

use super::database::{Connection, DatabaseError, UnitOfWork, from_row, key_lists, params};
use crate::domain::ids::VariantId;
use crate::domain::product::Stock;

from_row!(Stock { stock, reserved, version });

/// The stock of variants.
pub struct InventoryRepository<'a>(pub &'a mut Connection);

/// What became of an order to change the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockSet {
    /// Done; so it stands now.
    Done(Stock),
    /// Nothing was changed: the stock has changed since the version that was expected.
    Changed,
    /// Nothing was changed: fewer would be left than orders have reserved.
    BelowReserved {
        /// Pieces that orders have reserved.
        reserved: i64,
    },
    /// There is no such variant.
    NoSuchVariant,
}

impl InventoryRepository<'_> {
    /// The stock of each of these variants that has one.
    pub async fn stocks(
        &mut self,
        variants: &[VariantId],
    ) -> Result<HashMap<VariantId, Stock>, DatabaseError> {
        let mut found = HashMap::with_capacity(variants.len());
        for (keys, list) in key_lists(variants) {
            let sql = format!(
                "SELECT variant_id, stock, reserved, version FROM inventory WHERE variant_id IN ({list})"
            );
            found.extend(self.0.all::<(VariantId, Stock)>(&sql, &keys).await?);
        }
        Ok(found)
    }

    /// What can be sold of each of these variants; one without stock is missing.
    pub async fn available(
        &mut self,
        variants: &[VariantId],
    ) -> Result<HashMap<VariantId, i64>, DatabaseError> {
        let stocks = self.stocks(variants).await?;
        Ok(stocks.into_iter().map(|(variant, stock)| (variant, stock.available())).collect())
    }

    /// Sets how many pieces there are, those that are reserved included; with `expected`, only if the stock has not
    /// changed since that version was read.
    pub async fn set_stock(
        work: &mut UnitOfWork,
        variant: VariantId,
        stock: i64,
        expected: Option<i64>,
    ) -> Result<StockSet, DatabaseError> {
        let sql = "UPDATE inventory SET stock = $2, version = version + 1, updated_at = $3 \
                   WHERE variant_id = $1 AND reserved <= $2 AND (CAST($4 AS BIGINT) IS NULL OR version = $4) \
                   RETURNING stock, reserved, version";
        let values = params![variant, stock, work.now(), expected];
        match work.first(sql, &values).await? {
            Some(stock) => Ok(StockSet::Done(stock)),
            None => refused(work, variant, expected).await,
        }
    }

    /// Adds pieces, or takes some away.
    pub async fn adjust(
        work: &mut UnitOfWork,
        variant: VariantId,
        by: i64,
    ) -> Result<StockSet, DatabaseError> {
        let sql = "UPDATE inventory SET stock = stock + $2, version = version + 1, updated_at = $3 \
                   WHERE variant_id = $1 AND reserved <= stock + $2 RETURNING stock, reserved, version";
        let values = params![variant, by, work.now()];
        match work.first(sql, &values).await? {
            Some(stock) => Ok(StockSet::Done(stock)),
            None => refused(work, variant, None).await,
        }
    }

    /// Returned pieces go back on the shelf. What is no longer in the catalogue is passed over.
    pub async fn restock(work: &mut UnitOfWork, lines: &[(VariantId, i64)]) -> Result<(), DatabaseError> {
        let sql = "UPDATE inventory SET stock = stock + $2, version = version + 1, updated_at = $3 WHERE variant_id = $1";
        for (variant, quantity) in summed(lines) {
            let values = params![variant, quantity, work.now()];
            work.defer(sql, &values).await?;
        }
        Ok(())
    }
}

/// Why a conditional update found no row.
async fn refused(
    work: &mut UnitOfWork,
    variant: VariantId,
    expected: Option<i64>,
) -> Result<StockSet, DatabaseError> {
    match InventoryRepository(work).stocks(&[variant]).await?.get(&variant) {
        None => Ok(StockSet::NoSuchVariant),
        Some(stock) if expected.is_some_and(|version| version != stock.version) => Ok(StockSet::Changed),
        Some(stock) => Ok(StockSet::BelowReserved { reserved: stock.reserved }),
    }
}

/// Lines of the same variant as one, in the order of the variants.
pub(super) fn summed(lines: &[(VariantId, i64)]) -> BTreeMap<VariantId, i64> {
    let mut sums = BTreeMap::new();
    for &(variant, quantity) in lines {
        let sum = sums.entry(variant).or_insert(0_i64);
        *sum = sum.saturating_add(quantity);
    }
    sums
}
