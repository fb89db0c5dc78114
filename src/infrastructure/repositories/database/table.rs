//! What every aggregate's table shares: find, insert, update under its version, remove.

use super::connection::Connection;
use super::error::DatabaseError;
use super::value::{Param, Row};

/// A type kept as a row of a table, its first column the key.
pub trait Table: Sized {
    /// The table's name.
    const NAME: &'static str;
    /// Its columns, the key first.
    const COLUMNS: &'static [&'static str];

    /// From a row that has [`Table::COLUMNS`].
    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError>;

    /// The values of [`Table::COLUMNS`].
    fn bind(&self) -> Vec<Param<'_>>;
}

/// A table whose rows count their changes in the column `version`, so that two writers cannot undo each other.
pub trait Versioned: Table {
    /// Columns that [`Connection::update`] leaves alone, because statements of their own move them.
    const APART: &'static [&'static str] = &[];

    /// How often the row was changed.
    fn version_mut(&mut self) -> &mut i64;
}

/// `SELECT columns FROM table`, to which a query adds the rest.
pub fn select<T: Table>(rest: &str) -> String {
    format!("SELECT {} FROM {} {rest}", T::COLUMNS.join(", "), T::NAME)
}

/// `$from, $from+1, …`, `count` of them.
pub fn placeholders(from: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 4);
    for number in from..from + count {
        if number > from {
            text.push(',');
        }
        text.push('$');
        text.push_str(&number.to_string());
    }
    text
}

/// Keys in one `IN (…)` at most.
const KEYS: usize = 256;

/// Keys for `IN (…)` with the list of their placeholders, in as many statements as they need. A list is filled up
/// to a power of two with its last key, so that few different statements are kept prepared.
pub fn key_lists<'a, K: Copy + Into<Param<'a>>>(keys: &[K]) -> Vec<(Vec<Param<'a>>, String)> {
    let lists = keys.chunks(KEYS).map(|keys| {
        let count = keys.len().next_power_of_two();
        let last = keys.last().into_iter().cycle();
        let params: Vec<_> = keys.iter().chain(last).take(count).map(|&key| key.into()).collect();
        (params, placeholders(1, count))
    });
    lists.collect()
}

/// Rows in one `VALUES …` at most.
const ROWS: usize = 64;

/// Rows for `VALUES …` with the list of their placeholders, in as many statements as they need. A list is filled up
/// to a power of two with its last row, so that few different statements are kept prepared: what inserts them says
/// `ON CONFLICT DO NOTHING`.
fn row_lists<'a, const N: usize>(rows: &[[Param<'a>; N]]) -> Vec<(Vec<Param<'a>>, String)> {
    let lists = rows.chunks(ROWS).map(|rows| {
        let count = rows.len().next_power_of_two();
        let last = rows.last().into_iter().cycle();
        let params: Vec<_> = rows.iter().chain(last).take(count).flatten().cloned().collect();
        let tuples: Vec<_> = (0..count).map(|row| format!("({})", placeholders(1 + row * N, N))).collect();
        (params, tuples.join(","))
    });
    lists.collect()
}

impl Connection {
    /// Adds those of the rows that are not there yet; how many they were.
    pub async fn insert_missing<const N: usize>(
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

    /// The row with this key.
    pub async fn find<T: Table>(&mut self, key: impl Into<Param<'_>>) -> Result<Option<T>, DatabaseError> {
        self.first(&select::<T>(&format!("WHERE {} = $1", T::COLUMNS[0])), &[key.into()], T::from_row).await
    }

    /// Adds a row.
    pub async fn insert<T: Table>(&mut self, value: &T) -> Result<(), DatabaseError> {
        let count = T::COLUMNS.len();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            T::NAME,
            T::COLUMNS.join(", "),
            placeholders(1, count)
        );
        let params = value.bind();
        self.execute(&sql, &params).await.map(drop)
    }

    /// Adds a row unless one with its key or another unique value is there; whether it was added.
    pub async fn insert_new<T: Table>(&mut self, value: &T) -> Result<bool, DatabaseError> {
        let count = T::COLUMNS.len();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
            T::NAME,
            T::COLUMNS.join(", "),
            placeholders(1, count)
        );
        let params = value.bind();
        Ok(self.execute(&sql, &params).await? == 1)
    }

    /// Writes a row back if nobody else has since it was read; counts its version up.
    pub async fn update<T: Versioned>(&mut self, value: &mut T) -> Result<(), DatabaseError> {
        let read = *value.version_mut();
        *value.version_mut() = read + 1;
        let (mut params, mut sets) = (Vec::new(), Vec::new());
        for (column, param) in T::COLUMNS.iter().zip(value.bind()) {
            if !T::APART.contains(column) {
                params.push(param);
                sets.push(format!("{column} = ${}", params.len()));
            }
        }
        params.push(Param::Int(read));
        let sql = format!(
            "UPDATE {} SET {} WHERE {} = $1 AND version = ${}",
            T::NAME,
            sets[1..].join(", "),
            T::COLUMNS[0],
            params.len()
        );
        let touched = self.execute(&sql, &params).await;
        drop(params);
        match touched {
            Ok(1) => Ok(()),
            other => {
                *value.version_mut() = read;
                other.and(Err(DatabaseError::Stale { table: T::NAME }))
            }
        }
    }

    /// Removes a row; whether it was there.
    pub async fn remove<T: Table>(&mut self, key: impl Into<Param<'_>>) -> Result<bool, DatabaseError> {
        let sql = format!("DELETE FROM {} WHERE {} = $1", T::NAME, T::COLUMNS[0]);
        Ok(self.execute(&sql, &[key.into()]).await? == 1)
    }
}
