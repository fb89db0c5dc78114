//! Reservations: what orders hold of the stock until it leaves the store or is given back.

use std::collections::BTreeMap;

use super::{InventoryRepository, summed};
use crate::domain::ids::{OrderId, VariantId};
use crate::infrastructure::repositories::database::{DatabaseError, Param, UnitOfWork, params, placeholders};

/// Reservations written by one statement.
const BATCH: usize = 16;

/// Why nothing was reserved. The unit of work must not be kept: other lines may be reserved already.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// There are not that many pieces left of one of the variants.
    #[error("only {available} of variant {variant_id} left")]
    OutOfStock {
        /// Which variant.
        variant_id: VariantId,
        /// What is left of it.
        available: i64,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] DatabaseError),
}

impl InventoryRepository<'_> {
    /// Reserves `lines` for an order, all or none, and tells which variants have nothing left now.
    pub async fn reserve(
        work: &mut UnitOfWork,
        order: OrderId,
        lines: &[(VariantId, i64)],
    ) -> Result<Vec<VariantId>, ReserveError> {
        let lines = summed(lines);
        let mut depleted = Vec::new();
        for (&variant_id, &quantity) in &lines {
            let sql = "UPDATE inventory SET reserved = reserved + $2 \
                       WHERE variant_id = $1 AND stock - reserved >= $2 RETURNING stock - reserved";
            match work.first::<i64>(sql, &params![variant_id, quantity]).await? {
                Some(0) => depleted.push(variant_id),
                Some(_) => {}
                None => {
                    let left = InventoryRepository(work).available(&[variant_id]).await?;
                    // some may have come back since they were refused
                    let available = left.get(&variant_id).map_or(0, |&left| left.min(quantity - 1));
                    return Err(ReserveError::OutOfStock { variant_id, available });
                }
            }
        }
        let rows: Vec<_> = lines.into_iter().collect();
        for rows in rows.chunks(BATCH) {
            let tuples: Vec<_> =
                (0..rows.len()).map(|row| format!("($1, {})", placeholders(2 + 2 * row, 2))).collect();
            let sql = format!(
                "INSERT INTO reservations (order_id, variant_id, quantity) VALUES {}",
                tuples.join(", ")
            );
            let mut values = vec![Param::from(order)];
            values.extend(rows.iter().flat_map(|&(variant, quantity)| params![variant, quantity]));
            work.defer(&sql, &values).await?;
        }
        Ok(depleted)
    }

    /// What an order has reserved leaves the store. Done twice it changes nothing more.
    pub async fn commit(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
        let sql = "UPDATE inventory SET stock = stock - $2, reserved = reserved - $2, \
                   version = version + 1, updated_at = $3 WHERE variant_id = $1";
        for (variant, quantity) in Self::taken_back(work, order).await? {
            let values = params![variant, quantity, work.now()];
            work.defer(sql, &values).await?;
        }
        Ok(())
    }

    /// What an order has reserved can be sold again. Done twice it changes nothing more.
    pub async fn release(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
        let sql = "UPDATE inventory SET reserved = reserved - $2 WHERE variant_id = $1";
        for (variant, quantity) in Self::taken_back(work, order).await? {
            work.defer(sql, &params![variant, quantity]).await?;
        }
        Ok(())
    }

    /// Removes an order's reservations and hands them out in the order of their variants. Whoever removes them
    /// accounts for them: of two at once, the second finds none.
    async fn taken_back(
        work: &mut UnitOfWork,
        order: OrderId,
    ) -> Result<BTreeMap<VariantId, i64>, DatabaseError> {
        let sql = "DELETE FROM reservations WHERE order_id = $1 RETURNING variant_id, quantity";
        let rows: Vec<(VariantId, i64)> = work.all(sql, &params![order]).await?;
        Ok(rows.into_iter().collect())
    }
}
