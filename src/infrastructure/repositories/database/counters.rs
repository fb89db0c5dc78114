//! Numbers that count up without gaps or races.

use super::error::DatabaseError;
use super::param::params;
use super::unit_of_work::UnitOfWork;

/// The next number of a series: one more each time, and none is lost when the unit of work fails.
///
/// It makes the units of work that want one wait for each other; so take it last.
pub async fn next_number(work: &mut UnitOfWork, series: &str) -> Result<i64, DatabaseError> {
    let sql = "INSERT INTO counters (name, value) VALUES ($1, 1) \
               ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
    work.one(sql, &params![series]).await
}
