//! Counts over a whole store, for the digest that administrators get.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, params};
use crate::domain::money::Money;

/// What happened in a store in a time, and what needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The number of orders that were paid in the time, imported ones and those that were cancelled or refunded since
    /// aside.
    pub orders: i64,
    /// The totals of these orders, one for each currency.
    pub revenue: Vec<Money>,
    /// The number of variants that are sold and have no available piece.
    pub out_of_stock: i64,
    /// The number of dead letters.
    pub dead_letters: i64,
    /// The number of jobs that failed in the time.
    pub failed_jobs: i64,
}

/// Counts over a whole store.
pub struct DigestRepository<'a>(pub &'a mut Connection);

impl DigestRepository<'_> {
    /// Returns the counts from a time to a later one, which is not included. An order counts when it was paid, which is
    /// when its invoice was issued: it may have been placed before.
    pub async fn between(&mut self, from: Timestamp, to: Timestamp) -> Result<Digest, DatabaseError> {
        const PAID: &str = "FROM invoices i JOIN orders o ON o.id = i.order_id WHERE i.kind = 'invoice' \
                            AND i.series NOT LIKE 'IMPORT-%' AND i.issued_at >= $1 AND i.issued_at < $2 \
                            AND o.status IN ('paid', 'fulfilled')";
        let sql = format!("SELECT COUNT(*) {PAID}");
        let orders = self.0.one(&sql, &params![from, to]).await?;
        let sql = format!(
            "SELECT CAST(SUM(o.total) AS BIGINT), o.currency {PAID} GROUP BY o.currency ORDER BY o.currency"
        );
        let revenue = self.0.all(&sql, &params![from, to]).await?;
        let sql = "SELECT (SELECT COUNT(*) FROM inventory i JOIN variants v ON v.id = i.variant_id \
                   JOIN products p ON p.id = v.product_id WHERE i.stock = i.reserved AND v.active AND p.active), \
                   (SELECT COUNT(*) FROM dead_letters)";
        let (out_of_stock, dead_letters) = self.0.one(sql, &[]).await?;
        let sql = "SELECT COUNT(*) FROM jobs WHERE status = 'failed' AND ended_at >= $1 AND ended_at < $2";
        let failed_jobs = self.0.one(sql, &params![from, to]).await?;
        Ok(Digest { orders, revenue, out_of_stock, dead_letters, failed_jobs })
    }
}
