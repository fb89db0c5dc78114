//! Whole tables in a fixed order, a piece at a time: what is too much to be held at once, such as an export.

use super::connection::Connection;
use super::error::DatabaseError;
use super::table::{Table, key_lists, select};
use super::value::Param;

/// Rows in a piece.
const PIECE: i64 = 500;

impl Connection {
    /// The next rows in the order of a column whose values are unique, from behind `place`, which it moves on; none at
    /// the end. `key` is a row's value in that column.
    pub async fn scan<T: Table>(
        &mut self,
        column: &'static str,
        place: &mut Option<Param<'static>>,
        key: impl Fn(&T) -> Param<'static>,
    ) -> Result<Option<Vec<T>>, DatabaseError> {
        let order = format!("ORDER BY {column} LIMIT {PIECE}");
        let rows = match place.take() {
            Some(after) => {
                let sql = select::<T>(&format!("WHERE {column} > $1 {order}"));
                self.all(&sql, &[after], T::from_row).await?
            }
            None => self.all(&select::<T>(&order), &[], T::from_row).await?,
        };
        *place = rows.last().map(key);
        Ok(place.is_some().then_some(rows))
    }

    /// The rows in whose column one of the keys stands, in no order.
    pub async fn belonging<'a, T: Table, K: Copy + Into<Param<'a>>>(
        &mut self,
        column: &'static str,
        keys: &[K],
    ) -> Result<Vec<T>, DatabaseError> {
        let mut found = Vec::with_capacity(keys.len());
        for (keys, list) in key_lists(keys) {
            let sql = select::<T>(&format!("WHERE {column} IN ({list})"));
            found.extend(self.all(&sql, &keys, T::from_row).await?);
        }
        Ok(found)
    }
}
