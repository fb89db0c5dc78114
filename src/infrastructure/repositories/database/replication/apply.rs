//! Applies recorded changes: the rows that a snapshot of the source has for the changed keys replace those of the
//! target, in one transaction of the target. It has the same result however often and in whichever order changes are
//! applied.
//!
//! All changed rows are removed before any is added, so that a unique value can pass from one row to another.

use std::collections::{BTreeMap, BTreeSet};

use super::super::connection::Connection;
use super::super::copy::catalog::CopyTable;
use super::super::copy::keyed_rows::Key;
use super::super::copy::{CopyError, TableHash, write_failed};
use super::super::error::DatabaseError;
use super::super::param::{Param, params};

/// The most changes in memory.
const PAGE: i64 = 1000;

/// The changed rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableChanges {
    /// The number of rows that were added or replaced.
    pub written: u64,
    /// The number of rows that were removed.
    pub removed: u64,
}

/// The changed rows of each table by its name. A row that is changed several times may count several times.
pub type Changes = BTreeMap<String, TableChanges>;

/// Which changes are applied.
pub(super) struct Application<'a> {
    pub(super) tables: &'a [CopyTable],
    /// The last key of each table that was copied so far, if the first copy is not complete: rows after it are not
    /// applied, because they will be copied.
    pub(super) copied: Option<&'a [Option<Key>]>,
    /// Whether the rows are read from the target and compared after they were written.
    pub(super) compared: bool,
}

impl Application<'_> {
    /// Applies the changes that `source` sees to `target`, within a transaction of each.
    pub(super) async fn run(
        &self,
        source: &mut Connection,
        target: &mut Connection,
    ) -> Result<Changes, CopyError> {
        let mut page = Page::after(0);
        while page.read(source).await? {
            for ChangedRows { table, keys, .. } in self.keys(&page)? {
                table.remove(target, &keys).await.map_err(failed(table))?;
            }
        }

        let mut changes = Changes::new();
        let mut page = Page::after(0);
        while page.read(source).await? {
            for ChangedRows { table, copied, keys } in self.keys(&page)? {
                let rows = table.find(source, &keys, copied).await.map_err(CopyError::Source)?;
                table.insert_missing(target, &rows).await.map_err(failed(table))?;
                if self.compared {
                    let found = table.find(target, &keys, None).await.map_err(CopyError::Target)?;
                    if hashes(&rows) != hashes(&found) {
                        return Err(CopyError::Differs(table.name.clone()));
                    }
                }
                let count = changes.entry(table.name.clone()).or_default();
                count.written += rows.len() as u64;
                count.removed += keys.len().saturating_sub(rows.len()) as u64;
            }
        }
        Ok(changes)
    }

    /// Returns the changed keys of a page by their tables. A table that the target does not have is left out.
    fn keys(&self, page: &Page) -> Result<Vec<ChangedRows<'_>>, CopyError> {
        let mut of_tables = Vec::new();
        for (index, table) in self.tables.iter().enumerate() {
            let Some(texts) = page.keys.get(&table.name) else { continue };
            let copied = self.copied.map(|copied| copied[index].as_ref());
            if copied == Some(None) {
                continue;
            }
            let keys: Result<Vec<_>, _> = texts.iter().map(|text| table.parse_key(text)).collect();
            let keys = keys.map_err(CopyError::Source)?;
            of_tables.push(ChangedRows { table, copied: copied.flatten(), keys });
        }
        Ok(of_tables)
    }
}

/// Changed rows of a table.
struct ChangedRows<'a> {
    table: &'a CopyTable,
    /// The last key that was copied so far, if the first copy is not complete.
    copied: Option<&'a Key>,
    keys: Vec<Key>,
}

/// A page of recorded changes.
struct Page {
    last: i64,
    /// The keys of the changed rows by the names of their tables.
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl Page {
    fn after(last: i64) -> Self {
        Self { last, keys: BTreeMap::new() }
    }

    /// Reads the next page; returns `false` if there is none.
    async fn read(&mut self, source: &mut Connection) -> Result<bool, CopyError> {
        let sql = "SELECT seq, table_name, row_key FROM row_changes WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows: Vec<(i64, String, String)> =
            source.all(sql, &params![self.last, PAGE]).await.map_err(CopyError::Source)?;
        let Some(last) = rows.last() else { return Ok(false) };
        self.last = last.0;
        self.keys.clear();
        for (_, table, key) in rows {
            self.keys.entry(table).or_default().insert(key);
        }
        Ok(true)
    }
}

fn failed(table: &CopyTable) -> impl FnOnce(DatabaseError) -> CopyError {
    let table = table.name.clone();
    |error| write_failed(error, |source| CopyError::Table { table, source })
}

/// Returns the hash of each row, in an order of their own.
fn hashes(rows: &[Vec<Param<'static>>]) -> BTreeSet<Vec<u8>> {
    let hash = |row: &Vec<Param<'static>>| {
        let mut hash = TableHash::default();
        hash.add(row);
        hash.finish()
    };
    rows.iter().map(hash).collect()
}
