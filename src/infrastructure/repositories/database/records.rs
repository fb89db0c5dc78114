//! The functions of every table: find, insert and remove a row.

use super::connection::Connection;
use super::error::DatabaseError;
use super::param::Param;
use super::row::FromRow;
use super::statements::{column_list, insert, key_condition, key_lists, row_lists, select};
use super::table::{Table, ToColumns};
use super::unit_of_work::UnitOfWork;
use crate::domain::audit::RowChange;

/// The most rows that [`Connection::scan`] returns in one call.
const SCAN: i64 = 500;

impl Connection {
    /// Returns the row with this key.
    pub async fn find<T: Table + FromRow>(&mut self, key: T::Key) -> Result<Option<T>, DatabaseError> {
        let key = key_params(&key);
        let sql = select::<T>(&format!("WHERE {}", key_condition::<T>(key.len())));
        self.first(&sql, &key).await
    }

    /// Sends the statement of [`Connection::find`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn find_ahead<T: Table>(&mut self, key: &T::Key) {
        let key = key_params(key);
        self.send_ahead(&select::<T>(&format!("WHERE {}", key_condition::<T>(key.len()))), &key);
    }

    /// Returns whether there is a row with this key.
    pub async fn exists<T: Table>(&mut self, key: T::Key) -> Result<bool, DatabaseError> {
        let key = key_params(&key);
        let sql =
            format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {})", T::NAME, key_condition::<T>(key.len()));
        self.one(&sql, &key).await
    }

    /// Inserts the rows whose keys do not exist yet; returns their number.
    pub(crate) async fn insert_missing<const N: usize>(
        &mut self,
        table_and_columns: &str,
        rows: &[[Param<'_>; N]],
    ) -> Result<u64, DatabaseError> {
        let mut added = 0;
        for (values, list) in row_lists(rows) {
            let sql = format!("INSERT INTO {table_and_columns} VALUES {list} ON CONFLICT DO NOTHING");
            added += self.execute(&sql, &values).await?;
        }
        Ok(added)
    }

    /// Returns the next rows of a whole table in the order of a column whose values are unique, `None` at the end. For
    /// tables that do not fit into memory, as in an export.
    ///
    /// The rows come after `last`, which becomes that of the last row returned; `key` is a row's value in the column.
    pub async fn scan<T: Table + FromRow>(
        &mut self,
        column: &'static str,
        last: &mut Option<Param<'static>>,
        key: impl Fn(&T) -> Param<'static>,
    ) -> Result<Option<Vec<T>>, DatabaseError> {
        let order = format!("ORDER BY {column} LIMIT {SCAN}");
        let rows = match last.take() {
            Some(after) => self.all(&select::<T>(&format!("WHERE {column} > $1 {order}")), &[after]).await?,
            None => self.all(&select::<T>(&order), &[]).await?,
        };
        *last = rows.last().map(key);
        Ok(last.is_some().then_some(rows))
    }

    /// Returns the rows that have one of the keys in a column, in no order.
    pub async fn all_by_keys<'a, T: Table + FromRow, K: Copy + Into<Param<'a>>>(
        &mut self,
        column: &'static str,
        keys: &[K],
    ) -> Result<Vec<T>, DatabaseError> {
        let mut found = Vec::with_capacity(keys.len());
        for (keys, list) in key_lists(keys) {
            let sql = select::<T>(&format!("WHERE {column} IN ({list})"));
            found.extend(self.all::<T>(&sql, &keys).await?);
        }
        Ok(found)
    }
}

impl UnitOfWork {
    /// Removes a row; returns whether it was there.
    pub async fn remove<T: Table + FromRow>(&mut self, key: T::Key) -> Result<bool, DatabaseError> {
        let params = key_params(&key);
        let (condition, columns) = (key_condition::<T>(params.len()), column_list::<T>(""));
        let sql = format!("DELETE FROM {} WHERE {condition} RETURNING {columns}", T::NAME);
        let removed: Option<T> = self.first(&sql, &params).await?;
        drop(params);
        if let Some(row) = &removed {
            self.record_row::<T>(&key, RowChange::Removed);
            self.touch_row(row);
        }
        Ok(removed.is_some())
    }

    /// Inserts a row. On PostgreSQL an error is returned by the next statement of the transaction or by the commit.
    pub async fn insert<T: Table>(&mut self, row: &T) -> Result<(), DatabaseError> {
        self.touch_row(row);
        let values = row.values();
        self.record_inserted::<T>(&values);
        self.defer(&insert::<T>(), &values).await
    }

    /// Inserts a row unless there is one with its key or another unique value of it; returns whether it was inserted.
    pub async fn insert_new<T: Table>(&mut self, row: &T) -> Result<bool, DatabaseError> {
        let values = row.values();
        let sql = format!("{} ON CONFLICT DO NOTHING", insert::<T>());
        let is_new = self.execute(&sql, &values).await? == 1;
        if is_new {
            self.record_inserted::<T>(&values);
            self.touch_row(row);
        }
        Ok(is_new)
    }

    /// Records the change of a row that public pages show, or that belongs to a user.
    pub(super) fn touch_row<T: Table>(&mut self, row: &T) {
        if let Some(tag) = row.tag() {
            self.touch(tag);
        }
        if let Some(owner) = row.owner() {
            self.touch_data(owner);
        }
    }
}

/// Returns the parameters of a key.
pub(crate) fn key_params<K: ToColumns>(key: &K) -> Vec<Param<'_>> {
    let mut params = Vec::with_capacity(1);
    key.append(&mut params);
    params
}
