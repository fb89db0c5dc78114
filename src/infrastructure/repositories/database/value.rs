//! How values travel between the store and either database: parameters going in, fields coming out.

use std::borrow::Cow;

use bytes::BytesMut;
use jiff::{Timestamp, civil::Date};
use rusqlite::types::ValueRef;
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::error::DatabaseError;
use crate::domain::country::Country;
use crate::domain::ids;
use crate::domain::money::Currency;
use crate::domain::state::State;
use crate::domain::tax::TaxClass;

/// A value on its way in.
#[derive(Debug, Clone)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// BOOLEAN, or 0 and 1.
    Bool(bool),
    /// BIGINT.
    Int(i64),
    /// TEXT.
    Text(Cow<'a, str>),
    /// BYTEA, or BLOB.
    Bytes(Cow<'a, [u8]>),
    /// UUID, or a BLOB of 16 bytes.
    Uuid(Uuid),
    /// TIMESTAMPTZ, or microseconds since 1970.
    Time(Timestamp),
    /// JSONB, or TEXT; the text of a JSON value.
    Json(String),
}

/// Lists parameters: `params![id, name]`.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::infrastructure::repositories::Param::from($value)),*] };
}
pub(crate) use params;

impl Param<'_> {
    /// A JSON parameter.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        // What the store writes are maps with text keys, which cannot fail to serialize.
        serde_json::to_string(value).map_or(Self::Null, Self::Json)
    }
}

/// Parameters made from a value as it is.
macro_rules! from_value {
    ($($type:ty => |$value:ident| $param:expr),+ $(,)?) => {$(
        impl From<$type> for Param<'_> {
            fn from($value: $type) -> Self { $param }
        }
    )+};
}

from_value! {
    bool => |value| Self::Bool(value),
    i64 => |value| Self::Int(value),
    String => |value| Self::Text(value.into()),
    Vec<u8> => |value| Self::Bytes(value.into()),
    Uuid => |value| Self::Uuid(value),
    Timestamp => |value| Self::Time(value),
    Date => |value| Self::Text(value.to_string().into()),
    Currency => |value| Self::Text(value.code().into()),
    Country => |value| Self::Text(value.code().into()),
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value.into())
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value.as_str().into())
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value.into())
    }
}

impl<'a> From<&'a TaxClass> for Param<'a> {
    fn from(value: &'a TaxClass) -> Self {
        Self::Text(value.as_str().into())
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value};
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Bool(value) => ToSqlOutput::Owned(Value::Integer((*value).into())),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Self::Uuid(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes())),
            Self::Time(value) => ToSqlOutput::Owned(Value::Integer(value.as_microsecond())),
            Self::Json(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        })
    }
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) => value.to_sql_checked(ty, out),
            Self::Int(value) => value.to_sql_checked(ty, out),
            Self::Text(value) => value.to_sql_checked(ty, out),
            Self::Bytes(value) => value.as_ref().to_sql_checked(ty, out),
            Self::Uuid(value) => value.to_sql_checked(ty, out),
            Self::Time(value) => value.to_sql_checked(ty, out),
            Self::Json(value) if *ty == Type::JSONB => {
                out.extend_from_slice(&[1]); // the version of the binary form
                out.extend_from_slice(value.as_bytes());
                Ok(IsNull::No)
            }
            Self::Json(value) => value.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row on its way out.
pub enum Row<'a> {
    /// SQLite's.
    Sqlite(&'a rusqlite::Row<'a>),
    /// PostgreSQL's.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The field in a column, counted from 0.
    pub fn get<T: Field>(&self, column: usize) -> Result<T, DatabaseError> {
        let value = match self {
            Self::Sqlite(row) => T::from_sqlite(row.get_ref(column)?),
            Self::Postgres(row) => T::from_postgres(row.try_get(column)?),
        };
        value.ok_or_else(|| unreadable::<T>(column))
    }

    /// A state in a column, counted from 0.
    pub fn state<S: State>(&self, column: usize) -> Result<S, DatabaseError> {
        S::parse(&self.get::<String>(column)?).ok_or_else(|| unreadable::<S>(column))
    }

    /// A state, or nothing, in a column, counted from 0.
    pub fn state_or_null<S: State>(&self, column: usize) -> Result<Option<S>, DatabaseError> {
        self.get::<Option<String>>(column)?
            .map(|name| S::parse(&name).ok_or_else(|| unreadable::<S>(column)))
            .transpose()
    }
}

