//! A connection to either database, speaking one SQL text: `$1` parameters, `RETURNING`, `ON CONFLICT`, CTEs.

use super::dialect;
use super::error::StoreError;
use super::postgres::PostgresConnection;
use super::sqlite::SqliteConnection;
use super::value::{Param, Row};

/// A connection in use. It goes back to where it came from when it is dropped.
pub struct Session {
    connection: Connection,
}

pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PostgresConnection),
}

/// Which database a session speaks to, for the few statements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        match self.connection {
            Connection::Sqlite(_) => Engine::Sqlite,
            Connection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Every row that `sql` finds.
    pub async fn all<T, M>(&mut self, sql: &str, params: &[Param<'_>], read: M) -> Result<Vec<T>, StoreError>
    where
        M: Fn(&Row<'_>) -> Result<T, StoreError>,
    {
        match &mut self.connection {
            Connection::Sqlite(sqlite) => sqlite.all(sql, params, read),
            Connection::Postgres(postgres) => {
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
    ) -> Result<Option<T>, StoreError>
    where
        M: Fn(&Row<'_>) -> Result<T, StoreError>,
    {
        match &mut self.connection {
            Connection::Sqlite(sqlite) => sqlite.first(sql, params, read),
            Connection::Postgres(postgres) => {
                postgres.query(sql, params).await?.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// The one row that `sql` always has.
    pub async fn one<T, M>(&mut self, sql: &str, params: &[Param<'_>], read: M) -> Result<T, StoreError>
    where
        M: Fn(&Row<'_>) -> Result<T, StoreError>,
    {
        self.first(sql, params, read)
            .await?
            .ok_or_else(|| StoreError::Internal(format!("no row came back: {sql}")))
    }

    /// Does what `sql` says; how many rows it touched.
    pub async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        match &mut self.connection {
            Connection::Sqlite(sqlite) => sqlite.execute(sql, params),
            Connection::Postgres(postgres) => postgres.execute(sql, params).await,
        }
    }

    /// Does a script of several statements without parameters.
    pub async fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        match &mut self.connection {
            Connection::Sqlite(sqlite) => sqlite.script(sql),
            Connection::Postgres(postgres) => postgres.script(sql).await,
        }
    }

    /// How the database would do what `sql` says, a line a step.
    pub async fn explain(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<String>, StoreError> {
        let (explain, column) = dialect::explain(self.engine());
        self.all(&format!("{explain} {sql}"), params, |row| row.get(column)).await
    }
}
