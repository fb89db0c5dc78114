//! Copies a whole store to another database, of the same engine or the other, row by row.
//!
//! The tables and columns are those of the catalogs of both databases: a migration that adds a table adds it to the
//! copy. Rows are read from one snapshot of the source, in the order of their primary key, and written in transactions
//! of one page each. A copy that was interrupted continues after the greatest key in each table of the target; the hash
//! of each table in the source, which the target records, shows whether the source has changed since. The copy is
//! complete when the hashes of source and target are equal; a target that is complete already is only compared.

pub(super) mod catalog;
pub(super) mod keyed_rows;
mod table_hash;
pub(super) mod target;

use std::ops::ControlFlow;

use self::catalog::CopyTable;
pub(super) use self::table_hash::TableHash;
use self::target::{Serial, Target};
use super::connection::Connection;
use super::error::DatabaseError;
use super::signing_key::READ_SECRET;
use super::{Database, DatabaseUrl, Engine, SchemaState, Setup};
use crate::domain::context::Context;

/// Why a copy is not complete.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source: {0}")]
    Source(DatabaseError),
    /// The target cannot be set up or read.
    #[error("the target: {0}")]
    Target(DatabaseError),
    /// The target is the source.
    #[error("the source and the target are the same database")]
    Same,
    /// The target has tables of another program.
    #[error("the target has tables of another program; a copy needs an empty database")]
    ForeignTables,
    /// The target contains a store that is neither an incomplete copy nor a complete one of the source.
    #[error(
        "the target contains a store; a copy needs an empty database, or its own target if it was interrupted"
    )]
    NotEmpty,
    /// The target is a complete copy of the source, and one of them has changed since.
    #[error(
        "the source has changed since this copy, or the copy was written to. To copy again, begin with an empty \
         database"
    )]
    ChangedSince,
    /// The target is an incomplete copy of other data.
    #[error(
        "the target has an incomplete copy of other data: another store, or this one before a change of {0}. \
         Stop the server of the source, empty the target and copy again"
    )]
    SourceChanged(String),
    /// A table has other columns in the source than in the target.
    #[error("the table {0} has other columns in the source than in the target")]
    Columns(String),
    /// Rows of a table cannot be written.
    #[error("the table {table} of the target")]
    Table {
        /// The name of the table.
        table: String,
        /// The error of the target.
        source: DatabaseError,
    },
    /// The target has a row, or a schema, that this copy has not written.
    #[error(
        "the target was written to meanwhile, perhaps by another copy. If one is running, wait until it has ended, and \
         run the same command again"
    )]
    WrittenMeanwhile(#[source] Option<DatabaseError>),
    /// The observer ended the copy; the next one continues after the rows in the target.
    #[error("the copy was stopped")]
    Stopped,
    /// Tables of the target differ from those of the source.
    #[error("after the copy, these tables differ: {0}. The target remains incomplete")]
    Differs(String),
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The name of the table.
    pub name: String,
    /// The number of rows.
    pub rows: i64,
    /// The SHA-256 of the rows, the same on both engines.
    pub hash: Vec<u8>,
}

/// The tables of a complete copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// The tables, in the order of their names.
    pub tables: Vec<TableReport>,
    /// The tables of the source that are no tables of a store.
    pub not_copied: Vec<String>,
    /// The number of rows that an earlier run had copied: all if the copy was complete.
    pub resumed: i64,
}

/// A step of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Hashing the source.
    Reading,
    /// Copying rows.
    Copying,
    /// Hashing the target.
    Comparing,
}

/// An observer of a copy's progress.
pub trait CopyObserver: Send {
    /// Receives the number of rows of a step so far, and the number of all if it is known; may end the copy. Those of
    /// [`CopyStep::Copying`] are committed.
    fn progressed(&mut self, step: CopyStep, rows: i64, of: Option<i64>) -> ControlFlow<()>;
}

