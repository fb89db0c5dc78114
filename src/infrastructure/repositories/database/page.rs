//! Keyset pagination. A cursor contains the position of a page's last row, signed: every page costs the same, and a
//! position that the store did not return is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::conditions::Conditions;
use super::connection::Connection;
use super::error::DatabaseError;
use super::param::Param;
use super::row::FromRow;
use super::signing_key::SigningKey;
use super::statements::select;
use super::table::{Aggregate, Root, Table};

/// The number of bytes of the signature in a cursor.
const TAG: usize = 12;

/// The most items of a page of a list that is asked for without a number.
pub const DEFAULT_LIMIT: usize = 20;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Returns a page of at most `limit` items from up to `limit + 1` rows; `position` returns the position of a row.
    pub(crate) fn cut<P: Serialize>(
        mut rows: Vec<T>,
        limit: usize,
        cursors: &Cursors<'_>,
        position: impl Fn(&T) -> P,
    ) -> Result<Self, DatabaseError> {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| cursors.encode(&position(last))).transpose()?;
        Ok(Self { items: rows, next })
    }

    /// Converts the items of the page.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next: self.next }
    }
}

/// A cursor that the store did not return for this list and filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list")]
pub struct ForeignCursor;

/// An error of a list.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListError {
    /// The cursor is invalid for the list.
    #[error(transparent)]
    Cursor(#[from] ForeignCursor),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A row with a time. Its lists are newest first.
pub trait ListedByTime: Table {
    /// The column by which lists are ordered.
    const TIME: &'static str = "created_at";

    /// Returns the row's position in a list: its time and its key.
    fn position(&self) -> (Timestamp, Uuid);
}

impl<T: Aggregate + ListedByTime> ListedByTime for Root<T> {
    const TIME: &'static str = T::TIME;

    fn position(&self) -> (Timestamp, Uuid) {
        self.row().position()
    }
}

/// Which page of a list is requested.
#[derive(Clone, Copy)]
pub struct PageRequest<'a> {
    /// The most items of the page.
    pub limit: usize,
    /// The cursor of the page; `None` for the first one.
    pub cursor: Option<&'a str>,
    /// The key that signs cursors.
    pub key: &'a SigningKey,
}

impl<'a> PageRequest<'a> {
    /// Returns the cursors of a list with a filter, and the position after which the page begins, unless it is the
    /// first.
    pub(crate) fn cursors<P: DeserializeOwned>(
        &self,
        list: &str,
        filter: &impl Serialize,
    ) -> Result<(Cursors<'a>, Option<P>), ListError> {
        let cursors = Cursors::new(self.key, list, filter)?;
        let after = self.cursor.map(|cursor| cursors.decode(cursor)).transpose()?;
        Ok((cursors, after))
    }
}

impl Connection {
    /// Returns a page of the rows that fulfil the conditions of a filter, newest first.
    pub(crate) async fn newest<T: ListedByTime + FromRow>(
        &mut self,
        filter: &impl Serialize,
        conditions: Conditions<'_>,
        request: &PageRequest<'_>,
    ) -> Result<Page<T>, ListError> {
        let (cursors, after) = request.cursors(T::NAME, filter)?;
        let (sql, values) = newest_first::<T>(conditions, after, request.limit.saturating_add(1));
        let rows = self.all::<T>(&sql, &values).await?;
        Ok(Page::cut(rows, request.limit, &cursors, T::position)?)
    }
}

/// Returns the statement for the first `limit` rows after a position, newest first, with its parameters.
pub fn newest_first<T: ListedByTime>(
    mut conditions: Conditions<'_>,
    after: Option<(Timestamp, Uuid)>,
    limit: usize,
) -> (String, Vec<Param<'_>>) {
    let (time, key) = (T::TIME, T::FIELDS[0][0]);
    if let Some((at, id)) = after {
        conditions = conditions.compare_position(&format!("({time}, {key}) <"), (at.into(), id.into()));
    }
    conditions.first(&select::<T>(""), &format!("{time} DESC, {key} DESC"), limit)
}

/// Encodes and decodes the cursors of one list with one filter.
pub(crate) struct Cursors<'a> {
    key: &'a SigningKey,
    list: String,
}

impl<'a> Cursors<'a> {
    /// Returns the cursors of a list. They are signed for `filter` in its JSON form, so that a cursor is valid for no
    /// other list and for no other filter.
    pub(super) fn new(
        key: &'a SigningKey,
        list: &str,
        filter: &impl Serialize,
    ) -> Result<Self, DatabaseError> {
        Ok(Self { key, list: format!("{list} {}", json(filter)?) })
    }

    /// Returns the cursor of a position.
    pub(crate) fn encode<P: Serialize>(&self, position: &P) -> Result<String, DatabaseError> {
        let mut bytes = json(position)?.into_bytes();
        let tag = self.key.sign(&self.list, &bytes);
        bytes.extend_from_slice(&tag[..TAG]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the position of a cursor.
    pub(super) fn decode<P: DeserializeOwned>(&self, cursor: &str) -> Result<P, ForeignCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ForeignCursor)?;
        let (position, tag) = bytes.split_at_checked(bytes.len().wrapping_sub(TAG)).ok_or(ForeignCursor)?;
        let expected = self.key.sign(&self.list, position);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..TAG], tag)) {
            return Err(ForeignCursor);
        }
        serde_json::from_slice(position).map_err(|_| ForeignCursor)
    }
}

fn json(value: &impl Serialize) -> Result<String, DatabaseError> {
    serde_json::to_string(value).map_err(|error| DatabaseError::Internal(format!("a cursor: {error}")))
}
