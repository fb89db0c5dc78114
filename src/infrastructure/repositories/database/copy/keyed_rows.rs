//! The rows of a table by their keys, and keys as texts, which are the same on both engines.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::super::connection::Connection;
use super::super::dialect::{self, Engine};
use super::super::error::DatabaseError;
use super::super::param::Param;
use super::super::row::Row;
use super::super::statements::placeholders;
use super::catalog::{Column, ColumnType, CopyTable, list};

/// The most rows of a statement.
const ROWS: usize = 256;

/// The values of the columns of a primary key.
pub(in super::super) type Key = Vec<Param<'static>>;

impl ColumnType {
    /// Returns the expression of a column's value as a member of a JSON array.
    fn json_member(self, engine: Engine, column: &str) -> String {
        match (self, engine) {
            (Self::Bytes, Engine::Sqlite) => format!("hex({column})"),
            (Self::Bytes, Engine::Postgres) => format!("encode({column}, 'hex')"),
            (Self::Uuid, Engine::Postgres) => format!("encode(uuid_send({column}), 'hex')"),
            (Self::Time, Engine::Postgres) => format!("(extract(epoch FROM {column}) * 1000000)::bigint"),
            _ => column.to_owned(),
        }
    }

    /// Parses a member of a JSON array.
    fn parse_member(self, member: &Value) -> Option<Param<'static>> {
        match self {
            Self::Integer => member.as_i64().map(Param::Int),
            Self::Time => {
                member.as_i64().and_then(|at| Timestamp::from_microsecond(at).ok()).map(Param::Time)
            }
            Self::Text => member.as_str().map(|text| Param::Text(text.to_owned().into())),
            Self::Bytes => member.as_str().and_then(bytes_of_hex).map(|bytes| Param::Bytes(bytes.into())),
            Self::Uuid => member.as_str().and_then(|hex| Uuid::parse_str(hex).ok()).map(Param::Uuid),
            Self::Boolean | Self::Json => None,
        }
    }
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl CopyTable {
    fn key_columns(&self) -> Vec<&Column> {
        self.key.iter().map(|&index| &self.columns[index]).collect()
    }

    /// Returns the quoted columns of the primary key of `row`, which a trigger calls `NEW` or `OLD`.
    pub(in super::super) fn key_of(&self, row: &str) -> Vec<String> {
        self.key_columns().iter().map(|column| format!("{row}.\"{}\"", column.name)).collect()
    }

    /// Returns the expression of the key of `row` as a text: a JSON array, in which bytes are hexadecimal.
    pub(in super::super) fn key_text_of(&self, engine: Engine, row: &str) -> String {
        let key = self.key_of(row);
        let members = self.key_columns().into_iter().zip(&key);
        let members: Vec<_> = members.map(|(column, name)| column.kind.json_member(engine, name)).collect();
        dialect::json_array_text(engine, &members.join(", "))
    }

    /// Parses the text of a key.
    pub(in super::super) fn parse_key(&self, text: &str) -> Result<Key, DatabaseError> {
        let members: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        let columns = self.key_columns();
        let key: Option<Key> =
            columns.iter().zip(&members).map(|(column, member)| column.kind.parse_member(member)).collect();
        key.filter(|key| key.len() == columns.len())
            // the text may be personal data
            .ok_or_else(|| {
                let columns: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                let columns = columns.join(", ");
                DatabaseError::Internal(format!("a recorded change of {} has no key ({columns})", self.name))
            })
    }

    /// Returns the rows with these keys, in any order. `until` leaves out those with a greater key.
    pub(in super::super) async fn find(
        &self,
        connection: &mut Connection,
        keys: &[Key],
        until: Option<&Key>,
    ) -> Result<Vec<Vec<Param<'static>>>, DatabaseError> {
        let columns: Vec<_> = self.columns.iter().collect();
        let read = |row: &mut Row<'_>| columns.iter().map(|column| column.kind.read(row)).collect();
        let mut found = Vec::new();
        for keys in keys.chunks(self.rows_of_a_statement()) {
            let (condition, mut values) = self.any_of(connection.engine(), keys);
            let mut sql = format!("SELECT {} FROM \"{}\" WHERE {condition}", list(&columns), self.name);
            if let Some(until) = until {
                let (key, greatest) =
                    (list(&self.key_columns()), placeholders(values.len() + 1, until.len()));
                sql = format!("{sql} AND ({key}) <= ({greatest})");
                values.extend(until.iter().cloned());
            }
            found.extend(connection.all_with(&sql, &values, read).await?);
        }
        Ok(found)
    }

    /// Removes the rows with these keys.
    pub(in super::super) async fn remove(
        &self,
        connection: &mut Connection,
        keys: &[Key],
    ) -> Result<(), DatabaseError> {
        for keys in keys.chunks(self.rows_of_a_statement()) {
            let (condition, values) = self.any_of(connection.engine(), keys);
            let sql = format!("DELETE FROM \"{}\" WHERE {condition}", self.name);
            connection.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Adds those of the rows whose keys are not in the table.
    pub(in super::super) async fn insert_missing(
        &self,
        connection: &mut Connection,
        rows: &[Vec<Param<'static>>],
    ) -> Result<(), DatabaseError> {
        let key = list(&self.key_columns());
        for rows in rows.chunks(self.rows_of_a_statement()) {
            let rows = padded(rows);
            let sql = format!("{} ON CONFLICT ({key}) DO NOTHING", self.insertion(rows.len()));
            connection.execute(&sql, &rows.concat()).await?;
        }
        Ok(())
    }

    fn rows_of_a_statement(&self) -> usize {
        // a power of two, so that padding does not exceed it
        let most = self.page_rows().min(ROWS);
        1 << most.ilog2()
    }

    /// Returns the condition that the key is one of these, and its values.
    fn any_of(&self, engine: Engine, keys: &[Key]) -> (String, Vec<Param<'static>>) {
        let keys = padded(keys);
        let width = self.key.len();
        let tuples: Vec<_> =
            (0..keys.len()).map(|key| format!("({})", placeholders(1 + key * width, width))).collect();
        let tuples = dialect::list_of_tuples(engine, &tuples.join(","));
        (format!("({}) IN ({tuples})", list(&self.key_columns())), keys.concat())
    }
}

/// Returns the items, the last one repeated up to a power of two, so that few different statements are prepared.
fn padded<T: Clone>(items: &[T]) -> Vec<T> {
    let last = items.last().into_iter().cycle();
    items.iter().chain(last).take(items.len().next_power_of_two()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::new_database;
    use super::super::catalog;

    #[tokio::test]
    async fn the_error_of_a_key_names_its_columns_and_not_its_value() {
        let (_folder, database) = new_database().await;
        let tables = catalog::tables(&mut database.read().await.unwrap()).await.unwrap().of_store;
        let table = tables.iter().find(|table| table.name == "invoices").unwrap();
        let error = table.parse_key("[\"ada@example.com\"]").unwrap_err().to_string();
        assert!(error.contains("invoices") && error.contains("(id)"), "{error}");
        assert!(!error.contains("ada"), "{error}");
    }
}