/// Copies the store at `from` to the empty database at `to`, or continues a copy that was interrupted.
pub async fn copy<O: CopyObserver>(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    context: Context,
    observer: &mut O,
) -> Result<CopyReport, CopyError> {
    let source = Database::open(from, context.clone(), Setup::ReadOnly).await.map_err(CopyError::Source)?;
    let mut snapshot = begin_snapshot(&source).await.map_err(CopyError::Source)?;
    match target::look(from, to, &mut snapshot, context.clone()).await? {
        SchemaState::Empty => {}
        SchemaState::CopyIncomplete if !target::is_replicated(to, context.clone()).await? => {}
        SchemaState::Current { .. } => return compare_complete(&mut snapshot, to, context, observer).await,
        _ => return Err(CopyError::NotEmpty),
    }
    let mut target = Target::open(to, context).await?;
    let (tables, not_copied) = plan(&mut snapshot, &mut target.connection).await?;

    let mut hashing = Progress { observer, step: CopyStep::Reading, rows: 0, of: None };
    let expected = hash(&mut snapshot, &tables, CopyError::Source, &mut hashing).await?;
    target.claim(&expected).await?;

    let all = expected.iter().map(|table| table.rows).sum();
    let mut copying = Progress { observer, step: CopyStep::Copying, rows: 0, of: Some(all) };
    let mut resumed = 0;
    for table in &tables {
        resumed += copy_table(&mut snapshot, &mut target, table, &mut copying).await?;
    }

    let mut comparing = Progress { observer, step: CopyStep::Comparing, rows: 0, of: Some(all) };
    let found = hash(&mut target.connection, &tables, CopyError::Target, &mut comparing).await?;
    compare(&expected, &found)?;
    let mut serials = Vec::new();
    for table in &tables {
        serials.extend(Serial::read(&mut snapshot, table).await.map_err(CopyError::Source)?);
    }
    target.finish(&serials).await.map_err(CopyError::Target)?;
    Ok(CopyReport { tables: expected, not_copied, resumed })
}

/// Returns the report of a copy that an earlier run completed; fails if the target has other rows than the source.
async fn compare_complete<O: CopyObserver>(
    source: &mut Connection,
    to: &DatabaseUrl,
    context: Context,
    observer: &mut O,
) -> Result<CopyReport, CopyError> {
    let database = Database::open(to, context, Setup::ReadOnly).await.map_err(CopyError::Target)?;
    let mut target = begin_snapshot(&database).await.map_err(CopyError::Target)?;
    let (tables, not_copied) = plan(source, &mut target).await?;
    let secret: Option<String> = source.first(READ_SECRET, &[]).await.map_err(CopyError::Source)?;
    let is_copy = target.first(READ_SECRET, &[]).await.map_err(CopyError::Target)? == secret;
    let differs = || if is_copy { CopyError::ChangedSince } else { CopyError::NotEmpty };
    let mut all = 0;
    for table in &tables {
        let rows = table.count(source).await.map_err(CopyError::Source)?;
        if rows != table.count(&mut target).await.map_err(CopyError::Target)? {
            return Err(differs());
        }
        all += rows;
    }

    let mut reading = Progress { observer, step: CopyStep::Reading, rows: 0, of: None };
    let expected = hash(source, &tables, CopyError::Source, &mut reading).await?;
    let mut comparing = Progress { observer, step: CopyStep::Comparing, rows: 0, of: Some(all) };
    let found = hash(&mut target, &tables, CopyError::Target, &mut comparing).await?;
    if expected != found {
        return Err(differs());
    }
    Ok(CopyReport { tables: expected, not_copied, resumed: all })
}

/// Returns a connection that reads one snapshot until it is dropped.
pub(super) async fn begin_snapshot(database: &Database) -> Result<Connection, DatabaseError> {
    let mut connection = database.read().await?;
    connection.begin_snapshot()?;
    Ok(connection)
}

