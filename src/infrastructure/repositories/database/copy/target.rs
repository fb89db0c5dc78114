//! The target of a copy: the marker that makes it resumable and keeps it from being served, and the last steps.
//!
//! While a copy is not complete, foreign keys are not checked, because the tables are copied one by one in the order of
//! their names: on SQLite they are off, on PostgreSQL removed. The last transaction checks them, adds them again, sets
//! the serial numbers and removes the marker.

use super::super::connection::Connection;
use super::super::dialect::{self, Engine};
use super::super::error::DatabaseError;
use super::super::migrations::{self, COPY_MARKER, SchemaState};
use super::super::param::{Param, params};
use super::super::role::Role;
use super::super::sqlite_backup::tables_with_missing_references;
use super::super::sqlite_file;
use super::super::unit_of_work::UnitOfWork;
use super::super::{Database, DatabaseUrl};
use super::catalog::CopyTable;
use super::{CopyError, TableReport, write_failed};
use crate::domain::context::Context;

/// The marker: the tables of the source, with their content when the copy began.
const MARKER: &str = "CREATE TABLE copy_tables (
    name KEYTEXT PRIMARY KEY,
    row_count BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
CREATE TABLE copy_foreign_keys (
    name KEYTEXT PRIMARY KEY,
    statement TEXT NOT NULL
);";

/// Records the foreign keys of the schema by the statements that add them, on PostgreSQL.
const RECORD_FOREIGN_KEYS: &str = "INSERT INTO copy_foreign_keys (name, statement) \
    SELECT format('%s.%I', conrelid::regclass, conname), \
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
    FROM pg_constraint WHERE contype = 'f' AND connamespace = quote_ident(current_schema())::regnamespace";
/// Returns the statements that add the foreign keys again.
pub(in super::super) const FOREIGN_KEYS: &str = "SELECT statement FROM copy_foreign_keys ORDER BY name";
/// Returns the statements that remove the foreign keys.
const DROP_FOREIGN_KEYS: &str = "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) \
    FROM pg_constraint WHERE contype = 'f' AND connamespace = quote_ident(current_schema())::regnamespace";

/// Returns where a connection to PostgreSQL leads to: its server by the time of its start, database and schema.
const PLACE: &str =
    "SELECT pg_postmaster_start_time()::text, current_database()::text, COALESCE(current_schema()::text, '')";

/// Returns the state of the target; writes nothing, since it may be the source or another store.
pub(in super::super) async fn look(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    source: &mut Connection,
    context: Context,
) -> Result<SchemaState, CopyError> {
    if let Some(file) = to.file() {
        if from.file().is_some_and(|other| sqlite_file::is_same(file, other)) {
            return Err(CopyError::Same);
        }
        if !file.exists() {
            return Ok(SchemaState::Empty);
        }
    }
    let target = Database::connect_for_reading(to, context).map_err(CopyError::Target)?;
    if (source.engine(), target.engine()) == (Engine::Postgres, Engine::Postgres) {
        let of_source: (String, String, String) = source.one(PLACE, &[]).await.map_err(CopyError::Source)?;
        let mut connection = target.read().await.map_err(CopyError::Target)?;
        if connection.one::<(String, String, String)>(PLACE, &[]).await.map_err(CopyError::Target)?
            == of_source
        {
            return Err(CopyError::Same);
        }
    }
    match migrations::state(&target).await.map_err(CopyError::Target)? {
        SchemaState::Foreign => Err(CopyError::ForeignTables),
        state => Ok(state),
    }
}

/// Returns whether the incomplete copy in the target is that of a replication.
pub(super) async fn is_replicated(to: &DatabaseUrl, context: Context) -> Result<bool, CopyError> {
    let target = Database::connect_for_reading(to, context).map_err(CopyError::Target)?;
    Ok(target.role().await.map_err(CopyError::Target)? != Role::Live)
}

