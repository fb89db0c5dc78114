//! A connection to either database, speaking one SQL text: `$1` parameters, `RETURNING`, `ON CONFLICT`, CTEs.

use super::dialect::{self, Engine};
use super::error::DatabaseError;
use super::postgres::PostgresConnection;
use super::sqlite::SqliteConnection;
use super::value::{Param, Row};

/// A connection in use. It goes back to where it came from when it is dropped.
pub struct Connection {
    inner: EngineConnection,
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

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        match self.inner {
            EngineConnection::Sqlite(_) => Engine::Sqlite,
            EngineConnection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Every row that `sql` finds.
    pub async fn all<T, M>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: M,
    ) -> Result<Vec<T>, DatabaseError>
    where
        M: Fn(&Row<'_>) -> Result<T, DatabaseError>,
    {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.all(sql, params, read),
            EngineConnection::Postgres(postgres) => {
                postgres.query(sql, params).await?.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// The first row that `sql` finds.
    pub async fn first<T, M>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: M,
    ) -> Result<Option<T>, DatabaseError>
    where
        M: Fn(&Row<'_>) -> Result<T, DatabaseError>,
    {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.first(sql, params, read),
            EngineConnection::Postgres(postgres) => {
                postgres.query(sql, params).await?.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// The one row that `sql` always has.
    pub async fn one<T, M>(&mut self, sql: &str, params: &[Param<'_>], read: M) -> Result<T, DatabaseError>
    where
        M: Fn(&Row<'_>) -> Result<T, DatabaseError>,
    {
        self.first(sql, params, read)
            .await?
            .ok_or_else(|| DatabaseError::Internal(format!("no row came back: {sql}")))
    }

    /// Does what `sql` says; how many rows it touched.
    pub async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.execute(sql, params),
            EngineConnection::Postgres(postgres) => postgres.execute(sql, params).await,
        }
    }

    /// Does a script of several statements without parameters.
    pub async fn script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match &mut self.inner {
            EngineConnection::Sqlite(sqlite) => sqlite.script(sql),
            EngineConnection::Postgres(postgres) => postgres.script(sql).await,
        }
    }

    /// How the database would do what `sql` says, a line a step.
    pub async fn explain(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<String>, DatabaseError> {
        let (explain, column) = dialect::explain(self.engine());
        self.all(&format!("{explain} {sql}"), params, |row| row.get(column)).await
    }
}