/// Returns the tables to copy, and the names of the tables of the source that are no tables of a store.
pub(super) async fn plan(
    source: &mut Connection,
    target: &mut Connection,
) -> Result<(Vec<CopyTable>, Vec<String>), CopyError> {
    let sources = catalog::tables(source).await.map_err(CopyError::Source)?;
    let targets = catalog::tables(target).await.map_err(CopyError::Target)?;
    // PostgreSQL has more types
    let typed_by_target = target.engine() == Engine::Postgres;
    let mut tables = Vec::new();
    for table in sources.of_store {
        match targets.of_store.iter().find(|other| other.name == table.name) {
            Some(other) if other.has_columns_of(&table) => {
                tables.push(if typed_by_target { other.clone() } else { table });
            }
            _ => return Err(CopyError::Columns(table.name)),
        }
    }
    Ok((tables, sources.of_others))
}

/// The progress of a step.
pub(super) struct Progress<'a, O> {
    pub(super) observer: &'a mut O,
    pub(super) step: CopyStep,
    pub(super) rows: i64,
    pub(super) of: Option<i64>,
}

impl<O: CopyObserver> Progress<'_, O> {
    /// Adds the rows of a page.
    fn add(&mut self, rows: usize) -> Result<(), CopyError> {
        self.add_rows(i64::try_from(rows).unwrap_or(i64::MAX))
    }

    fn add_rows(&mut self, rows: i64) -> Result<(), CopyError> {
        self.rows += rows;
        match self.observer.progressed(self.step, self.rows, self.of) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CopyError::Stopped),
        }
    }
}

/// Returns the hash of each table. `failed` names the database in an error.
pub(super) async fn hash<O: CopyObserver>(
    connection: &mut Connection,
    tables: &[CopyTable],
    failed: fn(DatabaseError) -> CopyError,
    progress: &mut Progress<'_, O>,
) -> Result<Vec<TableReport>, CopyError> {
    let mut reports = Vec::new();
    for table in tables {
        let mut hash = TableHash::default();
        let mut pages = table.pages(None);
        loop {
            let rows = pages.next(connection).await.map_err(failed)?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                hash.add(row);
            }
            progress.add(rows.len())?;
        }
        let (name, rows) = (table.name.clone(), hash.rows);
        reports.push(TableReport { name, rows, hash: hash.finish() });
    }
    Ok(reports)
}

/// Copies the rows after the greatest key in the target; returns the number of those that were there.
pub(super) async fn copy_table<O: CopyObserver>(
    source: &mut Connection,
    target: &mut Target,
    table: &CopyTable,
    progress: &mut Progress<'_, O>,
) -> Result<i64, CopyError> {
    let present = table.count(&mut target.connection).await.map_err(CopyError::Target)?;
    progress.add_rows(present)?;
    let last = table.last_key(&mut target.connection).await.map_err(CopyError::Target)?;
    let mut pages = table.pages(last);
    loop {
        let rows = pages.next(source).await.map_err(CopyError::Source)?;
        if rows.is_empty() {
            return Ok(present);
        }
        let inserted = target.insert(table, &rows).await;
        inserted.map_err(|error| {
            write_failed(error, |source| CopyError::Table { table: table.name.clone(), source })
        })?;
        progress.add(rows.len())?;
    }
}

/// Returns the error of a write to the target. No two rows that a copy writes have the same key.
pub(super) fn write_failed(
    error: DatabaseError,
    other: impl FnOnce(DatabaseError) -> CopyError,
) -> CopyError {
    match error {
        DatabaseError::Taken { .. } | DatabaseError::Stale { .. } => CopyError::WrittenMeanwhile(Some(error)),
        error => other(error),
    }
}

pub(super) fn compare(expected: &[TableReport], found: &[TableReport]) -> Result<(), CopyError> {
    let pairs = expected.iter().zip(found);
    let differing: Vec<_> =
        pairs.filter(|(one, other)| one != other).map(|(one, _)| one.name.as_str()).collect();
    if differing.is_empty() { Ok(()) } else { Err(CopyError::Differs(differing.join(", "))) }
}
