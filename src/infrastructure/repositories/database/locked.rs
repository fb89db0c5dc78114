//! Rows that a unit of work holds locked: what is stored of them, so that only what changed is saved.

use super::dialect;
use super::error::DatabaseError;
use super::param::Param;
use super::records::key_params;
use super::row::FromRow;
use super::statements::{key_condition, select};
use super::table::{Table, Versioned};
use super::unit_of_work::{Locked, UnitOfWork};

impl UnitOfWork {
    /// Locks a row until the transaction ends and returns it. Nothing of the row changes. Others that lock or change it
    /// wait.
    pub async fn lock<T: Table + FromRow>(&mut self, key: T::Key) -> Result<Option<T>, DatabaseError> {
        let key = key_params(&key);
        self.lock_where(&key_condition::<T>(key.len()), &key).await
    }

    /// Sends for [`UnitOfWork::lock`] ahead; see [`Connection::send_ahead`].
    ///
    /// [`Connection::send_ahead`]: super::connection::Connection::send_ahead
    pub(crate) fn lock_ahead<T: Table>(&mut self, key: T::Key) {
        let key = key_params(&key);
        self.lock_where_ahead::<T>(&key_condition::<T>(key.len()), &key);
    }

    /// Sends for [`UnitOfWork::lock_where`] ahead.
    pub(crate) fn lock_where_ahead<T: Table>(&mut self, condition: &str, params: &[Param<'_>]) {
        let sql = self.locking::<T>(condition);
        self.send_ahead(&sql, params);
    }

    fn locking<T: Table>(&self, condition: &str) -> String {
        select::<T>(&format!("WHERE {condition} {}", dialect::lock_rows(self.engine())))
    }

    /// Locks the row that a condition selects.
    pub(crate) async fn lock_where<T: Table + FromRow>(
        &mut self,
        condition: &str,
        params: &[Param<'_>],
    ) -> Result<Option<T>, DatabaseError> {
        let sql = self.locking::<T>(condition);
        let found: Option<T> = self.first(&sql, params).await?;
        if let Some(row) = &found {
            self.remember(row);
        }
        Ok(found)
    }

    /// Saves what changed of a row that was locked by [`UnitOfWork::lock`], increments its version and sets the time of
    /// the change. Does nothing if nothing changed. Returns whether something did.
    ///
    /// On PostgreSQL an error is returned by the next statement of the transaction or by the commit.
    pub async fn save<T: Versioned>(&mut self, row: &mut T) -> Result<bool, DatabaseError> {
        let changed = !self.changes(row)?.is_empty();
        if changed {
            self.save_as_changed(row).await?;
        }
        Ok(changed)
    }

    /// Saves a locked row of which something changed, perhaps in another table.
    pub(crate) async fn save_as_changed<T: Versioned>(&mut self, row: &mut T) -> Result<(), DatabaseError> {
        row.set_changed(self.now());
        let key = row.values().swap_remove(0).into_owned();
        let (mut params, mut sets) = (vec![key], Vec::new());
        for (column, value) in self.changes(row)? {
            params.push(value.into_owned());
            sets.push(format!("{column} = ${}", params.len()));
        }
        let sql = format!("UPDATE {} SET {} WHERE {}", T::NAME, sets.join(", "), key_condition::<T>(1));
        self.defer(&sql, &params).await?;
        self.remember(row);
        Ok(())
    }

    /// Returns the columns whose values differ from those that are stored.
    fn changes<'a, T: Table>(&self, row: &'a T) -> Result<Vec<(&'static str, Param<'a>)>, DatabaseError> {
        let values = row.values();
        let locked =
            self.locked.iter().find(|locked| locked.table == T::NAME && locked.values[0] == values[0]);
        let Some(locked) = locked else {
            return Err(DatabaseError::Internal(format!("a row of {} was not locked before", T::NAME)));
        };
        let columns = T::columns().chain(T::COMPUTED.iter().copied());
        let pairs = columns.zip(values).zip(&locked.values);
        Ok(pairs.filter(|((_, new), stored)| new != *stored).map(|(pair, _)| pair).collect())
    }

    fn remember<T: Table>(&mut self, row: &T) {
        let values: Vec<_> = row.values().into_iter().map(Param::into_owned).collect();
        self.locked.retain(|locked| locked.table != T::NAME || locked.values[0] != values[0]);
        self.locked.push(Locked { table: T::NAME, values });
    }
}