/// Reads the first column alone.
pub fn scalar<T: Field>(row: &Row<'_>) -> Result<T, DatabaseError> {
    row.get(0)
}

fn unreadable<T>(column: usize) -> DatabaseError {
    DatabaseError::Internal(format!("column {column} holds no {}", std::any::type_name::<T>()))
}

/// What can come out of a column.
pub trait Field: Sized {
    /// What PostgreSQL's driver reads first.
    type Postgres: for<'a> FromSql<'a>;
    /// From what PostgreSQL's driver read.
    fn from_postgres(value: Self::Postgres) -> Option<Self>;
    /// From SQLite's value.
    fn from_sqlite(value: ValueRef<'_>) -> Option<Self>;
}

/// Fields that PostgreSQL's driver reads as they are.
macro_rules! fields {
    ($($type:ty => |$value:ident| $sqlite:expr),+ $(,)?) => {$(
        impl Field for $type {
            type Postgres = Self;
            fn from_postgres(value: Self) -> Option<Self> { Some(value) }
            fn from_sqlite($value: ValueRef<'_>) -> Option<Self> { $sqlite }
        }
    )+};
}

fields! {
    i64 => |value| value.as_i64().ok(),
    bool => |value| value.as_i64().ok().map(|value| value != 0),
    String => |value| value.as_str().ok().map(str::to_owned),
    Vec<u8> => |value| value.as_blob().ok().map(<[u8]>::to_vec),
    Uuid => |value| value.as_blob().ok().and_then(|bytes| Uuid::from_slice(bytes).ok()),
    Timestamp => |value| value.as_i64().ok().and_then(|value| Timestamp::from_microsecond(value).ok()),
}

/// Fields that are kept as text, or under a UUID.
macro_rules! fields_within {
    ($inner:ty, |$value:ident| $parse:expr; $($type:ty),+ $(,)?) => {$(
        impl Field for $type {
            type Postgres = $inner;
            fn from_postgres($value: $inner) -> Option<Self> { $parse }
            fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
                <$inner as Field>::from_sqlite(value).and_then(Self::from_postgres)
            }
        }
    )+};
}

fields_within!(String, |value| value.parse().ok(); Currency, Country, TaxClass, Date);

/// Ids go in and come out as UUIDs.
macro_rules! id_fields {
    ($($id:ident),+ $(,)?) => {
        fields_within!(Uuid, |value| Some(Self(value)); $(ids::$id),+);
        from_value! { $(ids::$id => |value| Self::Uuid(value.0)),+ }
    };
}

id_fields!(
    UserId,
    ProductId,
    VariantId,
    CategoryId,
    CartId,
    DiscountId,
    ShippingMethodId,
    OrderId,
    PaymentId,
    PaymentStepId,
    InvoiceId,
    ReviewId,
    SubscriptionId,
    NotificationId,
);

impl<T: Field> Field for Option<T> {
    type Postgres = Option<T::Postgres>;

    fn from_postgres(value: Self::Postgres) -> Option<Self> {
        value.map(T::from_postgres).map_or(Some(None), |inner| inner.map(Some))
    }

    fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
        if value == ValueRef::Null { Some(None) } else { T::from_sqlite(value).map(Some) }
    }
}

/// A column that holds JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + std::fmt::Debug> Field for Json<T> {
    type Postgres = tokio_postgres::types::Json<T>;

    fn from_postgres(value: Self::Postgres) -> Option<Self> {
        Some(Self(value.0))
    }

    fn from_sqlite(value: ValueRef<'_>) -> Option<Self> {
        serde_json::from_slice(value.as_bytes().ok()?).ok().map(Self)
    }
}
