//! The tables of a database with their columns, as the catalog of its engine describes them.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::super::connection::Connection;
use super::super::dialect::Engine;
use super::super::error::DatabaseError;
use super::super::param::Param;
use super::super::role;
use super::super::row::{Json, Row};
use super::super::scripts;
use super::super::statements::placeholders;

/// The most rows of a page.
const ROWS: usize = 500;
/// The most values of a page: SQLite allows 32766 parameters of a statement.
const VALUES: usize = 8000;

/// A table, its column's types and its primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct CopyTable {
    pub(in super::super) name: String,
    pub(super) columns: Vec<Column>,
    /// The indexes of the columns of the primary key, in its order.
    pub(super) key: Vec<usize>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    /// Whether the database numbers the rows in this column.
    is_serial: bool,
}

/// The type of a column. On SQLite, [`Self::Integer`], [`Self::Text`] and [`Self::Bytes`] stand for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Integer,
    Boolean,
    Time,
    Text,
    Json,
    Bytes,
    Uuid,
}

impl ColumnType {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "INTEGER" | "bigint" => Self::Integer,
            "boolean" => Self::Boolean,
            "timestamp with time zone" => Self::Time,
            "TEXT" | "text" => Self::Text,
            "jsonb" => Self::Json,
            "BLOB" | "bytea" => Self::Bytes,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    pub(super) fn read(self, row: &mut Row<'_>) -> Result<Param<'static>, DatabaseError> {
        Ok(match self {
            Self::Integer => param(row.read()?, Param::Int),
            Self::Boolean => param(row.read()?, Param::Bool),
            Self::Time => param(row.read()?, Param::Time),
            Self::Text => param(row.read()?, |text: String| Param::Text(text.into())),
            Self::Json => {
                param(row.read()?, |Json(value): Json<Box<RawValue>>| Param::Json(value.get().to_owned()))
            }
            Self::Bytes => param(row.read()?, |bytes: Vec<u8>| Param::Bytes(bytes.into())),
            Self::Uuid => param(row.read()?, Param::Uuid),
        })
    }
}

fn param<T>(value: Option<T>, convert: impl FnOnce(T) -> Param<'static>) -> Param<'static> {
    value.map_or(Param::Null, convert)
}

/// A column of the catalog: its table, name and type, its number in the primary key (0 if it is not in it), and whether
/// it is serial.
type Entry = (String, String, String, i64, bool);

/// Returns the query for the columns of all tables.
fn entries(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT t.name, c.name, c.type, c.pk, c.pk = 1 AND t.sql LIKE '%AUTOINCREMENT%' \
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite|_%' ESCAPE '|' ORDER BY t.name, c.cid"
        }
        Engine::Postgres => {
            "SELECT t.relname::text, c.attname::text, format_type(c.atttypid, NULL), \
             COALESCE(array_position(k.indkey::int2[], c.attnum) + 1, 0)::bigint, c.attidentity <> '' \
             FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped \
             LEFT JOIN pg_index k ON k.indrelid = t.oid AND k.indisprimary \
             WHERE t.relnamespace = quote_ident(current_schema())::regnamespace AND t.relkind IN ('r', 'p') \
             ORDER BY t.relname::text COLLATE \"C\", c.attnum"
        }
    }
}

/// The table of the migrations, which each database has of its own.
const MIGRATIONS: &str = "schema_migrations";

/// The tables of a database, ordered by name, without those of its migrations and of a replication.
pub(in super::super) struct Tables {
    /// Those of the store: the migrations create them.
    pub(in super::super) of_store: Vec<CopyTable>,
    /// The names of the others.
    pub(super) of_others: Vec<String>,
}

/// Returns the tables of a database. A column of the store has one of the types of the migrations; the columns of
/// others are not looked at.
pub(in super::super) async fn tables(connection: &mut Connection) -> Result<Tables, DatabaseError> {
    let known: BTreeSet<_> = scripts::table_names().collect();
    let entries: Vec<Entry> = connection.all(entries(connection.engine()), &[]).await?;
    let mut tables = Tables { of_store: Vec::new(), of_others: Vec::new() };
    for columns in entries.chunk_by(|one, next| one.0 == next.0) {
        let name = columns[0].0.as_str();
        if known.contains(name) {
            tables.of_store.extend(table(columns)?);
        } else if name != MIGRATIONS && !role::TABLES.contains(&name) {
            tables.of_others.push(name.to_owned());
        }
    }
    Ok(tables)
}

