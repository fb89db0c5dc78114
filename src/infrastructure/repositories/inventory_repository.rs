//! The stock of variants, and the part of it that orders have reserved.
//!
//! `0 ≤ reserved ≤ stock` holds under any race, because every change is one conditional update: the database, not a
//! value read before, decides whether there is enough. Variants are always touched in the order of their ids, so
//! that two orders never deadlock. `version` counts the changes of `stock` alone, so that a reservation does not make
//! an administrator's change of the stock stale. A variant whose pieces are not counted has no `stock`: its
//! reservations are counted only.
//!
//! Not described by `table!`: rows are changed by conditional updates only, and never written as a whole.

mod holds;
mod reservations;

pub use self::reservations::ReserveError;

use std::collections::{BTreeMap, HashMap};

use super::database::{CacheTag, Connection, DatabaseError, UnitOfWork, from_row, key_lists, params};
use crate::domain::ids::VariantId;
use crate::domain::product::Stock;

from_row!(Stock { stock, reserved, version });

/// Queries on the stock of variants.
pub struct InventoryRepository<'a>(pub &'a mut Connection);

/// The outcome of a change of the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockSet {
    /// The stock was changed to this.
    Done(Stock),
    /// Nothing was changed: the stock has changed since the version that was expected.
    Changed,
    /// Nothing was changed: the stock would be less than orders have reserved.
    BelowReserved {
        /// The pieces that orders have reserved.
        reserved: i64,
    },
    /// There is no such variant.
    NoSuchVariant,
}

impl InventoryRepository<'_> {
    /// Returns the stock of variants; variants that do not exist are left out.
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

    /// Sets the stock of a variant, reserved pieces included, or that it is not counted (`None`); with `expected`, only
    /// if the stock has this version.
    pub async fn set_stock(
        work: &mut UnitOfWork,
        variant: VariantId,
        stock: Option<i64>,
        expected: Option<i64>,
    ) -> Result<StockSet, DatabaseError> {
        let sql = "UPDATE inventory SET stock = $2, version = version + 1, updated_at = $3 \
                   WHERE variant_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR reserved <= $2) \
                   AND (CAST($4 AS BIGINT) IS NULL OR version = $4) \
                   RETURNING stock, reserved, version";
        let values = params![variant, stock, work.now(), expected];
        match work.first(sql, &values).await? {
            Some(stock) => {
                work.touch(CacheTag::Variant(variant));
                Ok(StockSet::Done(stock))
            }
            None => not_changed(work, variant, expected).await,
        }
    }

    /// Adds returned pieces to the stock where it is counted. Variants that do not exist are skipped.
    pub async fn restock(work: &mut UnitOfWork, lines: &[(VariantId, i64)]) -> Result<(), DatabaseError> {
        let sql = "UPDATE inventory SET stock = stock + $2, version = version + 1, updated_at = $3 \
                   WHERE variant_id = $1";
        for (variant, quantity) in summed(lines) {
            let values = params![variant, quantity, work.now()];
            work.touch(CacheTag::Variant(variant));
            work.defer(sql, &values).await?;
        }
        Ok(())
    }
}

/// Returns why a conditional update found no row.
async fn not_changed(
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

/// Adds up the lines of each variant, in the order of their ids.
pub(super) fn summed(lines: &[(VariantId, i64)]) -> BTreeMap<VariantId, i64> {
    let mut sums = BTreeMap::new();
    for &(variant, quantity) in lines {
        let sum = sums.entry(variant).or_insert(0_i64);
        *sum = sum.saturating_add(quantity);
    }
    sums
}
