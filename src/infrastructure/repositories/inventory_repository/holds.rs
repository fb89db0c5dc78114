//! Holds: who has reserved pieces with orders that are not paid. A hold ends with the reservation of its order.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use jiff::Timestamp;

use super::InventoryRepository;
use crate::domain::ids::OrderId;
use crate::infrastructure::repositories::database::{DatabaseError, UnitOfWork, from_row, params};

/// Adds up the holds of two holders, which may be the same.
const HELD: &str = "SELECT holder, COUNT(*), CAST(SUM(pieces) AS BIGINT), MIN(expires_at) FROM holds \
                    WHERE holder IN ($1, $2) GROUP BY holder";

/// The holds of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The keyed digest of the holder.
    pub(crate) holder: Vec<u8>,
    /// The number of orders.
    pub(crate) orders: i64,
    /// The number of pieces.
    pub(crate) pieces: i64,
    /// The time at which the first of the holds ends at the latest, UTC.
    pub(crate) ends_at: Timestamp,
}

from_row!(Held { holder, orders, pieces, ends_at });

impl InventoryRepository<'_> {
    /// Locks one or two holders until the transaction ends, so that no other one holds anything for them meanwhile, and
    /// sends the query of [`InventoryRepository::held`] ahead.
    ///
    /// Users have to be before addresses: transactions that lock both would wait for each other.
    pub(crate) async fn lock_holders_ahead(
        work: &mut UnitOfWork,
        holders: &[Vec<u8>],
    ) -> Result<(), DatabaseError> {
        for holder in holders {
            work.lock_name(&format!("holder {}", STANDARD_NO_PAD.encode(holder))).await?;
        }
        if let [first, .., last] | [first @ last] = holders {
            work.send_ahead(HELD, &params![first, last]);
        }
        Ok(())
    }

    /// Returns what one or two holders hold. One that holds nothing is not among them.
    pub(crate) async fn held(work: &mut UnitOfWork, holders: &[Vec<u8>]) -> Result<Vec<Held>, DatabaseError> {
        match holders {
            [first, .., last] | [first @ last] => work.all(HELD, &params![first, last]).await,
            [] => Ok(Vec::new()),
        }
    }

    /// Records that a holder holds the pieces of an order, until its reservation ends.
    pub(crate) async fn hold(
        work: &mut UnitOfWork,
        order: OrderId,
        holder: &[u8],
        pieces: i64,
        expires_at: Timestamp,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO holds (order_id, holder, pieces, expires_at) VALUES ($1, $2, $3, $4)";
        work.defer(sql, &params![order, holder, pieces, expires_at]).await
    }

    /// Ends the holds of an order.
    pub(super) async fn end_holds(work: &mut UnitOfWork, order: OrderId) -> Result<(), DatabaseError> {
        work.defer("DELETE FROM holds WHERE order_id = $1", &params![order]).await
    }
}
