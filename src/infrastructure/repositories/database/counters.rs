//! Series of consecutive numbers, such as those of orders and invoices.

use super::error::DatabaseError;
use super::param::params;
use super::unit_of_work::UnitOfWork;

/// Increments the counter of a series and returns it.
const NEXT: &str = "INSERT INTO counters (name, value) VALUES ($1, 1) \
                    ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";

/// Returns the next number of a series: 1, 2, 3 … A unit of work that fails leaves no gap.
///
/// Other units of work that need a number of the series wait until this one ends, so call it late.
pub async fn next_number(work: &mut UnitOfWork, series: &str) -> Result<i64, DatabaseError> {
    work.one(NEXT, &params![series]).await
}

/// Sends the statement of [`next_number`] ahead; see [`Connection::send_ahead`].
///
/// [`Connection::send_ahead`]: super::connection::Connection::send_ahead
pub(crate) fn next_number_ahead(work: &mut UnitOfWork, series: &str) {
    work.send_ahead(NEXT, &params![series]);
}
