//! A connection to either engine, which runs one SQL text: `$1` parameters, `RETURNING`, `ON CONFLICT`, CTEs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::dialect::Engine;
use super::error::DatabaseError;
use super::param::Param;
use super::postgres::PostgresConnection;
use super::row::{FromRow, Row};
use super::sqlite::SqliteConnection;

/// A connection in use. It returns to its pool when it is dropped.
pub struct Connection {
    inner: EngineConnection,
}

/// The statements that this process has run.
static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of statements that this process has run on its databases, without those that begin and end
/// transactions.
pub(super) fn statements() -> u64 {
    STATEMENTS.load(Relaxed)
}

fn count_statement() {
    STATEMENTS.fetch_add(1, Relaxed);
}

pub(crate) enum EngineConnection {
    Sqlite(SqliteConnection),
    Postgres(PostgresConnection),
}

impl Connection {
    pub(crate) fn new(inner: EngineConnection) -> Self {
        Self { inner }
    }

    pub(crate) fn into_inner(self) -> EngineConnection {
        self.inner
    }

    pub(crate) fn inner_mut(&mut self) -> &mut EngineConnection {
        &mut self.inner
    }

    /// Returns the engine.
    pub fn engine(&self) -> Engine {
        match self.inner {
            EngineConnection::Sqlite(_) => Engine::Sqlite,
            EngineConnection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Returns all rows of a query.
    pub async fn all<T: FromRow>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<T>, DatabaseError> {
        self.all_with(sql, params, T::from_row).await
    }

    /// Returns all rows of a query, each read by `read`.
    pub(crate) async fn all_with<T, M>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: M,
    ) -> Result<Vec<T>, DatabaseError>
    where
        M: FnMut(&mut Row<'_>) -> Result<T, DatabaseError>,
    {
        count_statement();
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.all(sql, params, read),
            EngineConnection::Postgres(postgres) => {
                let rows = postgres.query(sql, params).await?;
                rows.iter().map(|row| read(&mut Row::postgres(row))).collect()
            }
        }
    }

    /// Returns the first row of a query.
    pub async fn first<T: FromRow>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Option<T>, DatabaseError> {
        count_statement();
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.first(sql, params, T::from_row),
            EngineConnection::Postgres(postgres) => {
                let rows = postgres.query(sql, params).await?;
                rows.first().map(|row| T::from_row(&mut Row::postgres(row))).transpose()
            }
        }
    }

    /// Returns the first row of a query that always has one.
    pub async fn one<T: FromRow>(&mut self, sql: &str, params: &[Param<'_>]) -> Result<T, DatabaseError> {
        self.first(sql, params)
            .await?
            .ok_or_else(|| DatabaseError::Internal(format!("the query returned no row: {sql}")))
    }

    /// Runs a statement; returns the number of rows that it changed.
    pub async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, DatabaseError> {
        count_statement();
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.execute(sql, params),
            EngineConnection::Postgres(postgres) => postgres.execute(sql, params).await,
        }
    }

    /// Runs a statement whose result the caller does not need.
    ///
    /// On PostgreSQL it is sent with the next statement of the transaction or the commit, which returns its error.
    pub(crate) async fn defer(&mut self, sql: &str, params: &[Param<'_>]) -> Result<(), DatabaseError> {
        count_statement();
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.execute(sql, params).map(drop),
            EngineConnection::Postgres(postgres) => postgres.defer(sql, params).await,
        }
    }

    /// Sends a statement together with the next one, and keeps its result for the call that runs the same statement
    /// with the same parameters: it takes no round trip. Does nothing on SQLite.
    ///
    /// Nothing may change the result between here and that call.
    pub fn send_ahead(&mut self, sql: &str, params: &[Param<'_>]) {
        if let EngineConnection::Postgres(postgres) = &mut self.inner {
            postgres.send_ahead(sql, params);
        }
    }

    /// Runs statements of a transaction without parameters, such as `SAVEPOINT`; see [`Connection::defer`].
    pub(crate) fn defer_script(&mut self, script: &'static str) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script(script),
            EngineConnection::Postgres(postgres) => {
                postgres.defer_script(script);
                Ok(())
            }
        }
    }

    /// Begins a transaction that reads one snapshot. It ends when it is rolled back or the connection is dropped.
    pub(super) fn begin_snapshot(&mut self) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script("BEGIN"),
            EngineConnection::Postgres(postgres) => {
                postgres.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                Ok(())
            }
        }
    }

    /// Begins a transaction that writes. It is rolled back if the connection is dropped.
    pub(super) fn begin(&mut self) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script("BEGIN IMMEDIATE"),
            EngineConnection::Postgres(postgres) => {
                postgres.begin("BEGIN ISOLATION LEVEL READ COMMITTED");
                Ok(())
            }
        }
    }

    /// Commits the transaction.
    pub(crate) async fn commit(&mut self) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script("COMMIT"),
            EngineConnection::Postgres(postgres) => postgres.commit().await,
        }
    }

    /// Rolls the transaction back.
    pub(crate) async fn roll_back(&mut self) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script("ROLLBACK"),
            EngineConnection::Postgres(postgres) => postgres.roll_back().await,
        }
    }

    /// Returns whether the transaction failed and may succeed when it is run again.
    pub(crate) fn must_retry(&self) -> bool {
        match &self.inner {
            EngineConnection::Sqlite(_) => false,
            EngineConnection::Postgres(postgres) => postgres.must_retry(),
        }
    }

    /// Runs several statements without parameters.
    pub async fn script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script(sql),
            EngineConnection::Postgres(postgres) => postgres.script(sql).await,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
