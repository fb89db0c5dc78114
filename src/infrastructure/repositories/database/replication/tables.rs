//! The tables of a replication, which its source and its target have.

use uuid::Uuid;

use super::super::connection::Connection;
use super::super::dialect;
use super::super::error::DatabaseError;
use super::super::param::params;

/// The table with the state of the replication, one row:
/// - `role`: `source`, `stopping` when its end has begun, or `moved`; `copying` during the first copy, `standby`, and
///   `applying` within a transaction;
/// - `claimed` (of a source): whether a target belongs to it, after which recorded changes are deleted;
/// - `generation`: of a target, counts the transactions of the replication and the processes that took it over, so
///   that only one process writes; of a source, that of the target when recorded changes were last deleted;
/// - `applied` (of a target): the last number of a recorded change that was applied;
/// - `equal_at`, `verified_at` (of a target): the time of the last snapshot of the source that it equals, and of the
///   last one with which all its rows were compared.
const STATE: &str = "CREATE TABLE replication (
    id UUID PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('source', 'stopping', 'moved', 'copying', 'standby', 'applying')),
    claimed BOOLEAN NOT NULL,
    generation BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    equal_at TIMESTAMPTZ,
    verified_at TIMESTAMPTZ
);";

/// Creates the table with the state of the replication.
pub(super) async fn create_state(
    connection: &mut Connection,
    id: Uuid,
    role: &str,
) -> Result<(), DatabaseError> {
    connection.script(&dialect::translate(connection.engine(), STATE)).await?;
    let sql = "INSERT INTO replication (id, role, claimed, generation, applied) VALUES ($1, $2, $3, 0, 0)";
    connection.execute(sql, &params![id, role, false]).await.map(drop)
}
