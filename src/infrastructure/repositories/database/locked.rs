//! Changes of rows that count their versions: of a row that was read before, if it has not changed since, and of a row
//! that is locked, of which only the changed columns are saved.

use super::dialect;
use super::error::DatabaseError;
use super::param::Param;
use super::records::key_params;
use super::row::{Field, FromRow};
use super::statements::{key_condition, select};
use super::table::{Table, Versioned};
use super::unit_of_work::{Locked, UnitOfWork};

impl UnitOfWork {
    /// Updates a row, increments its version and sets the time of the change, unless the row changed since it was read:
    /// then the error is [`DatabaseError::Stale`] and `row` stays as it is. On PostgreSQL the transaction is then run
    /// again.
    pub async fn update<T: Versioned + Clone>(&mut self, row: &mut T) -> Result<(), DatabaseError> {
        let mut changed = row.clone();
        changed.set_changed(self.now());
        let differing = if self.audit.lists_columns() {
            self.differing_columns::<T>(&changed.values()).await?
        } else {
            String::new()
        };
        let (mut params, mut sets) = (Vec::new(), Vec::new());
        for (column, param) in T::columns().chain(T::COMPUTED.iter().copied()).zip(changed.values()) {
            if !T::EXCEPT.contains(&column) {
                params.push(param);
                sets.push(format!("{column} = ${}", params.len()));
            }
        }
        params.push(Param::Int(*row.version_mut()));
        let (key, version) = (key_condition::<T>(1), params.len());
        let sql =
            format!("UPDATE {} SET {} WHERE {key} AND version = ${version}", T::NAME, sets[1..].join(", "));
        if self.execute(&sql, &params).await? == 0 {
            self.stale = true;
            return Err(DatabaseError::Stale { table: T::NAME });
        }
        self.record_updated::<T>(&params[0], differing.split_whitespace());
        drop(params);
        *row = changed;
        self.touch_row(row);
        Ok(())
    }

    /// Locks a row until the transaction ends and returns it. Other transactions that lock or change it wait.
    pub async fn lock<T: Table<Key: Field> + FromRow>(
        &mut self,
        key: T::Key,
    ) -> Result<Option<T>, DatabaseError> {
        let key = key_params(&key);
        self.lock_where(&key_condition::<T>(key.len()), &key).await
    }

    /// Sends the statement of [`UnitOfWork::lock`] ahead; see [`Connection::send_ahead`].
    ///
    /// [`Connection::send_ahead`]: super::connection::Connection::send_ahead
    pub(crate) fn lock_ahead<T: Table<Key: Field>>(&mut self, key: &T::Key) {
        let key = key_params(key);
        self.lock_where_ahead::<T>(&key_condition::<T>(key.len()), &key);
    }

    /// Sends the statement of [`UnitOfWork::lock_where`] ahead.
    pub(crate) fn lock_where_ahead<T: Table<Key: Field>>(&mut self, condition: &str, params: &[Param<'_>]) {
        let sql = self.locking::<T>(condition);
        self.send_ahead(&sql, params);
    }

    fn locking<T: Table>(&self, condition: &str) -> String {
        select::<T>(&format!("WHERE {condition} {}", dialect::lock_rows(self.engine())))
    }

    /// Locks the row that a condition selects.
    pub(crate) async fn lock_where<T: Table<Key: Field> + FromRow>(
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

    /// Counts a row that this unit of work inserted as locked: no other transaction sees it yet.
    pub(crate) fn lock_inserted<T: Table<Key: Field>>(&mut self, row: &T) {
        self.remember(row);
    }

    /// Saves what changed of a row that was locked by [`UnitOfWork::lock`], increments its version and sets the time of
    /// the change. Does nothing if nothing changed. Returns whether something did.
    ///
    /// Fails if another copy of the row was saved in this unit of work. On PostgreSQL an error of the statement is
    /// returned by the next statement of the transaction or by the commit.
    pub async fn save<T: Versioned>(&mut self, row: &mut T) -> Result<bool, DatabaseError> {
        self.save_if(row, |values, stored| values != stored).await
    }

    /// Saves a locked row of which something changed, perhaps in another table.
    pub(crate) async fn save_as_changed<T: Versioned>(&mut self, row: &mut T) -> Result<(), DatabaseError> {
        self.save_if(row, |_, _| true).await.map(drop)
    }

    /// Saves a locked row if `changed` returns that its values differ from those that are stored.
    async fn save_if<T: Versioned>(
        &mut self,
        row: &mut T,
        changed: fn(&[Param<'static>], &[Param<'static>]) -> bool,
    ) -> Result<bool, DatabaseError> {
        let mut values: Vec<_> = row.values().into_iter().map(Param::into_owned).collect();
        let same_row = |locked: &Locked| locked.table == T::NAME && locked.values[0] == values[0];
        let Some(index) = self.locked.iter().position(same_row) else {
            return Err(DatabaseError::Internal(format!("a row of {} was not locked before", T::NAME)));
        };
        let stored = &self.locked[index].values;
        let version = T::columns().position(|column| column == "version");
        if version.is_some_and(|version| stored[version] != values[version]) {
            return Err(DatabaseError::Internal(format!("two copies of a locked row of {}", T::NAME)));
        }
        if !changed(&values, stored) {
            return Ok(false);
        }

        row.set_changed(self.now());
        for (column, value) in T::columns().zip(&mut values) {
            match column {
                "version" => *value = Param::Int(*row.version_mut()),
                "updated_at" => *value = Param::Time(self.now()),
                _ => {}
            }
        }
        let (mut params, mut sets, mut changed_columns) = (vec![values[0].clone()], Vec::new(), Vec::new());
        let columns = T::columns().chain(T::COMPUTED.iter().copied());
        for ((column, new), stored) in columns.zip(&values).zip(stored.iter()) {
            if new != stored {
                params.push(new.clone());
                sets.push(format!("{column} = ${}", params.len()));
                changed_columns.push(column);
            }
        }
        self.record_updated::<T>(&params[0], changed_columns);
        let sql = format!("UPDATE {} SET {} WHERE {}", T::NAME, sets.join(", "), key_condition::<T>(1));
        self.defer(&sql, &params).await?;
        self.locked[index].values = values.into();
        self.touch_row(row);
        Ok(true)
    }

    /// Keeps the values of a locked row as they are stored.
    fn remember<T: Table<Key: Field>>(&mut self, row: &T) {
        let values: Vec<_> = row.values().into_iter().map(Param::into_owned).collect();
        self.locked.retain(|locked| locked.table != T::NAME || locked.values[0] != values[0]);
        self.locked.push(Locked { table: T::NAME, values: values.into() });
    }
}
