//! The order of events in a copy from PostgreSQL to SQLite.
//!
//! PostgreSQL orders events by the position of their transaction and then by their number, SQLite by their number alone.
//! The events get each other's numbers, so that the order of their numbers is that of their delivery.

use super::super::connection::Connection;
use super::super::error::DatabaseError;

/// Whether events or cursors have positions of PostgreSQL.
const IS_FOREIGN: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE tx <> 0) \
                          OR EXISTS (SELECT 1 FROM event_cursors WHERE tx <> 0 AND seq > 0)";

/// Numbers are negative in between, because they are unique at all times. A cursor whose event was deleted follows the
/// last event before it, or precedes the first one.
const RENUMBER: &str = "
CREATE TEMP TABLE event_numbers AS
    SELECT by_position.tx AS tx, by_position.seq AS seq, by_number.seq AS number
    FROM (SELECT tx, seq, ROW_NUMBER() OVER (ORDER BY tx, seq) AS nth FROM outbox) AS by_position
    JOIN (SELECT seq, ROW_NUMBER() OVER (ORDER BY seq) AS nth FROM outbox) AS by_number USING (nth);
UPDATE event_cursors SET tx = 0, seq = COALESCE(
    (SELECT MAX(e.number) FROM event_numbers e WHERE (e.tx, e.seq) <= (event_cursors.tx, event_cursors.seq)),
    (SELECT MIN(e.number) - 1 FROM event_numbers e),
    seq
) WHERE seq > 0;
UPDATE dead_letters SET seq = -(SELECT e.number FROM event_numbers e WHERE e.seq = dead_letters.seq)
WHERE seq IN (SELECT seq FROM event_numbers);
UPDATE dead_letters SET seq = -seq WHERE seq < 0;
UPDATE outbox SET tx = 0, seq = -(SELECT e.number FROM event_numbers e WHERE e.seq = outbox.seq);
UPDATE outbox SET seq = -seq;
DROP TABLE event_numbers;";

/// Orders events of PostgreSQL by their numbers, within a transaction on SQLite.
pub(super) async fn by_number(connection: &mut Connection) -> Result<(), DatabaseError> {
    if connection.one(IS_FOREIGN, &[]).await? {
        connection.script(RENUMBER).await?;
    }
    Ok(())
}
