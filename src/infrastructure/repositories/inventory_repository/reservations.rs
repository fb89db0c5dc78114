//! Reservations: the pieces that an order has reserved, until they are sold or released.

use super::{InventoryRepository, summed};
use crate::domain::ids::{OrderId, VariantId};
use crate::infrastructure::repositories::database::{
    CacheTag, DatabaseError, Engine, Param, UnitOfWork, params, placeholders,
};

const RESERVE: &str = "UPDATE inventory SET reserved = reserved + $2 \
                       WHERE variant_id = $1 AND (stock IS NULL OR stock - reserved >= $2) RETURNING stock - reserved";

/// The most reservations that one statement inserts, a power of two.
const BATCH: usize = 16;

/// Why an order was not reserved. The unit of work must be rolled back: other lines may be reserved already.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// Fewer pieces of a variant are available than requested.
    #[error("only {available} of variant {variant_id} left")]
    OutOfStock {
        /// The variant that is short.
        variant_id: VariantId,
        /// The available pieces of the variant.
        available: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl InventoryRepository<'_> {
    /// Sends the updates of [`InventoryRepository::reserve`] ahead; see [`Connection::send_ahead`].
    ///
    /// [`Connection::send_ahead`]: crate::infrastructure::repositories::Connection::send_ahead
    pub(crate) fn reserve_ahead(work: &mut UnitOfWork, lines: &[(VariantId, i64)]) {
        for (variant_id, quantity) in summed(lines) {
            work.send_ahead(RESERVE, &params![variant_id, quantity]);
        }
    }

    /// Reserves `lines` for an order, all or none; returns the variants of which nothing is available any more.
    pub async fn reserve(
        work: &mut UnitOfWork,
        order: OrderId,
        lines: &[(VariantId, i64)],
    ) -> Result<Vec<VariantId>, ReserveError> {
        let lines = summed(lines);
        let mut depleted = Vec::new();
        for (&variant_id, &quantity) in &lines {
            match work.first::<Option<i64>>(RESERVE, &params![variant_id, quantity]).await? {
                Some(None) => {}
                Some(Some(left)) => {
                    work.touch(CacheTag::Variant(variant_id));
                    depleted.extend((left == 0).then_some(variant_id));
                }
                None => {
                    let stocks = InventoryRepository(work).stocks(&[variant_id]).await?;
                    let available = stocks.get(&variant_id).map(|stock| stock.available());
                    // more may have become available since the update
                    let most = quantity - 1;
                    let available =
                        available.map_or(0, |pieces| pieces.map_or(most, |pieces| pieces.min(most)));
                    return Err(ReserveError::OutOfStock { variant_id, available });
                }
            }
        }
        let rows: Vec<_> = lines.into_iter().collect();
        let mut rest = &*rows;
        while let Some(digits) = rest.len().checked_ilog2() {
            // powers of two, so that few different statements are prepared; all are sent together
            let (rows, others) = rest.split_at(BATCH.min(1 << digits));
            rest = others;
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

    /// Removes the reserved pieces of an order from the stock. Does nothing if that was done before.
    pub async fn sell(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
        lock_reserved(work, order).await?;
        Self::end_holds(work, order).await?;
        let sql = "UPDATE inventory SET stock = stock - r.quantity, reserved = reserved - r.quantity, \
                   version = version + 1, updated_at = $2 FROM reservations r \
                   WHERE r.order_id = $1 AND inventory.variant_id = r.variant_id";
        let now = work.now();
        work.defer(sql, &params![order, now]).await?;
        work.defer("DELETE FROM reservations WHERE order_id = $1", &params![order]).await
    }

    /// Makes the reserved pieces of an order available again. Does nothing if that was done before.
    pub async fn release(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
        lock_reserved(work, order).await?;
        Self::end_holds(work, order).await?;
        let sql = "UPDATE inventory SET reserved = reserved - r.quantity FROM reservations r \
                   WHERE r.order_id = $1 AND inventory.variant_id = r.variant_id";
        work.defer(sql, &params![order]).await?;
        let sql = "DELETE FROM reservations WHERE order_id = $1 RETURNING variant_id";
        for variant_id in work.all::<VariantId>(sql, &params![order]).await? {
            work.touch(CacheTag::Variant(variant_id));
        }
        Ok(())
    }
}

/// Locks the reservations of an order, and the stock of its variants in the order of their ids, so that two orders
/// never wait for each other.
async fn lock_reserved(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
    if work.engine() == Engine::Sqlite {
        return Ok(());
    }
    let sql = "SELECT 1 FROM reservations WHERE order_id = $1 FOR UPDATE";
    work.defer(sql, &params![order]).await?;
    let sql = "SELECT 1 FROM inventory WHERE variant_id IN (SELECT variant_id FROM reservations WHERE order_id = $1) \
               ORDER BY variant_id FOR NO KEY UPDATE";
    work.defer(sql, &params![order]).await
}