/// A database that is or becomes a copy.
pub(in super::super) struct Target {
    /// The connection that writes, without foreign keys. It is closed before the database.
    pub(in super::super) connection: Connection,
    /// The number of transactions of its replication with which pages of the first copy are written. If another process
    /// has taken the target over, it is another one.
    pub(in super::super) fence: Option<i64>,
    _database: Database,
}

impl Target {
    /// Opens a database that is empty, or in which a copy is not complete.
    pub(in super::super) async fn open(url: &DatabaseUrl, context: Context) -> Result<Self, CopyError> {
        let database = Database::connect_for_writing(url, context).map_err(CopyError::Target)?;
        match migrations::state(&database).await.map_err(CopyError::Target)? {
            SchemaState::CopyIncomplete => {}
            SchemaState::Empty => {
                let begun = database.write((), async |work, ()| begin(work).await).await;
                if !begun.map_err(CopyError::Target)? {
                    return Err(CopyError::WrittenMeanwhile(None));
                }
            }
            // set up since it was looked at
            _ => return Err(CopyError::NotEmpty),
        }
        Self::of(database).await.map_err(CopyError::Target)
    }

    /// Returns an open database as the target of writes without foreign keys.
    pub(in super::super) async fn of(database: Database) -> Result<Self, DatabaseError> {
        Ok(Self { connection: database.unchecked_writer().await?, fence: None, _database: database })
    }

    /// Records the content of the source, or compares it with what an earlier run recorded.
    pub(super) async fn claim(&mut self, source: &[TableReport]) -> Result<(), CopyError> {
        let sql = "SELECT name, row_count, hash FROM copy_tables ORDER BY name";
        let recorded: Vec<(String, i64, Vec<u8>)> =
            self.connection.all(sql, &[]).await.map_err(CopyError::Target)?;
        if recorded.is_empty() {
            let recorded = self.record(source).await;
            return recorded.map_err(|error| write_failed(error, CopyError::Target));
        }
        let is_recorded = |table: &&TableReport| {
            recorded
                .iter()
                .any(|(name, rows, hash)| (name, rows, hash) == (&table.name, &table.rows, &table.hash))
        };
        let changed: Vec<_> =
            source.iter().filter(|table| !is_recorded(table)).map(|table| table.name.clone()).collect();
        if changed.is_empty() { Ok(()) } else { Err(CopyError::SourceChanged(changed.join(", "))) }
    }

    async fn record(&mut self, source: &[TableReport]) -> Result<(), DatabaseError> {
        self.connection.begin()?;
        for table in source {
            let values = params![&table.name, table.rows, &table.hash];
            let sql = "INSERT INTO copy_tables (name, row_count, hash) VALUES ($1, $2, $3)";
            self.connection.execute(sql, &values).await?;
        }
        self.connection.commit().await
    }