/// Returns the table of these columns; `None` if it has no primary key, which every table of the store has.
fn table(entries: &[Entry]) -> Result<Option<CopyTable>, DatabaseError> {
    let mut columns = Vec::new();
    for (table, name, kind, _, is_serial) in entries {
        let Some(kind) = ColumnType::parse(kind) else {
            let text = format!("the column {name} of the table {table} has the unexpected type {kind}");
            return Err(DatabaseError::Schema(text));
        };
        columns.push(Column { name: name.clone(), kind, is_serial: *is_serial });
    }
    let mut key: Vec<_> = (0..entries.len()).filter(|&index| entries[index].3 > 0).collect();
    key.sort_by_key(|&index| entries[index].3);
    let name = entries.first().map(|entry| entry.0.clone()).filter(|_| !key.is_empty());
    Ok(name.map(|name| CopyTable { name, columns, key }))
}

impl CopyTable {
    /// Returns whether both have the same columns, in any order.
    pub(super) fn has_columns_of(&self, other: &Self) -> bool {
        let names = |table: &Self| {
            let mut names: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
            names.sort();
            names
        };
        names(self) == names(other)
    }

    /// Returns the column in which the database numbers the rows.
    pub(in super::super) fn serial(&self) -> Option<&str> {
        self.columns.iter().find(|column| column.is_serial).map(|column| column.name.as_str())
    }

    /// Returns the pages of the table in the order of its key, after a key.
    pub(in super::super) fn pages(&self, after: Option<Vec<Param<'static>>>) -> Pages<'_> {
        Pages { table: self, after, is_last: false }
    }

    /// Returns the greatest key in the table; `None` if it is empty.
    pub(in super::super) async fn last_key(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Param<'static>>>, DatabaseError> {
        let key: Vec<_> = self.key.iter().map(|&index| &self.columns[index]).collect();
        let order: Vec<_> = key.iter().map(|column| format!("\"{}\" DESC", column.name)).collect();
        let sql =
            format!("SELECT {} FROM \"{}\" ORDER BY {} LIMIT 1", list(&key), self.name, order.join(", "));
        let read = |row: &mut Row<'_>| key.iter().map(|column| column.kind.read(row)).collect();
        Ok(connection.all_with(&sql, &[], read).await?.pop())
    }

    /// Returns the number of rows.
    pub(in super::super) async fn count(&self, connection: &mut Connection) -> Result<i64, DatabaseError> {
        connection.one(&format!("SELECT COUNT(*) FROM \"{}\"", self.name), &[]).await
    }

    /// Adds rows of a page.
    pub(super) async fn insert(
        &self,
        connection: &mut Connection,
        rows: &[Vec<Param<'static>>],
    ) -> Result<(), DatabaseError> {
        connection.execute(&self.insertion(rows.len()), &rows.concat()).await.map(drop)
    }

    /// Returns the statement that adds a number of rows.
    pub(super) fn insertion(&self, rows: usize) -> String {
        let columns: Vec<_> = self.columns.iter().collect();
        let width = columns.len();
        let tuples: Vec<_> =
            (0..rows).map(|row| format!("({})", placeholders(1 + row * width, width))).collect();
        format!("INSERT INTO \"{}\" ({}) VALUES {}", self.name, list(&columns), tuples.join(","))
    }

    /// Returns the most rows of a page.
    pub(super) fn page_rows(&self) -> usize {
        ROWS.min(VALUES / self.columns.len())
    }
}

/// Returns the quoted names of columns, separated by commas.
pub(super) fn list(columns: &[&Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

/// The pages of a table, in the order of its key.
pub(in super::super) struct Pages<'a> {
    table: &'a CopyTable,
    after: Option<Vec<Param<'static>>>,
    is_last: bool,
}

impl Pages<'_> {
    /// Reads the next page; it is empty after the last one.
    pub(in super::super) async fn next(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Vec<Vec<Param<'static>>>, DatabaseError> {
        if self.is_last {
            return Ok(Vec::new());
        }
        let table = self.table;
        let columns: Vec<_> = table.columns.iter().collect();
        let key: Vec<_> = table.key.iter().map(|&index| &table.columns[index]).collect();
        let (key, limit) = (list(&key), table.page_rows());
        let after = match &self.after {
            Some(values) => format!("WHERE ({key}) > ({})", placeholders(1, values.len())),
            None => String::new(),
        };
        let sql =
            format!("SELECT {} FROM \"{}\" {after} ORDER BY {key} LIMIT {limit}", list(&columns), table.name);

        let read = |row: &mut Row<'_>| columns.iter().map(|column| column.kind.read(row)).collect();
        let rows: Vec<Vec<_>> = connection.all_with(&sql, self.after.as_deref().unwrap_or(&[]), read).await?;
        self.is_last = rows.len() < limit;
        if let Some(last) = rows.last() {
            self.after = Some(table.key.iter().map(|&index| last[index].clone()).collect());
        }
        Ok(rows)
    }
}
