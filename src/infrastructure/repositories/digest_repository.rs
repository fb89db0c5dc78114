//! Counts over a whole store, for the digest that administrators get.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, params};
use crate::domain::money::Money;

/// What happened in a store since a time, and what needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The number of orders that were placed and paid.
    pub orders: i64,
    /// The totals of these orders, one for each currency.
    pub revenue: Vec<Money>,
    /// The number of variants without an available piece.
    pub out_of_stock: i64,
    /// The number of dead letters.
    pub dead_letters: i64,
    /// The number of jobs that failed since the time.
    pub failed_jobs: i64,
}

/// Counts over a whole store.
pub struct DigestRepository<'a>(pub &'a mut Connection);

impl DigestRepository<'_> {
    /// Returns the counts since a time.
    pub async fn since(&mut self, since: Timestamp) -> Result<Digest, DatabaseError> {
        const PAID: &str = "status IN ('paid', 'fulfilled') AND placed_at >= $1";
        let sql = format!("SELECT COUNT(*) FROM orders WHERE {PAID}");
        let orders = self.0.one(&sql, &params![since]).await?;
        let sql = format!(
            "SELECT CAST(SUM(total) AS BIGINT), currency FROM orders WHERE {PAID} GROUP BY currency ORDER BY currency"
        );
        let revenue = self.0.all(&sql, &params![since]).await?;
        let sql = "SELECT (SELECT COUNT(*) FROM inventory WHERE stock = reserved), (SELECT COUNT(*) FROM dead_letters)";
        let (out_of_stock, dead_letters) = self.0.one(sql, &[]).await?;
        let sql = "SELECT COUNT(*) FROM jobs WHERE status = 'failed' AND ended_at >= $1";
        let failed_jobs = self.0.one(sql, &params![since]).await?;
        Ok(Digest { orders, revenue, out_of_stock, dead_letters, failed_jobs })
    }
}