    /// Adds the rows of a page in one transaction.
    pub(super) async fn insert(
        &mut self,
        table: &CopyTable,
        rows: &[Vec<Param<'static>>],
    ) -> Result<(), DatabaseError> {
        self.connection.begin()?;
        if let Some(generation) = self.fence {
            // locks the row, so that nothing is written after another process has taken over
            let sql = "UPDATE replication SET generation = $1 WHERE generation = $1";
            if self.connection.execute(sql, &params![generation]).await? == 0 {
                return Err(DatabaseError::Stale { table: "replication" });
            }
        }
        table.insert(&mut self.connection, rows).await?;
        self.connection.commit().await
    }

    /// Completes the copy in one transaction: foreign keys and serial numbers. After it, the target is a store. Does
    /// nothing if another copy has completed it.
    pub(super) async fn finish(&mut self, serials: &[Serial]) -> Result<(), DatabaseError> {
        self.connection.begin()?;
        let engine = self.connection.engine();
        self.connection.script(dialect::lock_schema(engine)).await?;
        if !self.connection.one::<bool>(dialect::table_exists(engine), &params![COPY_MARKER]).await? {
            return self.connection.roll_back().await;
        }
        match engine {
            Engine::Sqlite => check_foreign_keys(&mut self.connection).await?,
            Engine::Postgres => {
                for statement in self.connection.all::<String>(FOREIGN_KEYS, &[]).await? {
                    self.connection.script(&statement).await?;
                }
                self.connection.script("ALTER TABLE outbox ENABLE TRIGGER outbox_number").await?;
            }
        }
        for serial in serials {
            serial.set(&mut self.connection).await?;
        }
        self.connection.script(&format!("DROP TABLE copy_foreign_keys; DROP TABLE {COPY_MARKER}")).await?;
        self.connection.commit().await
    }
}

/// Sets up the schema with the marker; returns `false` if another process has set it up. On PostgreSQL it has no
/// foreign keys until the copy is complete, and events keep the numbers of the source.
async fn begin(work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
    if !migrations::apply(work).await? {
        return Ok(false);
    }
    let engine = work.engine();
    work.script(&dialect::translate(engine, MARKER)).await?;
    if engine == Engine::Postgres {
        work.execute(RECORD_FOREIGN_KEYS, &[]).await?;
        for statement in work.all::<String>(DROP_FOREIGN_KEYS, &[]).await? {
            work.script(&statement).await?;
        }
        work.script("ALTER TABLE outbox DISABLE TRIGGER outbox_number").await?;
    }
    Ok(true)
}

async fn check_foreign_keys(connection: &mut Connection) -> Result<(), DatabaseError> {
    let tables = tables_with_missing_references(connection).await?;
    if tables.is_empty() { Ok(()) } else { Err(DatabaseError::ForeignKey(tables.join(", "))) }
}

/// The last number that a database gave to a row of a table.
pub(in super::super) struct Serial {
    table: String,
    column: String,
    last: i64,
}

impl Serial {
    /// Reads the last number of a table; `None` if the table has none.
    pub(in super::super) async fn read(
        connection: &mut Connection,
        table: &CopyTable,
    ) -> Result<Option<Self>, DatabaseError> {
        let Some(column) = table.serial() else { return Ok(None) };
        let last = last_number(connection, &table.name, column).await?;
        let (table, column) = (table.name.clone(), column.to_owned());
        Ok(last.map(|last| Self { table, column, last }))
    }

    /// Makes the next row get the next number.
    pub(in super::super) async fn set(&self, connection: &mut Connection) -> Result<(), DatabaseError> {
        match connection.engine() {
            Engine::Sqlite => {
                let sql = "DELETE FROM sqlite_sequence WHERE name = $1";
                connection.execute(sql, &params![&self.table]).await?;
                let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
                connection.execute(sql, &params![&self.table, self.last]).await.map(drop)
            }
            Engine::Postgres => {
                let sql = "SELECT setval(pg_get_serial_sequence($1, $2)::regclass, $3)";
                connection
                    .one::<i64>(sql, &params![&self.table, self.column.as_str(), self.last])
                    .await
                    .map(drop)
            }
        }
    }
}

/// Returns the last number that a database gave to a row of a table; `None` if it has given none.
pub(in super::super) async fn last_number(
    connection: &mut Connection,
    table: &str,
    column: &str,
) -> Result<Option<i64>, DatabaseError> {
    match connection.engine() {
        Engine::Sqlite => {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = $1";
            connection.first(sql, &params![table]).await
        }
        Engine::Postgres => {
            let sql = "SELECT pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass)";
            connection.one(sql, &params![table, column]).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::new_database;
    use super::*;

    #[tokio::test]
    async fn a_database_that_was_set_up_meanwhile_gets_no_marker() {
        let (_folder, database) = new_database().await;
        assert!(!database.write((), async |work, ()| begin(work).await).await.unwrap());
        assert!(matches!(migrations::state(&database).await.unwrap(), SchemaState::Current { .. }));
    }
}
