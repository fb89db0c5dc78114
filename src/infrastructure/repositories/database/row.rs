//! Rows of results: read in the order of their columns.

use jiff::{Timestamp, civil::Date};
use rusqlite::types::ValueRef;
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::error::DatabaseError;
use super::param::Param;
use crate::domain::country::Country;
use crate::domain::ids;
use crate::domain::money::Currency;
use crate::domain::state::State;
use crate::domain::tax::TaxClass;
use crate::domain::trace::TraceContext;
use crate::domain::webhook::WebhookSecret;

/// A row of a result. Each call of [`Row::read`] reads the columns that follow those read before.
pub struct Row<'a> {
    columns: Columns<'a>,
    next: usize,
}

/// The row as the engine's driver has it.
enum Columns<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> Row<'a> {
    pub(crate) fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self { columns: Columns::Sqlite(row), next: 0 }
    }

    pub(crate) fn postgres(row: &'a tokio_postgres::Row) -> Self {
        Self { columns: Columns::Postgres(row), next: 0 }
    }

    /// Reads a value from the next column, or from as many columns as the type has.
    pub fn read<T: FromRow>(&mut self) -> Result<T, DatabaseError> {
        T::from_row(self)
    }

    fn field<T: Field>(&mut self) -> Result<T, DatabaseError> {
        let column = self.next;
        self.next += 1;
        let value = match self.columns {
            Columns::Sqlite(row) => T::from_sqlite(row.get_ref(column)?),
            Columns::Postgres(row) => T::from_postgres(row.try_get(column)?),
        };
        value.ok_or_else(|| {
            DatabaseError::Internal(format!("column {column} holds no {}", std::any::type_name::<T>()))
        })
    }
}

/// A type that can be read from one or more columns of a row: a [`Field`], a tuple, a row of a table.
pub trait FromRow: Sized {
    /// Reads the value from the next columns of the row.
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError>;
}

impl<T: Field> FromRow for T {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        row.field()
    }
}

macro_rules! tuples {
    ($(($($type:ident),+))+) => {$(
        impl<$($type: FromRow),+> FromRow for ($($type,)+) {
            fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
                Ok(($(row.read::<$type>()?,)+))
            }
        }
    )+};
}

tuples! {
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

/// Implements [`FromRow`] for a struct: lists its fields in the order of the statement's columns.
macro_rules! from_row {
    ($type:ty { $($field:ident $(: $form:ident)?),+ $(,)? }) => {
        impl $crate::infrastructure::repositories::FromRow for $type {
            fn from_row(
                row: &mut $crate::infrastructure::repositories::Row<'_>,
            ) -> Result<Self, $crate::infrastructure::repositories::DatabaseError> {
                Ok(Self { $($field: $crate::infrastructure::repositories::read_column!(row $(, $form)?)),+ })
            }
        }
    };
}
pub(crate) use from_row;

/// Reads the next column of a row in one of the forms of a table's description.
macro_rules! read_column {
    ($row:ident) => {
        $row.read()?
    };
    ($row:ident, json) => {
        $row.read::<$crate::infrastructure::repositories::Json<_>>()?.0
    };
    ($row:ident, money($currency:ident)) => {
        $crate::domain::money::Money::new($row.read()?, $currency)
    };
}
pub(crate) use read_column;

/// A type that is stored in one column.
pub trait Field: Sized {
    /// The type that PostgreSQL's driver reads.
    type Postgres: for<'a> FromSql<'a>;
    /// Converts what PostgreSQL's driver read; `None` if it is no value of this type.
    fn from_postgres(value: Self::Postgres) -> Option<Self>;
    /// Converts SQLite's value; `None` if it is no value of this type.
    fn from_sqlite(value: ValueRef<'_>) -> Option<Self>;
    /// Returns the value as a parameter.
    fn to_param(&self) -> Param<'_>;
}

/// Implements [`Field`] for types that PostgreSQL's driver reads.
macro_rules! fields {
    ($($type:ty => |$value:ident| $sqlite:expr, |$field:ident| $param:expr);+ $(;)?) => {$(
        impl Field for $type {
            type Postgres = Self;
            fn from_postgres(value: Self) -> Option<Self> { Some(value) }
            fn from_sqlite($value: ValueRef<'_>) -> Option<Self> { $sqlite }
            fn to_param(&self) -> Param<'_> { let $field = self; Param::from($param) }
        }
    )+};
}

fields! {
    i64 => |value| value.as_i64().ok(), |field| *field;
    bool => |value| value.as_i64().ok().map(|value| value != 0), |field| *field;
    String => |value| value.as_str().ok().map(str::to_owned), |field| field;
    Vec<u8> => |value| value.as_blob().ok().map(<[u8]>::to_vec), |field| field;
    Uuid => |value| value.as_blob().ok().and_then(|bytes| Uuid::from_slice(bytes).ok()), |field| *field;
    Timestamp => |value| value.as_i64().ok().and_then(|value| Timestamp::from_microsecond(value).ok()), |field| *field;
}

/// Implements [`Field`] for types that are stored as another field.
macro_rules! fields_within {
    ($inner:ty, |$value:ident| $parse:expr, |$field:ident| $param:expr; $($type:ty),+ $(,)?) => {$(
        impl Field for $type {
            type Postgres = $inner;
            fn from_postgres($value: $inner) -> Option<Self> { $parse }
            fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
                <$inner as Field>::from_sqlite(value).and_then(Self::from_postgres)
            }
            fn to_param(&self) -> Param<'_> { let $field = self; Param::from($param) }
        }
    )+};
}

fields_within!(i64, |value| value.try_into().ok(), |field| *field; u16, u32);
fields_within!(String, |value| value.parse().ok(), |field| *field; Currency, Country, Date, TraceContext);
fields_within!(String, |value| value.parse().ok(), |field| field; TaxClass);
fields_within!(String, |value| Some(Self(value)), |field| &field.0; WebhookSecret);
/// Implements [`Field`] for ids.
macro_rules! id_fields {
    ($($(#[$doc:meta])* $id:ident),+ $(,)?) => {
        fields_within!(Uuid, |value| Some(Self(value)), |field| *field; $(ids::$id),+);
    };
}

ids::all_ids!(id_fields);

/// States are stored by their names.
impl<S: State> Field for S {
    type Postgres = String;

    fn from_postgres(name: String) -> Option<Self> {
        S::parse(&name)
    }

    fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
        value.as_str().ok().and_then(S::parse)
    }

    fn to_param(&self) -> Param<'_> {
        (*self).into()
    }
}

impl<T: Field> Field for Option<T> {
    type Postgres = Option<T::Postgres>;

    fn from_postgres(value: Self::Postgres) -> Option<Self> {
        value.map(T::from_postgres).map_or(Some(None), |inner| inner.map(Some))
    }

    fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
        if value == ValueRef::Null { Some(None) } else { T::from_sqlite(value).map(Some) }
    }

    fn to_param(&self) -> Param<'_> {
        self.as_ref().map_or(Param::Null, Field::to_param)
    }
}

/// A value that is stored as JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + std::fmt::Debug> Field for Json<T> {
    type Postgres = tokio_postgres::types::Json<T>;

    fn from_postgres(value: Self::Postgres) -> Option<Self> {
        Some(Self(value.0))
    }

    fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
        serde_json::from_slice(value.as_bytes().ok()?).ok().map(Self)
    }

    fn to_param(&self) -> Param<'_> {
        Param::json(&self.0)
    }
}
