//! Transactions on PostgreSQL, which may conflict and are then run again.

use std::time::Duration;

use super::connection::{Connection, EngineConnection};
use super::postgres_pool::PostgresDatabase;
use super::unit_of_work::{UnitOfWork, WorkFn};
use super::{Database, DatabaseError};
use crate::domain::trace::TraceContext;

/// The most runs of a transaction that fails as retryable.
const RUNS: u32 = 12;
/// The shortest wait before a transaction is run again.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

impl Database {
    /// Runs `work` in a PostgreSQL transaction, and again after a wait if it failed as retryable or with a stale row.
    /// Returns its result, and the types of the events that it published.
    pub(super) async fn transact<A, T, E, F>(
        &self,
        postgres: &PostgresDatabase,
        given: &A,
        work: &F,
        trace: Option<TraceContext>,
    ) -> (Result<T, E>, Vec<&'static str>)
    where
        A: Sync + 'static,
        E: From<DatabaseError>,
        F: for<'a> WorkFn<'a, A, Result<T, E>>,
    {
        let mut run = 1;
        loop {
            let mut connection = match postgres.writer().await {
                Ok(connection) => connection,
                Err(error) => return (Err(error.into()), Vec::new()),
            };
            connection.begin("BEGIN ISOLATION LEVEL READ COMMITTED");
            let connection = Connection::new(EngineConnection::Postgres(connection));
            let mut unit = UnitOfWork::new(connection, self.context.clone(), self.origin.clone(), trace);

            let (result, retryable) = match unit.run(work, given).await {
                Ok(value) => match unit.commit().await {
                    Ok(()) => (Ok(value), false),
                    Err(error) => {
                        let retryable = matches!(error, DatabaseError::Retryable(_));
                        (Err(error.into()), retryable)
                    }
                },
                Err(error) => {
                    let retryable = unit.must_retry();
                    // a connection that cannot roll back is closed when it is dropped
                    let _ = unit.roll_back().await;
                    (Err(error), retryable)
                }
            };
            if !retryable || run == RUNS {
                return (result, unit.take_published());
            }
            drop(unit);
            tokio::time::sleep(self.wait_after(run)).await;
            run += 1;
        }
    }

    /// Returns the random wait after a failed run of a transaction: 5 ms, up to 80 ms after several runs.
    fn wait_after(&self, run: u32) -> Duration {
        let mut random = [0];
        self.context.ids.secret(&mut random);
        let most = SHORTEST_WAIT.saturating_mul(1 << run.min(4));
        SHORTEST_WAIT + most.saturating_sub(SHORTEST_WAIT) * u32::from(random[0]) / 255
    }
}
