//! Parameters of statements: the values that both engines can bind.

use std::borrow::Cow;

use bytes::BytesMut;
use jiff::{Timestamp, civil::Date};
use rusqlite::types::ValueRef;
use serde::Serialize;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::domain::country::Country;
use crate::domain::ids;
use crate::domain::money::Currency;
use crate::domain::state::State;
use crate::domain::tax::TaxClass;
use crate::domain::trace::TraceContext;

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param<'a> {
    /// The value NULL.
    Null,
    /// BOOLEAN, or 0 and 1.
    Bool(bool),
    /// A BIGINT.
    Int(i64),
    /// A TEXT.
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
    /// Returns the parameter with a copy of what it borrows.
    pub(crate) fn into_owned(self) -> Param<'static> {
        match self {
            Self::Null => Param::Null,
            Self::Bool(value) => Param::Bool(value),
            Self::Int(value) => Param::Int(value),
            Self::Text(value) => Param::Text(value.into_owned().into()),
            Self::Bytes(value) => Param::Bytes(value.into_owned().into()),
            Self::Uuid(value) => Param::Uuid(value),
            Self::Time(value) => Param::Time(value),
            Self::Json(value) => Param::Json(value),
        }
    }

    /// Returns the JSON of a value as a parameter.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        // The types that are stored as JSON have text keys only, so serialization cannot fail.
        serde_json::to_string(value).map_or(Self::Null, Self::Json)
    }
}

/// Implements `From` for types that are converted by value.
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
    u32 => |value| Self::Int(value.into()),
    u16 => |value| Self::Int(value.into()),
    usize => |value| Self::Int(i64::try_from(value).unwrap_or(i64::MAX)),
    String => |value| Self::Text(value.into()),
    Vec<u8> => |value| Self::Bytes(value.into()),
    Uuid => |value| Self::Uuid(value),
    Timestamp => |value| Self::Time(value),
    Date => |value| Self::Text(value.to_string().into()),
    Currency => |value| Self::Text(value.code().into()),
    Country => |value| Self::Text(value.code().into()),
    TraceContext => |value| Self::Text(value.to_string().into()),
}

/// Implements `From` for ids.
macro_rules! from_id {
    ($($(#[$doc:meta])* $id:ident),+ $(,)?) => { from_value! { $(ids::$id => |value| Self::Uuid(value.0)),+ } };
}

ids::all_ids!(from_id);

impl<S: State> From<S> for Param<'_> {
    fn from(state: S) -> Self {
        Self::Text(state.name().into())
    }
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

impl<'a> From<&'a Vec<u8>> for Param<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Bytes(value.as_slice().into())
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
                out.extend_from_slice(&[1]); // the version of the binary format
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
